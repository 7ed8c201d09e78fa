"""SigLIP 2 NaFlex: a SigLIP whose image grid has the aspect ratio of the film.

Checkpoints of SigLIP 2 with a fixed size are SigLIPs (model_type "siglip") and load in `siglip.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from matex.adapters import siglip
from matex.adapters.checkpoint import unwrap
from matex.adapters.encoder import State
from matex.adapters.library import Network, build_as
from matex.adapters.preprocessing import Preprocessing, unstated
from matex.errors import CheckpointError, InputError, shown
from matex.geometry import Size


@dataclass(frozen=True, eq=False)
class ImageTower(siglip.ImageTower):
    """SigLIP's image tower over a grid of any shape; `size` is the square of its position embeddings.

    The library pads the patches of a batch to one length and masks the padding. Inputs here are images of one shape, so
    that no patch is padding and the embeddings are the library's.
    """

    def start(self, entry: Tensor, inputs: Tensor) -> State:
        axis = self.axis(entry)
        # One shape for all items: the library interpolates the positions once and adds them to every item.
        return State(self.embeddings(flat_patches(entry, self.patch), torch.tensor([axis.grid])), axis)

    def library_inputs(self, pixels: Tensor) -> dict[str, Tensor]:
        """Arguments of the library's own forward for these pixels [item, channel, height, width]."""
        patches, axis = flat_patches(pixels, self.patch), self.axis(pixels)
        shapes = torch.tensor([axis.grid] * len(pixels), device=pixels.device)
        return {"pixel_values": patches, "pixel_attention_mask": axis.valid.long(), "spatial_shapes": shapes}


def flat_patches(pixels: Tensor, patch: Size) -> Tensor:
    """Cut [item, channel, height, width] into [item, token, value]; values ordered by row, column and channel.

    Rows and columns at the bottom and the right that fill no patch are left out.
    """
    cells = pixels.unfold(2, patch[0], patch[0]).unfold(3, patch[1], patch[1])
    return cells.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


def build(config: Mapping[str, object], tensors: Mapping[str, object], source: str) -> nn.Module:
    """Build transformers' Siglip2Model with these weights.

    Raises:
        CheckpointError: weights that do not fit the configuration, or position embeddings that fill no square.
    """
    module: Network = build_as("Siglip2Model", config, unwrap(tensors, "logit_bias", source), source)
    patches: int = module.config.vision_config.num_patches
    if math.isqrt(patches) ** 2 != patches:
        raise CheckpointError(
            f"Expected position embeddings of a square grid in {shown(source)}, got num_patches {patches}. "
            "Correct config.json."
        )
    return module


def prepare(settings: Mapping[str, object], module: Network) -> Preprocessing:
    """The preprocessing from the settings of Siglip2ImageProcessor: as many patches as fit, aspect ratio preserved.

    Where a caller overrides the resizing (resize="pad", ...), films become squares of at most as many patches.

    Raises:
        InputError: settings without the number of patches, the mean or the deviation, or of other patches.
    """
    side = int(module.config.vision_config.patch_size)
    limit = settings.get("max_num_patches")
    if not isinstance(limit, int) or limit < 1 or settings.get("patch_size", side) != side:
        raise InputError(
            f"Expected max_num_patches of 1 or more and patch_size {side} in preprocessor_config.json of a SigLIP 2 "
            f"with images of any shape, got {shown(limit)} and {shown(settings.get('patch_size'))}. Give the model's "
            "own Siglip2ImageProcessor."
        )
    square = math.isqrt(limit) * side
    bilinear = 2  # default of Siglip2ImageProcessor, where CLIP's is bicubic
    complete = {"resample": bilinear, **settings, "size": {"height": square, "width": square}}
    if absent := unstated(complete):
        raise InputError(
            f"Expected {', '.join(absent)} in preprocessor_config.json of a SigLIP 2, got none. Save the image "
            "processor again with save_pretrained, which writes all settings."
        )
    return replace(Preprocessing.from_processor(complete, (square, square)), max_patches=limit)


adapt = partial(siglip.adapt, tower=ImageTower)
