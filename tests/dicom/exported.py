"""Explanations of DICOM films without a model, and their objects read back with pydicom alone."""

import numpy as np
import pydicom

from matex.geometry import Placement
from matex.images import read
from matex.queries import Query
from matex.results import SaliencyMap
from tests.fake_explanation import PHRASE, fake

NAMES = (
    "secondary_capture",
    "segmentation_fractional",
    "segmentation_binary",
    "presentation_state",
    "report",
    "parametric_map",
)


def explained(path, text=PHRASE, grid=None, **changes):
    """An explanation whose map is the film's own brightness, patch by patch, unless a grid is given."""
    film = path if not isinstance(path, str) and hasattr(path, "pixels") else read(path)
    placement = Placement.fit(film.size, (192, 224), (8, 8), "squash", turns=film.turns, mirrored=film.mirrored)
    grid = placement.map_to_grid(film.pixels) if grid is None else grid
    image = SaliencyMap(np.asarray(grid, np.float32), placement)
    return fake(film, text, query=Query(film, text), image=image, components={}, weights={}, prior=None, **changes)


def objects(folder):
    """The data sets of a folder by name."""
    return {path.stem: pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))}
