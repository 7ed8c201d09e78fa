"""Job queue with a thread for each lane, so that a slow method never delays a fast one.

A job is cancelled where it reports progress (`matex.progress`): methods that run the model many times report after each
batch, so a cancelled one ends within a batch. PyTorch releases the interpreter while it computes, so the server answers
meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from matex.progress import listening

FINISHED = 32
"""Finished jobs that are remembered, so that their results can be fetched."""
Lane = Literal["fast", "slow"]
State = Literal["waiting", "running", "done", "failed", "cancelled"]


class Cancelled(Exception):
    """Raised inside a job whose cancellation was requested."""


class Busy(RuntimeError):
    """As many jobs wait as may wait."""


@dataclass(eq=False)
class Job:
    """One computation.

    Args:
        label: what is computed, in words.
        future: of its result.
        done: steps that are done.
        total: steps in all; 0 before the first report.
    """

    label: str
    future: Future[Any] = field(default_factory=Future[Any])  # of whatever the page takes: jobs lie in one list
    done: float = 0.0
    total: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def state(self) -> State:
        """State of the job."""
        if self.future.cancelled() or (self._stop.is_set() and self.future.done()):
            return "cancelled"
        if self.future.done():
            return "failed" if self.future.exception() else "done"
        return "running" if self.future.running() else "waiting"

    def cancel(self) -> None:
        """End the job: at once where it waits, at its next report of progress where it runs."""
        self._stop.set()
        self.future.cancel()

    async def wait(self, seconds: float) -> bool:
        """Whether the job ends within some seconds; the event loop goes on meanwhile.

        `asyncio.wrap_future` would log the exception of a job that nobody waits for any more, with its values.
        """
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def wake(_: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(ended.set)

        self.future.add_done_callback(wake)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), seconds)
        return self.future.done()

    def run(self, work: Callable[[], object]) -> None:
        """Compute, in the thread of a lane."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            with listening(self._report):
                result = work()
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def _report(self, done: float, total: int) -> None:
        self.done, self.total = done, total
        if self._stop.is_set():
            raise Cancelled


class Jobs:
    """The lanes and the jobs in them.

    Args:
        waiting: jobs that may wait or run at the same time.
    """

    def __init__(self, waiting: int) -> None:
        self._waiting = waiting
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._lanes = {
            "fast": ThreadPoolExecutor(2, thread_name_prefix="matex-fast"),
            "slow": ThreadPoolExecutor(1, thread_name_prefix="matex-slow"),
        }

    def start(self, label: str, work: Callable[[], object], lane: Lane = "fast") -> tuple[str, Job]:
        """Queue a computation.

        Raises:
            Busy: too many jobs wait already.
        """
        with self._lock:
            if sum(not job.future.done() for job in self._jobs.values()) >= self._waiting:
                raise Busy
            key, job = secrets.token_urlsafe(9), Job(label)
            self._jobs[key] = job
            self._forget_oldest()
        self._lanes[lane].submit(job.run, work)
        return key, job

    def __getitem__(self, key: str) -> Job:
        """A job by its identifier; KeyError where there is none."""
        with self._lock:
            return self._jobs[key]

    def forget(self, key: str) -> None:
        """Drop a job whose result was taken."""
        with self._lock:
            self._jobs.pop(key, None)

    def close(self) -> None:
        """Cancel all jobs and end the threads."""
        with self._lock:
            for job in self._jobs.values():
                job.cancel()
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)

    def _forget_oldest(self) -> None:
        """Drop the oldest finished jobs beyond `FINISHED`."""
        finished = [key for key, job in self._jobs.items() if job.future.done()]
        for key in finished[: max(0, len(finished) - FINISHED)]:
            del self._jobs[key]
