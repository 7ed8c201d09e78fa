"""A data pack: the regions, words, views and laterality of one kind of image, as plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from matex.phrases.anatomy import Anatomy

Frame = Literal["film", "foreground"]
"""Unit square of the outlines: the film itself, or the box around what is brighter than its background."""
Orientation = Literal["assumed", "stated", "found"]
"""How the display is known: assumed to be the pack's, stated by file or caller, or found from the edge of the film that
the organ touches. Where it is not known, places that depend on it have no prior."""
Sides = Literal["both", "right", "left", "superimposed"]
"""Sides of the patient that a view shows: next to each other, only one, or one behind the other."""
Point = tuple[float, float]

FRAMES: tuple[Frame, ...] = ("film", "foreground")
ORIENTATIONS: tuple[Orientation, ...] = ("assumed", "stated", "found")
SIDES: tuple[Sides, ...] = ("both", "right", "left", "superimposed")


@dataclass(frozen=True)
class Polygon:
    """A simple polygon by its corners (u, v) in the frame, in order."""

    points: tuple[Point, ...]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The smallest box (u0, v0, u1, v1) around it."""
        u, v = zip(*self.points, strict=True)
        return (min(u), min(v), max(u), max(v))


@dataclass(frozen=True)
class Ellipse:
    """An ellipse with axes parallel to those of the frame."""

    centre: Point
    radii: Point

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The smallest box (u0, v0, u1, v1) around it."""
        (u, v), (a, b) = self.centre, self.radii
        return (u - a, v - b, u + a, v + b)


Outline = Polygon | Ellipse


@dataclass(frozen=True)
class View:
    """A projection or slice level on which places are known.

    Args:
        name: as `--view` takes it, in capitals.
        plane: whose outlines hold, shared by the views of both sides.
        sides: of the patient that it shows.
    """

    name: str
    plane: str
    sides: Sides = "both"


@dataclass(frozen=True)
class Region:
    """A region of a pack.

    Args:
        name: of the region, without side.
        outlines: by plane, in the frame as the pack's display shows it: of the patient's right where it is sided, and
            the left is the mirror image.
        same_as: by side, the region whose place it names ("10 o'clock"); empty for a region with outlines.
        soft: standard deviation of the fall-off outside an outline, in units of the frame (kind "atlas").
        source: key of the pack's sources.
    """

    name: str
    outlines: Mapping[str, tuple[Outline, ...]]
    same_as: Mapping[str, str]
    soft: float
    source: str


@dataclass(frozen=True)
class Labelled:
    """A phrase with the places that its author reads in it.

    Args:
        text: the phrase.
        places: "left upper lobe", "no right breast" (denied or normal), "maybe pons" (uncertain), "past uterus"
            (historical), "lesser left kidney"; a region without side where the phrase gives none.
    """

    text: str
    places: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Pack:
    """A kind of image with an anatomy of its own.

    Args:
        name: of the pack.
        description: one sentence.
        organ: what the frame encloses, for messages.
        display: how an image lies in standard display, one sentence.
        sources: key -> citation.
        frame: unit square of the outlines.
        orientation: how the display is known.
        views: by name.
        default_view: taken where neither the file nor the caller states one; None for no prior then.
        regions: by name.
        anatomy: regions and words for the parser.
        phrases: labelled by the pack's author; the validator reads them.
        misread: phrases that the parser is known to read otherwise than they are labelled.
        sha256: of the file.
    """

    name: str
    description: str
    organ: str
    display: str
    sources: Mapping[str, str]
    frame: Frame
    orientation: Orientation
    views: Mapping[str, View]
    default_view: str | None
    regions: Mapping[str, Region]
    anatomy: Anatomy
    phrases: tuple[Labelled, ...]
    misread: tuple[Labelled, ...]
    sha256: str

    def view(self, stated: str | None) -> View | None:
        """The view of a film; None for one that the pack does not know."""
        name = self.default_view if stated is None else stated
        return None if name is None else self.views.get(view_key(name))


def view_key(name: str) -> str:
    """A view's name as packs write it: "axial ventricles" -> "AXIAL-VENTRICLES"."""
    return "-".join(re.findall(r"[A-Z0-9]+", name.upper()))
