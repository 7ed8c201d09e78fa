"""Regions of the chest that have sides; their places are in priors/atlas.py."""

from __future__ import annotations

from collections.abc import Mapping

MIDLINE = frozenset(
    (
        "heart",
        "mediastinum",
        "upper mediastinum",
        "trachea",
        "carina",
        "aortic arch",
        "descending aorta",
        "aortopulmonary window",
        "superior vena cava",
        "cavoatrial junction",
        "retrocardiac",
        "spine",
        "upper abdomen",
    )
)
"""Regions without sides; every other region has a right and a left one, or is in ONE_SIDED."""

ONE_SIDED: Mapping[str, str] = {"middle lobe": "right", "minor fissure": "right", "lingula": "left"}
"""Region -> the one side on which it exists."""

EXTRAPULMONARY = frozenset(("hemidiaphragm", "clavicle", "rib", "shoulder", "chest wall"))
"""Sided regions outside the lung: "lungs" is named in its own right next to them."""
