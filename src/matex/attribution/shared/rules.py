"""Relevance rules in place of the functions of a forward pass, without a change to the model.

A `TorchFunctionMode` sees every function of torch that the model's own code calls in one thread. Those with a rule are
replaced by functions of the same value whose backward pass is the rule; those that only move values pass; all others
are refused, so that no operation is propagated through by accident.
"""

# torch's stubs leave unflatten, split and tolist untyped, and its functions are passed as values here.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from matex.errors import UnsupportedModel

Function = Callable[..., Any]

MOVES: frozenset[Function] = frozenset(
    [
        *(Tensor.__getitem__, Tensor.reshape, Tensor.view, Tensor.flatten, Tensor.unflatten, Tensor.transpose),
        *(Tensor.permute, Tensor.movedim, Tensor.expand, Tensor.contiguous, Tensor.clone, Tensor.to, Tensor.float),
        *(Tensor.squeeze, Tensor.unsqueeze, Tensor.chunk, Tensor.split, Tensor.narrow, Tensor.select, Tensor.unbind),
        *(Tensor.size, Tensor.dim, Tensor.__len__, torch.cat, torch.stack, torch.flatten, torch.transpose),
        *(torch.unflatten, torch.split),
    ]
)
"""Functions that move values or describe a tensor: relevance follows the values."""


class Rules(TorchFunctionMode):
    """Run a forward pass under the rules of a table.

    What does not depend on the tensor that relevance is propagated to, such as a learned query, is a constant.

    Args:
        name: of the method, for refusals.
        table: functions of torch and what is called in their place, with the same arguments.
        passed: functions that run as they are.

    Raises:
        UnsupportedModel: in the pass, for a function in neither.
    """

    def __init__(self, name: str, table: Mapping[Function, Function], passed: Iterable[Function]) -> None:
        super().__init__()
        self._name = name
        self._table = table
        self._passed = frozenset(passed)

    def __torch_function__(
        self, func: Function, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        called = getattr(func, "__name__", str(func))
        if not any(map(on_path, _tensors((*args, *kwargs.values())))):
            with torch.no_grad():
                return func(*args, **kwargs)
        if func in self._table:
            return self._table[func](*args, **kwargs)
        if func in self._passed or called == "__get__":  # attributes such as shape and dtype
            return func(*args, **kwargs)
        raise UnsupportedModel(
            f"Expected a model of operations that {self._name} has a relevance rule for, got {called}. Use a gradient "
            "method such as grad-eclip."
        )


def on_path(value: Any) -> bool:
    """Whether a value depends on the tensor that relevance is propagated to; weights are constants."""
    return isinstance(value, Tensor) and value.requires_grad and not isinstance(value, nn.Parameter)


def _tensors(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _tensors(value)
        else:
            yield value


def masked_logits(
    query: Tensor, key: Tensor, mask: Tensor | None, causal: bool, scale: float | None
) -> tuple[Tensor, Tensor | None]:
    """Scaled products of queries and keys [item, heads, query, key], and which of them are allowed, as
    `scaled_dot_product_attention` computes them.

    Raises:
        UnsupportedModel: attention with a bias in place of a mask.
    """
    if mask is not None and mask.dtype != torch.bool:
        raise UnsupportedModel("Expected attention with a mask of allowed keys, got a bias. Use a gradient method.")
    if causal:
        mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    return (query @ key.mT) * (query.shape[-1] ** -0.5 if scale is None else scale), mask


def probabilities(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Attention weights from logits and the allowed keys."""
    return (logits if mask is None else logits.masked_fill(~mask, -torch.inf)).softmax(dim=-1)


def gate(hidden: Tensor, function: Function = F.gelu, **settings: Any) -> Tensor:
    """function(x) / x, a constant; its limit 1/2 at 0, which GELU and SiLU share."""
    with torch.no_grad():
        values = function(hidden, **settings)
        return torch.where(hidden == 0, 0.5, values / torch.where(hidden == 0, 1.0, hidden))
