"""Re-explanation of cases: the same method's maps for other pixels, or of another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from matex.adapters.model import Encoded, Model
from matex.attribution import make
from matex.attribution.shared.batching import batches
from matex.metrics.metric import Case
from matex.queries import raw_maps, trace_inputs


@dataclass(frozen=True, eq=False)
class Maps:
    """Raw maps [case, height, width] in model pixels; components by name, of methods that have them."""

    values: Tensor
    components: dict[str, Tensor]


def explain_again(model: Model, cases: Sequence[Case], pixels: Tensor, batch_size: int = 16) -> Maps:
    """Explain other pixels with the cases' own method and phrases.

    Args:
        model: as the cases', or with other weights.
        cases: of one method; a case may occur several times.
        pixels: one image for each, [case, channel, height, width], normalised.
        batch_size: images run at once.

    Returns:
        Maps on the device of the model, interpolated from their grids.
    """
    method = make(cases[0].explanation.method, cases[0].explanation.parameters)

    def run(start: int, stop: int) -> dict[str, Tensor]:
        some = [case.explanation for case in cases[start:stop]]
        phrases = list(dict.fromkeys(one.token_ids for one in some))
        trace = trace_inputs(
            model,
            pixels[start:stop],
            model.batch([Encoded(ids, ()) for ids in phrases]),
            [(number, phrases.index(one.token_ids)) for number, one in enumerate(some)],
            [one.query.context(one.image.placement, one.regions) for one in some],
            [method],
            ("image",),
        ).image
        values, terms = raw_maps(method, trace)
        return {"": values, **terms}

    parts = list(batches(run, len(cases), batch_size))
    return _in_model_pixels({name: torch.cat([part[name] for part in parts]) for name in parts[0]}, cases)


def original(cases: Sequence[Case]) -> Maps:
    """Maps and components of the cases themselves, as `explain_again` returns them."""
    grids = {"": [case.explanation.image.grid for case in cases]}
    for name in cases[0].explanation.components:
        grids[name] = [case.explanation.components[name] for case in cases]
    stacked = {name: torch.stack([torch.from_numpy(grid) for grid in some]) for name, some in grids.items()}
    return _in_model_pixels(stacked, cases)


def _in_model_pixels(grids: dict[str, Tensor], cases: Sequence[Case]) -> Maps:
    placement = cases[0].explanation.image.placement
    maps = {name: placement.map_to_model(values.detach().float()) for name, values in grids.items()}
    return Maps(maps.pop(""), maps)
