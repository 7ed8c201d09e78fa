"""Superpixels: pieces of an image that follow its own edges."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from matex.errors import MissingExtra


def superpixels(pixels: Tensor, segments: int) -> Tensor:
    """Index of the superpixel of each pixel, from 0, [height, width].

    Every channel is first stretched to its own range, which takes a model's normalisation off a grey film, and smoothed
    with a Gaussian of one pixel: without it, noise tears superpixels to pieces, which are then joined to a few large
    ones.

    Args:
        pixels: [channel, height, width], normalised or not.
        segments: about how many there should be. Small ones are joined to their neighbours, so there may be fewer.

    Raises:
        ImportError: scikit-image is not installed.

    Source:
        "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods", doi:10.1109/TPAMI.2012.120, as scikit-image
        does it, with its default compactness of 10.
    """
    try:
        from skimage import segmentation
    except ImportError as error:
        raise MissingExtra("Superpixels need scikit-image: pip install matex[superpixels]") from error

    values = pixels.detach().double().cpu()
    low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
    stretched = (values - low) / torch.where(high > low, high - low, 1.0)
    found = cast(Any, segmentation).slic(  # scikit-image annotates nothing
        stretched.numpy(), n_segments=segments, sigma=1, start_label=0, channel_axis=0
    )
    return torch.from_numpy(found).to(pixels.device)
