"""Classes x methods on one film: figures 1 and 2 of the embedding-space paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from matex.checks import check
from matex.figures.kind import FIGURES, Material
from matex.figures.maps import explain_case
from matex.figures.panels import Panel, draw_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@FIGURES("classes")
@dataclass(frozen=True)
class Classes:
    """The map of each class on the first film: do maps depend on the class?

    Args:
        classes: their phrases.
        prompts: longer phrases of the same classes, in the same order, whose maps follow below (figure 2); none.
    """

    classes: tuple[str, ...]
    prompts: tuple[str, ...] = ()

    default_methods: ClassVar[tuple[str, ...]] = ("embedding-space", "gradcam", "grad-eclip", "matex")

    def __post_init__(self) -> None:
        check(bool(self.classes), "classes", "one or more", len(self.classes))
        for name, phrases in (("classes", self.classes), ("prompts", self.prompts)):
            check(len(set(phrases)) == len(phrases), name, "phrases that differ", phrases)
        check(len(self.prompts) in (0, len(self.classes)), "prompts", "as many as classes, or none", len(self.prompts))

    def __call__(self, material: Material) -> Figure:
        case, methods = material.cases[0], material.methods
        phrases = [*self.classes, *self.prompts]
        rows = [
            [Panel.of(explain_case(material, case, method, text), case.boxes, score=True) for method in methods]
            for text in phrases
        ]
        return draw_grid(rows, phrases, [method.label for method in methods], material)
