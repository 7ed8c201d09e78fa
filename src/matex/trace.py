"""What one pass through a tower saw: the one thing every method reads.

One forward keeps, per block, query, key, value and the attention output; one backward gives the gradient of the score
at the attention outputs. Attention itself stays fused; its rows are recomputed from query and key where a method reads
them. Towers are run block by block through the model's own layers, so the model is never patched or switched, and
threads may share it.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.model import Attended, Model, Tower
from matex.errors import InputError
from matex.geometry import Size
from matex.priors.image_context import ImageContext
from matex.priors.spatial import SpatialPrior

T = TypeVar("T")

FROM_INPUT = sys.maxsize  # as `gradient_blocks`: gradients of all blocks and of what enters the first
_SIDE_BY_SIDE = 8  # backwards at a time; bounds the memory of many phrases on one image


@dataclass(frozen=True, eq=False)
class Pass:
    """One forward through a tower for a batch of different inputs, before any question is asked of it.

    Args:
        tower: what was run.
        inputs: pixels [item, channel, height, width] or token ids [item, token].
        hidden: input of each block, [item, token, dim].
        attended: attention half of each block; the last one for the readout token alone, and so the output of the
            first one on the graph.
        embedding: unit norm, [item, joint]; carries the graph.
        readout: position of the readout token, [item].
        graph_from: first block whose attention output is on the graph; depth when none is.
        entry: what enters the tower, when all of it is on the graph: pixels as `inputs`, or the first block's input on
            the text tower.
    """

    tower: Tower
    inputs: Tensor
    hidden: tuple[Tensor, ...]
    attended: tuple[Attended, ...]
    embedding: Tensor
    readout: Tensor
    graph_from: int
    entry: Tensor | None = None


def run(tower: Tower, inputs: Tensor, gradient_blocks: int = 0) -> Pass:
    """Run a tower over inputs, the last `gradient_blocks` blocks on the graph and nothing below them.

    `FROM_INPUT` blocks are all of it, with the pixels or token embeddings that enter.

    Raises:
        RuntimeError: fewer blocks seen than the tower has.
    """
    graph_from = tower.depth - min(gradient_blocks, tower.depth)
    with torch.inference_mode(False), torch.no_grad():
        inputs = inputs.clone() if inputs.is_inference() else inputs
        readout = tower.readout(inputs)
        if gradient_blocks == FROM_INPUT:
            entry = (inputs if tower.kind == "image" else tower.embed(inputs)).detach().clone().requires_grad_()
            with torch.enable_grad():
                hidden = tower.embed(entry) if tower.kind == "image" else entry
            return replace(_continue(tower, inputs, hidden, readout, 0, 0, cut=False), entry=entry)
        return _continue(tower, inputs, tower.embed(inputs), readout, 0, graph_from)


def _continue(
    tower: Tower, inputs: Tensor, hidden: Tensor, readout: Tensor, first: int, graph_from: int, cut: bool = True
) -> Pass:
    """Run the blocks from `first` on, keeping what each saw; the graph is cut off below `graph_from`, or goes on."""
    entered: list[Tensor] = []
    attended: list[Attended] = []
    for layer in range(first, tower.depth):
        last = layer == tower.depth - 1
        entered.append(hidden)
        moving = readout if cut and layer == graph_from + 1 else None  # above its start the graph is one token wide
        with torch.set_grad_enabled(layer > graph_from or not cut):
            seen = tower.attend(layer, hidden, readout if last else None, moving)
            asked = _rows(hidden, readout) if last else hidden
            hidden = tower.after_attention(layer, asked, seen.output)
        if layer == graph_from and cut:
            # The graph starts at the readout token's attention output; what other tokens carry on is a constant.
            at = torch.zeros_like(readout) if last else readout
            seen = seen._replace(output=_rows(seen.output, at).detach().requires_grad_())
            with torch.enable_grad():
                row = tower.after_attention(layer, _rows(asked, at), seen.output)[:, 0]
                hidden = hidden.index_put((torch.arange(len(at), device=at.device), at), row)
        attended.append(seen)
    if len(attended) != tower.depth - first:
        raise RuntimeError(f"Expected to see {tower.depth - first} blocks, saw {len(attended)}.")
    with torch.set_grad_enabled(graph_from < tower.depth):
        embedding = F.normalize(at_least_float32(tower.project(hidden[:, 0])), dim=-1)
    return Pass(tower, inputs, tuple(entered), tuple(attended), embedding, readout, graph_from)


def embed(tower: Tower, hidden: Tensor, readout: Tensor, first: int = 0, unit: bool = True) -> Tensor:
    """What the tower makes of the input of one of its blocks [row, token, dim]; keeps nothing, differentiable.

    Args:
        tower: to run.
        hidden: input of block `first`; of the first one as `tower.embed` returns it.
        readout: position of the readout token, [row].
        first: block to begin with; those below are not run.
        unit: normalise to unit length; False leaves the projection as it is.

    Returns:
        [row, joint], at least float32.
    """
    for layer in range(first, tower.depth):
        last = layer == tower.depth - 1
        output = tower.attend(layer, hidden, readout if last else None).output
        hidden = tower.after_attention(layer, _rows(hidden, readout) if last else hidden, output)
    embedding = at_least_float32(tower.project(hidden[:, 0]))
    return F.normalize(embedding, dim=-1) if unit else embedding


class _Wide(NamedTuple):
    """Gradients of the score in one block for all tokens, each [pair, token, dim]."""

    hidden: Tensor
    normed: Tensor
    output: Tensor


class Trace:
    """One tower's side of the question "why do this image and this text score as they do?", for a batch of pairs.

    Several pairs may share an input: each input is run once, `item` says which input a pair uses.
    A `layer` is a block's number from 0 on or, negative, from the end; `InputError` for one that is not there.

    Args:
        seen: the pass over the different inputs.
        item: input of each pair, [pair].
        target: the other side's embedding, unit norm, [pair, joint]; a constant.
        contexts: what the phrase says about places in the image, one per pair; only text-guided priors read it.
        model: what the towers belong to; only methods that read further phrases need it.
        other: the other side's pass, and which of its inputs each pair uses; likewise.
    """

    def __init__(
        self,
        seen: Pass,
        item: Tensor,
        target: Tensor,
        contexts: Sequence[ImageContext] = (),
        model: Model | None = None,
        other: tuple[Pass, Tensor] | None = None,
    ) -> None:
        self._seen = seen
        self._model = model
        self._other = other
        self._known: dict[Hashable, Any] = {}
        self._gradients: dict[int, Tensor] = {}
        self._entered: Tensor | None = None
        self._wide: dict[int, _Wide] = {}
        self._priors: dict[tuple[str, str], list[SpatialPrior]] = {}
        self.tower = seen.tower
        self.item = item
        self.target = target.detach()
        self.contexts = tuple(contexts)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self.tower.depth

    @property
    def inputs(self) -> Tensor:
        """The different inputs, pixels [item, channel, height, width] or token ids [item, token]."""
        return self._seen.inputs

    @property
    def levels(self) -> Tensor | None:
        """Black and white after the model's normalisation, [2, channel]; None when the model does not say."""
        if self._model is None or self._model.preprocessing is None:
            return None
        return self._model.preprocessing.levels

    @property
    def logit_scale(self) -> float:
        """What the model multiplies the score with, its inverse temperature; CLIP's 100 when it does not say."""
        return 100.0 if self._model is None else self._model.logit_scale

    @property
    def score(self) -> Tensor:
        """Cosine similarity, [pair]."""
        return (self._seen.embedding.detach()[self.item] * self.target).sum(-1)

    @property
    def embedding(self) -> Tensor:
        """This tower's embedding, unit norm, off the graph, [pair, joint]."""
        return self._pairs(self._seen.embedding)

    @property
    def readout(self) -> Tensor:
        """Position of the readout token, [pair]."""
        return self._seen.readout[self.item]

    @property
    def grid(self) -> Size | None:
        """(rows, columns) of the patches; None on the text tower."""
        return self.tower.grid(self._seen.inputs)

    @property
    def patch(self) -> Size:
        """(height, width) of one patch, model pixels.

        Raises:
            ValueError: a trace that was not made by `record`.
        """
        if self._model is None:
            raise ValueError("Expected a trace made by matex.record, got one without its model: its patch is unknown.")
        return self._model.patch

    @property
    def content(self) -> Tensor:
        """Tokens that carry content (patches, words), bool [pair, token]."""
        return self.tower.content(self._seen.inputs)[self.item]

    def query(self, layer: int) -> Tensor:
        """Query of the readout token in block `layer`, [pair, heads, head_dim]."""
        query = self._attended(layer).query
        return self._pairs(query[:, :, 0] if query.shape[2] == 1 else self._at_readout(query.transpose(1, 2)))

    def queries(self, layer: int) -> Tensor:
        """Query of every token in block `layer`, [pair, heads, token, head_dim]."""
        return self._pairs(self._all_rows(layer).query)

    def key(self, layer: int) -> Tensor:
        """[pair, heads, token, head_dim]."""
        return self._pairs(self._attended(layer).key)

    def value(self, layer: int) -> Tensor:
        """[pair, heads, token, head_dim]."""
        return self._pairs(self._attended(layer).value)

    def outputs(self, layer: int) -> Tensor:
        """Attention output of every token, heads concatenated, before the output projection, [pair, token, dim]."""
        seen = self._attended(layer)
        if seen.output.shape[1] == 1:  # the pass kept one row, of the last block or where its graph starts
            seen = self._attend_again(layer)
        return self._pairs(seen.output)

    def attention_row(self, layer: int) -> Tensor:
        """Attention of the readout token to every token in block `layer`, rows sum to 1, [pair, heads, key]."""
        layer = self._number(layer)
        return self.memo(("attention row", layer), lambda: self._attention_row(layer))

    def _attention_row(self, layer: int) -> Tensor:
        seen = self._attended(layer)
        query = seen.query if seen.query.shape[2] == 1 else self._at_readout(seen.query.transpose(1, 2))[:, :, None]
        row = _attention(query, seen.key, self._reach(seen.key.shape[2])[:, None, None])[:, :, 0]
        return self._pairs(row)

    def attention(self, layer: int) -> Tensor:
        """Attention of every token to every token in block `layer`, [pair, heads, query, key]."""
        seen = self._all_rows(layer)
        tokens = seen.key.shape[2]
        mask = torch.ones(tokens, tokens, dtype=torch.bool, device=seen.key.device)
        return self._pairs(_attention(seen.query, seen.key, mask.tril() if self.tower.causal else mask))

    def gradient(self, layer: int) -> Tensor:
        """Gradient of the score at the readout token's attention output in block `layer`, [pair, heads, head_dim].

        That output is the concatenation of the heads before the output projection; METHODS' `G`.
        """
        layer = self._number(layer)
        if layer not in self._gradients:
            self._backward(min(layer, self._seen.graph_from))
        return self._gradients[layer]

    def gradient_entry(self, target: Tensor | None = None) -> Tensor:
        """Gradient of the score at what enters the tower: pixels [pair, channel, height, width], or the first block's
        input [pair, token, dim] on the text tower.

        Args:
            target: what the embedding's product is taken with instead of `target`, [pair, joint].
        """
        if target is None and self._entered is not None:
            return self._entered
        seen = self._seen
        if seen.entry is None:  # the pass was not told
            seen = run(seen.tower, seen.inputs, FROM_INPUT)
        assert seen.entry is not None
        if target is None:
            self._backward(0, seen)
            assert self._entered is not None
            return self._entered
        turns = self._turns(seen.embedding, [seen.entry], target)
        return at_least_float32(torch.cat([gradient for (gradient,) in turns])[self._turn, self.item])

    def gradient_rows(self, layer: int) -> Tensor:
        """Gradient of the score at every token's attention output in block `layer`, [pair, heads, query, head_dim].

        In the last block only the readout token's row reaches the score; the others are zero.
        """
        heads = self._attended(layer).value.shape[1]
        return self._gradients_wide(layer).output.unflatten(-1, (heads, -1)).transpose(1, 2)

    def gradient_hidden(self, layer: int) -> Tensor:
        """Gradient of the score at the input of block `layer`, [pair, token, dim]."""
        return self._gradients_wide(layer).hidden

    def gradient_normed(self, layer: int) -> Tensor:
        """Gradient of the score at the first norm's output in block `layer`, [pair, token, dim]."""
        return self._gradients_wide(layer).normed

    def to_grid(self, values: Tensor) -> Tensor:
        """Values per token [pair, token] as the method's raw result.

        Returns:
            [pair, rows, columns] on the image tower, special tokens dropped; [pair, token] on the text tower, NaN
            behind the end of the shorter phrases of a batch.
        """
        if self.grid is None:
            behind = torch.arange(values.shape[1], device=values.device) > self.readout[:, None]
            return values.masked_fill(behind, torch.nan)
        return values[self.content].unflatten(0, (len(values), *self.grid))

    def priors(self, kind: str, laterality: str) -> list[SpatialPrior]:
        """The spatial prior of each pair's phrase on the patch grid, worked out once."""
        if (kind, laterality) not in self._priors:
            self._priors[kind, laterality] = [context.prior(kind, laterality) for context in self.contexts]
        return self._priors[kind, laterality]

    def scores(self, inputs: Tensor, item: int) -> Tensor:
        """Scores of other inputs against the targets of an item's pairs; no graph, nothing from inside the model.

        Args:
            inputs: pixels [input, channel, height, width] or token ids [input, token].
            item: input of the trace whose pairs give the targets.

        Returns:
            [input, pairs of the item], in the order of the pairs.
        """
        with torch.inference_mode(False), torch.no_grad():
            embedding = embed(self.tower, self.tower.embed(inputs), self.tower.readout(inputs))
            return embedding @ self.target[self.item == item].T

    def embed_hidden(self, layer: int, hidden: Tensor, readout: Tensor) -> Tensor:
        """Embedding when block `layer` receives these hidden states [batch, token, dim]; differentiable.

        Args:
            layer: first block that is run.
            hidden: what it receives, of any pairs.
            readout: position of the readout token, [batch].

        Returns:
            Unit norm, [batch, joint].
        """
        return embed(self.tower, hidden, readout, layer)

    def target_tokens(self, readout: bool) -> tuple[Tensor, Tensor]:
        """The single tokens behind `target`: each token of the other side, after its last block, in the joint space.

        Args:
            readout: count the readout token (CLS, EOS) among them.

        Returns:
            Embeddings [pair, token, joint], unit norm, no graph; and which of them count, bool [pair, token].

        Raises:
            RuntimeError: a trace that was set up without the other side.
        """
        if self._other is None:
            raise RuntimeError("Expected a trace that knows the other side's tokens. Set it up with matex.record.")
        seen, item = self._other
        with torch.no_grad():
            last = seen.tower.depth - 1  # the pass kept one row of this block: ask it again
            hidden = seen.hidden[last]
            hidden = seen.tower.after_attention(last, hidden, seen.tower.attend(last, hidden).output)
            embeddings = F.normalize(at_least_float32(seen.tower.project(hidden.flatten(0, 1))), dim=-1)
        counts = seen.tower.content(seen.inputs)
        if readout:
            counts = counts | F.one_hot(seen.readout, counts.shape[1]).bool()
        return embeddings.unflatten(0, hidden.shape[:2])[item], counts[item]

    def memo(self, key: Hashable, work: Callable[[], T]) -> T:
        """What `work` returns, worked out the first time this key is asked for."""
        if key not in self._known:
            self._known[key] = work()
        return self._known[key]

    def hidden(self, layer: int) -> Tensor:
        """Input of block `layer`, [pair, token, dim]."""
        return self._seen.hidden[self._number(layer)].detach()[self.item]

    def normed(self, layer: int) -> Tensor:
        """What the attention of block `layer` reads of its input: the first norm's output, [pair, token, dim]."""
        layer = self._number(layer)
        with torch.no_grad():
            return self._pairs(self.tower.norm(layer, self._seen.hidden[layer]))

    def rerun(self, tower: Tower, first: int) -> Trace:
        """The same pairs, the blocks from `first` on run by another tower, all of them on the graph."""
        seen = self._seen
        with torch.inference_mode(False), torch.no_grad():
            above = _continue(tower, seen.inputs, seen.hidden[first], seen.readout, first, first)
        whole = replace(
            above, hidden=seen.hidden[:first] + above.hidden, attended=seen.attended[:first] + above.attended
        )
        return Trace(whole, self.item, self.target, self.contexts, self._model, self._other)

    def embed_text(self, phrase: str | Sequence[int]) -> Tensor:
        """Unit-norm embedding of another phrase in the same joint space, [joint].

        It is kept with the model for as long as the text tower's weights stay what they are.

        Args:
            phrase: words, which need the model's tokenizer; or token ids, special tokens included. Empty words are the
                tokens that begin and end every phrase, which the pairs' own phrases show without a tokenizer.

        Raises:
            InputError: words, and a model without a tokenizer; or token ids that the model does not have.
            ValueError: a trace that was not made by `record`.
        """
        if self._model is None or self._other is None:
            raise ValueError(
                "Expected a trace made by matex.record, got one without its model: it cannot read phrases."
            )
        model, texts = self._model, self._seen if self.grid is None else self._other[0]
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
        return self.memo(("text", tuple(ids)), lambda: _embed_phrase(model, tuple(ids), texts.inputs.device))

    def _backward(self, lowest: int, seen: Pass | None = None) -> None:
        """One backward from the score to the attention outputs of all blocks from `lowest` on, and to what entered."""
        seen = seen or self._seen
        if lowest < seen.graph_from:  # the pass was not told that a method reads so far down: run from there again
            with torch.inference_mode(False), torch.no_grad():
                seen = _continue(seen.tower, seen.inputs, seen.hidden[lowest], seen.readout, lowest, lowest)
        outputs = [attended.output for attended in seen.attended[-(self.depth - lowest) :]]
        found: list[list[Tensor]] = [[] for _ in outputs]
        entered: list[Tensor] = []
        every = torch.arange(len(seen.readout), device=self.item.device)
        points = outputs if seen.entry is None else [*outputs, seen.entry]
        for gradients in self._turns(seen.embedding, points):
            for rows, gradient in zip(found, gradients, strict=False):  # [turn, item, token, dim]
                at = torch.zeros_like(seen.readout) if gradient.shape[2] == 1 else seen.readout
                rows.append(gradient[:, every, at])
            entered += gradients[len(outputs) :]
        heads = seen.attended[-1].value.shape[1]
        for layer, rows in zip(range(lowest, self.depth), found, strict=True):
            self._gradients[layer] = at_least_float32(torch.cat(rows)[self._turn, self.item].unflatten(-1, (heads, -1)))
        if entered:
            self._entered = at_least_float32(torch.cat(entered)[self._turn, self.item])

    def _gradients_wide(self, layer: int) -> _Wide:
        """Gradients for all tokens of block `layer`; found for the blocks above it on the way."""
        layer = self._number(layer)
        if layer in self._wide:
            return self._wide[layer]
        points: list[Tensor] = []
        with torch.inference_mode(False), torch.enable_grad():
            readout = self._seen.readout
            hidden = self._seen.hidden[layer].detach().clone().requires_grad_()
            for number in range(layer, self.depth):
                last = number == self.depth - 1
                normed = self.tower.norm(number, hidden)
                output = self.tower.attend_normed(number, normed, readout if last else None).output
                points += [hidden, normed, output]
                hidden = self.tower.after_attention(number, _rows(hidden, readout) if last else hidden, output)
            embedding = F.normalize(at_least_float32(self.tower.project(hidden[:, 0])), dim=-1)
        found: list[list[Tensor]] = [[] for _ in points]
        for gradients in self._turns(embedding, points):
            for some, gradient in zip(found, gradients, strict=True):
                some.append(gradient)
        each = [at_least_float32(torch.cat(some)[self._turn, self.item]) for some in found]
        row = torch.zeros_like(each[-2])
        each[-1] = row.index_put((torch.arange(len(row), device=row.device), self.readout), each[-1][:, 0])
        for number in range(layer, self.depth):
            at = 3 * (number - layer)
            self._wide[number] = _Wide(*each[at : at + 3])
        return self._wide[layer]

    @property
    def _turn(self) -> Tensor:
        """Which backward serves a pair: 0 for the first pair of its input, 1 for the second, ..., [pair]."""
        return (self.item[:, None] == self.item).tril(-1).sum(-1)

    def _turns(
        self, embedding: Tensor, points: Sequence[Tensor], target: Tensor | None = None
    ) -> Iterator[Sequence[Tensor]]:
        """Gradients of the scores at points of the graph, each [turn, item, ...], some turns at a time.

        Different inputs do not touch each other: one backward serves one pair of every input. The backwards for the
        first, second, ... pair of each input run side by side.
        """
        with torch.inference_mode(False), torch.enable_grad():
            target = self.target if target is None else target
            scores = (embedding[self.item.clone()] * target.clone()).sum(-1)
            turns = F.one_hot(self._turn).T.to(scores)  # [turn, pair]
            if len(turns) == 1:
                yield tuple(found[None] for found in torch.autograd.grad(scores, points, turns[0], retain_graph=True))
                return
            for some in turns.split(_SIDE_BY_SIDE):
                yield torch.autograd.grad(scores, points, some, retain_graph=True, is_grads_batched=True)

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
        """The attention half of a block as the pass kept it."""
        return self._seen.attended[self._number(layer)]

    def _all_rows(self, layer: int) -> Attended:
        """The attention half of a block for every query row; the pass may have kept one row of the last block."""
        seen = self._attended(layer)
        return seen if seen.query.shape[2] > 1 else self._attend_again(layer)

    def _attend_again(self, layer: int) -> Attended:
        """The attention half of a block for all rows, off the graph; once."""
        layer = self._number(layer)
        with torch.no_grad():
            return self.memo(("attended", layer), lambda: self.tower.attend(layer, self._seen.hidden[layer]))

    def _reach(self, tokens: int) -> Tensor:
        """Which tokens the readout token may attend to, bool [item, token]."""
        position = torch.arange(tokens, device=self._seen.readout.device)
        limit = self._seen.readout[:, None] if self.tower.causal else tokens
        return (position <= limit).expand(len(self._seen.readout), tokens)

    def _at_readout(self, values: Tensor) -> Tensor:
        """The readout token's entry of [item, token, ...]."""
        return values[torch.arange(len(values), device=values.device), self._seen.readout]

    def _pairs(self, values: Tensor) -> Tensor:
        """Values per input to values per pair, off the graph, at least float32."""
        values = at_least_float32(values.detach())
        return values if len(self.item) == len(values) and _in_order(self.item) else values[self.item]


@dataclass(frozen=True, eq=False)
class PairTrace:
    """Both towers' traces of the same pairs."""

    image: Trace
    text: Trace


def record(
    model: Model,
    pixels: Tensor,
    token_ids: Tensor,
    pairs: Sequence[tuple[int, int]] | None = None,
    *,
    image_gradient_blocks: int = 0,
    text_gradient_blocks: int = 0,
    contexts: Sequence[ImageContext] = (),
) -> PairTrace:
    """Run both towers once over the different images and phrases and set up the pairs to be explained.

    Args:
        model: two towers.
        pixels: [image, channel, height, width], normalised.
        token_ids: [phrase, token].
        pairs: (image, phrase) numbers; the i-th with the i-th otherwise.
        image_gradient_blocks: how many of the last image blocks methods will ask gradients of; a hint that saves time.
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


_PHRASES: weakref.WeakKeyDictionary[Model, dict[Hashable, Tensor]] = weakref.WeakKeyDictionary()
_PHRASES_KEPT = 256  # of each model


def _embed_phrase(model: Model, ids: tuple[int, ...], device: torch.device) -> Tensor:
    """Unit-norm embedding of a phrase, [joint]; kept with the model, since it is the same for every image."""
    known, key = _PHRASES.setdefault(model, {}), (ids, str(device), _state(model.text))
    if key not in known:
        if len(known) >= _PHRASES_KEPT:
            known.clear()
        known[key] = run(model.text, torch.tensor([ids], device=device)).embedding[0].detach()
    return known[key]


def _state(tower: Tower) -> Hashable:
    """Which weights a tower has: where they lie, how often torch has changed them, and a sample of their values.

    Writing through `Tensor.data` changes neither place nor count; the sample shows all but single entries changed so.
    """
    weights = [weight for some in tower.stages().values() for weight in some]
    with torch.inference_mode(False), torch.no_grad():
        sample = torch.stack([weight.flatten()[:: max(1, weight.numel() // 8)].double().sum() for weight in weights])
    return tuple((weight.data_ptr(), weight._version) for weight in weights), tuple(sample.tolist())


def _attention(query: Tensor, key: Tensor, mask: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(head_dim)) in at least float32, [item, heads, query, key]."""
    query, key = at_least_float32(query.detach()), at_least_float32(key.detach())
    logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    return logits.masked_fill(~mask, -torch.inf).softmax(dim=-1)


def _rows(hidden: Tensor, readout: Tensor) -> Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), readout][:, None]


def _in_order(item: Tensor) -> bool:
    return item.tolist() == list(range(len(item)))


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
