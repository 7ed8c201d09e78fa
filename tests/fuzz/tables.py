"""Benchmark configurations in TOML, and the tables of every data set layout."""

from __future__ import annotations

import functools
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import matex
from matex.benchmark import load_config
from matex.datasets import open_dataset
from tests.datasets import layouts
from tests.fuzz.hostile import damaged, mutated, number, text
from tests.fuzz.runner import Case, Wrong, generator

NAME = "tables"
MUTATED = "TOML configurations (entries, types, bytes); CSV, TSV, JSON, JSON lines and XML of eight data set layouts"
ROWS = [
    {"image": "a.png", "text": "left effusion", "boxes": [[1, 2, 20, 30]], "group": "effusion", "split": "val"},
    {"image": "b.png", "text": "nodule", "boxes": [], "label": "nodule", "view": "PA"},
]
LAYOUTS: dict[str, Callable[[Path], Any]] = {
    "manifest": lambda root: layouts.manifest(root, ROWS),
    "nih": layouts.nih, "rsna": layouts.rsna, "chestx-det": layouts.chestx_det, "ms-cxr": layouts.ms_cxr,
    "coco": layouts.coco, "conceptual-captions": layouts.conceptual_captions, "open-i": layouts.open_i,
}  # fmt: skip
CONFIG = {
    "datasets": [{"name": "simulated", "films": 8, "label": "s"}],
    "models": ["tiny", {"name": "hf:folder", "dtype": "float32", "heads": [2, 2]}],
    "methods": ["matex", {"name": "rise", "parameters": {"masks": 100}}],
    "metrics": ["pointing", {"name": "iou", "parameters": {}}],
    "seeds": [0, 1],
    "chunk": 4,
}


@functools.cache
def files(layout: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        LAYOUTS[layout](root)
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def toml(content: Any) -> str:
    """TOML of a value, with whatever text and numbers are in it."""
    if isinstance(content, dict):
        return "{" + ", ".join(f"{quoted(str(key))} = {toml(inner)}" for key, inner in content.items()) + "}"
    if isinstance(content, list):
        return "[" + ", ".join(map(toml, content)) + "]"
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, int | float):
        return repr(content) if abs(content) < 1e300 or isinstance(content, float) else "1" + "0" * 400
    return quoted(str(content))


def quoted(content: str) -> str:
    escaped = "".join(char if char.isprintable() and char not in '"\\' else f"\\u{ord(char):04x}" for char in content)
    return f'"{escaped}"'


def cell(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """One cell or word of a text replaced."""
    pieces = data.replace(b"\t", b",").split(b",")
    place = rng.randrange(len(pieces))
    pieces[place] = rng.choice((text(rng), str(number(rng))[:400])).encode("utf-8", "surrogatepass")
    separator = b"\t" if b"\t" in data else b","
    return separator.join(pieces), f"cell {place}"


def cases(seed: int, count: int) -> Iterator[Case]:
    for index in range(count):
        rng = generator(NAME, seed, index)
        if rng.random() < 0.4:
            content, damage = mutated(CONFIG, rng)
            entries = content.items() if isinstance(content, dict) else [("x", content)]
            data = "\n".join(f"{quoted(str(key))} = {toml(inner)}" for key, inner in entries).encode(
                "utf-8", "surrogatepass"
            )
            if rng.random() < 0.2:
                data, damage = damaged(data, rng)

            def run(folder: Path, data=data) -> str:
                (folder / "run.toml").write_bytes(data)
                load_config(folder / "run.toml")
                return "read"

            damage = f"TOML {damage}"
        else:
            layout = rng.choice(list(LAYOUTS))
            changed = dict(files(layout))
            suffixes = (".csv", ".tsv", ".json", ".jsonl", ".txt", ".xml")
            name = rng.choice([name for name in changed if name.endswith(suffixes)])
            changed[name], damage = (cell if rng.random() < 0.6 else damaged)(changed[name], rng)

            def run(folder: Path, changed=changed, layout=layout) -> str:
                for file, data in changed.items():
                    (folder / file).parent.mkdir(parents=True, exist_ok=True)
                    (folder / file).write_bytes(data)
                dataset = open_dataset(layout, root=folder)
                for sample in dataset:
                    check(sample, folder)
                return "read with problems" if dataset.problems else "read"

            damage = f"{layout} {name} {damage}"
        yield Case(f"{NAME} --seed {seed} {index}: {damage}"[:300], run)


def check(sample: Any, folder: Path) -> None:
    """Boxes that are finite and not empty, an image inside the folder, a phrase that can be written."""
    if not isinstance(sample.image, matex.Film) and folder.resolve() not in Path(sample.image).resolve().parents:
        raise Wrong(f"an image outside the data folder: {sample.image}")
    sample.text.encode()
    for x0, y0, x1, y1 in sample.boxes:
        if not np.isfinite([x0, y0, x1, y1]).all() or not (0 <= x0 < x1 and 0 <= y0 < y1):
            raise Wrong(f"box {(x0, y0, x1, y1)}")
