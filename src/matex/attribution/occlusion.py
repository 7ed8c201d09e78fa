"""Occlusion: the loss of score when a window is covered, or a word is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from matex.attribution.shared.ablation import per_pair, score_subsets
from matex.attribution.shared.batching import batches
from matex.checks import check
from matex.forward_pass import encode
from matex.protocols import METHODS
from matex.trace import Trace

Scores = Callable[[Tensor], Tensor]
"""Scores of a batch of inputs, [input, target]."""


def windows(length: int, window: int, stride: int, like: Tensor) -> Tensor:
    """Pixels that each window covers along one axis, 0 or 1, [window, length]; the last one may be cut off."""
    first = torch.arange(-(-(length - window) // stride) + 1, device=like.device)[:, None] * stride
    pixel = torch.arange(length, device=like.device)
    return ((pixel >= first) & (pixel < first + window)).to(like)


@METHODS("occlusion")
@dataclass(frozen=True)
class Occlusion:
    """Fall of the score when a window is covered with the mean colour; on the text, when a token is left out.

    A pixel gets the average over the windows that cover it.

    Args:
        window: side of the square, model pixels; None for the model's patch.
        stride: from window to window, model pixels; None for the window's own size on each axis.
        batch_size: covered images run at once.
        progress: show a bar.

    Source:
        "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901, section 4.2, as captum does it: windows
        at the right and bottom border are cut off, not shifted; METHODS 9.
    """

    window: int | None = None
    stride: int | None = None
    batch_size: int = 64
    progress: bool = False

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("black box",)
    passes: ClassVar[str] = "1 forward, then 1 per window (one per patch)"
    source: ClassVar[str] = "Zeiler and Fergus, arXiv:1311.2901, section 4.2"
    equation: ClassVar[str] = "A_p = mean over windows that cover p of S(x) - S(x with the window in the mean colour)"
    errors: ClassVar[tuple[str, ...]] = (
        "Window and stride are rarely stated where it is compared with. The default is the model's patch, "
        "without overlap.",
    )

    def __post_init__(self) -> None:
        check(self.window is None or self.window >= 1, "window", "of 1 or more", self.window)
        check(self.stride is None or self.stride >= 1, "stride", "of 1 or more", self.stride)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def elements(self, trace: Trace, targets: Tensor, unit: bool = True) -> Tensor:
        """Attributions for targets [target, item, joint]: [target, item, height, width] or [target, item, token]."""

        def scores(item: int) -> Scores:
            return lambda some: encode(trace.tower, some, unit) @ targets[:, item].T

        one = self._pixels if trace.grid else self._tokens
        return torch.stack([one(trace, item, scores(item)) for item in range(len(trace.inputs))], dim=1)

    def __call__(self, trace: Trace) -> Tensor:
        one = self._pixels if trace.grid else self._tokens
        values = per_pair(
            trace, [one(trace, item, partial(trace.scores, item=item)) for item in range(len(trace.inputs))]
        )
        return values if trace.grid else trace.to_grid(values)

    def _pixels(self, trace: Trace, item: int, scores: Scores) -> Tensor:
        """[target, height, width]"""
        pixels = trace.inputs[item : item + 1]
        axes: list[Tensor] = []
        for length, patch in zip(pixels.shape[-2:], trace.patch, strict=True):
            # A recording of motion has a height of 1: window and stride are along its steps.
            window = 1 if length == 1 else self.window or patch
            stride = 1 if length == 1 else self.stride or window
            check(window <= length, "window", f"of at most {length} pixels, the image's side", window)
            check(stride <= window, "stride", f"of at most {window} pixels, the window, so that none is missed", stride)
            axes.append(windows(length, window, stride, pixels))
        vertical, horizontal = axes
        columns = len(horizontal)

        def run(start: int, stop: int) -> Tensor:
            which = torch.arange(start, stop, device=pixels.device)
            covered = vertical[which // columns, :, None] * horizontal[which % columns, None, :]
            return scores(trace.tower.fade(pixels, 1 - covered[:, None]))

        count = len(vertical) * columns
        covered = torch.cat(list(batches(run, count, self.batch_size, self.progress)))
        fall = torch.unflatten((scores(pixels) - covered).T, 1, (len(vertical), columns))
        vertical, horizontal = vertical.to(fall), horizontal.to(fall)
        times = vertical.sum(0)[:, None] * horizontal.sum(0)
        return vertical.T @ fall @ horizontal / times

    def _tokens(self, trace: Trace, item: int, scores: Scores) -> Tensor:
        """[target, token]; zero for special tokens, which are never left out."""
        ids = trace.inputs[item : item + 1]
        content = trace.tower.axis(ids).content[0]
        count = int(content.sum())
        kept = torch.cat([~torch.eye(count, dtype=torch.bool), torch.ones(1, count, dtype=torch.bool)])
        found = score_subsets(scores, trace.tower, ids, kept, self.batch_size, self.progress)
        fall = found.new_zeros(found.shape[1], ids.shape[1])
        fall[:, content] = (found[-1] - found[:-1]).T
        return fall
