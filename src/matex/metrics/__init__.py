"""Metrics of explanations, one idea per file; importing the package registers every file of this folder."""

import importlib
import pkgutil

from matex.metrics.metric import METRICS, Case, Comparing, Metric, make_metric

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["METRICS", "Case", "Comparing", "Metric", "make_metric"]
