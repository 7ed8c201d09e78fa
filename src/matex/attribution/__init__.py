"""Attribution methods, one idea per file; every file of this folder registers itself when imported, then plug-ins."""

import importlib
import pkgutil

from matex.plugins import load_announced
from matex.protocols import METHODS, NEEDS, Fused, Method, Reporting, make, require

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
load_announced()

__all__ = ["METHODS", "NEEDS", "Fused", "Method", "Reporting", "make", "require"]
