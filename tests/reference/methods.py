"""The methods again, with loops, from METHODS.md; they read a tower of tests/reference/clip.py and the score."""

import math

import torch

from tests.reference.mmel import interpolate, pooled_range


def pyramid(values, shape, scales):
    """Mean over the scales of cell means, interpolated back, one cell and one row at a time."""
    if scales == (1.0,):
        return values
    rows, columns = shape
    total = [0.0] * len(values)
    for scale in scales:
        small = (math.ceil(scale * rows), math.ceil(scale * columns))
        cells = []
        for r in range(small[0]):
            for c in range(small[1]):
                inside = [
                    i * columns + j for i in pooled_range(r, small[0], rows) for j in pooled_range(c, small[1], columns)
                ]
                cells.append(sum(values[n] for n in inside) / len(inside))
        across = [interpolate(cells[r * small[1] : (r + 1) * small[1]], columns) for r in range(small[0])]
        down = [interpolate([line[c] for line in across], rows) for c in range(columns)]
        total = [t + down[n % columns][n // columns] / len(scales) for n, t in enumerate(total)]
    return total


def minmax(values):
    low, high = min(values), max(values)
    return [(v - low) / (high - low) if high > low else 0.0 for v in values]


def heads_mean(tower, layer, query, key):
    heads = tower.probabilities[layer]
    return sum(float(a[query, key].detach()) for a in heads) / len(heads)


def raw_attention(tower, tokens):
    return [heads_mean(tower, -1, tower.readout, i) for i in tokens]


def rollout(tower, tokens):
    total = torch.eye(len(tower.inputs[0]), dtype=torch.float64)
    for heads in tower.probabilities:
        mean = sum(a.detach() for a in heads) / len(heads)
        mixed = mean + torch.eye(len(mean), dtype=torch.float64)
        total = (mixed / mixed.sum(-1, keepdim=True)) @ total
    return [float(total[tower.readout, i]) for i in tokens]


def output_gradients(tower, score):
    """dS/d(attention output) of every block, [token, dim] each."""
    return torch.autograd.grad(score, tower.outputs, retain_graph=True)


def key_similarity(tower, layer, tokens, among):
    query = tower.queries[layer][tower.readout].detach()
    cosines = {}
    for i in range(len(tower.inputs[0])):
        key = tower.keys[layer][i].detach()
        cosines[i] = float(query @ key / (query.norm() * key.norm()))
    low, high = min(cosines[i] for i in among), max(cosines[i] for i in among)
    return [(cosines[i] - low) / (high - low) for i in tokens]


def content_similarity(tower, layer, tokens, among):
    """Mean cosine of a key and every content token's query, min-max'ed."""
    means = {}
    for i in range(len(tower.inputs[0])):
        key, total = tower.keys[layer][i].detach(), 0.0
        for j in tokens:
            query = tower.queries[layer][j].detach()
            total += float(query @ key / (query.norm() * key.norm()))
        means[i] = total / len(tokens)
    low, high = min(means[i] for i in among), max(means[i] for i in among)
    return [(means[i] - low) / (high - low) for i in tokens]


SIMILARITIES = {
    True: [key_similarity],
    "readout": [key_similarity],
    "content": [content_similarity],
    "both": [key_similarity, content_similarity],
}


def grad_eclip(tower, score, tokens, among, layers, similarity=True, relu_each=True):
    gradients = output_gradients(tower, score)
    depth = len(gradients)
    total = [0.0] * len(tokens)
    for layer in range(max(0, depth - layers), depth):
        gradient = gradients[layer][tower.readout]
        weight = [1.0] * len(tokens)
        if similarity:
            kinds = [kind(tower, layer, tokens, among) for kind in SIMILARITIES[similarity]]
            weight = [sum(parts) / len(kinds) for parts in zip(*kinds, strict=True)]
        for n, i in enumerate(tokens):
            value = float((gradient * tower.values[layer][i].detach()).sum()) * weight[n]
            total[n] += max(value, 0.0) if relu_each else value
    return total if relu_each else [max(value, 0.0) for value in total]


def matex_terms(
    tower, score, tokens, *, gradient_layers=3, gradient="attention", flow="weighted", temperature=0.5,
    consistency="paper", spatial=None, scales=(1.0,), shape=(5, 5)
):  # fmt: skip
    """The four terms of eq. 6 over the given tokens; `spatial` is M per token."""
    depth, heads = len(tower.outputs), len(tower.probabilities[0])
    gradients = output_gradients(tower, score)
    size = gradients[0].shape[-1] // heads
    grad = [0.0] * len(tokens)
    for layer in range(max(0, depth - gradient_layers), depth):
        similarity = key_similarity(tower, layer, tokens, tokens) if gradient == "similarity" else None
        for n, i in enumerate(tokens):
            value = 0.0
            for head in range(heads):
                columns = slice(head * size, (head + 1) * size)
                if gradient == "value":  # v times dS/dv, every query row counts
                    for q in range(len(gradients[layer])):
                        share = float(tower.probabilities[layer][head][q, i].detach())
                        row = gradients[layer][q, columns]
                        value += share * float((row * tower.values[layer][i, columns].detach()).sum())
                    continue
                part = float(
                    (gradients[layer][tower.readout, columns] * tower.values[layer][i, columns].detach()).sum()
                )
                value += part * (
                    float(tower.probabilities[layer][head][tower.readout, i].detach()) if not similarity else 1.0
                )
            value *= similarity[n] if similarity else 1.0
            grad[n] += max(value, 0.0)
    grad = minmax(pyramid(grad, shape, scales))

    powers = [torch.exp(torch.tensor(temperature * (layer + 1), dtype=torch.float64)).item() for layer in range(depth)]
    rows = [[heads_mean(tower, layer, tower.readout, i) for i in tokens] for layer in range(depth)]
    if flow == "weighted":
        flowed = [
            sum(powers[layer] / sum(powers) * rows[layer][n] for layer in range(depth)) for n in range(len(tokens))
        ]
    else:
        flowed = rollout(tower, tokens)
    flowed = minmax(pyramid(flowed, shape, scales))

    stable = []
    for n in range(len(tokens)):
        column = [rows[layer][n] for layer in range(depth)]
        mean = sum(column) / depth
        sigma = (sum((value - mean) ** 2 for value in column) / depth) ** 0.5
        stable.append(1 / (1 + (sigma if consistency == "paper" else sigma / mean)))
    spatial = spatial or [1.0] * len(tokens)
    return {
        "gradient": grad,
        "flow": flowed,
        "consistency": [c * g for c, g in zip(stable, grad, strict=True)],
        "prior": [m * g for m, g in zip(spatial, grad, strict=True)],
    }


def matex(terms, alpha=0.5, beta=0.2, gamma=0.35, delta=0.2):
    return [
        alpha * terms["gradient"][n]
        + beta * terms["flow"][n]
        + gamma * terms["consistency"][n]
        + delta * terms["prior"][n]
        for n in range(len(terms["gradient"]))
    ]
