"""Real radiographs that ship with the package: something to explain before there is data of one's own.

NIH ChestX-ray14 films with boxes drawn by radiologists, and normal ones; NOTICE says where they come from.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Annotation:
    """One thing that the data set says about a film."""

    phrase: str  # the data set's label, in lower case; it names no side
    demo_phrase: str | None  # written by us from the film and its boxes: for demonstrations, never for evaluation
    boxes: tuple[Box, ...]  # (x0, y0, x1, y1), pixels of the file, half-open; empty for a normal film
    source: str  # "rsna-opacity", "nih-bbox" or "rsna-normal"


@dataclass(frozen=True)
class BundledFilm:
    """One bundled film. `phrase`, `demo_phrase` and `boxes` are those of its first annotation."""

    name: str  # "right-lower-opacity"
    path: Path
    width: int
    height: int
    view: str | None  # "PA", "AP", None when the data set does not say
    source: str
    id: str  # in the source
    licence: str
    annotations: tuple[Annotation, ...]

    @property
    def phrase(self) -> str:
        return self.annotations[0].phrase

    @property
    def demo_phrase(self) -> str:
        return self.annotations[0].demo_phrase or self.phrase

    @property
    def boxes(self) -> tuple[Box, ...]:
        return self.annotations[0].boxes

    @property
    def normal(self) -> bool:
        return not any(annotation.boxes for annotation in self.annotations)


@cache
def samples() -> tuple[BundledFilm, ...]:
    """All bundled films: those with a finding first, then the normal ones.

    Examples:
        >>> sample = samples()[0]
        >>> sample.demo_phrase, len(sample.boxes) > 0
        ('opacity in the right lower lung', True)
    """
    folder = Path(str(files(__name__)))
    rows = json.loads((folder / "samples.json").read_text(encoding="utf-8"))["samples"]
    return tuple(
        BundledFilm(
            name=row["name"],
            path=folder / row["file"],
            width=row["width"],
            height=row["height"],
            view=row["view"],
            source=row["source"],
            id=row["id"],
            licence=row["licence"],
            annotations=tuple(
                Annotation(
                    phrase=note["phrase"],
                    demo_phrase=note["demo_phrase"],
                    boxes=tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in note["boxes"]),
                    source=note["source"],
                )
                for note in row["annotations"]
            ),
        )
        for row in rows
    )
