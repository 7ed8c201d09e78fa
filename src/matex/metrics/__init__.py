"""Measures of explanations, one idea per file; every file of this folder is imported and so registers itself."""

import importlib
import pkgutil

from matex.metrics.metric import METRICS, Case, Metric, make_metric

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["METRICS", "Case", "Metric", "make_metric"]
