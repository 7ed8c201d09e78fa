"""An explanation made by hand: a bundled film with plausible blobs, for tests that only draw and write."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matex.geometry import Placement
from matex.images import Film
from matex.phrases import Mention
from matex.queries import Query
from matex.results import DISCLAIMER, Computation, Explanation, SaliencyMap, Token
from matex.samples import samples

PHRASE = "opacity in the left lower lung"
GRID = (12, 14)


def film(height: int = 512, width: int = 512, **changes: Any) -> Film:
    """A bundled film resized to the given size."""
    picture = Image.open(samples()[1].path).convert("L").resize((width, height))
    values: dict[str, Any] = {
        "pixels": np.asarray(picture),
        "name": "left-lower-opacity",
        "sha256": hashlib.sha256(samples()[1].path.read_bytes()).hexdigest(),
        "view": "PA",
        "mirrored": False,
        "notes": ("no PatientOrientation: standard display assumed",),
    }
    return Film(**{**values, **changes})


def blob(x: float, y: float, spread: float, grid: tuple[int, int] = GRID) -> NDArray[np.float32]:
    """A Gaussian at fractions (x, y) of the grid [rows, columns]."""
    rows, columns = grid
    across, down = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
    distance = (across[None, :] - x) ** 2 + (down[:, None] - y) ** 2
    return np.exp(-distance / (2 * spread**2)).astype(np.float32)


def bipolar(size: float = 0.02) -> NDArray[np.float32]:
    """A signed grid: above 0 at the upper left, below 0 at the lower right, exactly 0 in the other two corners."""
    grid = np.zeros(GRID, dtype=np.float32)
    grid[1:5, 1:5], grid[7:11, 9:13] = size, -0.5 * size
    return grid


def fake(
    picture: Film | None = None,
    text: str = PHRASE,
    method: str = "matex",
    resize: str = "squash",
    grid: NDArray[np.float32] | None = None,
    provenance: Mapping[str, Any] | None = None,
    lung_mask: NDArray[np.generic] | None = None,
    **changes: Any,
) -> Explanation:
    """An explanation of a film with every part filled in; keyword arguments replace fields."""
    picture = picture or film()
    placement = Placement.fit(picture.pixels.shape[:2], (192, 224), (16, 16), resize)  # type: ignore[arg-type]
    gradient = blob(0.72, 0.66, 0.09) + 0.35 * blob(0.3, 0.6, 0.06)
    flow = 0.5 * blob(0.5, 0.55, 0.22) + 0.6 * blob(0.7, 0.62, 0.12)
    prior = 1 + 1.5 * blob(0.73, 0.68, 0.12)
    components = {
        "gradient": gradient,
        "flow": flow,
        "consistency": 0.98 * gradient,
        "prior": prior * gradient,
    }
    weights = {"gradient": 0.5, "flow": 0.2, "consistency": 0.35, "prior": 0.2}
    mixed = sum(weights[name] * values for name, values in components.items())
    words = [("opacity", 0.83), ("in", -0.12), ("the", 0.02), ("left", 0.41), ("lower", 0.55), ("lung", 0.2)]
    spans, start = [], 0
    for word, score in words:
        spans.append(Token(word, start, start + len(word), score))
        start += len(word) + 1
    record: dict[str, Any] = {
        "matex": "0.1.0",
        "method": method,
        "model": {"name": "tiny", "family": "clip", "weights_sha256": "ab" * 32, "dtype": "float32"},
        "image": {"name": picture.name, "sha256": picture.sha256, "view": picture.view},
        "text": text,
        "domain": "chest",
        "laterality": "patient",
        "seconds": 0.21,
        "disclaimer": DISCLAIMER,
        **(provenance or {}),
    }
    made_by = record["model"]
    values: dict[str, Any] = {
        "query": Query(picture, text, record.get("resize", "model"), record["domain"], lung_mask),
        "token_ids": tuple(record.get("token_ids", ())),
        "method": method,
        "parameters": {"alpha": 0.5, "beta": 0.2, "gamma": 0.35, "delta": 0.2, "prior": "gaussian"},
        "score": 0.3127,
        "image": SaliencyMap(np.asarray(mixed if grid is None else grid, dtype=np.float32), placement),
        "tokens": tuple(spans),
        "words": tuple(words),
        "components": components,
        "weights": weights,
        "prior": prior.astype(np.float32),
        "regions": (Mention("left lower lung", 15, 30, "lower zone", "left", False, False, False, 1.0),),
        "notes": ("no PatientOrientation: standard display assumed",),
        "computation": Computation(
            record["matex"], made_by["name"], made_by.get("weights_sha256", ""), record["seconds"]
        ),
        "provenance": record,
    }
    return Explanation(**{**values, **changes})
