"""matex: why a medical vision-language model said what it said.

The public names are loaded when they are first used, so that `import matex` costs nothing. No module of the package
bears the name of a public function, since importing it would hide the function.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str

    from matex.adapters import Model, from_encoders, from_score, load
    from matex.audio.recording import read_sound
    from matex.audit_results import Audit
    from matex.audits import audit
    from matex.catalog import methods, models
    from matex.clips import Clips, explain_clips
    from matex.corpus import explain_batch, explain_each
    from matex.errors import CheckpointError, InputError, MissingExtra, PluginError, UnknownName, UnsupportedModel
    from matex.geometry import Placement
    from matex.images import Film, read
    from matex.interaction import Interactions, interactions
    from matex.map_spread import Uncertainty, uncertainty
    from matex.model_comparison import ModelComparison, compare_models
    from matex.pair_stream import Pair, Skipped
    from matex.pipeline import attribute, compare, explain, score
    from matex.recording import record
    from matex.reports import ReportSentence, explain_report
    from matex.results import Explanation, SaliencyMap
    from matex.sensors.reading import read_sensor
    from matex.trust import Calibration, calibrate

_HOME = {
    "attribute": "pipeline",
    "audit": "audits",
    "compare": "pipeline",
    "explain": "pipeline",
    "explain_batch": "corpus",
    "explain_clips": "clips",
    "Clips": "clips",
    "explain_each": "corpus",
    "explain_report": "reports",
    "ReportSentence": "reports",
    "Pair": "pair_stream",
    "Skipped": "pair_stream",
    "score": "pipeline",
    "Placement": "geometry",
    "Film": "images",
    "read": "images",
    "read_sound": "audio.recording",
    "read_sensor": "sensors.reading",
    "Interactions": "interaction",
    "interactions": "interaction",
    "Uncertainty": "map_spread",
    "uncertainty": "map_spread",
    "Audit": "audit_results",
    "Model": "adapters",
    "from_encoders": "adapters",
    "from_score": "adapters",
    "load": "adapters",
    "CheckpointError": "errors",
    "InputError": "errors",
    "MissingExtra": "errors",
    "PluginError": "errors",
    "UnknownName": "errors",
    "UnsupportedModel": "errors",
    "methods": "catalog",
    "models": "catalog",
    "Explanation": "results",
    "SaliencyMap": "results",
    "record": "recording",
    "ModelComparison": "model_comparison",
    "compare_models": "model_comparison",
    "Calibration": "trust",
    "calibrate": "trust",
}

__all__ = [
    "Audit",
    "Calibration",
    "CheckpointError",
    "Clips",
    "Explanation",
    "Film",
    "InputError",
    "Interactions",
    "MissingExtra",
    "Model",
    "ModelComparison",
    "Pair",
    "Placement",
    "PluginError",
    "ReportSentence",
    "SaliencyMap",
    "Skipped",
    "Uncertainty",
    "UnknownName",
    "UnsupportedModel",
    "attribute",
    "audit",
    "calibrate",
    "compare",
    "compare_models",
    "explain",
    "explain_batch",
    "explain_clips",
    "explain_each",
    "explain_report",
    "from_encoders",
    "from_score",
    "interactions",
    "load",
    "methods",
    "models",
    "read",
    "read_sensor",
    "read_sound",
    "record",
    "score",
    "uncertainty",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        found = importlib.import_module("importlib.metadata").version("matex")
    elif name in _HOME:
        found = getattr(importlib.import_module(f"matex.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'matex' has no attribute {name!r}. It has {', '.join(__all__)}.")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
