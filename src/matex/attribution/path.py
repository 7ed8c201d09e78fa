"""Gradients along a straight way from a baseline to the input: what Integrated Gradients and GradientSHAP share."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.attribution.batching import batches
from matex.attribution.scoring import entry, gradients
from matex.images import InputError
from matex.trace import Trace, at_least_float32

Baseline = Literal["mean", "black", "white", "blur", "noise"]


def starts(trace: Trace, baseline: Baseline, seed: int, draws: int = 1) -> Tensor:
    """Where the ways begin, [draw, item, ...] as the entries; one draw serves all unless the baseline is noise.

    On the image: "mean" is 0 in normalised space, the mean colour of the model's training images; "black" and "white"
    are those colours after the model's normalisation; "blur" is the image under a Gaussian of a twentieth of its
    height; "noise" is standard normal in normalised space, the same for every image.
    On the text, whatever the name: content tokens keep their places and lose their words (zero embedding), special
    tokens stay.

    Raises:
        InputError: black or white, and a model that came without preprocessing.
    """
    inputs = trace.inputs
    if trace.tower.kind == "text":
        with torch.inference_mode(False), torch.no_grad():
            words = trace.tower.content(inputs)[..., None]
            return torch.where(words, trace.tower.blank(inputs), trace.tower.embed(inputs))[None]
    if baseline in ("black", "white"):
        if trace.levels is None:
            raise InputError(
                f"Expected a model that says how it normalises for baseline {baseline!r}, got one without "
                "preprocessing. Use baseline='mean'."
            )
        level = trace.levels[0 if baseline == "black" else 1].to(inputs)
        return level[:, None, None].expand_as(inputs)[None]
    if baseline == "blur":
        return _blur(inputs)[None]
    if baseline == "noise":
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(draws, 1, *inputs.shape[1:], generator=generator, dtype=torch.float64)
        return noise.to(inputs).expand(-1, len(inputs), *inputs.shape[1:])
    return torch.zeros_like(inputs)[None]


def along(
    trace: Trace,
    asked: Tensor,
    begin: Tensor,
    position: Tensor,
    weight: Tensor,
    unit: bool = True,
    batch_size: int = 32,
    progress: bool = False,
) -> Tensor:
    """sum over steps of weight times gradient at begin + position (input - begin), times (input - begin).

    Args:
        trace: gives tower and inputs.
        asked: questions [question, item, joint].
        begin: [1 or step, item, ...], see `starts`.
        position: of each step between begin (0) and input (1), [step].
        weight: of each step, [step].
        unit: normalise the embedding.
        batch_size: points run at once.
        progress: show a bar.

    Returns:
        [question, item, ...] as the entries, not yet added up over channels or dimensions.
    """
    tower = trace.tower
    enters, readout = entry(tower, trace.inputs), tower.readout(trace.inputs)
    end, begin = at_least_float32(enters), at_least_float32(begin)
    shape = (-1,) + (1,) * (end.dim() - 1)
    position, weight = position.to(end), weight.to(end)
    results: list[Tensor] = []
    for item in range(len(end)):

        def run(start: int, stop: int, item: int = item) -> Tensor:
            origin = begin[start:stop, item] if len(begin) > 1 else begin[:, item]
            way = end[item] - origin
            points = (origin + position[start:stop].reshape(shape) * way).to(enters.dtype)
            steps = stop - start
            question = asked[:, item, None].expand(-1, steps, -1)
            found = gradients(tower, points, readout[item].expand(steps), question, unit)
            return (found * (way * weight[start:stop].reshape(shape))).sum(1)

        total = torch.zeros(len(asked), *end.shape[1:], dtype=end.dtype, device=end.device)
        for part in batches(run, len(position), batch_size, progress):
            total += part
        results.append(total)
    return torch.stack(results, dim=1)


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
