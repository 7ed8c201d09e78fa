"""Places of the atlas's regions on one film: in the average chest, or relative to this patient's lungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from matex.priors.atlas import LUNGS, REGIONS, Box, flipped_box
from matex.priors.lungs import Lung, Mask, average_lungs, measured_lungs
from matex.priors.shapes import PAPER, Values, shape


@dataclass(frozen=True, eq=False)
class Chest:
    """The lungs of one film, by the side that the phrase calls them, and everything placed relative to them."""

    lungs: Mapping[str, Lung]
    flipped: bool
    """The side called right lies on the image's right."""
    measured: bool
    """From a mask of this patient's lungs, not from the atlas."""

    @staticmethod
    def average(flipped: bool) -> Chest:
        return Chest(average_lungs(flipped), flipped, measured=False)

    @staticmethod
    def from_mask(mask: Mask, mirrored: bool, laterality: str) -> Chest:
        """The chest of a film with a lung mask, see `lungs.lung_boxes`; laterality "paper" exchanges the sides."""
        lungs = measured_lungs(mask, mirrored)
        if laterality == "paper":
            other = {"right": "left", "left": "right"}
            lungs = {other[side]: lung for side, lung in lungs.items()}
        return Chest(lungs, mirrored != (laterality == "paper"), measured=True)

    def draw(self, region: str, side: str | None, kind: str, x: Values, y: Values) -> Values:
        """The weight of one region at the sample points, [rows, columns]."""
        place = REGIONS[region]
        if (kind == "parabola" or kind.startswith(PAPER)) and not self.measured:
            return shape(kind, x, y, flipped_box(place.paper, self.flipped != (side == "left")), place.soft)
        if side is None:
            box, scale = self._move(flipped_box(place.box, self.flipped))
            return shape(kind, x, y, box, (place.soft[0] * scale[0], place.soft[1] * scale[1]))
        lung = self.lungs[side]
        width, height = lung.box[2] - lung.box[0], lung.box[3] - lung.box[1]
        drawn = shape(kind, x, y, lung.place(place), (place.soft[0] * width, place.soft[1] * height))
        if place.inside and (self.measured or kind == "atlas"):
            drawn = drawn * (lung.whole if place.hidden else lung.visible)(x, y)
        return drawn

    def _move(self, box: Box) -> tuple[Box, tuple[float, float]]:
        """A midline box moved from the average chest to this one, and the scale per axis."""
        if not self.measured or len(self.lungs) < 2:
            return box, (1.0, 1.0)
        old = _bounds([flipped_box(lung, self.flipped) for lung in LUNGS.values()])
        new = _bounds([lung.box for lung in self.lungs.values()])
        scale = ((new[2] - new[0]) / (old[2] - old[0]), (new[3] - new[1]) / (old[3] - old[1]))
        x = [new[0] + (z - old[0]) * scale[0] for z in (box[0], box[2])]
        y = [new[1] + (z - old[1]) * scale[1] for z in (box[1], box[3])]
        return (x[0], y[0], x[1], y[1]), scale


def _bounds(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of them."""
    corners = np.array(boxes)
    x0, y0 = corners[:, :2].min(axis=0)
    x1, y1 = corners[:, 2:].max(axis=0)
    return (float(x0), float(y0), float(x1), float(y1))
