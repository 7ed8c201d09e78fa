"""Single words x methods on one film: MMEL's figure 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from matex.adapters.model import WORD
from matex.checks import check
from matex.figures.kind import FIGURES, Material
from matex.figures.maps import explain_case
from matex.figures.panels import Panel, draw_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@FIGURES("words")
@dataclass(frozen=True)
class Words:
    """The map of each word as a phrase of its own, on the first film.

    Args:
        words: to explain; those of the film's phrase where none are given.
    """

    words: tuple[str, ...] = ()

    default_methods: ClassVar[tuple[str, ...]] = ("m2ib", "grad-eclip", "mmel")

    def __post_init__(self) -> None:
        check(len(set(self.words)) == len(self.words), "words", "words that differ", self.words)

    def __call__(self, material: Material) -> Figure:
        case, methods = material.cases[0], material.methods
        words = self.words or tuple(dict.fromkeys(match.group() for match in WORD.finditer(case.text)))
        rows = [
            [Panel.of(explain_case(material, case, method, word), case.boxes, score=True) for method in methods]
            for word in words
        ]
        labels = [method.label for method in methods]
        return draw_grid(rows, words, labels, material, "Each word is a phrase of its own.")
