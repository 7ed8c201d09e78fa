"""Saved explanations through `matex verify`, run folders through `matex report`: records, maps and tables."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib.font_manager  # noqa: F401  writes its cache when it is first imported

import matex
from tests.benchmark import synthetic_run
from tests.fuzz import models
from tests.fuzz.commands import outcome
from tests.fuzz.hostile import damaged, json_bytes
from tests.fuzz.runner import Case, generator

NAME = "saved"
MUTATED = (
    "explanation.json, image_map.npy; run.json, cells.json, problems.jsonl and the tables of a run; entries, bytes, "
    "missing files"
)
DATASET = [{"name": "simulated", "label": "simulated"}]


@functools.cache
def explanation() -> dict[str, bytes]:
    """The files of a saved explanation by the small model, and the film."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model").mkdir()
        for file, data in models.files().items():
            (folder / "model" / file).write_bytes(data)
        Image.fromarray(models.FILM).save(folder / "film.png")
        model = matex.load(f"hf:{folder / 'model'}")
        matex.explain(model, folder / "film.png", models.PHRASE, "rollout").save(folder / "out")
        kept = {f"out/{file}": (folder / "out" / file).read_bytes() for file in ("explanation.json", "image_map.npy")}
        return {**kept, "film.png": (folder / "film.png").read_bytes()}


@functools.cache
def run_folder() -> dict[str, bytes]:
    config = synthetic_run.config(datasets=DATASET, methods=["matex", "rise"], metrics=["pointing", "energy"])
    with tempfile.TemporaryDirectory() as name:
        folder = synthetic_run.write(Path(name) / "run", config, synthetic_run.made_up_samples(3), maps=False)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cases(seed: int, count: int) -> Iterator[Case]:
    models.files(), explanation(), run_folder()
    for index in range(count):
        rng = generator(NAME, seed, index)
        verified = rng.random() < 0.6
        content = dict(explanation() if verified else run_folder())
        name = rng.choice([name for name in content if name != "film.png"])
        if name.endswith(".json") and rng.random() < 0.7:
            content[name], damage = json_bytes(json.loads(content[name]), rng)
        elif rng.random() < 0.1:
            damage = "missing"
            del content[name]
        else:
            content[name], damage = damaged(content[name], rng)

        def run(folder: Path, content=content, verified=verified) -> str:
            for file, data in content.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(data)
            if not verified:
                return outcome(["report", str(folder), "-o", str(folder / "out")])
            (folder / "model").mkdir()
            for file, data in models.files().items():
                (folder / "model" / file).write_bytes(data)
            return outcome(["verify", "out", "--model", "hf:model"])

        yield Case(f"{NAME} --seed {seed} {index}: {'verify' if verified else 'report'} {name} {damage}"[:400], run)
