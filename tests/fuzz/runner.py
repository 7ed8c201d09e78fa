"""Run cases and hold each of them to the promises of docs/robustness.md.

A case either returns a word for how it was accepted, or raises one of the package's own errors with one short line.
Everything else is a fault: another exception, a wrong result (`Wrong`), a hang, memory beyond the bound, text printed
by a decoder, a file written outside the work folder, a connection, a program that was started.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matex.errors import MissingExtra

PROCESSOR_SECONDS = 20
"""Of one case, measured after it ended."""
WAITING_SECONDS = 60
"""Of one case on the clock; then it is interrupted."""
MEMORY = 1 << 30
"""Bytes that one case may add to the resident memory of the process."""
LINE = 1000
"""Characters of a refusal."""
CANARY = "EXECUTED"
"""Name of the folder that hostile code would create in the work folder."""


class Wrong(Exception):
    """An input was accepted and its result is not what an independent reading gives."""


class Hang(BaseException):
    """No `Exception`, so that no reader takes it for damage."""


@dataclass(frozen=True)
class Case:
    """One hostile input.

    Args:
        name: class, seed and number, with which it can be built again, and what was mutated.
        run: carries it out in an empty folder; returns how it was accepted.
    """

    name: str
    run: Callable[[Path], str]


@dataclass
class Tally:
    """Outcomes of one class.

    Args:
        tried: number of cases.
        outcomes: how many were accepted in which way, or refused.
        faults: (name of the case, what it did instead).
        slowest: processor time of the slowest case, seconds.
        memory: largest growth of the resident memory during one case, bytes.
    """

    tried: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    faults: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    slowest: float = 0.0
    memory: int = 0

    @property
    def handled(self) -> int:
        return self.tried - len(self.faults)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{name} {number}" for name, number in sorted(self.outcomes.items()))
        lines = [f"tried {self.tried}, handled {self.handled} ({outcomes})"]
        return "\n".join([*lines, *(f"  NOT HANDLED {name}: {said}" for name, said in self.faults)])


def generator(name: str, seed: int, number: int) -> random.Random:
    """Random numbers of one case, independent of how many cases were built before it."""
    return random.Random(f"{name}/{seed}/{number}")


def run(cases: Iterable[Case], seconds: float = float("inf")) -> Tally:
    """Run cases one by one until they or the processor time end."""
    tally = Tally()
    start = time.process_time()
    with tempfile.TemporaryDirectory(prefix="matex-fuzz-") as root:
        for case in cases:
            if time.process_time() - start > seconds:
                break
            folder = Path(root) / "work"
            folder.mkdir()
            outcome, fault = _carry_out(case, folder, tally)
            tally.tried += 1
            if fault:
                tally.faults.append((case.name, fault))
            else:
                tally.outcomes[outcome] += 1
            shutil.rmtree(folder)
    return tally


def _carry_out(case: Case, folder: Path, tally: Tally) -> tuple[str, str]:
    """How the case was handled, or what it did instead."""
    outcome = fault = ""
    before, began = _reset_peak(), time.process_time()
    with _printed(folder) as printed, _watched(folder) as violations, _alarm(), _in_folder(folder):
        try:
            outcome = case.run(folder)
        except Hang:
            fault = f"hang: more than {WAITING_SECONDS} s"
        except Wrong as error:
            fault = f"wrong in silence: {error}"
        except BaseException as error:  # also SystemExit and what Rust code panics with
            outcome, fault = "refused", _improper(error)
    seconds, grown = time.process_time() - began, _peak() - before
    tally.slowest, tally.memory = max(tally.slowest, seconds), max(tally.memory, grown)
    if not fault and violations:
        fault = violations[0]
    if not fault and printed():
        fault = f"printed {printed()[:200]!r}"
    if not fault and (folder / CANARY).exists():
        fault = "code in the input was executed"
    if not fault and seconds > PROCESSOR_SECONDS:
        fault = f"slow: {seconds:.0f} s of processor time"
    if not fault and grown > MEMORY:
        fault = f"memory: {grown / MEMORY:.1f} GiB"
    return outcome, fault


def refusal(message: str) -> str:
    """What is wrong with the line of a refusal; empty where nothing is."""
    if not message.strip() or not message.isprintable():
        return f"a refusal that is not one printable line: {message[:200]!r}"
    return f"a refusal of {len(message)} characters: {message[:200]!r}" if len(message) > LINE else ""


def _improper(error: BaseException) -> str:
    """What is wrong with an exception; empty for a proper refusal."""
    own = isinstance(error, MissingExtra) or type(error).__module__ == "matex.errors"
    if own:
        return refusal(str(error))
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if "/matex/" in frame.filename), frames[-1])
    said = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {said} ({Path(place.filename).name}:{place.lineno})"


# --- the process around a case ---------------------------------------------------------------------------------------

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}
_PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.startfile"}
_NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
_watch: list[tuple[Path, list[str]]] = []  # the folder of the running case and what it did outside; audit hooks stay


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watch:
        return
    folder, found = _watch[-1]
    if event in _PROGRAMS and arguments[0] != sys.executable:  # our own decoder process
        found.append(f"started a program: {arguments[0]!r}"[:200])
    elif event in _NETWORK:
        found.append(f"used the network: {arguments[1:]!r}"[:200])
    elif event in _CHANGES or (event == "open" and (arguments[2] or 0) & _WRITES):
        path = arguments[1] if event == "os.symlink" else arguments[0]
        if isinstance(path, str | bytes | os.PathLike) and not _allowed(os.fsdecode(path), folder):
            found.append(f"wrote outside: {event} {os.fsdecode(path)!r}"[:200])


def _allowed(path: str, folder: Path) -> bool:
    """Inside the case's folder (relative paths begin there), nowhere, or Python's own cache of compiled modules."""
    return (
        f"{os.path.realpath(path)}{os.sep}".startswith(f"{os.path.realpath(folder)}{os.sep}")
        or not os.path.isabs(path)  # of a call with dir_fd, as shutil.rmtree makes them
        or path == os.devnull
        or "__pycache__" in path
    )


@contextlib.contextmanager
def _watched(folder: Path) -> Generator[list[str]]:
    if not hasattr(sys, "_matex_fuzz_audit"):
        sys.addaudithook(_audit)
        sys._matex_fuzz_audit = True  # type: ignore[attr-defined]
    violations: list[str] = []
    _watch.append((folder, violations))
    try:
        yield violations
    finally:
        _watch.pop()


@contextlib.contextmanager
def _printed(folder: Path) -> Generator[Callable[[], str]]:
    """What arrives at the file descriptors of standard output and error, past Python's own streams too."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with tempfile.TemporaryFile(dir=folder.parent) as file:
        kept = [os.dup(1), os.dup(2)]
        text: list[bytes] = []
        for target in (1, 2):
            os.dup2(file.fileno(), target)
        try:
            yield lambda: text[0].decode("utf-8", "replace")
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for saved, target in zip(kept, (1, 2), strict=True):
                os.dup2(saved, target)
                os.close(saved)
            file.seek(0)
            text.append(file.read(1000))


@contextlib.contextmanager
def _alarm() -> Generator[None]:
    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, WAITING_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _in_folder(folder: Path) -> Generator[None]:
    """Relative paths and temporary files lie in the folder; warnings are not what is tested here."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        with contextlib.chdir(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        tempfile.tempdir = before


def _reset_peak() -> int:
    """Start to measure the peak of the resident memory anew (Linux); bytes now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
