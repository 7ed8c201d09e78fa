"""Activations and gradients recorded from one forward pass of each tower: the input of every method.

One forward pass records query, key, value and attention output of each block; one backward pass gives the gradient of
the score at the attention outputs. Attention itself stays fused; its rows are recomputed from query and key where a
method reads them.
"""

# torch's stubs leave unflatten, split and tolist untyped.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.model import Attended, Model, Tower
from matex.errors import InputError
from matex.forward_pass import FROM_INPUT as FROM_INPUT  # plug-ins import it from here
from matex.forward_pass import ForwardPass, at_least_float32, embed, run
from matex.geometry import Size
from matex.gradients import Gradients
from matex.phrase_cache import embed_phrase
from matex.priors.image_context import ImageContext
from matex.priors.spatial import SpatialPrior

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

T = TypeVar("T")


class Trace:
    """Activations and gradients of one tower for a batch of image-text pairs.

    Several pairs may share an input: each input is run once, `item` says which input a pair uses.
    A `layer` is a block's number from 0 on or, negative, from the end; `InputError` for one that is not there.

    Args:
        forward: recorded pass over the different inputs.
        item: input of each pair.
        target: the other side's embedding, unit norm; a constant.
        contexts: image regions that the phrase names, one per pair; only text-guided priors read them.
        model: that the towers belong to; only methods that read further phrases need it.
        other: forward pass of the other side and the input of it that each pair uses; likewise.
    """

    def __init__(
        self,
        forward: ForwardPass,
        item: Int[Tensor, " pair"],
        target: Float[Tensor, "pair joint"],
        contexts: Sequence[ImageContext] = (),
        model: Model | None = None,
        other: tuple[ForwardPass, Tensor] | None = None,
    ) -> None:
        self._forward = forward
        self._model = model
        self._other = other
        self._memo: dict[Hashable, Any] = {}
        self._priors: dict[tuple[str, str], list[SpatialPrior]] = {}
        self.tower = forward.tower
        self.item = item
        self.target = target.detach()
        self._gradients = Gradients(forward, item, self.target)
        self.contexts = tuple(contexts)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self.tower.depth

    @property
    def inputs(self) -> Tensor:
        """Different inputs, pixels [item, channel, height, width] or token ids [item, token]."""
        return self._forward.inputs

    @property
    def levels(self) -> Float[Tensor, "2 channel"] | None:
        """Black and white after the model's normalisation; None without preprocessing."""
        if self._model is None or self._model.preprocessing is None:
            return None
        return self._model.preprocessing.levels

    @property
    def logit_scale(self) -> float:
        """Inverse temperature that the model multiplies the score with; CLIP's 100 without a model."""
        return 100.0 if self._model is None else self._model.logit_scale

    @property
    def score(self) -> Float[Tensor, " pair"]:
        """Cosine similarity."""
        return (self._forward.embedding.detach()[self.item] * self.target).sum(-1)

    @property
    def embedding(self) -> Float[Tensor, "pair joint"]:
        """This tower's embedding, unit norm, off the graph."""
        return self._pairs(self._forward.embedding)

    @property
    def readout(self) -> Int[Tensor, " pair"]:
        """Position of the readout token."""
        return self._forward.readout[self.item]

    @property
    def grid(self) -> Size | None:
        """(rows, columns) of the patches; None on the text tower."""
        return self.tower.grid(self._forward.inputs)

    @property
    def patch(self) -> Size:
        """(height, width) of one patch, model pixels.

        Raises:
            ValueError: a trace without its model; `record` sets it.
        """
        if self._model is None:
            raise ValueError("Expected a trace made by matex.record, got one without its model: its patch is unknown.")
        return self._model.patch

    @property
    def content(self) -> Bool[Tensor, "pair token"]:
        """Mask of the tokens that carry content (patches, words)."""
        return self.tower.content(self._forward.inputs)[self.item]

    def query(self, layer: int) -> Float[Tensor, "pair heads head_dim"]:
        """Query of the readout token in block `layer`."""
        query = self._attended(layer).query
        return self._pairs(query[:, :, 0] if query.shape[2] == 1 else self._at_readout(query.transpose(1, 2)))

    def queries(self, layer: int) -> Float[Tensor, "pair heads token head_dim"]:
        """Query of every token in block `layer`."""
        return self._pairs(self._all_rows(layer).query)

    def key(self, layer: int) -> Float[Tensor, "pair heads token head_dim"]:
        """Key of every token in block `layer`."""
        return self._pairs(self._attended(layer).key)

    def value(self, layer: int) -> Float[Tensor, "pair heads token head_dim"]:
        """Value of every token in block `layer`."""
        return self._pairs(self._attended(layer).value)

    def outputs(self, layer: int) -> Float[Tensor, "pair token dim"]:
        """Attention output of every token, heads concatenated, before the output projection."""
        attended = self._attended(layer)
        if attended.output.shape[1] == 1:  # recorded for the readout token alone, where the graph starts
            attended = self._attend_all(layer)
        return self._pairs(attended.output)

    def attention_row(self, layer: int) -> Float[Tensor, "pair heads key"]:
        """Attention of the readout token to every token in block `layer`, rows sum to 1."""
        layer = self._number(layer)
        return self.memo(("attention row", layer), lambda: self._attention_row(layer))

    def _attention_row(self, layer: int) -> Float[Tensor, "pair heads key"]:
        query, key, *_ = self._attended(layer)
        query = query if query.shape[2] == 1 else self._at_readout(query.transpose(1, 2))[:, :, None]
        row = _attention(query, key, self._attendable(key.shape[2])[:, None, None])[:, :, 0]
        return self._pairs(row)

    def attention(self, layer: int) -> Float[Tensor, "pair heads query key"]:
        """Attention of every token to every token in block `layer`."""
        query, key, *_ = self._all_rows(layer)
        tokens = key.shape[2]
        mask = torch.ones(tokens, tokens, dtype=torch.bool, device=key.device)
        return self._pairs(_attention(query, key, mask.tril() if self.tower.causal else mask))

    def gradient(self, layer: int) -> Float[Tensor, "pair heads head_dim"]:
        """Gradient of the score at the readout token's attention output in block `layer`.

        That output is the concatenation of the heads before the output projection.
        """
        return self._gradients.at_readout(self._number(layer))

    def gradient_entry(self, target: Float[Tensor, "pair joint"] | None = None) -> Float[Tensor, "pair ..."]:
        """Gradient of the score at the tower's input: pixels [pair, channel, height, width], or the first block's input
        [pair, token, dim] on the text tower.

        Args:
            target: replaces the pairs' own targets in the product with the embedding.
        """
        return self._gradients.at_input(target)

    def gradient_rows(self, layer: int) -> Float[Tensor, "pair heads query head_dim"]:
        """Gradient of the score at every token's attention output in block `layer`.

        In the last block only the readout token's row reaches the score; the others are zero.
        """
        heads = self._attended(layer).value.shape[1]
        return self._gradients.all_tokens(self._number(layer)).output.unflatten(-1, (heads, -1)).transpose(1, 2)

    def gradient_hidden(self, layer: int) -> Float[Tensor, "pair token dim"]:
        """Gradient of the score at the input of block `layer`."""
        return self._gradients.all_tokens(self._number(layer)).hidden

    def gradient_normed(self, layer: int) -> Float[Tensor, "pair token dim"]:
        """Gradient of the score at the first norm's output in block `layer`."""
        return self._gradients.all_tokens(self._number(layer)).normed

    def to_grid(self, values: Float[Tensor, "pair token"]) -> Float[Tensor, "pair ..."]:
        """Values per token as the raw map of a method.

        Returns:
            [pair, rows, columns] on the image tower, special tokens dropped; [pair, token] on the text tower, NaN
            after the end of the shorter phrases of a batch.
        """
        if self.grid is None:
            padding = torch.arange(values.shape[1], device=values.device) > self.readout[:, None]
            return values.masked_fill(padding, torch.nan)
        return values[self.content].unflatten(0, (len(values), *self.grid))

    def priors(self, kind: str, laterality: str) -> list[SpatialPrior]:
        """The spatial prior of each pair's phrase on the patch grid, cached."""
        if (kind, laterality) not in self._priors:
            self._priors[kind, laterality] = [context.prior(kind, laterality) for context in self.contexts]
        return self._priors[kind, laterality]

    def scores(self, inputs: Tensor, item: int) -> Float[Tensor, "input pair"]:
        """Scores of other inputs against the targets of an item's pairs, the model as a black box; no graph.

        Args:
            inputs: pixels [input, channel, height, width] or token ids [input, token].
            item: index of the input whose pairs supply the targets.

        Returns:
            One column for each pair of the item, in the order of the pairs.
        """
        with torch.inference_mode(False), torch.no_grad():
            embedding = embed(self.tower, self.tower.embed(inputs), self.tower.readout(inputs))
            return embedding @ self.target[self.item == item].T

    def embed_hidden(
        self, layer: int, hidden: Float[Tensor, "batch token dim"], readout: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch joint"]:
        """Embedding, unit norm, from hidden states as input of block `layer`; differentiable.

        Args:
            layer: first block that is run.
            hidden: its input, of any pairs.
            readout: position of the readout token.
        """
        return embed(self.tower, hidden, readout, layer)

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
        tower = forward.tower
        with torch.no_grad():
            last = tower.depth - 1  # recorded for the readout token alone: run this block for all tokens
            hidden = forward.hidden[last]
            hidden = tower.after_attention(last, hidden, tower.attend(last, hidden).output)
            embeddings = F.normalize(at_least_float32(tower.project(hidden.flatten(0, 1))), dim=-1)
        mask = tower.content(forward.inputs)
        if readout:
            mask = mask | F.one_hot(forward.readout, mask.shape[1]).bool()
        return embeddings.unflatten(0, hidden.shape[:2])[item], mask[item]

    def memo(self, key: Hashable, work: Callable[[], T]) -> T:
        """Result of `work`, computed once per key and cached with the trace."""
        if key not in self._memo:
            self._memo[key] = work()
        return self._memo[key]

    def hidden(self, layer: int) -> Float[Tensor, "pair token dim"]:
        """Input of block `layer`."""
        return self._forward.hidden[self._number(layer)].detach()[self.item]

    def normed(self, layer: int) -> Float[Tensor, "pair token dim"]:
        """Output of the first norm of block `layer`, which its attention reads."""
        layer = self._number(layer)
        with torch.no_grad():
            return self._pairs(self.tower.norm(layer, self._forward.hidden[layer]))

    def rerun(self, tower: Tower, first: int) -> Trace:
        """Trace of the same pairs with the blocks from `first` on run by another tower, all of them on the graph."""
        above = self._forward.rerun(first, tower)
        combined = replace(
            above,
            hidden=self._forward.hidden[:first] + above.hidden,
            attended=self._forward.attended[:first] + above.attended,
        )
        return Trace(combined, self.item, self.target, self.contexts, self._model, self._other)

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
        if isinstance(phrase, str) and phrase and model.tokenizer is None:
            raise InputError(f"Expected token ids, since {model.name!r} came with no tokenizer, got {phrase!r}.")

        if phrase == "":
            ids = texts.inputs[0, [0, int(texts.readout[0])]].tolist()
        else:
            ids = list(model.encode(phrase).ids if isinstance(phrase, str) else phrase)
            if len(ids) > model.context or not all(0 <= token < model.vocabulary for token in ids):
                raise InputError(
                    f"Expected at most {model.context} token ids from 0 to {model.vocabulary - 1}, got {phrase!r}."
                )
        return self.memo(("text", tuple(ids)), lambda: embed_phrase(model, tuple(ids), texts.inputs.device))

    def _number(self, layer: int) -> int:
        """The number of a block from 0 on; negative ones count from the end.

        Raises:
            InputError: no such block.
        """
        depth = self.depth
        if not -depth <= layer < depth:
            raise InputError(
                f"Expected layer from {-depth} to {depth - 1} on this tower of {depth} blocks, got {layer}."
            )
        return layer % depth

    def _attended(self, layer: int) -> Attended:
        """Attention half of a block as recorded."""
        return self._forward.attended[self._number(layer)]

    def _all_rows(self, layer: int) -> Attended:
        """Attention half of a block for every query; that of the last block is recorded for the readout token alone."""
        attended = self._attended(layer)
        return attended if attended.query.shape[2] > 1 else self._attend_all(layer)

    def _attend_all(self, layer: int) -> Attended:
        """Attention half of a block recomputed for every query, off the graph; cached."""
        layer = self._number(layer)
        with torch.no_grad():
            return self.memo(("attended", layer), lambda: self.tower.attend(layer, self._forward.hidden[layer]))

    def _attendable(self, tokens: int) -> Bool[Tensor, "item token"]:
        """Mask of the tokens that the readout token may attend to."""
        position = torch.arange(tokens, device=self._forward.readout.device)
        limit = self._forward.readout[:, None] if self.tower.causal else tokens
        return (position <= limit).expand(len(self._forward.readout), tokens)

    def _at_readout(self, values: Tensor) -> Tensor:
        """Entry of the readout token in [item, token, ...]."""
        return values[torch.arange(len(values), device=values.device), self._forward.readout]

    def _pairs(self, values: Tensor) -> Tensor:
        """Values per input to values per pair, off the graph, at least float32."""
        values = at_least_float32(values.detach())
        return values if len(self.item) == len(values) and _in_order(self.item) else values[self.item]


@dataclass(frozen=True, eq=False)
class PairTrace:
    """Traces of both towers for the same pairs."""

    image: Trace
    text: Trace


def record(
    model: Model,
    pixels: Float[Tensor, "image channel height width"],
    token_ids: Int[Tensor, "phrase token"],
    pairs: Sequence[tuple[int, int]] | None = None,
    *,
    image_gradient_blocks: int = 0,
    text_gradient_blocks: int = 0,
    contexts: Sequence[ImageContext] = (),
) -> PairTrace:
    """Run both towers once over the different images and phrases and set up the pairs to be explained.

    Args:
        model: two towers.
        pixels: normalised.
        token_ids: special tokens included.
        pairs: (image, phrase) indices; by default the i-th image with the i-th phrase.
        image_gradient_blocks: number of last image blocks whose gradients methods will read; a hint that saves time.
        text_gradient_blocks: the same for the text tower.
        contexts: one per pair.

    Raises:
        ValueError: numbers of images and phrases that do not pair up.

    Examples:
        >>> pixels, placement = model.prepare(film)
        >>> trace = matex.record(model, pixels, model.batch([model.encode(phrase)]))
        >>> trace.image.to_grid(trace.image.attention_row(0).mean(dim=1)).shape[1:] == placement.grid
        True
    """
    if pairs is None:
        if len(pixels) != len(token_ids):
            raise ValueError(f"Expected as many phrases as images ({len(pixels)}), got {len(token_ids)}. Give pairs=.")
        pairs = [(i, i) for i in range(len(pixels))]
    image, text = (
        run(model.image, pixels, image_gradient_blocks),
        run(model.text, token_ids, text_gradient_blocks),
    )
    which = torch.tensor(pairs, device=pixels.device).reshape(-1, 2).T
    return PairTrace(
        Trace(image, which[0], text.embedding[which[1]], contexts, model, (text, which[1])),
        Trace(text, which[1], image.embedding[which[0]], contexts, model, (image, which[0])),
    )


def _attention(
    query: Float[Tensor, "item heads query head_dim"], key: Float[Tensor, "item heads key head_dim"], mask: Tensor
) -> Float[Tensor, "item heads query key"]:
    """softmax(q k^T / sqrt(head_dim)) in at least float32."""
    query, key = at_least_float32(query.detach()), at_least_float32(key.detach())
    logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    return logits.masked_fill(~mask, -torch.inf).softmax(dim=-1)


def _in_order(item: Tensor) -> bool:
    return item.tolist() == list(range(len(item)))
