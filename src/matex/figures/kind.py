"""The protocol of a kind of figure, and the registry of kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from matex.adapters.model import Model
from matex.benchmark.choices import MethodChoice
from matex.geometry import Box, Resize
from matex.images import Film
from matex.queries import Domain
from matex.registry import Parameterised, Registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Case:
    """A film with its phrase.

    Args:
        film: as it is read.
        text: the phrase.
        boxes: where the finding is, original pixels; the model does not see them.
        title: of its row.
    """

    film: Film
    text: str
    boxes: tuple[Box, ...]
    title: str


@dataclass(frozen=True, eq=False)
class Material:
    """Model, films and methods of a figure.

    Args:
        model: that is explained.
        cases: films, at least one.
        methods: at least one, unless the kind has its own.
        resize: how films meet the model's size.
        domain: see `matex.explain`.
    """

    model: Model
    cases: tuple[Case, ...]
    methods: tuple[MethodChoice, ...]
    resize: Resize = "model"
    domain: Domain = "chest"


class FigureKind(Parameterised, Protocol):
    """A frozen dataclass whose fields are the keys of a configuration that belong to this kind alone."""

    default_methods: ClassVar[tuple[str, ...]]
    """Where the configuration names none."""

    def __call__(self, material: Material) -> Figure:
        """Compute the maps and draw the figure."""
        ...


FIGURES: Registry[type[FigureKind]] = Registry("figure")
