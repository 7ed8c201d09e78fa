"""METHODS 2.2 with whole similarity matrices and loops over cells; reads a tower of tests/reference/clip.py."""

import math

import torch
from torch import nn


def transform(dim, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim), nn.LayerNorm(dim))
    return module.double()


def pooled_range(cell, small, size):
    return range(math.floor(cell * size / small), math.ceil((cell + 1) * size / small))


def interpolate(values, size):
    """Linear, align_corners False, one dimension."""
    found = []
    for i in range(size):
        at = max((i + 0.5) * len(values) / size - 0.5, 0.0)
        low = min(int(at), len(values) - 1)
        high = min(low + 1, len(values) - 1)
        found.append((1 - (at - low)) * values[low] + (at - low) * values[high])
    return found


def spatial(tokens, shape, scale, base):
    """tokens: list of vectors; shape (rows, columns); base: weights or None. A sequence has one row."""
    rows, columns = shape
    small = (math.ceil(scale * rows), math.ceil(scale * columns))
    cells, weights = [], []
    for r in range(small[0]):
        for c in range(small[1]):
            inside = [
                i * columns + j for i in pooled_range(r, small[0], rows) for j in pooled_range(c, small[1], columns)
            ]
            mean = sum(tokens[n] for n in inside) / len(inside)
            cells.append(mean / mean.norm())
            weights.append(sum(base[n] for n in inside) / len(inside) if base else 1.0)
    levels = []
    for i in range(len(cells)):
        others = [j for j in range(len(cells)) if j != i]
        total = sum(weights[j] for j in others)
        levels.append(sum(weights[j] * float(cells[i] @ cells[j]) for j in others) / total if total > 0 else 0.0)
    across = [interpolate(levels[r * small[1] : (r + 1) * small[1]], columns) for r in range(small[0])]
    down = [interpolate([line[c] for line in across], rows) for c in range(columns)]
    return [down[c][r] for r in range(rows) for c in range(columns)]


def mmel(tower, tokens, shape, base, mode, *, alpha=2.0, scales=(1, 0.75, 0.5), temperature=1.0, theta=1.0, layers=99,
         salient=False, seed=0, semantic=("queries",)):  # fmt: skip
    depth = len(tower.queries)
    level = [0.0] * len(tokens)
    for layer in range(max(0, depth - layers), depth):
        weight = math.log(1 + math.exp(theta if isinstance(theta, float) else theta[layer - max(0, depth - layers)]))
        for scale, part in [(scale, part) for scale in scales for part in semantic]:
            queries = [getattr(tower, part)[layer][i].detach() for i in tokens]
            if mode == "spatial":
                term = spatial(queries, shape, scale, base if salient else None)
            else:
                network = transform(len(queries[0]), seed)
                h = [network(scale * q).detach() for q in queries]
                h = [x / x.norm() for x in h]
                term = [sum(float(x @ y) / len(x) ** 0.5 for y in h) / len(h) for x in h]
            level = [a + weight / len(semantic) * b for a, b in zip(level, term, strict=True)]
    if mode == "spatial":
        mean = sum(level) / len(level)
        sigma = (sum((x - mean) ** 2 for x in level) / len(level)) ** 0.5
        level = [(x - mean) / sigma if sigma > 1e-12 else 0.0 for x in level]
    return [b * (1 + alpha / (1 + math.exp(-x / temperature))) for b, x in zip(base, level, strict=True)]


def shrink(values, size):
    """One dimension to fewer values: mean under a triangle twice as wide as one new value."""
    ratio = len(values) / size
    found = []
    for i in range(size):
        centre = (i + 0.5) * ratio
        weights = [max(0.0, 1 - abs(j + 0.5 - centre) / ratio) for j in range(len(values))]
        found.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return found


def shrink_image(pixels, height, width):
    """[channel, height, width], columns first and then rows."""
    across = torch.stack(shrink(list(pixels.movedim(2, 0)), width)).movedim(0, 2)
    return torch.stack(shrink(list(across.movedim(1, 0)), height)).movedim(0, 1)


def at_input_scale(raised, small, shape):
    """The map of a smaller grid, divided by its mean and interpolated."""
    mean = sum(raised) / len(raised) or 1.0  # a map of zeros stays one
    rows = [
        interpolate([v / mean for v in raised[r * small[1] : (r + 1) * small[1]]], shape[1]) for r in range(small[0])
    ]
    down = [interpolate([row[c] for row in rows], shape[0]) for c in range(shape[1])]
    return [down[c][r] for r in range(shape[0]) for c in range(shape[1])]
