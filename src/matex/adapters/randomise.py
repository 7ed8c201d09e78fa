"""The same architecture with other weights: what of a map does the model's training make?"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from matex.adapters.model import Model
from matex.errors import InputError

Scheme = Literal["normal", "permute"]


def stages(model: Model) -> dict[str, list[nn.Parameter]]:
    """The weights of both towers by stage, each tower from its output back: "image projection", "image norm",
    "image block 11", ..., "image block 0", "image embeddings", then the same of "text"."""
    towers = {"image": model.image, "text": model.text}
    return {f"{side} {name}": found for side, tower in towers.items() for name, found in tower.stages().items()}


def randomised(model: Model, seed: int = 0, stages: Iterable[str] | None = None, scheme: Scheme = "normal") -> Model:
    """A copy of the model with weights drawn anew; the model itself stays as it is.

    A tensor gets the same new values whichever other stages are drawn with it, so that a cascade changes one stage at
    a time. Tensors whose entries are all alike (a norm's weights as they were initialised) stay as they are.

    Args:
        model: any whose towers are views of its module.
        seed: of the draw, on the CPU whatever the model's device.
        stages: names from `stages(model)`; None draws every parameter of the module.
        scheme: "normal" draws from a normal of the tensor's own mean and standard deviation, "permute" shuffles its
            entries.

    Raises:
        InputError: an unknown stage or scheme.

    Source:
        "Sanity Checks for Saliency Maps", arXiv:1810.03292; METHODS 17.7.
    """
    if scheme not in ("normal", "permute"):
        raise InputError(f"Expected scheme to be one of normal, permute, got {scheme!r}.")
    with torch.inference_mode(False), torch.no_grad():
        made = _copy(model)
        names = None if stages is None else list(stages)
        chosen = None if names is None else {id(parameter) for parameter in _named(made, names)}
        generator = torch.Generator().manual_seed(seed)
        for parameter in made.module.parameters():
            values = _drawn(parameter, generator, scheme)
            if chosen is None or id(parameter) in chosen:
                parameter.copy_(values)
    record = {**model.record, "randomised": {"seed": seed, "scheme": scheme, "stages": names or "all"}}
    return dataclasses.replace(made, name=f"{model.name} (random weights)", record=record, _hashes={})


def _copy(model: Model) -> Model:
    """Module and towers copied together, so that the new towers see the new module; the tokenizer is shared."""
    shared: dict[int, Any] = {id(model.tokenizer): model.tokenizer}
    return copy.deepcopy(model, shared)


def _named(model: Model, names: list[str]) -> list[nn.Parameter]:
    known = stages(model)
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"Expected stages of {', '.join(known)}, got {unknown[0]!r}.")
    return [parameter for name in names for parameter in known[name]]


def _drawn(parameter: Tensor, generator: torch.Generator, scheme: Scheme) -> Tensor:
    """New values for a tensor; drawn for every tensor of a model, chosen or not, so that the order is fixed."""
    if scheme == "permute":
        order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
        return parameter.flatten()[order].view_as(parameter)
    draw = torch.randn(parameter.shape, generator=generator).to(parameter)
    return parameter.mean() + draw * parameter.std(correction=0)
