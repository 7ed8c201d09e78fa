"""Seconds of a chunk by what they were spent on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator


class Stopwatch:
    """Seconds by kind of work and label, as log.jsonl holds them."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = {"reading": {}, "methods": {}, "metrics": {}}

    @contextlib.contextmanager
    def timed(self, kind: str, label: str) -> Generator[None]:
        start = time.perf_counter()
        yield
        self.seconds[kind][label] = self.seconds[kind].get(label, 0.0) + time.perf_counter() - start
