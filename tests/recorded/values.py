"""What the package computes for two films and three phrases, as one flat mapping of names to arrays.

`python -m tests.recorded.values FILE.npz` writes such a recording. `values.npz` was made before the package was
rearranged, and holds every eighth pixel of maps that have a value per pixel; `test_recorded.py` compares with it up
to rounding, since processors differ. A recording made on the same machine can be compared bit for bit:

    git worktree add /tmp/before COMMIT
    PYTHONPATH=/tmp/before/src python -m tests.recorded.values /tmp/before.npz
    MATEX_RECORDED=/tmp/before.npz python -m pytest tests/recorded
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import matex
from matex.benchmark import parse_config, run
from matex.samples import samples

FILMS = ("left-lower-opacity", "right-pneumothorax")
PHRASES = (
    "opacity in the left lower lung",
    "no pleural effusion",
    "nodule in the right upper lobe and left pleural effusion",
)
SETTINGS: Mapping[str, Mapping[str, Any]] = {  # fewer steps and samples than the defaults, for time
    "rise": {"masks": 48},
    "kernel-shap": {"samples": 48},
    "occlusion": {"window": 48, "stride": 32},
    "integrated-gradients": {"steps": 4},
    "gradient-shap": {"samples": 4},
    "embedding-space": {"operator": "gradient"},
    "m2ib": {"steps": 3, "samples": 2},
    "ca-m2ib": {"steps": 3, "samples": 2},
}
CONFIG: Mapping[str, Any] = {
    "seeds": [0],
    "chunk": 2,
    "models": ["tiny"],
    "methods": ["matex", "mmel", {"name": "rise", "parameters": {"masks": 8}}],
    "metrics": [
        "pointing",
        "energy",
        "iou",
        "confidence-image",
        "stability",
        {"name": "randomisation", "parameters": {"orders": ["cascade"]}},
    ],
    "datasets": [{"name": "simulated", "parameters": {"films": 2, "findings": 2}}],
}
Values = dict[str, NDArray[Any]]


def compute() -> Values:
    """Maps, scores, audits and a benchmark's results, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = matex.load("tiny")
        found = dict(_explanations(model))
        found.update(_raw(model))
        found.update(_audits(model))
        found.update(_benchmark())
        return found
    finally:
        torch.set_num_threads(threads)


def thinned(values: Values) -> Values:
    """Every eighth pixel of pixel maps, all of the rest: small enough for the repository."""
    return {name: array[..., 3::8, 5::8] if _by_pixel(array) else array for name, array in values.items()}


def _by_pixel(array: NDArray[Any]) -> bool:
    return array.ndim >= 2 and array.shape[-1] > 64 and array.shape[-2] > 64


def _films() -> list[Path]:
    return [next(sample.path for sample in samples() if sample.name == name) for name in FILMS]


def _explanations(model: matex.Model) -> Iterator[tuple[str, NDArray[Any]]]:
    """Grids, terms, priors, token and word scores of every method, all pairs in one batch."""
    pairs = [(film, phrase) for film in _films() for phrase in PHRASES]
    for method in matex.methods():
        if method.name == "guided-backprop":  # refused: the bundled model has no ReLU
            continue
        made = matex.explain_batch(model, pairs, method=method.name, **SETTINGS.get(method.name, {}))
        name = f"explain/{method.name}"
        yield f"{name}/grid", np.stack([one.image.grid for one in made])
        yield f"{name}/score", np.array([one.score for one in made])
        yield f"{name}/tokens", np.array([token.score for one in made for token in one.tokens])
        yield f"{name}/words", np.array([score for one in made for _, score in one.words])
        for term in made[0].components:
            yield f"{name}/{term}", np.stack([one.components[term] for one in made])
        if made[0].prior is not None:
            yield f"{name}/prior", np.stack([one.prior for one in made if one.prior is not None])
        if method.name == "matex":
            yield f"{name}/values", made[0].image.values


def _raw(model: matex.Model) -> Iterator[tuple[str, NDArray[Any]]]:
    """The low-level call on both towers."""
    film, phrase = _films()[0], PHRASES[2]
    pixels, _ = model.prepare(matex.read(film))
    token_ids = model.batch([model.encode(phrase)])
    for method in ("matex", "matex-paper", "grad-eclip", "rollout"):
        for tower in ("image", "text"):
            raw = matex.attribute(model, pixels, token_ids, method, tower, text=phrase)
            yield f"attribute/{method}/{tower}", raw.detach().numpy()
    yield "score", matex.score(model, pixels, token_ids).detach().numpy()


def _audits(model: matex.Model) -> Iterator[tuple[str, NDArray[Any]]]:
    """The numbers of two audits, one of a method that draws random numbers."""
    for film, method, settings in ((0, "matex", {}), (1, "rise", {"masks": 8})):
        audit = matex.audit(model, _films()[film], PHRASES[0], method, repeats=2, regions=10, **settings)
        for name, check in audit.checks.items():
            for key, value in check.values.items():
                if isinstance(value, (int, float)):
                    yield f"audit/{method}/{name}/{key}", np.array(float(value))
        for name, control in audit.controls.items():
            numbers = [control.score, control.likeness, control.stays]
            yield f"audit/{method}/{name}", np.array(numbers)
            yield f"audit/{method}/{name}/grid", control.image.grid


def _benchmark() -> Iterator[tuple[str, NDArray[Any]]]:
    """The results table of a small run."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as folder:
        run(parse_config(CONFIG), Path(folder) / "run")
        rows = pq.read_table(Path(folder) / "run" / "results.parquet").to_pylist()
    keys = json.dumps([[str(value) for name, value in row.items() if name != "value"] for row in rows])
    yield "benchmark/value", np.array([math.nan if row["value"] is None else row["value"] for row in rows])
    yield "benchmark/keys", np.frombuffer(hashlib.sha256(keys.encode()).digest(), np.uint8)


if __name__ == "__main__":
    recording = compute()
    thin = "--thin" in sys.argv
    np.savez_compressed(sys.argv[1], **(thinned(recording) if thin else recording))
