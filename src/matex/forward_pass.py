"""One forward pass of an encoder, recorded stage by stage.

Encoders are run through the model's own layers, so the model is never patched or switched, and threads may share it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.encoder import Attended, Attentive, Encoder, Readers, Staged, State, single_row, staged

if TYPE_CHECKING:
    from jaxtyping import Float, Int

PHRASES_AT_ONCE = 256  # of many prompts, which bounds the memory
FROM_INPUT = sys.maxsize  # as `gradient_blocks`: gradients of all blocks and of the encoder's input


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """Activations of an encoder for a batch of different inputs, independent of any target.

    Args:
        tower: that was run.
        inputs: pixels [item, channel, height, width] or token ids [item, token].
        states: input of each stage; where the last stage keeps all tokens, its output behind them.
        attended: attention half of each block; none for an encoder without attention. That of the last block is
            computed for the reader's token alone where there is one, and so is the output of the first block on the
            graph.
        embedding: unit norm; carries the graph.
        readers: the queries through which the embedding is read; None for an encoder without attention.
        graph_from: first block whose attention output is on the graph; depth when none is.
        entry: differentiable input of the encoder where the graph reaches down to it, see `Staged.entry`.
    """

    tower: Staged
    inputs: Tensor
    states: tuple[State, ...]
    attended: tuple[Attended, ...]
    embedding: Float[Tensor, "item joint"]
    readers: Readers | None
    graph_from: int
    entry: Float[Tensor, "item ..."] | None = None

    def rerun(self, first: int, tower: Attentive | None = None) -> ForwardPass:
        """Run the blocks from `first` on with all of them on the graph, from the recorded input of block `first`.

        For an encoder with attention: gradients of others are taken from `states`.

        Args:
            first: lowest block that is run; the result records this one and those above it.
            tower: runs them in place of the recorded one.
        """
        with torch.inference_mode(False), torch.no_grad():
            return _run_blocks(tower or cast(Attentive, self.tower), self.inputs, self.states[first], first, first)


def run(tower: Staged, inputs: Tensor, gradient_blocks: int = 0) -> ForwardPass:
    """Run an encoder over inputs with the last `gradient_blocks` blocks on the graph and nothing below them.

    `FROM_INPUT` puts all of it on the graph, down to its pixels or token embeddings.

    Raises:
        RuntimeError: fewer blocks recorded than the encoder has.
    """
    from_input = gradient_blocks == FROM_INPUT
    with torch.inference_mode(False), torch.no_grad():
        inputs = inputs.clone() if inputs.is_inference() else inputs
        entry = tower.entry(inputs)
        entry = entry.detach().clone().requires_grad_() if from_input else entry
        with torch.set_grad_enabled(from_input):
            state = tower.start(entry, inputs)
        if isinstance(tower, Attentive):
            graph_from = 0 if from_input else tower.depth - min(gradient_blocks, tower.depth)
            forward = _run_blocks(tower, inputs, state, 0, graph_from, detach_below=not from_input)
        else:
            forward = _run_stages(tower, inputs, state, from_input)
    return replace(forward, entry=entry) if from_input else forward


def _run_stages(tower: Staged, inputs: Tensor, state: State, on_graph: bool) -> ForwardPass:
    """Run and record the stages of an encoder without attention."""
    states = [state]
    with torch.set_grad_enabled(on_graph):
        for layer in range(tower.depth):
            states.append(tower.stage(layer, states[-1]))
        embedding = pooled(tower, states[-1])
    return ForwardPass(tower, inputs, tuple(states), (), embedding, None, 0 if on_graph else tower.depth)


def _run_blocks(
    tower: Attentive, inputs: Tensor, state: State, first: int, graph_from: int, detach_below: bool = True
) -> ForwardPass:
    """Run and record the blocks from `first` on.

    The graph starts at the attention output of block `graph_from`; with `detach_below=False` it continues below.
    """
    readers = tower.readers(state.axis)
    states: list[State] = []
    attended: list[Attended] = []
    for layer in range(first, tower.depth):
        states.append(state)
        position = readers.position
        last = layer == tower.depth - 1 and position is not None
        # In the block above the start of the graph, the reader's token alone differs from a constant.
        moving = position if detach_below and layer == graph_from + 1 else None
        with torch.set_grad_enabled(layer > graph_from or not detach_below):
            normed = tower.norm(layer, state.hidden)
            attention = tower.attend(layer, normed, state.axis, position if last else None, moving)
            residual = single_row(state.hidden, position) if last and position is not None else state.hidden
            hidden = tower.after_attention(layer, residual, attention.output)
        if layer == graph_from and detach_below:
            attention, hidden = _begin_graph(tower, layer, attention, residual, hidden, position, last)
        state = state.followed_by(hidden, layer in tower.taps)
        attended.append(attention)
    if len(attended) != tower.depth - first:
        raise RuntimeError(f"Expected to record {tower.depth - first} blocks, got {len(attended)}.")
    if readers.position is None and not readers.own_query:
        states.append(state)
    with torch.set_grad_enabled(graph_from < tower.depth):
        embedding = pooled(tower, state)
    return ForwardPass(tower, inputs, tuple(states), tuple(attended), embedding, readers, graph_from)


def _begin_graph(
    tower: Attentive,
    layer: int,
    attention: Attended,
    residual: Float[Tensor, "item row dim"],
    hidden: Float[Tensor, "item row dim"],
    position: Int[Tensor, " item"] | None,
    last: bool,
) -> tuple[Attended, Float[Tensor, "item row dim"]]:
    """Start the graph at the attention output of a block that was run without one.

    Where one token is read, the graph starts at its row of the output and the other tokens are constants.
    """
    if position is None:
        attention = attention._replace(output=attention.output.detach().requires_grad_())
        with torch.enable_grad():
            return attention, tower.after_attention(layer, residual, attention.output)
    position = torch.zeros_like(position) if last else position
    attention = attention._replace(output=single_row(attention.output, position).detach().requires_grad_())
    with torch.enable_grad():
        row = tower.after_attention(layer, single_row(residual, position), attention.output)[:, 0]
        return attention, hidden.index_put((torch.arange(len(position), device=position.device), position), row)


def embed(tower: Staged, state: State, first: int = 0, unit: bool = True) -> Float[Tensor, "item joint"]:
    """Embedding from the input of one of an encoder's stages, at least float32; records nothing, differentiable.

    Args:
        tower: to run.
        state: input of stage `first`; of the first one as `tower.start` returns it.
        first: stage to begin with; those below are not run.
        unit: normalise to unit length; False leaves the projection as it is.
    """
    blocks = tower if isinstance(tower, Attentive) else None
    position = blocks.readers(state.axis).position if blocks else None
    for layer in range(first, tower.depth):
        if blocks and position is not None and layer == tower.depth - 1:
            output = blocks.attend(layer, blocks.norm(layer, state.hidden), state.axis, position).output
            hidden = blocks.after_attention(layer, single_row(state.hidden, position), output)
            state = state.followed_by(hidden, layer in tower.taps)
        else:
            state = tower.stage(layer, state)
    return pooled(tower, state, unit)


def pooled(tower: Staged, state: State, unit: bool = True) -> Float[Tensor, "item joint"]:
    """Embedding from the last stage's output, at least float32, unit norm unless `unit` is False."""
    embedding = at_least_float32(tower.pool(state))
    return F.normalize(embedding, dim=-1) if unit else embedding


def encode(encoder: Encoder, inputs: Tensor, unit: bool = True) -> Float[Tensor, "item joint"]:
    """Embeddings of pixels or token ids without a graph.

    Raises:
        UnsupportedModel: a black box, of which only scores are known.
    """
    tower = staged(encoder)
    with torch.inference_mode(False), torch.no_grad():
        return embed(tower, tower.start(tower.entry(inputs), inputs), unit=unit)


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
