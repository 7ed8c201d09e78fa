"""Integrated Gradients and GradientSHAP, point by point through the slow towers."""

import math

import torch

from tests.reference import gradient


def legendre(steps):
    """Gauss-Legendre nodes and weights on (0, 1): roots of the Legendre polynomial by Newton's method."""
    nodes, weights = [], []
    for i in range(steps):
        x = math.cos(math.pi * (i + 0.75) / (steps + 0.5))
        for _ in range(100):
            before, value = 1.0, x
            for n in range(2, steps + 1):
                before, value = value, ((2 * n - 1) * x * value - (n - 1) * before) / n
            slope = steps * (x * value - before) / (x * x - 1) if steps > 1 else 1.0
            x -= value / slope
        nodes.append((x + 1) / 2)
        weights.append(1 / ((1 - x * x) * slope * slope))
    return nodes, weights


def along(slope, begins, end, nodes, weights):
    """slope: point -> gradient; begins: one baseline per node."""
    total = torch.zeros_like(end)
    for begin, node, weight in zip(begins, nodes, weights, strict=True):
        point = begin + node * (end - begin)
        total = total + weight * slope(point) * (end - begin)
    return total


def image(module, pixels, target, begins, nodes, weights):
    """[height, width]"""
    elements = along(lambda at: gradient.image_gradient(module, at, target), begins, pixels, nodes, weights)
    return gradient.reduce_pixels(elements, "signed")


def text(module, ids, target, nodes, weights):
    """[token]; content tokens begin without their words, special tokens stay."""
    words, places = gradient.token_parts(module, ids)
    begin = words + places
    for t in range(1, len(ids) - 1):
        begin[t] = places[t]
    elements = along(
        lambda at: gradient.text_gradient(module, at, len(ids) - 1, target),
        [begin] * len(nodes),
        words + places,
        nodes,
        weights,
    )
    return gradient.reduce_tokens(elements, words, "sum")
