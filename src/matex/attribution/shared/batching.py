"""Batches of many rows through a tower, smaller ones where memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from tqdm.auto import tqdm

from matex.progress import report

T = TypeVar("T")


def batches(run: Callable[[int, int], T], rows: int, size: int, progress: bool = False) -> Iterator[T]:
    """Results of `run(start, stop)` for consecutive pieces of range(rows), in order.

    Args:
        run: has no effect other than its result, as it is called again with fewer rows when memory runs out.
        rows: how many there are.
        size: of a piece, at most; halved for good whenever memory runs out.
        progress: show a bar.

    Progress is reported to `matex.progress` too.

    Raises:
        RuntimeError: out of memory with a single row.
    """
    start = 0
    with tqdm(total=rows, disable=not progress, unit="run", leave=None) as bar:
        while start < rows:
            stop = min(start + size, rows)
            try:
                result = run(start, stop)
            except (RuntimeError, MemoryError) as error:
                if stop - start == 1 or not _out_of_memory(error):
                    raise
                size = (stop - start) // 2
                continue
            yield result
            bar.update(stop - start)
            start = stop
            report(start, rows)


def _out_of_memory(error: BaseException) -> bool:
    """On a GPU a class of its own; on the CPU a RuntimeError whose words say so."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
