"""Small data sets and metrics for the runner's tests: a run over them takes seconds."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from matex.datasets import DATASETS, Problem, Sample
from matex.images import read
from matex.metrics import METRICS, Case

PHRASES = ("opacity in the left lower lung", "nodule in the right upper lung", "large pleural effusion")


@dataclass(frozen=True)
class Toy:
    """Grey noise with a bright square; every third sample asks another phrase about the image before it."""

    root: Path | None = None
    films: int = 7
    size: int = 40
    broken: tuple[str, ...] = ()
    split: str | None = "val"
    classes: bool = False

    domain: ClassVar[str] = "chest"

    @property
    def problems(self) -> tuple[Problem, ...]:
        return (Problem("rows.csv", 4, "expected a box inside the image, got one outside"),) if self.broken else ()

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        return {text.split()[0]: (text, text.split()[0]) for text in PHRASES} if self.classes else {}

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr((self.films, self.size, self.broken, self.split)).encode()).hexdigest()

    def __len__(self) -> int:
        return self.films

    def __getitem__(self, index: int) -> Sample:
        shown = index - 1 if index % 3 == 2 else index
        mask = np.zeros((self.size, self.size), dtype=bool)
        x, y = 4 + 3 * (shown % 5), 6 + 2 * (shown % 4)
        mask[y : y + 9, x : x + 7] = True
        pixels = np.random.default_rng(shown).integers(0, 120, mask.shape).astype(np.uint8)
        pixels[mask] += 100
        image: Any = read(pixels)
        if str(index) in self.broken:
            assert self.root is not None
            image = self.root / f"damaged-{index}.png"
        elif self.root is not None:
            image = self.root / f"{shown}.png"
            if not image.exists():
                Image.fromarray(pixels).save(image)
        return Sample(
            id=hashlib.sha256(f"{self.films}-{index}".encode()).hexdigest()[:6],
            image=image,
            text=PHRASES[index % len(PHRASES)],
            boxes=((float(x), float(y), x + 7.0, y + 9.0),),
            mask=mask,
            label=PHRASES[index % len(PHRASES)].split()[0] if self.classes else None,
            group="square",
            split=self.split,
            view="PA",
            attributes={"index": index},
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True)
class Together:
    """A measure of the whole: two values, of all maps and token scores."""

    needs: ClassVar[tuple[str, ...]] = ("image", "text")
    dataset_level: ClassVar[bool] = True
    better: ClassVar[Mapping[str, str]] = {"total": "higher"}
    source: ClassVar[str] = "the tests"

    def __call__(self, cases: Sequence[Case]) -> dict[str, Any]:
        maps = sum(float(case.explanation.image.grid.sum()) for case in cases)
        words = sum(token.score for case in cases for token in case.explanation.tokens)
        return {"total": np.array([maps, words])}


@dataclass(frozen=True)
class Brightness:
    """Mean of the map; its `worth` is what the tests of tuning look for."""

    needs: ClassVar[tuple[str, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    better: ClassVar[Mapping[str, str]] = {"mean": "higher", "least": "lower", "size": "neither"}
    source: ClassVar[str] = "the tests"

    def __call__(self, cases: Sequence[Case]) -> dict[str, Any]:
        grids = [case.explanation.image.grid for case in cases]
        return {
            "mean": np.array([grid.mean(dtype=np.float64) for grid in grids]),
            "least": np.array([float(grid.min()) for grid in grids]),
            "size": np.array([float(grid.size) for grid in grids]),
        }


def register() -> None:
    """Make them known in this process."""
    DATASETS("toy")(Toy)
    METRICS("together")(Together)
    METRICS("brightness")(Brightness)


def config(**changes: Any) -> dict[str, Any]:
    """A small configuration as TOML would give it."""
    return {
        "chunk": 3,
        "datasets": [{"name": "toy"}],
        "models": ["tiny"],
        "methods": ["matex", {"name": "gradient-shap", "parameters": {"samples": 2}}],
        "metrics": ["pointing", "brightness", "together"],
        **changes,
    }


def run_here(values: Mapping[str, Any], out: str, resume: bool) -> None:
    """A run in a process of its own."""
    import torch

    from matex.benchmark import parse_config, run

    torch.set_num_threads(1)
    register()
    run(parse_config(values), out, resume=resume)


def contents(folder: Path) -> dict[str, str]:
    """A hash of every file of a run whose bytes must agree."""
    assert (folder / "run.json").exists()
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "log.jsonl"
    }
