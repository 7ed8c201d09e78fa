"""Prefetching: work on items in threads, some items in advance of the consumer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from matex.errors import InputError

Item = TypeVar("Item")
T = TypeVar("T")


def read_ahead(
    items: Iterable[Item], work: Callable[[Item], T], workers: int = 2, ahead: int = 8
) -> Generator[tuple[Item, T | InputError]]:
    """Apply `work` to items in threads, some items in advance of the consumer.

    Args:
        items: consumed in the caller's thread.
        work: applied to each item; an `InputError` that it raises is the item's outcome.
        workers: threads.
        ahead: items whose outcome is computed before it is consumed.

    Yields:
        (item, outcome), in the order of the items. The threads end with the generator.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="matex-read")
    waiting: deque[tuple[Item, Future[T]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > ahead:
                yield _outcome(*waiting.popleft())
        while waiting:
            yield _outcome(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _outcome(item: Item, future: Future[T]) -> tuple[Item, T | InputError]:
    try:
        return item, future.result()
    except InputError as error:
        return item, error
