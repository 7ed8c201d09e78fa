"""Benchmark runs: data sets x models x methods x metrics into a run folder, with controls, and the tuning of methods.

The public names are loaded when they are first used, so that the command line need not import them for its help.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matex.benchmark.config import Config, load_config, parse_config
    from matex.benchmark.parameters import read_preset
    from matex.benchmark.runs.merge import merge
    from matex.benchmark.runs.runner import run
    from matex.benchmark.runs.store import Store
    from matex.benchmark.tuning import tune

_HOME = {
    "Config": "config",
    "load_config": "config",
    "parse_config": "config",
    "read_preset": "parameters",
    "merge": "runs.merge",
    "run": "runs.runner",
    "Store": "runs.store",
    "tune": "tuning",
}
__all__ = ["Config", "Store", "load_config", "merge", "parse_config", "read_preset", "run", "tune"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'matex.benchmark' has no attribute {name!r}. It has {', '.join(__all__)}.")
    found = globals()[name] = getattr(importlib.import_module(f"matex.benchmark.{_HOME[name]}"), name)
    return found
