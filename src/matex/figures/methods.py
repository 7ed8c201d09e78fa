"""Methods x films with the boxes of readers: MATEX's figure 3, MMEL's 2 and 3, CA-M2IB's 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from matex.figures.kind import FIGURES, Material
from matex.figures.maps import explain_case
from matex.figures.panels import Panel, draw_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@FIGURES("methods")
@dataclass(frozen=True)
class Methods:
    """The map of each method on each film.

    Args:
        transpose: films as columns and methods as rows, as MATEX's figure 3 has them.
        film: show the film alone first.
    """

    transpose: bool = False
    film: bool = True

    default_methods: ClassVar[tuple[str, ...]] = ("matex", "m2ib", "grad-eclip")

    def __call__(self, material: Material) -> Figure:
        rows: list[list[Panel]] = []
        for case in material.cases:
            maps = [Panel.of(explain_case(material, case, method), case.boxes) for method in material.methods]
            rows.append([Panel(case.film, case.boxes), *maps] if self.film else maps)
        columns = [*(["film"] if self.film else []), *(method.label for method in material.methods)]
        titles = [case.title for case in material.cases]
        return draw_grid(rows, titles, columns, material, transpose=self.transpose)
