"""Gradients of the scores of a batch of pairs with respect to a tower's activations and input.

Different inputs of a batch are independent of each other, so that one backward pass serves one pair of every input.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.encoder import Attentive, single_row
from matex.forward_pass import FROM_INPUT, ForwardPass, at_least_float32, embed, pooled, run

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_CONCURRENT_BACKWARD_PASSES = 8  # bounds the memory of many phrases on one image


class AllTokenGradients(NamedTuple):
    """Gradients of the score at the activations of one block for all tokens.

    Of a pooling head `output` has one row.
    """

    hidden: Float[Tensor, "pair token dim"]
    normed: Float[Tensor, "pair token dim"]
    output: Float[Tensor, "pair row dim"]


class Gradients:
    """Gradients of the scores of pairs, each computed when it is first read and then cached.

    Args:
        forward: recorded pass over the different inputs.
        item: input of each pair.
        target: the other side's embedding, unit norm; a constant.
    """

    def __init__(self, forward: ForwardPass, item: Int[Tensor, " pair"], target: Float[Tensor, "pair joint"]) -> None:
        self._forward = forward
        self._item = item
        self._target = target
        self._outputs: dict[int, Tensor] = {}
        self._input: Tensor | None = None
        self._all_tokens: dict[int, AllTokenGradients] = {}
        self._hidden: dict[int, Tensor] = {}

    def at_outputs(self, layer: int) -> Float[Tensor, "pair row dim"]:
        """Gradient at the attention output of the rows through which the score is read.

        One row where a single token is read or the block asks with a query of its own, otherwise one per token.

        Args:
            layer: from 0 on.
        """
        if layer not in self._outputs:
            lowest = min(layer, self._forward.graph_from)
            # A block below the start of the recorded graph was not announced: run it and those above it with a graph.
            self._backward(lowest, self._forward.rerun(lowest) if lowest < self._forward.graph_from else self._forward)
        return self._outputs[layer]

    def at_readout(self, layer: int) -> Float[Tensor, "pair heads head_dim"]:
        """Gradient at the attention output of the only row that is read.

        Args:
            layer: from 0 on.
        """
        heads = self._forward.attended[layer].value.shape[1]
        return torch.unflatten(self.at_outputs(layer)[:, 0], -1, (heads, -1))

    def at_stage(self, layer: int) -> Float[Tensor, "pair token dim"]:
        """Gradient at the input of a stage of an encoder without attention; `depth` is the last one's output."""
        if layer not in self._hidden:
            state = self._forward.states[layer]
            with torch.inference_mode(False), torch.enable_grad():
                hidden = state.hidden.detach().clone().requires_grad_()
                embedding = embed(self._forward.tower, state.with_hidden(hidden), layer)
            (self._hidden[layer],) = self._per_pair(self._backward_passes(embedding, [hidden]))
        return self._hidden[layer]

    def at_input(self, target: Float[Tensor, "pair joint"] | None = None) -> Float[Tensor, "pair ..."]:
        """Gradient at the tower's input: [pair, channel, height, width], or [pair, token, dim] on the text tower.

        Args:
            target: replaces the pairs' own targets.
        """
        if target is None and self._input is not None:
            return self._input
        forward = self._forward
        if forward.entry is None:  # gradients at the input were not announced
            forward = run(forward.tower, forward.inputs, FROM_INPUT)
        assert forward.entry is not None
        if target is None:
            self._backward(0, forward)
            assert self._input is not None
            return self._input
        (gradient,) = self._per_pair(self._backward_passes(forward.embedding, [forward.entry], target))
        return gradient

    def all_tokens(self, layer: int) -> AllTokenGradients:
        """Gradients for all tokens of block `layer`; those of the blocks above it come from the same backward pass.

        Args:
            layer: from 0 on.
        """
        if layer in self._all_tokens:
            return self._all_tokens[layer]
        embedding, activations = self._forward_all_tokens(layer)
        gradients = self._per_pair(self._backward_passes(embedding, activations))
        if self._position is not None:
            # The last block's output was computed for one token alone: the other tokens' gradients are zero.
            output = torch.zeros_like(gradients[-2])
            pair = torch.arange(len(output), device=output.device)
            gradients[-1] = output.index_put((pair, self._position[self._item]), gradients[-1][:, 0])
        for number, start in zip(range(layer, self._forward.tower.depth), range(0, len(gradients), 3), strict=True):
            self._all_tokens[number] = AllTokenGradients(*gradients[start : start + 3])
        return self._all_tokens[layer]

    @property
    def _position(self) -> Int[Tensor, " item"] | None:
        """Position of the only token that is read; None where there is no such token."""
        return self._forward.readers.position if self._forward.readers else None

    def _forward_all_tokens(self, first: int) -> tuple[Float[Tensor, "item joint"], list[Float[Tensor, "item _ dim"]]]:
        """Embedding on a graph that starts at the input of block `first`, and hidden, normed, output of each block."""
        tower, position = cast(Attentive, self._forward.tower), self._position
        activations: list[Tensor] = []
        with torch.inference_mode(False), torch.enable_grad():
            state = self._forward.states[first]
            state = state.with_hidden(state.hidden.detach().clone().requires_grad_())
            for layer in range(first, tower.depth):
                last = layer == tower.depth - 1 and position is not None
                normed = tower.norm(layer, state.hidden)
                output = tower.attend(layer, normed, state.axis, position if last else None).output
                activations += [state.hidden, normed, output]
                residual = single_row(state.hidden, position) if last and position is not None else state.hidden
                state = state.followed_by(tower.after_attention(layer, residual, output), layer in tower.taps)
            return pooled(tower, state), activations

    def _backward(self, lowest: int, forward: ForwardPass) -> None:
        """Cache gradients at the attention outputs of all blocks from `lowest` on, and at the input if on the graph.

        Args:
            lowest: block, from 0 on.
            forward: pass whose graph reaches down to that block; it may have recorded only the blocks above.
        """
        depth = forward.tower.depth
        outputs = [attended.output for attended in forward.attended[len(forward.attended) - (depth - lowest) :]]
        activations = outputs if forward.entry is None else [*outputs, forward.entry]
        item = torch.arange(len(forward.inputs), device=self._item.device)
        position = self._position

        def read(gradient: Float[Tensor, "backward item row dim"]) -> Float[Tensor, "backward item _ dim"]:
            if position is None:
                return gradient
            row = torch.zeros_like(position) if gradient.shape[2] == 1 else position
            return gradient[:, item, row][:, :, None]

        # Other tokens' gradients are dropped after every backward pass, which bounds the memory.
        gradients = self._per_pair(
            [*map(read, some[: len(outputs)]), *some[len(outputs) :]]
            for some in self._backward_passes(forward.embedding, activations)
        )
        self._outputs |= dict(zip(range(lowest, depth), gradients[: len(outputs)], strict=bool(outputs)))
        if forward.entry is not None:
            self._input = gradients[-1]

    @cached_property
    def _backward_pass(self) -> Int[Tensor, " pair"]:
        """Backward pass that serves each pair: 0 for the first pair of its input, 1 for the second, ..."""
        return (self._item[:, None] == self._item).tril(-1).sum(-1)

    def _backward_passes(
        self,
        embedding: Float[Tensor, "item joint"],
        activations: Sequence[Float[Tensor, "item ..."]],
        target: Float[Tensor, "pair joint"] | None = None,
    ) -> Iterator[Sequence[Float[Tensor, "backward item ..."]]]:
        """Gradients of the scores at activations, some backward passes at a time.

        The backward passes for the first, second, ... pair of each input run concurrently.
        """
        with torch.inference_mode(False), torch.enable_grad():
            target = self._target if target is None else target
            scores = (embedding[self._item.clone()] * target.clone()).sum(-1)
            selected = F.one_hot(self._backward_pass).T.to(scores)  # [backward pass, pair]
            if len(selected) == 1:
                gradients = torch.autograd.grad(scores, activations, selected[0], retain_graph=True)
                yield tuple(gradient[None] for gradient in gradients)
                return
            for some in torch.split(selected, _CONCURRENT_BACKWARD_PASSES):
                yield torch.autograd.grad(scores, activations, some, retain_graph=True, is_grads_batched=True)

    def _per_pair(
        self, backward_passes: Iterable[Sequence[Float[Tensor, "backward item ..."]]]
    ) -> list[Float[Tensor, "pair ..."]]:
        """Gradients of each pair at each activation, at least float32."""
        by_activation = zip(*backward_passes, strict=True)
        return [at_least_float32(torch.cat(parts)[self._backward_pass, self._item]) for parts in by_activation]
