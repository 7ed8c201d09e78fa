"""Deletion and insertion pixel by pixel, from METHODS 17.5; scores by transformers' own model."""

import itertools

import numpy as np
import torch
from scipy.ndimage import correlate, gaussian_filter


def image_embeddings(module, pixels):
    """[image, joint], unit norm, from a list of [channel, height, width]."""
    seen = module.visual_projection(module.vision_model(torch.stack(pixels)).pooler_output).detach()
    return seen / seen.norm(dim=-1, keepdim=True)


def text_embedding(module, ids):
    seen = module.text_projection(module.text_model(torch.tensor([ids])).pooler_output)[0].detach()
    return seen / seen.norm()


def class_embeddings(module, phrases):
    """phrases: for each class a list of lists of token ids."""
    means = [sum(text_embedding(module, ids) for ids in of_class) / len(of_class) for of_class in phrases]
    return torch.stack([mean / mean.norm() for mean in means])


def order(values):
    """Positions by falling value, equal ones in reading order; NaN takes no part."""
    height, width = values.shape
    pixels = [(y, x) for y in range(height) for x in range(width) if not np.isnan(values[y, x])]
    return sorted(pixels, key=lambda p: (-values[p], p))


def half_way(picture, values, noise, side):
    """Eleven pictures, from none to half of the pixels."""
    pixels = order(values)
    once = max(1, int(len(pixels) / (2 * 100)))
    canvas = picture.copy() if side == "deletion" else np.zeros_like(picture)
    source = noise if side == "deletion" else picture
    found = [canvas.copy()]
    for step in range(1, 101):
        for p in pixels[(step - 1) * once : step * once]:
            canvas[p] = source[p]
        if step % 10 == 0:
            found.append(canvas.copy())
    return found


def hits(embeddings, classes, target, k):
    """1.0 where the class is among the k best of an image's list."""
    found = []
    for embedding in embeddings:
        scores = [float(embedding @ one) for one in classes]
        best = sorted(range(len(scores)), key=lambda i: -scores[i])[:k]
        found.append(1.0 if target in best else 0.0)
    return found


def trapezoid(values):
    return sum((a + b) / 2 for a, b in itertools.pairwise(values)) / (len(values) - 1)


def to_the_end(pixels, values, side):
    """RISE's pictures in normalised space, one image row's number of pixels at a time."""
    places = order(values)
    width = pixels.shape[2]
    impulse = np.zeros((11, 11))
    impulse[5, 5] = 1
    kernel = gaussian_filter(impulse, 5)
    blurred = np.stack([correlate(channel, kernel, mode="constant") for channel in pixels.numpy()])
    canvas = (pixels.numpy() if side == "deletion" else blurred).copy()
    source = np.zeros_like(canvas) if side == "deletion" else pixels.numpy()
    found = [torch.from_numpy(canvas.copy())]
    for start in range(0, len(places), width):
        for y, x in places[start : start + width]:
            canvas[:, y, x] = source[:, y, x]
        found.append(torch.from_numpy(canvas.copy()))
    return found
