"""Activations and gradients recorded from one forward pass of each tower: the input of every method.

One forward pass records query, key, value and attention output of each block; one backward pass gives the gradient of
the score at the attention outputs. Attention itself stays fused; its rows are recomputed from query and key where a
method reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.encoder import Attentive, Staged, State, TokenAxis
from matex.adapters.model import Model
from matex.errors import UnsupportedModel
from matex.forward_pass import FROM_INPUT as FROM_INPUT  # plug-ins import it from here
from matex.forward_pass import ForwardPass, at_least_float32, embed, encode, run
from matex.gradients import Gradients
from matex.joint_tokens import joint_tokens, last_tokens
from matex.objectives import Objective, Scoring
from matex.pairs import Pairs
from matex.phrase_cache import embed_phrase, phrase_ids
from matex.priors.image_context import ImageContext
from matex.recorded_attention import RecordedAttention

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Trace(Pairs):
    """Activations and gradients of one tower for a batch of image-text pairs.

    Several pairs may share an input: each input is run once, `item` says which input a pair uses.
    A `layer` is a block's number from 0 on or, negative, from the end; `InputError` for one that is not there.

    Args:
        forward: recorded pass over the different inputs.
        item: input of each pair.
        target: gradient of the score with respect to this side's embedding; a constant. The other side's embedding,
            unit norm, where the score is a cosine.
        contexts: image regions that the phrase names, one per pair; only text-guided priors read them.
        model: that the towers belong to; only methods that read further phrases need it.
        other: forward pass of the other side and the input of it that each pair uses; likewise.
        scoring: the score as a function of the embedding where it depends on several phrases; None for a cosine.
    """

    def __init__(
        self,
        forward: ForwardPass,
        item: Int[Tensor, " pair"],
        target: Float[Tensor, "pair joint"],
        contexts: Sequence[ImageContext] = (),
        model: Model | None = None,
        other: tuple[ForwardPass, Tensor] | None = None,
        scoring: Scoring | None = None,
    ) -> None:
        super().__init__(forward.tower, item, target, contexts, model)
        self._forward = forward
        self._other = other
        self._scoring = scoring
        self._attention = RecordedAttention(forward)
        self._gradients = Gradients(forward, item, self.target)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self.tower.depth

    @property
    def inputs(self) -> Tensor:
        """Different inputs, pixels [item, channel, height, width] or token ids [item, token]."""
        return self._forward.inputs

    @property
    def tower(self) -> Staged:
        """The encoder of this side."""
        return self._forward.tower

    @property
    def score(self) -> Float[Tensor, " pair"]:
        """Cosine similarity, or what the objective makes of several."""
        embedding = self._forward.embedding.detach()[self.item]
        return (embedding * self.target).sum(-1) if self._scoring is None else self._scoring.values(embedding)

    @property
    def objective(self) -> Objective | None:
        """The score as a function of the scores of several phrases; None for the score of one."""
        return None if self._scoring is None else self._scoring.objective

    @property
    def target_weight(self) -> Float[Tensor, " pair"]:
        """Sum of the weights of the unit vectors in `target`: 1 for a cosine, 0 for a contrast."""
        if self._scoring is None:
            return torch.ones_like(self.target[:, 0])
        return self._scoring.gradient(self.embedding)[1]

    @property
    def embedding(self) -> Float[Tensor, "pair joint"]:
        """This tower's embedding, unit norm, off the graph."""
        return self._pairs(self._forward.embedding)

    @property
    def target_grid(self) -> tuple[int, int] | None:
        """(rows, columns) of the other side's content tokens; None for words, or where the other side is not known."""
        return None if self._other is None else self._other[0].states[-1].axis.grid

    @property
    def readout(self) -> Int[Tensor, " pair"]:
        """Position of the one token that is read (CLS, the end token).

        Raises:
            UnsupportedModel: an encoder that pools several tokens or asks with a query of its own.
        """
        position = self._attention.readers.position
        if position is None:
            raise UnsupportedModel("Expected an encoder that is read at one token, got one that pools its tokens.")
        return position[self.item]

    @property
    def blocks(self) -> Attentive:
        """The encoder as transformer blocks.

        Raises:
            UnsupportedModel: an encoder without attention over all tokens.
        """
        return self._attention.blocks

    @property
    def attentive(self) -> bool:
        """Whether the encoder has attention over all tokens."""
        return self._forward.readers is not None

    def _axis_before(self, layer: int | None) -> TokenAxis:
        return self.axis if layer is None else self._forward.states[layer].axis

    def axis_at(self, layer: int) -> TokenAxis:
        """The tokens that enter block `layer`, of each pair; `depth` for those behind the last one."""
        return self._forward.states[layer].axis.select(self.item)

    @property
    def last_squeezed(self) -> int:
        """The highest block all of whose output tokens reach the score: the last one where they are pooled."""
        return len(self._forward.states) - 2

    @property
    def axis(self) -> TokenAxis:
        """The tokens that maps are given on, [item, token]."""
        return self._forward.states[-1].axis

    def one_reader(self, layer: int) -> bool:
        """Whether the score is reached through a single query of block `layer`: of CLS, the end token, or a head.

        Otherwise it is reached through all valid tokens, and methods sum over them.
        """
        return self._attention.one_reader(layer)

    @property
    def reading(self) -> Float[Tensor, "pair token"]:
        """Weight of each token's stream in the embedding, rows sum to 1.

        1 for CLS or the end token, the same share for all tokens that are pooled.
        """
        position = self._attention.readers.position
        weights = self.axis.valid if position is None else F.one_hot(position, self.axis.valid.shape[1])
        weights = weights.to(self.target)
        return (weights / weights.sum(dim=1, keepdim=True))[self.item]

    @property
    def pooling_head(self) -> bool:
        """Whether the last block is a pooling head with a query of its own, which no token's stream passes."""
        return self._attention.readers.own_query

    def query(self, layer: int) -> Float[Tensor, "pair heads head_dim"]:
        """The one query of block `layer` that is read, see `one_reader`."""
        return self._pairs(self._attention.query(layer))

    def queries(self, layer: int) -> Float[Tensor, "pair heads query head_dim"]:
        """Query of every token in block `layer`; a pooling head has one row."""
        return self._pairs(self._attention.complete(layer).query)

    def key(self, layer: int) -> Float[Tensor, "pair heads token head_dim"]:
        """Key of every token in block `layer`."""
        return self._pairs(self._attention.key(layer))

    def value(self, layer: int) -> Float[Tensor, "pair heads token head_dim"]:
        """Value of every token in block `layer`."""
        return self._pairs(self._attention.value(layer))

    def outputs(self, layer: int) -> Float[Tensor, "pair token dim"]:
        """Attention output of every token, heads concatenated, before the output projection."""
        return self._pairs(self._attention.output(layer))

    def attention_row(self, layer: int) -> Float[Tensor, "pair heads token"]:
        """Attention of the embedding to every token in block `layer`, rows sum to 1.

        The row of the one token that is read; with mean pooling the mean row of the tokens that are pooled; with a
        pooling head its own row, and in a block below it the head's query applied to that block's input.

        Source:
            METHODS 22; the last form is LeGrad's for attention pooling, arXiv:2404.03214, section 3.4.
        """
        number = self._attention.number(layer)
        return self.memo(("attention row", number), lambda: self._pairs(self._attention.row(number)))

    def attention(self, layer: int) -> Float[Tensor, "pair heads query token"]:
        """Attention of every token to every token in block `layer`; a pooling head has one query."""
        return self._pairs(self._attention.map(layer))

    def gradient(self, layer: int) -> Float[Tensor, "pair heads head_dim"]:
        """Gradient of the score at the attention output of the one query that is read in block `layer`.

        That output is the concatenation of the heads before the output projection. See `one_reader`; where there are
        several, `gradient_rows` has one row for each.
        """
        return self._gradients.at_readout(self._attention.number(layer))

    def run_backward(self) -> None:
        if self.attentive:
            self._gradients.at_outputs(self.depth - 1)
        else:
            self._gradients.at_input()

    def gradient_entry(self, target: Float[Tensor, "pair joint"] | None = None) -> Float[Tensor, "pair ..."]:
        """Gradient of the score at the tower's input: pixels [pair, channel, height, width], or the first block's input
        [pair, token, dim] on the text tower.

        Args:
            target: replaces the pairs' own targets in the product with the embedding.
        """
        return self._gradients.at_input(target)

    def gradient_rows(self, layer: int) -> Float[Tensor, "pair heads query head_dim"]:
        """Gradient of the score at every token's attention output in block `layer`.

        Where one token is read, only its row of the last block reaches the score; the others are zero. A pooling head
        has one row.
        """
        heads, layer = self._attention.recorded(layer).value.shape[1], self._attention.number(layer)
        single = self._attention.readers.position is not None
        rows = self._gradients.all_tokens(layer).output if single else self._gradients.at_outputs(layer)
        return torch.unflatten(rows, -1, (heads, -1)).transpose(1, 2)

    def gradient_hidden(self, layer: int) -> Float[Tensor, "pair token dim"]:
        """Gradient of the score at the input of block `layer`."""
        return self._gradients.all_tokens(self._attention.number(layer)).hidden

    def gradient_normed(self, layer: int) -> Float[Tensor, "pair token dim"]:
        """Gradient of the score at the first norm's output in block `layer`."""
        return self._gradients.all_tokens(self._attention.number(layer)).normed

    def stage_output(self, layer: int) -> tuple[Float[Tensor, "pair token dim"], Float[Tensor, "pair token dim"]]:
        """Output of a stage of an encoder without attention, and the gradient of the score there.

        Args:
            layer: number of the stage.
        """
        layer = self._attention.number(layer) + 1
        return self._pairs(self._forward.states[layer].hidden), self._gradients.at_stage(layer)

    def scores(self, inputs: Tensor, item: int) -> Float[Tensor, "input pair"]:
        with torch.inference_mode(False), torch.no_grad():
            found, pairs = encode(self.tower, inputs), self.item == item
            if self._scoring is None:
                return found @ self.target[pairs].T
            return self._scoring.of(pairs).values(found[:, None].expand(-1, int(pairs.sum()), -1))

    def state(self, layer: int) -> State:
        """Input of block `layer` of each pair, off the graph; `depth` is the last one's output."""
        return self.state_of_inputs(layer).select(self.item)

    def state_of_inputs(self, layer: int) -> State:
        """As `state`, of each different input."""
        state = self._forward.states[layer]
        return replace(state, hidden=state.hidden.detach(), earlier=tuple(e.detach() for e in state.earlier))

    def embed_state(self, layer: int, state: State) -> Float[Tensor, "batch joint"]:
        """Embedding from the input of block `layer`, unit norm, of any pairs; differentiable.

        Args:
            layer: first block that is run.
            state: its input.
        """
        return embed(self.tower, state, layer)

    def target_tokens(self, readout: bool) -> tuple[Float[Tensor, "pair token joint"], Bool[Tensor, "pair token"]]:
        """Tokens of the other side after its last block, projected to the joint space.

        Args:
            readout: count the readout token (CLS, EOS) among them.

        Returns:
            Embeddings, unit norm, no graph; and a mask of those that count.

        Raises:
            RuntimeError: a trace without the other side; `record` sets it.
        """
        if self._other is None:
            raise RuntimeError("Expected a trace that knows the other side's tokens. Set it up with matex.record.")
        forward, item = self._other
        embeddings, mask = last_tokens(forward, readout)
        return embeddings[item], mask[item]

    def project(self, tokens: Float[Tensor, "*any dim"]) -> Float[Tensor, "*any joint"]:
        """Tokens behind the last block (below a pooling head) to the joint space, not normalised.

        Raises:
            UnsupportedModel: an encoder that reads no single token in the joint space.
        """
        return joint_tokens(self.tower).project(tokens)

    def hidden(self, layer: int) -> Float[Tensor, "pair token dim"]:
        """Input of block `layer`."""
        return self._forward.states[self._attention.number(layer)].hidden.detach()[self.item]

    def normed(self, layer: int) -> Float[Tensor, "pair token dim"]:
        """Output of the first norm of block `layer`, which its attention reads."""
        layer = self._attention.number(layer)
        with torch.no_grad():
            return self._pairs(self.blocks.norm(layer, self._forward.states[layer].hidden))

    def retargeted(self, item: Int[Tensor, " pair"], target: Float[Tensor, "pair joint"]) -> Trace:
        """Trace of other pairs of the same inputs, whose score is the product of the embedding and any vectors.

        Args:
            item: input of each pair.
            target: the vector of each pair.
        """
        return Trace(self._forward, item, target, (), self._model)

    def with_inputs(self, inputs: Tensor, gradient_blocks: int = 0) -> Trace:
        """Trace of the same pairs with others in place of the inputs, such as the images at another resolution.

        Args:
            inputs: as many as before, [item, ...].
            gradient_blocks: see `record`.
        """
        forward = run(self.tower, inputs, gradient_blocks)
        return Trace(forward, self.item, self.target, self.contexts, self._model, self._other, self._scoring)

    def rerun(self, tower: Attentive, first: int) -> Trace:
        """Trace of the same pairs with the blocks from `first` on run by another encoder, all of them on the graph."""
        above = self._forward.rerun(first, tower)
        combined = replace(
            above,
            states=self._forward.states[:first] + above.states,
            attended=self._forward.attended[:first] + above.attended,
        )
        return Trace(combined, self.item, self.target, self.contexts, self._model, self._other, self._scoring)

    def embed_text(self, phrase: str | Sequence[int]) -> Float[Tensor, " joint"]:
        """Unit-norm embedding of another phrase in the same joint space.

        It is cached with the model for as long as the text tower's weights stay the same.

        Args:
            phrase: words, which need the model's tokenizer; or token ids, special tokens included. Empty words are the
                tokens that begin and end every phrase, which the pairs' own phrases show without a tokenizer.

        Raises:
            InputError: words, and a model without a tokenizer; or token ids that the model does not have.
            ValueError: a trace without its model; `record` sets it.
        """
        if self._model is None or self._other is None:
            raise ValueError(
                "Expected a trace made by matex.record, got one without its model: it cannot read phrases."
            )
        model, texts = self._model, self._forward if self.grid is None else self._other[0]
        ids = phrase_ids(model, phrase, texts)
        return self.memo(("text", ids), lambda: embed_phrase(model, ids, texts.inputs.device))

    def _pairs(self, values: Tensor) -> Tensor:
        """Values per input to values per pair, off the graph, at least float32."""
        values = at_least_float32(values.detach())
        return values if len(self.item) == len(values) and _in_order(self.item) else values[self.item]


def _in_order(item: Tensor) -> bool:
    return item.tolist() == list(range(len(item)))
