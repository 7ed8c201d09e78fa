"""Protocols of an encoder, from a black box up to attention over all tokens.

A method asks for a protocol (`matex.protocols.NEEDS`), an adapter implements those that its network has. Nothing here
knows a modality: an image, a phrase and a sound differ in their `TokenAxis` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from matex.errors import UnsupportedModel
from matex.geometry import Size

Modality = Literal["image", "text", "audio", "depth", "thermal", "imu"]
CHANNELS: Mapping[Modality, int] = {"image": 3, "audio": 1, "depth": 1, "thermal": 1, "imu": 6}
"""Of inputs on a grid [item, channel, height, width]; a recording of motion has a height of 1."""


@dataclass(frozen=True, eq=False)
class TokenAxis:
    """The tokens of a batch of inputs at one stage of an encoder.

    Args:
        valid: tokens that the encoder reads; False for padding, bool [item, token].
        content: tokens that stand for a place or a word; False for CLS, BOS, EOS and padding, bool [item, token].
        grid: (rows, columns) of the content tokens, row by row; None for a sequence of words.
    """

    valid: Tensor
    content: Tensor
    grid: Size | None = None

    @cached_property  # every block of an encoder asks
    def padded(self) -> bool:
        """Whether any token of the batch is padding."""
        return not bool(self.valid.all())

    def select(self, items: Tensor | slice, length: int | None = None) -> TokenAxis:
        """The axis of these items, of their first `length` tokens where that is given."""
        return TokenAxis(self.valid[items, :length], self.content[items, :length], self.grid)


@dataclass(frozen=True, eq=False)
class State:
    """A batch of inputs on its way through an encoder.

    Args:
        hidden: input of the next stage, [item, token, dim]; behind the last stage only the rows that `pool` reads.
        axis: of these tokens.
        earlier: outputs of the stages in `Staged.taps` so far, each [item, token, dim].
        tapped: `hidden` is the last of `earlier`.
    """

    hidden: Tensor
    axis: TokenAxis
    earlier: tuple[Tensor, ...] = ()
    tapped: bool = False

    @property
    def read(self) -> Tensor:
        """Output of the last stage, averaged with those of the tapped ones: what is pooled, [item, row, dim]."""
        return torch.stack([*self.earlier, self.hidden]).mean(dim=0) if self.earlier else self.hidden

    def select(self, items: Tensor | slice, length: int | None = None) -> State:
        """The state of these items, of their first `length` tokens where that is given."""
        earlier = tuple(tokens[items, :length] for tokens in self.earlier)
        return State(self.hidden[items, :length], self.axis.select(items, length), earlier, self.tapped)

    def followed_by(self, hidden: Tensor, tapped: bool = False) -> State:
        """The state behind a stage with this output, which the pooling reads too where the stage is tapped."""
        earlier = (*self.earlier, hidden) if tapped else self.earlier
        return replace(self, hidden=hidden, earlier=earlier, tapped=tapped)

    def with_hidden(self, hidden: Tensor) -> State:
        """The state with other tokens, also where the pooling reads them from a tapped stage."""
        earlier = (*self.earlier[:-1], hidden) if self.tapped else self.earlier
        return replace(self, hidden=hidden, earlier=earlier)


class Readers(NamedTuple):
    """The queries through which an encoder's embedding is read from its blocks.

    Args:
        position: of the one token whose own stream ends in the embedding (CLS, the end token), [item]; None where all
            valid tokens are read (mean pooling) or a query of its own asks (attention pooling).
        own_query: the last block is a pooling head that asks with a learned query; its output is one row, and no
            token's stream continues above it.
    """

    position: Tensor | None
    own_query: bool = False


class Attended(NamedTuple):
    """Queries, keys, values and output of the attention in one block.

    `query` and `output` hold one row only where the block was run for the reader's token alone, or has a query of its
    own. Keys and values may end with rows that belong to no token (a learned bias).
    """

    query: Tensor  # [batch, heads, query, head_dim]
    key: Tensor  # [batch, heads, key, head_dim]
    value: Tensor  # [batch, heads, key, head_dim]
    output: Tensor  # [batch, query, dim]: heads concatenated, before the output projection


@runtime_checkable
class Encoder(Protocol):
    """One side of a model: inputs to embeddings. Stateless, so that threads may share it."""

    @property
    def modality(self) -> Modality: ...

    @property
    def missing(self) -> Mapping[str, str]:
        """The entries of `matex.protocols.NEEDS` that the encoder does not meet, each with the reason as a clause."""
        ...

    def axis(self, inputs: Tensor) -> TokenAxis:
        """The tokens of inputs, as maps are given on them."""
        ...

    def collate(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Token ids of several phrases as one batch [phrase, token], padded as the model was trained; for words."""
        ...

    def remove(self, inputs: Tensor, kept: Tensor) -> Tensor:
        """One phrase without the content tokens that are not kept; for words.

        Args:
            inputs: [1, token].
            kept: bool [subset, content], the same number in each subset.

        Returns:
            The words deleted, not masked, [subset, token].
        """
        ...

    def fade(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Inputs on a grid with parts of them faded out: pixels to the mean colour, sounds to silence.

        Args:
            inputs: [item, channel, height, width].
            mask: 1 keeps, 0 removes, [item, 1, height, width].
        """
        ...


@runtime_checkable
class Staged(Encoder, Protocol):
    """An encoder as a chain of stages: blocks of a transformer, stages of a ResNet or Swin."""

    @property
    def depth(self) -> int:
        """Number of stages; a pooling head with attention of its own is the last one."""
        ...

    @property
    def taps(self) -> tuple[int, ...]:
        """Stages whose outputs the pooling reads besides the last one's; none for nearly all encoders."""
        ...

    @property
    def differentiable_input(self) -> bool:
        """Whether gradients are taken at the inputs themselves (pixels), not at the first stage's input (words)."""
        ...

    def entry(self, inputs: Tensor) -> Tensor:
        """The tensor at which input gradients are taken: the inputs themselves, or the first stage's input."""
        ...

    def blank(self, inputs: Tensor) -> Tensor:
        """The entry of an uninformative input: the mean colour, silence, or tokens that carry only their positions."""
        ...

    def start(self, entry: Tensor, inputs: Tensor) -> State:
        """The first stage's input, from an entry; `inputs` say which tokens there are."""
        ...

    def stage(self, layer: int, state: State) -> State:
        """Run one stage."""
        ...

    def pool(self, state: State) -> Tensor:
        """Embedding from the last stage's output, not normalised, [item, joint]."""
        ...

    def stages(self) -> dict[str, list[nn.Parameter]]:
        """The weights by stage, from the output back: projection, norm, block L-1, ..., block 0, embeddings."""
        ...


@runtime_checkable
class Attentive(Staged, Protocol):
    """An encoder whose stages are transformer blocks with attention over all tokens."""

    def readers(self, axis: TokenAxis) -> Readers:
        """The queries through which the embedding is read."""
        ...

    def norm(self, layer: int, hidden: Tensor) -> Tensor:
        """Input of a block's attention, [batch, token, dim]: its first norm's output, or the block's input itself."""
        ...

    def mask(self, layer: int, axis: TokenAxis, rows: Tensor | None = None) -> Tensor | None:
        """Attention mask, bool, broadcastable to [item, heads, query, key], True where it may attend; None for all.

        Args:
            layer: number of the block.
            axis: of its tokens.
            rows: the one query of each item, [item]; None for all.
        """
        ...

    def attend(
        self,
        layer: int,
        normed: Tensor,
        axis: TokenAxis,
        rows: Tensor | None = None,
        moving: Tensor | None = None,
    ) -> Attended:
        """Compute the attention of a block from what `norm` returns.

        Args:
            layer: number of the block.
            normed: [item, token, dim].
            axis: of these tokens.
            rows: [item]; compute these query rows only.
            moving: [item]; the one token of each input that is on the graph, where the others are constants. Queries,
                keys and values of the others may then be left off the graph.
        """
        ...

    def output_projection(self, layer: int, output: Tensor) -> Tensor:
        """Apply the output projection of a block to its concatenated heads, [item, query, dim]."""
        ...

    def after_attention(self, layer: int, hidden: Tensor, output: Tensor) -> Tensor:
        """Apply the rest of a block: residual additions and the feed-forward part; rows as in `output`."""
        ...


@runtime_checkable
class JointTokens(Staged, Protocol):
    """An encoder whose single tokens can be read in the joint space."""

    def project(self, tokens: Tensor) -> Tensor:
        """Tokens behind the last block (below a pooling head) to the joint space, not normalised, [..., joint]."""
        ...


@runtime_checkable
class LocalTokens(JointTokens, Protocol):
    """An encoder that was trained with single tokens of one of its stages in the joint space (GLoRIA)."""

    @property
    def local_stage(self) -> int:
        """The stage whose output `project_local` reads."""
        ...

    def project_local(self, tokens: Tensor) -> Tensor:
        """Tokens behind that stage to the joint space, not normalised, [..., joint]."""
        ...


@runtime_checkable
class Resizable(Staged, Protocol):
    """An encoder of images that reads other sizes than it was trained on through interpolated position embeddings."""

    @property
    def patch(self) -> Size:
        """(height, width) of one patch, pixels."""
        ...

    @property
    def size(self) -> Size:
        """(height, width) of the images that it was trained on, pixels."""
        ...


def single_row(hidden: Tensor, position: Tensor) -> Tensor:
    """Row position[i] of item i of [item, token, dim], [item, 1, dim]."""
    return hidden[torch.arange(len(hidden), device=hidden.device), position][:, None]


def staged(encoder: Encoder) -> Staged:
    """The encoder as a chain of stages.

    Raises:
        UnsupportedModel: a black box, of which only scores are known.
    """
    if not isinstance(encoder, Staged):
        raise UnsupportedModel(
            f"Expected a model whose {encoder.modality} encoder gives embeddings, got one that only scores pairs. "
            "Use a method that needs no more (rise, kernel-shap, occlusion)."
        )
    return encoder
