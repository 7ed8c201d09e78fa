"""Progress of long computations, reported to a listener of the calling context, which may stop them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[float, int], None]
"""Called with the number of steps done and their total. An exception that it raises ends the computation."""

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Report the progress of what runs inside to a listener.

    Examples:
        >>> seen = []
        >>> with listening(lambda done, total: seen.append((done, total))):
        ...     report(1, 3)
        >>> seen
        [(1, 3)]
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def report(done: float, total: int) -> None:
    """Report that some of the steps are done; nothing happens where nobody listens."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(done, total)


@contextmanager
def stages(total: int) -> Generator[Callable[[], None]]:
    """Report a computation of several stages as one; what a stage reports counts as a fraction of the stage.

    Yields:
        A function to call at the end of each stage.
    """
    outer, finished = _LISTENER.get(), 0

    def within(done: float, steps: int) -> None:
        if outer is not None:
            outer(finished + done / max(steps, 1), total)

    def stage_done() -> None:
        nonlocal finished
        finished += 1
        within(0, 1)

    with listening(within):
        yield stage_done
