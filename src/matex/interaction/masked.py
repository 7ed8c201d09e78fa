"""Embeddings of a film with places covered and of a phrase with words removed."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from matex.attribution.shared.ablation import segment_masks
from matex.attribution.shared.batching import batches
from matex.forward_pass import ForwardPass, encode


def masked_images(
    image: ForwardPass, segments: Tensor, masks: Tensor, batch_size: int, progress: bool = False
) -> Tensor:
    """Embeddings of an image in which only the segments of a mask are left, [mask, joint].

    Args:
        image: its pass.
        segments: number of the segment of each pixel, [height, width].
        masks: which segments stay, bool [mask, segment]; the others take the mean colour.
        batch_size: images run at once.
        progress: show a bar.
    """

    def embed(start: int, stop: int) -> Tensor:
        some = segment_masks(segments, masks[start:stop]).to(image.inputs)
        return encode(image.tower, image.tower.fade(image.inputs, some))

    return torch.cat(list(batches(embed, len(masks), batch_size, progress)))


def masked_phrases(text: ForwardPass, groups: Tensor, masks: Tensor, batch_size: int) -> Tensor:
    """Embeddings of a phrase in which only the words of a mask are left, [mask, joint].

    Args:
        text: its pass.
        groups: tokens of each word, bool [word, token].
        masks: which words stay, bool [mask, word]; the others are taken out of the phrase.
        batch_size: phrases run at once.
    """
    tower, ids = text.tower, text.inputs
    content = tower.axis(ids).content[0]
    rows = [tower.remove(ids, ~groups[~mask].any(dim=0)[content][None])[0] for mask in masks]
    phrases = [cast(list[int], row.tolist()) for row in rows]

    def embed(start: int, stop: int) -> Tensor:
        return encode(tower, tower.collate(phrases[start:stop]).to(ids.device))

    return torch.cat(list(batches(embed, len(phrases), batch_size)))
