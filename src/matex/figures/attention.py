"""Value magnitudes, raw and weighted attention, and MATEX's terms: the maps of MATEX's figure 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from matex.checks import check
from matex.figures.kind import FIGURES, Case, Material
from matex.figures.panels import Panel, draw_grid
from matex.queries import Query
from matex.trace import Trace
from matex.traced import trace_query

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("film", "value magnitudes", "raw attention", "weighted attention")


def value_magnitude(value: Tensor) -> Tensor:
    """Norm of the value of each token over all heads, from [pair, heads, token, head_dim] to [pair, token]."""
    return value.square().sum(dim=(1, 3)).sqrt()


def weighted_attention(attention: Tensor, value: Tensor) -> Tensor:
    """Attention to each token times the norm of its value, mean over heads, [pair, token].

    Args:
        attention: of the token that is read, [pair, heads, token].
        value: [pair, heads, token, head_dim].

    Source:
        MATEX, figure 2, which names "weighted spatial attention" and gives no formula. Our reading: what a head adds to
        its output is a_i v_i, whose size this is.
    """
    return (attention * value.square().sum(dim=-1).sqrt()).mean(dim=1)


@FIGURES("attention")
@dataclass(frozen=True)
class Attention:
    """Attention and values of the last block, then the terms of the first method.

    Args:
        block: whose attention is shown, from 0; -1 is the last.
    """

    block: int = -1

    default_methods: ClassVar[tuple[str, ...]] = ("matex",)

    def __call__(self, material: Material) -> Figure:
        rows, terms = list[list[Panel]](), list[str]()
        for case in material.cases:
            panels, terms = self._row(material, case)
            rows.append(panels)
        return draw_grid(rows, [case.title for case in material.cases], [*COLUMNS, *terms], material)

    def _row(self, material: Material, case: Case) -> tuple[list[Panel], list[str]]:
        """The panels of one film, and the names of those that the method adds."""
        method = material.methods[0]
        query = Query.of(case.film, case.text, material.resize, material.domain)
        traced = trace_query(material.model, query, [(method.name, method.parameters)])
        explanation = traced.explain(method.name, method.parameters)[0]
        placement = explanation.image.placement
        named = {**explanation.components, method.label: explanation.image.grid}
        grids = [grid.detach().cpu().float().numpy() for grid in self._grids(traced.trace.image)]
        return (
            [Panel(case.film, case.boxes), *(Panel(case.film, case.boxes, grid, placement) for grid in grids)]
            + [Panel(case.film, case.boxes, grid, placement) for grid in named.values()],
            [f"term: {name}" for name in explanation.components] + [method.label],
        )

    def _grids(self, trace: Trace) -> tuple[Tensor, ...]:
        """The three maps of one block, each [rows, columns]."""
        check(-trace.depth <= self.block < trace.depth, "block", f"from 0 to {trace.depth - 1}, or -1", self.block)
        block = self.block % trace.depth
        value, attention = trace.value(block), trace.attention_row(block)
        maps = (value_magnitude(value), attention.mean(dim=1), weighted_attention(attention, value))
        return tuple(trace.to_grid(one)[0] for one in maps)
