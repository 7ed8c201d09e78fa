"""Gradients along a straight path from a baseline to the input, shared by Integrated Gradients and GradientSHAP."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.attribution.shared.batching import batches
from matex.attribution.shared.input_gradients import gradients
from matex.errors import InputError
from matex.forward_pass import at_least_float32, embed
from matex.trace import Trace

_TARGETS = 8  # whose gradients at all points of a batch are held at once
Baseline = Literal["mean", "black", "white", "blur", "noise"]


@dataclass(frozen=True)
class Begin:
    """Starting points of the paths to each item.

    Args:
        at: at(item, start, stop), the starting points of steps start to stop, [1 or step, ...] as the entries.
        draws: number of different starting points per item; a single one serves every step.
    """

    at: Callable[[int, int, int], Tensor]
    draws: int = 1

    def __call__(self, item: int, start: int, stop: int) -> Tensor:
        return self.at(item, start, stop)


def starts(trace: Trace, baseline: Baseline, seed: int, draws: int = 1) -> Begin:
    """Starting points of the paths; one serves all steps, unless the baseline is noise with several samples.

    On the image: "mean" is 0 in normalised space, the mean colour of the model's training images; "black" and "white"
    are those colours after the model's normalisation; "blur" is the image under a Gaussian of a twentieth of its
    height; "noise" is standard normal in normalised space, the same for every image.
    On the text, whatever the name: content tokens keep their places and lose their words (zero embedding), special
    tokens stay.

    Raises:
        InputError: black or white, and a model that came without preprocessing; blur of a recording of motion.
    """
    if baseline == "noise" and trace.tower.differentiable_input and draws > 1:
        noise = _Noise(trace.inputs.shape[1:], seed, draws)
        return Begin(lambda item, start, stop: noise(start, stop).to(trace.inputs), draws)
    begin = _one_start(trace, baseline, seed)
    return Begin(lambda item, start, stop: begin[item : item + 1])


class _Noise:
    """Rows of one seeded draw of standard normal numbers, drawn as they are needed.

    Args:
        shape: of a row.
        seed: of the draw.
        rows: how many there are.
    """

    _GROUP = 16  # torch draws in blocks of 16 numbers, so groups of 16 rows continue each other as one draw would

    def __init__(self, shape: torch.Size, seed: int, rows: int) -> None:
        self._shape, self._seed, self._rows = shape, seed, rows
        self._generator = torch.Generator()
        self._groups: dict[int, Tensor] = {}
        self._next = 0

    def __call__(self, start: int, stop: int) -> Tensor:
        """Rows start to stop, float64 [row, ...]; cheap where calls go forward, drawn again from row 0 otherwise."""
        first, last = start // self._GROUP, (stop - 1) // self._GROUP
        if self._next == 0 or (first < self._next and first not in self._groups):
            self._generator.manual_seed(self._seed)
            self._groups, self._next = {}, 0
        while self._next <= last:
            rows = min(self._GROUP, self._rows - self._next * self._GROUP)
            group = torch.randn(rows, *self._shape, generator=self._generator, dtype=torch.float64)
            self._groups = {n: kept for n, kept in self._groups.items() if n >= first} | {self._next: group}
            self._next += 1
        rows = torch.cat([self._groups[group] for group in range(first, last + 1)])
        return rows[start - first * self._GROUP : stop - first * self._GROUP]


def _one_start(trace: Trace, baseline: Baseline, seed: int) -> Tensor:
    """Starting point of each item's path, [item, ...] as the entries."""
    inputs, tower = trace.inputs, trace.tower
    if not tower.differentiable_input:
        with torch.inference_mode(False), torch.no_grad():
            words = tower.axis(inputs).content[..., None]
            return torch.where(words, tower.blank(inputs), tower.entry(inputs))
    if baseline in ("black", "white"):
        if trace.levels is None:
            raise InputError(
                f"Expected a model that says how it normalises for baseline {baseline!r}, got one without "
                "preprocessing. Use baseline='mean'."
            )
        level = trace.levels[0 if baseline == "black" else 1].to(inputs)
        return level[:, None, None].expand_as(inputs)
    if baseline == "blur":
        if inputs.shape[-2] == 1:  # the width of the Gaussian follows the height, so that the input would be its own
            raise InputError("Expected baseline 'mean' or 'noise' on a recording of motion, got 'blur'. Take 'mean'.")
        return _blur(inputs)
    if baseline == "noise":
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(inputs.shape[1:], generator=generator, dtype=torch.float64)
        return noise.to(inputs).expand_as(inputs)
    return tower.blank(inputs)


def along(
    trace: Trace,
    targets: Tensor,
    begin: Begin,
    position: Tensor,
    weight: Tensor,
    unit: bool = True,
    batch_size: int = 32,
    progress: bool = False,
) -> Tensor:
    """sum over steps of weight times gradient at begin + position (input - begin), times (input - begin).

    Args:
        trace: gives tower and inputs.
        targets: [target, item, joint].
        begin: see `starts`.
        position: of each step between begin (0) and input (1), [step].
        weight: of each step, [step].
        unit: normalise the embedding.
        batch_size: points run at once with up to 8 targets, fewer with more, so that memory stays bounded.
        progress: show a bar.

    Returns:
        [target, item, ...] as the entries, not yet added up over channels or dimensions.
    """
    tower = trace.tower
    with torch.inference_mode(False), torch.no_grad():
        enters = tower.entry(trace.inputs)
    end = at_least_float32(enters)
    rows = max(1, batch_size // -(-len(targets) // _TARGETS))
    shape = (-1,) + (1,) * (end.dim() - 1)
    position, weight = position.to(end), weight.to(end)
    results: list[Tensor] = []
    for item in range(len(end)):

        def run(start: int, stop: int, item: int = item) -> Tensor:
            origin = at_least_float32(begin(item, start, stop))
            way = end[item] - origin
            points = (origin + position[start:stop].reshape(shape) * way).to(enters.dtype)
            steps = stop - start
            target = targets[:, item, None].expand(-1, steps, -1)
            inputs = trace.inputs[item : item + 1].expand(steps, *trace.inputs.shape[1:])
            found = gradients(tower, points, inputs, target, unit)
            return (found * (way * weight[start:stop].reshape(shape))).sum(1)

        total = torch.zeros(len(targets), *end.shape[1:], dtype=end.dtype, device=end.device)
        for part in batches(run, len(position), rows, progress):
            total += part
        results.append(total)
    return torch.stack(results, dim=1)


def completeness(
    trace: Trace, values: Tensor, target: Tensor, begin: Begin, unit: bool = True, batch_size: int = 8
) -> list[dict[str, float | None]]:
    """Compare the sum of each map with the change of the explained scalar along its path.

    Args:
        trace: gives tower, inputs and pairs.
        values: attributions of each pair, [pair, ...], zero where there is no content.
        target: the explained scalar is its product with the embedding, [pair, joint].
        begin: see `starts`; with several starting points the change is from their mean scalar.
        unit: normalise the embedding.
        batch_size: inputs run at once.

    Returns:
        Per pair `attribution_sum`, `score_change`, and `completeness_error`, (sum - change) / |change|; None for what
        is undefined.

    Source:
        "Axiomatic Attribution for Deep Networks", arXiv:1703.01365, proposition 1.
    """
    tower = trace.tower
    with torch.inference_mode(False), torch.no_grad():
        ends = tower.entry(trace.inputs)
    changes: list[Tensor] = []
    with torch.inference_mode(False), torch.no_grad():
        for item in range(len(ends)):

            def run(points: Tensor, item: int = item) -> Tensor:
                inputs = trace.inputs[item : item + 1].expand(len(points), *trace.inputs.shape[1:])
                return at_least_float32(embed(tower, tower.start(points, inputs.clone()), unit=unit))

            parts = [
                run(begin(item, start, min(start + batch_size, begin.draws)))
                for start in range(0, begin.draws, batch_size)
            ]
            changes.append(run(ends[item : item + 1])[0] - torch.cat(parts).mean(dim=0))
        change = (torch.stack(changes)[trace.item] * target).sum(dim=-1)
    rows: list[dict[str, float | None]] = []
    sums = cast(list[float], values.flatten(1).double().sum(dim=1).tolist())
    for total, by in zip(sums, cast(list[float], change.tolist()), strict=True):
        known = math.isfinite(total) and math.isfinite(by)
        error = (total - by) / abs(by) if known and by else None
        row: dict[str, float | None] = {"attribution_sum": total, "score_change": by} if known else {}
        rows.append({**row, "completeness_error": error})
    return rows


def _blur(pixels: Tensor) -> Tensor:
    """Gaussian of a twentieth of the height, borders mirrored, [item, channel, height, width]."""
    sigma = pixels.shape[-2] / 20
    reach = min(int(3 * sigma + 0.5), pixels.shape[-2] - 1, pixels.shape[-1] - 1)
    offset = torch.arange(-reach, reach + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offset / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(pixels)
    channels = pixels.shape[1]
    padded = F.pad(pixels, (reach, reach, reach, reach), mode="reflect")
    down = F.conv2d(padded, kernel[None, None, :, None].expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(down, kernel[None, None, None, :].expand(channels, 1, 1, -1), groups=channels)
