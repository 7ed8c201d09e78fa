"""Another resolution than a model was trained at: position embeddings interpolated to a finer grid."""

from __future__ import annotations

from dataclasses import replace

from matex.adapters import clip, siglip, siglip2
from matex.adapters.model import Model
from matex.adapters.preprocessing import Preprocessing
from matex.errors import InputError, UnsupportedModel

LARGEST = 8  # times the trained side


def at_resolution(model: Model, side: int) -> Model:
    """The model reading films at another resolution; its preprocessing is enlarged as a whole.

    Attention and memory grow with the fourth power of the side. The network was not trained at this resolution, which
    a note of every explanation says.

    Args:
        model: with position embeddings of a grid of patches (CLIP, SigLIP and what has their image towers).
        side: of the model's square input, pixels, a multiple of its patches.

    Raises:
        UnsupportedModel: an image encoder without position embeddings that can be interpolated, or one whose grid
            its image processor sets.
        InputError: a side that is no multiple of the patches or more than `LARGEST` times the trained one, or a model
            without preprocessing.
    """
    image = model.image
    if not isinstance(image, clip.ImageTower | siglip.ImageTower):
        raise UnsupportedModel(
            f"Expected a model whose position embeddings can be interpolated (CLIP, SigLIP), got {model.name!r}. Leave "
            "the resolution out."
        )
    if isinstance(image, siglip2.ImageTower):
        raise UnsupportedModel(
            f"Expected no resolution for {model.name!r}, which reads films of any shape. Set max_num_patches of its "
            "image processor for a finer grid."
        )
    trained, (height, width) = image.size, image.patch
    if side % height or side % width or not height <= side <= LARGEST * max(trained):
        raise InputError(
            f"Expected a resolution of whole patches of {height} x {width} pixels, at most {LARGEST * max(trained)}, "
            f"got {side}. The model was trained at {trained[0]} x {trained[1]}, {trained[0] // height} patches a side."
        )
    old = model.preprocessing
    if not isinstance(old, Preprocessing):
        raise InputError(
            f"Expected preprocessing in {model.name!r} to change its resolution, got none. Pixels that are passed to "
            "matex.attribute may have any number of whole patches."
        )
    ratio = side / max(old.size)
    between = old.resize_to
    preprocessing = replace(
        old,
        size=(side, side),
        by_way_of=None if old.by_way_of is None else round(old.by_way_of * ratio),
        resize_to=tuple(round(one * ratio) for one in between)
        if isinstance(between, tuple)
        else (None if between is None else round(between * ratio)),
    )
    note = (
        f"read at {side} x {side} pixels, trained at {trained[0]} x {trained[1]}: position embeddings are interpolated"
    )
    return replace(
        model,
        preprocessing=preprocessing,
        record={**model.record, "resolution": side},
        notes=(*model.notes, note),
    )
