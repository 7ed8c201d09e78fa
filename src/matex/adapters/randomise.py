"""Randomised weights of the same architecture, to test whether a map depends on training."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from matex.adapters.encoder import staged
from matex.adapters.model import Model
from matex.checks import check_seed
from matex.errors import InputError

Scheme = Literal["normal", "permute"]


def stages(model: Model) -> dict[str, list[nn.Parameter]]:
    """Weights of both towers by stage, each tower from its output back: "image projection", "image norm",
    "image block 11", ..., "image block 0", "image embeddings", then the same of "text"."""
    towers = {side: staged(encoder) for side, encoder in model.encoders.items()}
    return {f"{side} {name}": weights for side, tower in towers.items() for name, weights in tower.stages().items()}


def randomised(model: Model, seed: int = 0, stages: Iterable[str] | None = None, scheme: Scheme = "normal") -> Model:
    """Copy a model with randomised weights; the model itself is unchanged.

    A tensor gets the same new values whichever other stages are randomised with it, so that a cascade changes one stage
    at a time. Tensors whose entries are all alike (a norm's weights as they were initialised) stay as they are.

    Args:
        model: any whose towers are views of its module.
        seed: of the random numbers, generated on the CPU whatever the model's device.
        stages: names from `stages(model)`; None randomises every parameter of the module.
        scheme: "normal" draws from a normal of the tensor's own mean and standard deviation, "permute" shuffles its
            entries.

    Raises:
        InputError: an unknown stage or scheme, or a seed below 0 or above 32 bits.

    Source:
        "Sanity Checks for Saliency Maps", arXiv:1810.03292; METHODS 17.7.
    """
    if scheme not in ("normal", "permute"):
        raise InputError(f"Expected scheme to be one of normal, permute, got {scheme!r}.")
    check_seed(seed)
    with torch.inference_mode(False), torch.no_grad():
        randomised_model = _copy(model)
        names = None if stages is None else list(stages)
        selected = None if names is None else {id(parameter) for parameter in _parameters_of(randomised_model, names)}
        generator = torch.Generator().manual_seed(seed)
        for parameter in randomised_model.module.parameters():
            # Also for parameters that keep their values, so that a tensor's random numbers depend on the seed alone.
            values = _random_values(parameter, generator, scheme)
            if selected is None or id(parameter) in selected:
                parameter.copy_(values)
    record = {**model.record, "randomised": {"seed": seed, "scheme": scheme, "stages": names or "all"}}
    return dataclasses.replace(randomised_model, name=f"{model.name} (random weights)", record=record, _hashes={})


def _copy(model: Model) -> Model:
    """Copy module and towers together, so that the new towers call the new module; the tokenizer is shared."""
    shared: dict[int, object] = {id(model.tokenizer): model.tokenizer}
    return copy.deepcopy(model, shared)


def _parameters_of(model: Model, names: list[str]) -> list[nn.Parameter]:
    known = stages(model)
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"Expected stages of {', '.join(known)}, got {unknown[0]!r}.")
    return [parameter for name in names for parameter in known[name]]


def _random_values(parameter: Tensor, generator: torch.Generator, scheme: Scheme) -> Tensor:
    """Random values for a tensor."""
    if scheme == "permute":
        order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
        return parameter.flatten()[order].view_as(parameter)
    noise = torch.randn(parameter.shape, generator=generator).to(parameter)
    return parameter.mean() + noise * parameter.std(correction=0)
