"""One forward pass of a tower, recorded block by block.

Towers are run through the model's own layers, so the model is never patched or switched, and threads may share it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.model import Attended, Tower

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FROM_INPUT = sys.maxsize  # as `gradient_blocks`: gradients of all blocks and of the tower's input


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """Activations of a tower for a batch of different inputs, independent of any target.

    Args:
        tower: that was run.
        inputs: pixels [item, channel, height, width] or token ids [item, token].
        hidden: input of each block.
        attended: attention half of each block. That of the last block is computed for the readout token alone, and so
            is the output of the first block on the graph.
        embedding: unit norm; carries the graph.
        readout: position of the readout token.
        graph_from: first block whose attention output is on the graph; depth when none is.
        entry: differentiable input of the tower where the graph reaches down to it: pixels as `inputs`, or the first
            block's input on the text tower.
    """

    tower: Tower
    inputs: Tensor
    hidden: tuple[Float[Tensor, "item token dim"], ...]
    attended: tuple[Attended, ...]
    embedding: Float[Tensor, "item joint"]
    readout: Int[Tensor, " item"]
    graph_from: int
    entry: Tensor | None = None

    def rerun(self, first: int, tower: Tower | None = None) -> ForwardPass:
        """Run the blocks from `first` on with all of them on the graph, from the recorded input of block `first`.

        Args:
            first: lowest block that is run; the result records this one and those above it.
            tower: runs them in place of the recorded tower.
        """
        with torch.inference_mode(False), torch.no_grad():
            return _run_blocks(tower or self.tower, self.inputs, self.hidden[first], self.readout, first, first)


def run(tower: Tower, inputs: Tensor, gradient_blocks: int = 0) -> ForwardPass:
    """Run a tower over inputs with the last `gradient_blocks` blocks on the graph and nothing below them.

    `FROM_INPUT` puts the whole tower on the graph, down to its pixels or token embeddings.

    Raises:
        RuntimeError: fewer blocks recorded than the tower has.
    """
    graph_from = tower.depth - min(gradient_blocks, tower.depth)
    with torch.inference_mode(False), torch.no_grad():
        inputs = inputs.clone() if inputs.is_inference() else inputs
        readout = tower.readout(inputs)
        if gradient_blocks == FROM_INPUT:
            entry = (inputs if tower.kind == "image" else tower.embed(inputs)).detach().clone().requires_grad_()
            with torch.enable_grad():
                hidden = tower.embed(entry) if tower.kind == "image" else entry
            return replace(_run_blocks(tower, inputs, hidden, readout, 0, 0, detach_below=False), entry=entry)
        return _run_blocks(tower, inputs, tower.embed(inputs), readout, 0, graph_from)


def _run_blocks(
    tower: Tower,
    inputs: Tensor,
    hidden: Float[Tensor, "item token dim"],
    readout: Int[Tensor, " item"],
    first: int,
    graph_from: int,
    detach_below: bool = True,
) -> ForwardPass:
    """Run and record the blocks from `first` on.

    The graph starts at the attention output of block `graph_from`; with `detach_below=False` it continues below.
    """
    block_inputs: list[Tensor] = []
    attended: list[Attended] = []
    for layer in range(first, tower.depth):
        last = layer == tower.depth - 1
        block_inputs.append(hidden)
        # In the block above the start of the graph, the readout token alone differs from a constant.
        moving = readout if detach_below and layer == graph_from + 1 else None
        with torch.set_grad_enabled(layer > graph_from or not detach_below):
            attention = tower.attend(layer, hidden, readout if last else None, moving)
            residual = rows_at(hidden, readout) if last else hidden
            hidden = tower.after_attention(layer, residual, attention.output)
        if layer == graph_from and detach_below:
            # The graph starts at the readout token's attention output; the other tokens are constants.
            position = torch.zeros_like(readout) if last else readout
            attention = attention._replace(output=rows_at(attention.output, position).detach().requires_grad_())
            with torch.enable_grad():
                row = tower.after_attention(layer, rows_at(residual, position), attention.output)[:, 0]
                hidden = hidden.index_put((torch.arange(len(position), device=position.device), position), row)
        attended.append(attention)
    if len(attended) != tower.depth - first:
        raise RuntimeError(f"Expected to record {tower.depth - first} blocks, got {len(attended)}.")
    with torch.set_grad_enabled(graph_from < tower.depth):
        embedding = F.normalize(at_least_float32(tower.project(hidden[:, 0])), dim=-1)
    return ForwardPass(tower, inputs, tuple(block_inputs), tuple(attended), embedding, readout, graph_from)


def embed(
    tower: Tower,
    hidden: Float[Tensor, "row token dim"],
    readout: Int[Tensor, " row"],
    first: int = 0,
    unit: bool = True,
) -> Float[Tensor, "row joint"]:
    """Embedding from the input of one of a tower's blocks, at least float32; records nothing, differentiable.

    Args:
        tower: to run.
        hidden: input of block `first`; of the first one as `tower.embed` returns it.
        readout: position of the readout token.
        first: block to begin with; those below are not run.
        unit: normalise to unit length; False leaves the projection as it is.
    """
    for layer in range(first, tower.depth):
        last = layer == tower.depth - 1
        output = tower.attend(layer, hidden, readout if last else None).output
        hidden = tower.after_attention(layer, rows_at(hidden, readout) if last else hidden, output)
    embedding = at_least_float32(tower.project(hidden[:, 0]))
    return F.normalize(embedding, dim=-1) if unit else embedding


def rows_at(hidden: Float[Tensor, "item token dim"], position: Int[Tensor, " item"]) -> Float[Tensor, "item 1 dim"]:
    """One token of each item."""
    return hidden[torch.arange(len(hidden), device=hidden.device), position][:, None]


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
