"""Inputs of an encoder: pixels, whose gradients are taken directly, or token ids, which are embedded first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from matex.adapters.encoder import State, TokenAxis
from matex.errors import InputError
from matex.geometry import Size


class Pixels:
    """An encoder of images [item, channel, height, width]."""

    differentiable_input: ClassVar[bool] = True

    def entry(self, inputs: Tensor) -> Tensor:
        return inputs

    def blank(self, inputs: Tensor) -> Tensor:
        """The mean colour, which is 0 after normalisation."""
        return torch.zeros_like(inputs)

    def fade(self, inputs: Tensor, mask: Tensor) -> Tensor:
        return inputs * mask

    def collate(self, rows: Sequence[Sequence[int]]) -> Tensor:
        raise TypeError("Expected an encoder of words to collate token ids, got one of pixels.")

    def remove(self, inputs: Tensor, kept: Tensor) -> Tensor:
        raise TypeError("Expected an encoder of words to remove words, got one of pixels. `fade` removes places.")


class Words(ABC):
    """An encoder of token ids [item, token]."""

    differentiable_input: ClassVar[bool] = False

    @abstractmethod
    def axis(self, inputs: Tensor) -> TokenAxis:
        """See `Encoder.axis`."""

    def start(self, entry: Tensor, inputs: Tensor) -> State:
        return State(entry, self.axis(inputs))

    def fade(self, inputs: Tensor, mask: Tensor) -> Tensor:
        raise TypeError("Expected an encoder of pixels or sounds to fade places, got one of words. `remove` deletes.")

    def remove(self, inputs: Tensor, kept: Tensor) -> Tensor:
        axis = self.axis(inputs)
        end = int(axis.valid[0].sum())
        stays = torch.ones(len(kept), end, dtype=torch.bool, device=inputs.device)
        stays[:, axis.content[0, :end]] = kept.to(inputs.device)
        return torch.unflatten(inputs[0, :end].expand(len(kept), end)[stays], 0, (len(kept), -1))


def stack_images(images: Sequence[Tensor]) -> Tensor:
    """Stack images [channel, height, width] of one shape to [image, channel, height, width].

    Raises:
        InputError: several shapes, which models that keep the aspect ratio of films read.
    """
    refuse_several_sizes((image.shape[-2], image.shape[-1]) for image in images)
    return torch.stack(list(images))


def refuse_several_sizes(sizes: Iterable[Size]) -> None:
    """Raise when images of a batch differ in (height, width).

    Raises:
        InputError: several sizes.
    """
    different = list(dict.fromkeys(sizes))
    if len(different) > 1:
        (first, second), shape = different[:2], "{0[0]} x {0[1]}"
        raise InputError(
            f"Expected films of one shape at the model's input, got {shape.format(first)} and {shape.format(second)} "
            "pixels: the model keeps each film's aspect ratio. Explain them one by one, or all as squares with "
            "resize='pad'."
        )


def patch_axis(inputs: Tensor, patch: Size, special: int = 0) -> TokenAxis:
    """Special tokens (CLS, registers) first, then the patches row by row; all are valid.

    Args:
        inputs: [item, channel, height, width].
        patch: (height, width) of one patch, pixels.
        special: number of special tokens.
    """
    rows, columns = inputs.shape[-2] // patch[0], inputs.shape[-1] // patch[1]
    valid = torch.ones(len(inputs), special + rows * columns, dtype=torch.bool, device=inputs.device)
    content = valid.clone()
    content[:, :special] = False
    return TokenAxis(valid, content, (rows, columns))
