"""Localisation by the block of the bottleneck: the layer table of CA-M2IB's appendix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from matex.adapters.encoder import staged
from matex.benchmark.choices import MethodChoice
from matex.checks import check
from matex.errors import InputError, shown
from matex.figures.kind import FIGURES, Case, Material
from matex.figures.maps import explain_case
from matex.metrics.field_of_view import union
from matex.metrics.localisation import energy, hit, iou
from matex.protocols import METHODS
from matex.render.figure import new_figure
from matex.results import DISCLAIMER, Explanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURES = ("IoU of the highest quarter", "peak in the box", "share in the box")


@FIGURES("layers")
@dataclass(frozen=True)
class Layers:
    """Localisation of the boxes for each layer of the image encoder, percent, mean over the films.

    Args:
        layers: numbers of blocks; all behind which the bottleneck can lie where none are given.
    """

    layers: tuple[int, ...] = ()

    default_methods: ClassVar[tuple[str, ...]] = ("m2ib", "ca-m2ib")

    def __call__(self, material: Material) -> Figure:
        cases = [case for case in material.cases if case.boxes]
        if not cases:
            raise InputError("Expected films with boxes for the layer table, got none. Give boxes, or simulated films.")
        for method in material.methods:
            if "layer" not in {field.name for field in fields(METHODS[method.name])}:
                raise InputError(
                    f"Expected methods with a layer, such as m2ib and ca-m2ib, got {shown(method.name)}. Leave it out."
                )
        layers = self.layers or tuple(range(staged(material.model.image).depth - 1))
        check(all(layer >= 0 for layer in layers), "layers", "numbers from 0", layers)
        values = {
            method.label: np.array([_means(material, cases, method, layer) for layer in layers])
            for method in material.methods
        }
        return _table(layers, values, f"Model {material.model.name}, {len(cases)} films. {DISCLAIMER}")


def _means(material: Material, cases: list[Case], method: MethodChoice, layer: int) -> list[float]:
    """Mean of each measure over the films, percent."""
    # The text tower may have fewer blocks: its layer stays the default, unless the configuration gives one.
    chosen = replace(method, parameters={"text.layer": None, **method.parameters, "layer": layer})
    rows = [measured(explain_case(material, case, chosen), case) for case in cases]
    return [float(value) for value in 100 * np.nanmean(rows, axis=0)]


def measured(explanation: Explanation, case: Case) -> tuple[float, float, float]:
    """The measures of one map, as fractions; what the model did not see is in no part."""
    raw = explanation.image.raw
    truth = union(case.boxes, raw.shape) & np.isfinite(raw)
    values = np.where(np.isfinite(raw), raw, np.nanmin(raw))
    highest = raw >= np.nanpercentile(raw, 75)
    return iou(highest, truth), hit(values, truth), energy(values, truth)


def _table(layers: tuple[int, ...], values: Mapping[str, np.ndarray], caption: str) -> Figure:
    """Numbers as a table: a row for each layer, the best of each column in bold."""
    columns = [f"{label}\n{measure}" for label in values for measure in MEASURES]
    numbers = np.concatenate(list(values.values()), axis=1)  # [layer, column]
    figure = new_figure((1.35 * len(columns) + 1, 0.22 * len(layers) + 1.0))
    ax = figure.subplots()
    ax.set_axis_off()
    text = [[f"{value:.1f}" for value in row] for row in numbers]
    table = ax.table(text, rowLabels=[f"layer {layer}" for layer in layers], colLabels=columns, loc="center")
    table.auto_set_font_size(False)
    table.set_fontsize(7)
    for column in range(len(columns)):
        table[0, column].set_height(table[1, column].get_height() * 2.2)
        for row in np.flatnonzero(numbers[:, column] == np.nanmax(numbers[:, column])):
            table[int(row) + 1, column].get_text().set_fontweight("bold")
    figure.supxlabel(f"Percent. {caption}", fontsize=6)
    return figure
