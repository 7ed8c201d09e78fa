"""Both towers run once over images and phrases: the traces that methods read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from matex.adapters.encoder import staged
from matex.adapters.model import Model
from matex.errors import InputError
from matex.forward_pass import run
from matex.objectives import Objective, Scoring
from matex.phrase_cache import embed_phrases
from matex.priors.image_context import ImageContext
from matex.trace import Trace

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class PairTrace:
    """Traces of both towers for the same pairs."""

    image: Trace
    text: Trace


def record(
    model: Model,
    pixels: Float[Tensor, "image channel height width"],
    token_ids: Tensor,
    pairs: Sequence[tuple[int, int]] | None = None,
    *,
    image_gradient_blocks: int = 0,
    text_gradient_blocks: int = 0,
    contexts: Sequence[ImageContext] = (),
    other_contexts: Sequence[ImageContext] = (),
    objective: Objective | None = None,
    further: Int[Tensor, "phrase token"] | None = None,
) -> PairTrace:
    """Run both towers once over the different images and phrases and set up the pairs to be explained.

    Args:
        model: two towers.
        pixels: normalised.
        token_ids: [phrase, token]; pixels or spectrograms where the other side of the pairs has no words.
        pairs: (image, phrase) indices; by default the i-th image with the i-th phrase.
        image_gradient_blocks: number of last image blocks whose gradients methods will read; a hint that saves time.
        text_gradient_blocks: the same for the text tower.
        contexts: one per pair.
        other_contexts: likewise, of the image or sound that a pair of `Model.between` compares with; those of a phrase
            are the image's.
        objective: of the scores of each pair's phrase and of further phrases; None for the phrase's score.
        further: the further phrases that the objective reads.

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
    image = run(staged(model.image), pixels, image_gradient_blocks)
    text = run(staged(model.text), token_ids, text_gradient_blocks)
    widths = image.embedding.shape[-1], text.embedding.shape[-1]
    if widths[0] != widths[1]:
        raise InputError(
            f"Expected embeddings of both sides in one space, got {widths[0]} and {widths[1]} dimensions from "
            f"{model.name!r}. Give projections of the same width."
        )
    which = torch.tensor(pairs, device=pixels.device).reshape(-1, 2).T
    targets = text.embedding[which[1]].detach(), image.embedding[which[0]].detach()
    scorings: tuple[Scoring | None, Scoring | None] = (None, None)
    if objective is not None and further is not None:
        more = embed_phrases(model, further)
        phrases = torch.cat([targets[0][:, None], more.to(targets[0]).expand(len(which[0]), -1, -1)], dim=1)
        by_image = Scoring(objective, phrases)
        by_words = Scoring(objective, targets[1][:, None], torch.einsum("pj,nj->pn", targets[1], more.to(targets[1])))
        targets = by_image.gradient(targets[1])[0], by_words.gradient(targets[0])[0]
        scorings = by_image, by_words
    contexts_of = contexts, other_contexts or contexts
    return PairTrace(
        Trace(image, which[0], targets[0], contexts_of[0], model, (text, which[1]), scorings[0]),
        Trace(text, which[1], targets[1], contexts_of[1], model, (image, which[0]), scorings[1]),
    )
