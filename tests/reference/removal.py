"""Scores of images with covered pixels and of phrases with missing words, one by one through the slow towers."""

import itertools
import math

import numpy as np
import torch

from tests.reference import clip


def image_score(module, pixels, target):
    return float(clip.cosine(clip.image(module, pixels).embedding.detach(), target))


def text_score(module, ids, target):
    return float(clip.cosine(clip.text(module, ids).embedding.detach(), target))


def without_patches(pixels, patch, kept):
    """kept: list of bools, row by row."""
    pixels = pixels.clone()
    rows, columns = pixels.shape[1] // patch, pixels.shape[2] // patch
    for r in range(rows):
        for c in range(columns):
            if not kept[r * columns + c]:
                pixels[:, r * patch : (r + 1) * patch, c * patch : (c + 1) * patch] = 0
    return pixels


def without_segments(pixels, segments, kept):
    """kept: list of bools, one per segment number; segments: [height, width]."""
    pixels = pixels.clone()
    for y in range(pixels.shape[1]):
        for x in range(pixels.shape[2]):
            if not kept[int(segments[y, x])]:
                pixels[:, y, x] = 0
    return pixels


def spread(segments, values):
    """Every pixel with the value of its segment, [height, width]."""
    return torch.tensor([[float(values[number]) for number in row] for row in segments.tolist()], dtype=torch.float64)


def without_words(ids, kept):
    """kept: list of bools for ids[1:-1]."""
    return [ids[0], *[i for i, stays in zip(ids[1:-1], kept, strict=True) if stays], ids[-1]]


def occlude_image(module, pixels, target, window, stride):
    """[height, width]"""
    height, width = pixels.shape[1:]
    whole = image_score(module, pixels, target)
    total, times = torch.zeros(height, width, dtype=torch.float64), torch.zeros(height, width, dtype=torch.float64)
    for top in range(0, stride * (math.ceil((height - window) / stride) + 1), stride):
        for left in range(0, stride * (math.ceil((width - window) / stride) + 1), stride):
            covered = pixels.clone()
            covered[:, top : top + window, left : left + window] = 0
            total[top : top + window, left : left + window] += whole - image_score(module, covered, target)
            times[top : top + window, left : left + window] += 1
    return total / times


def occlude_text(module, ids, target):
    """[token]"""
    whole = text_score(module, ids, target)
    return [0.0, *[whole - text_score(module, ids[:t] + ids[t + 1 :], target) for t in range(1, len(ids) - 1)], 0.0]


def shapley(count, score):
    """Shapley values from their definition; score: tuple of bools -> float."""
    values = []
    for i in range(count):
        others = [j for j in range(count) if j != i]
        value = 0.0
        for size in range(count):
            for chosen in itertools.combinations(others, size):
                weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
                without = tuple(j in chosen for j in range(count))
                with_i = tuple(j in chosen or j == i for j in range(count))
                value += weight * (score(with_i) - score(without))
        values.append(value)
    return values


def least_squares(subsets, weights, gains, total):
    """KernelSHAP by its KKT equations: minimise sum w (z . phi - gain)^2 so that sum phi = total."""
    count = len(subsets[0])
    system, right = np.zeros((count + 1, count + 1)), np.zeros(count + 1)
    for subset, weight, gain in zip(subsets, weights, gains, strict=True):
        for i in range(count):
            for j in range(count):
                system[i, j] += 2 * weight * subset[i] * subset[j]
            right[i] += 2 * weight * subset[i] * gain
    system[count, :count] = system[:count, count] = 1
    right[count] = total
    return np.linalg.solve(system, right)[:count]


def rise_masks(count, cells, keep, size, seed):
    """As METHODS 11 tells of the reference, with scipy's own interpolation."""
    from scipy.ndimage import zoom

    np.random.seed(seed)  # noqa: NPY002 - the reference draws from numpy's global stream
    grids = np.random.rand(count, cells, cells) < keep  # noqa: NPY002
    cell = [math.ceil(length / cells) for length in size]
    masks = []
    for grid in grids:
        factors = [(cells + 1) * c / cells for c in cell]
        large = zoom(grid.astype(np.float64), factors, order=1, mode="mirror", grid_mode=True)
        x = np.random.randint(0, cell[0])  # noqa: NPY002
        y = np.random.randint(0, cell[1])  # noqa: NPY002
        masks.append(torch.from_numpy(large[x : x + size[0], y : y + size[1]]))
    return masks


def rise_image(module, pixels, target, masks, keep, normalise):
    scores = [image_score(module, pixels * mask, target) for mask in masks]
    return _shared(scores, masks, [1 / len(masks)] * len(masks), keep, normalise)


def rise_text(module, ids, target, subsets, chances, keep, normalise):
    scores = [text_score(module, without_words(ids, subset), target) for subset in subsets]
    masks = [torch.tensor([float(stays) for stays in subset], dtype=torch.float64) for subset in subsets]
    return [0.0, *_shared(scores, masks, chances, keep, normalise).tolist(), 0.0]


def _shared(scores, masks, chances, keep, normalise):
    mean = sum(c * s for c, s in zip(chances, scores, strict=True)) if normalise == "control" else 0.0
    total = sum(c * (s - mean) * m for c, s, m in zip(chances, scores, masks, strict=True))
    return total / (sum(c * m for c, m in zip(chances, masks, strict=True)) if normalise == "control" else keep)
