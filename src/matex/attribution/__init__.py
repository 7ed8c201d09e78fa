"""Attribution methods, one idea per file; every file of this folder is imported and so registers itself."""

import importlib
import pkgutil

from matex.attribution.method import METHODS, NEEDS, Fused, Method, Reporting, make, require

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["METHODS", "NEEDS", "Fused", "Method", "Reporting", "make", "require"]
