"""Attention of a recorded forward pass: queries, keys, values, and rows of the map, computed where a method reads them.

All values are of the different inputs; `Trace` gives them to its pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from matex.adapters.encoder import Attended, Attentive, Readers
from matex.errors import InputError, UnsupportedModel
from matex.forward_pass import ForwardPass, at_least_float32

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class RecordedAttention:
    """Attention of every block of a forward pass.

    A `layer` is a block's number from 0 on or, negative, from the end; `InputError` for one that is not there.
    `UnsupportedModel` for an encoder without attention over all tokens.

    Args:
        forward: recorded pass over the different inputs.
    """

    def __init__(self, forward: ForwardPass) -> None:
        self._forward = forward
        self._complete: dict[int, Attended] = {}

    @property
    def blocks(self) -> Attentive:
        """The encoder as transformer blocks."""
        _ = self.readers
        return cast(Attentive, self._forward.tower)

    @property
    def readers(self) -> Readers:
        """The queries through which the embedding is read."""
        if self._forward.readers is None:
            raise UnsupportedModel("Expected an encoder with attention over all tokens, got one without.")
        return self._forward.readers

    def number(self, layer: int) -> int:
        """The number of a block from 0 on; negative ones count from the end."""
        depth = self._forward.tower.depth
        if not -depth <= layer < depth:
            raise InputError(
                f"Expected layer from {-depth} to {depth - 1} on this tower of {depth} blocks, got {layer}."
            )
        return layer % depth

    def one_reader(self, layer: int) -> bool:
        """See `Trace.one_reader`."""
        readers = self.readers
        return readers.position is not None or (readers.own_query and self._is_last(layer))

    def recorded(self, layer: int) -> Attended:
        """Attention half of a block as recorded."""
        return self._forward.attended[self.number(layer)]

    def complete(self, layer: int) -> Attended:
        """Attention half of a block for every query; the last one is recorded for the token alone that is read."""
        recorded = self.recorded(layer)
        own = self.readers.own_query and self._is_last(layer)
        return recorded if own or recorded.query.shape[2] > 1 else self._recompute(layer)

    def output(self, layer: int) -> Float[Tensor, "item token dim"]:
        """Attention output of every token."""
        output = self.recorded(layer).output
        # Recorded for the reader's token alone where the graph starts.
        return self._recompute(layer).output if output.shape[1] == 1 else output

    def query(self, layer: int) -> Float[Tensor, "item heads head_dim"]:
        """The one query that is read."""
        query = self.recorded(layer).query
        return query[:, :, 0] if query.shape[2] == 1 else self._at_readout(query.transpose(1, 2))

    def key(self, layer: int) -> Float[Tensor, "item heads token head_dim"]:
        """Keys of the tokens."""
        return self._of_tokens(self.recorded(layer).key)

    def value(self, layer: int) -> Float[Tensor, "item heads token head_dim"]:
        """Values of the tokens."""
        return self._of_tokens(self.recorded(layer).value)

    def row(self, layer: int) -> Float[Tensor, "item heads token"]:
        """Attention of the embedding to every token, see `Trace.attention_row`."""
        layer, blocks, readers = self.number(layer), self.blocks, self.readers
        axis = self._forward.states[layer].axis
        if readers.own_query and not self._is_last(layer):
            with torch.no_grad():
                head = blocks.depth - 1
                normed = blocks.norm(head, self._forward.states[layer].hidden)
                query, key, *_ = blocks.attend(head, normed, axis)
            row = _softmax(query, key, blocks.mask(head, axis))[:, :, 0]
        elif self.one_reader(layer):
            key = self.recorded(layer).key
            row = _softmax(self.query(layer)[:, :, None], key, blocks.mask(layer, axis, readers.position))[:, :, 0]
        else:
            rows = self.map(layer)
            valid = axis.valid.to(rows)
            row = torch.einsum("iq,ihqk->ihk", valid / valid.sum(dim=1, keepdim=True), rows)
        return self._of_tokens(row)

    def map(self, layer: int) -> Float[Tensor, "item heads query token"]:
        """Attention of every token to every token; of a pooling head one row."""
        query, key, *_ = self.complete(layer)
        axis = self._forward.states[self.number(layer)].axis
        return self._of_tokens(_softmax(query, key, self.blocks.mask(self.number(layer), axis)), dim=3)

    def _is_last(self, layer: int) -> bool:
        return self.number(layer) == self._forward.tower.depth - 1

    def _recompute(self, layer: int) -> Attended:
        """Attention half of a block for every query, off the graph; cached."""
        layer, blocks = self.number(layer), self.blocks
        if layer not in self._complete:
            state = self._forward.states[layer]
            with torch.no_grad():
                self._complete[layer] = blocks.attend(layer, blocks.norm(layer, state.hidden), state.axis)
        return self._complete[layer]

    def _of_tokens(self, values: Tensor, dim: int = 2) -> Tensor:
        """Keys, values or attention to them without the rows that belong to no token (a learned bias)."""
        return values.narrow(dim, 0, self._forward.states[-1].axis.valid.shape[1])

    def _at_readout(self, values: Float[Tensor, "item token ..."]) -> Float[Tensor, "item ..."]:
        """Entry of the one token that is read."""
        position = self.readers.position
        assert position is not None
        return values[torch.arange(len(values), device=values.device), position]


def _softmax(
    query: Float[Tensor, "item heads query head_dim"],
    key: Float[Tensor, "item heads key head_dim"],
    mask: Bool[Tensor, ...] | None,
) -> Float[Tensor, "item heads query key"]:
    """softmax(q k^T / sqrt(head_dim)) in at least float32."""
    query, key = at_least_float32(query.detach()), at_least_float32(key.detach())
    logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    return (logits if mask is None else logits.masked_fill(~mask, -torch.inf)).softmax(dim=-1)
