"""The same question asked again: one method's maps for other pixels, or of another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.model import Encoded, Model
from matex.attribution import Fused, make
from matex.attribution.shared.batching import batches
from matex.errors import InputError
from matex.metrics.metric import Case
from matex.priors.image_context import ImageContext
from matex.results import Explanation
from matex.trace import record


@dataclass(frozen=True, eq=False)
class Maps:
    """Raw maps [case, height, width] in model pixels; components by name, of methods that have them."""

    values: Tensor
    components: dict[str, Tensor]


def context_of(explanation: Explanation) -> ImageContext:
    """What the phrase said about the film when it was explained; a lung mask is not kept in explanations."""
    film, domain = explanation.film, explanation.provenance["domain"]
    return ImageContext(explanation.regions, explanation.image.placement, film.view, lung_mask=None, domain=domain)


def explain_again(model: Model, cases: Sequence[Case], pixels: Tensor, batch_size: int = 16) -> Maps:
    """The maps of the cases' own method and phrases for other pixels.

    Args:
        model: as the cases', or with other weights.
        cases: of one method; a case may occur several times.
        pixels: one image for each, [case, channel, height, width], normalised.
        batch_size: images run at once.

    Returns:
        Maps on the device of the model, interpolated from their grids.

    Raises:
        InputError: a map whose prior was placed by a lung mask, which explanations do not keep.
    """
    if any(c.explanation.prior is not None and c.explanation.provenance.get("lung_mask") for c in cases):
        raise InputError(
            "Expected maps whose prior does not rest on a lung mask, got one that was made with a mask, which "
            "explanations do not keep: it cannot be made again. Explain without lung_mask."
        )
    method = make(cases[0].explanation.method, cases[0].explanation.parameters)

    def run(start: int, stop: int) -> dict[str, Tensor]:
        some = cases[start:stop]
        phrases = list(dict.fromkeys(case.token_ids for case in some))
        trace = record(
            model,
            pixels[start:stop],
            model.batch([Encoded(ids, ()) for ids in phrases]),
            [(i, phrases.index(case.token_ids)) for i, case in enumerate(some)],
            image_gradient_blocks=method.gradient_blocks("image"),
            contexts=[context_of(case.explanation) for case in some],
        ).image
        if not isinstance(method, Fused):
            return {"": method(trace)}
        terms = method.components(trace)
        return {"": method.fuse(terms), **terms}

    parts = list(batches(run, len(cases), batch_size))
    size = cases[0].explanation.image.placement.model
    maps = {name: _at_size(torch.cat([part[name] for part in parts]), size) for name in parts[0]}
    return Maps(maps.pop(""), maps)


def original(cases: Sequence[Case]) -> Maps:
    """The maps and components that the cases hold, on the same scale as `explain_again` returns them."""
    size = cases[0].explanation.image.placement.model
    parts = {"": [case.explanation.image.grid for case in cases]}
    for name in cases[0].explanation.components:
        parts[name] = [case.explanation.components[name] for case in cases]
    maps = {
        name: _at_size(torch.stack([torch.from_numpy(grid) for grid in grids]), size) for name, grids in parts.items()
    }
    return Maps(maps.pop(""), maps)


def _at_size(grids: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(grids[:, None].detach().float(), size=size, mode="bilinear", align_corners=False)[:, 0]
