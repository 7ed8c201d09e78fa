"""Maps, explanations and controls made by hand, whose checks are known in advance."""

import numpy as np

from matex.audit_results import Control
from matex.audits.organ import check_lungs
from matex.geometry import Placement
from matex.results import SaliencyMap
from tests.fake_explanation import GRID, fake

ROWS, COLUMNS = GRID
OTHER = "opacity in the right lower lung"


def column(index, height=1.0):
    """A grid that is above zero in one column alone."""
    grid = np.zeros(GRID, dtype=np.float32)
    grid[:, index] = height
    return grid


FLAT = np.full(GRID, 0.5, dtype=np.float32)


def image(grid, resize="squash", size=(512, 512)):
    return SaliencyMap(grid, Placement.fit(size, (192, 224), (16, 16), resize))


def explained(grid, **changes):
    return fake(grid=grid, **changes)


def unguided(grid, **changes):
    """The explanation of a method without a prior."""
    return explained(grid, prior=None, components={}, weights={}, **changes)


def control(grid, text=OTHER, score=0.1, share=0.5, alike=0.5):
    return Control("", text, score, image(grid), alike, share)


def side_controls(**changes):
    """The controls of a phrase with a side, each with a map in a column of its own."""
    named = {"no_prior": 10, "mirrored_prior": 3, "other_side": 4, "other_side_no_prior": 2}
    controls = {name: control(column(index)) for name, index in named.items()}
    controls["mirrored_film"] = control(column(5), score=0.0)
    controls["mirrored_film_other_side"] = control(column(5), score=0.3)
    return {**controls, **changes}


MASK = np.zeros((512, 512), dtype=np.uint8)
MASK[:, 73:220] = 1  # columns 2 to 5 of the grid
NATURAL = {"domain": "natural"}


def lungs_check(mask, grid, **changes):
    return check_lungs(explained(grid, lung_mask=mask, **changes))


def pixel_map(values):
    """A map whose cells are the model's pixels."""
    grid = np.asarray(values, dtype=np.float32)
    return SaliencyMap(grid, Placement.fit(grid.shape, grid.shape, (1, 1), "squash"))


def said(check):
    """State, answer and values of a check."""
    return check.state, check.answer, dict(check.values)
