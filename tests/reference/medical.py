"""Slow twins of medical image and text encoders, with loops over items, positions and tokens."""

import math

import torch


def convolution(image, weight, stride, padding):
    """image [channel, height, width], weight [out, channel, size, size], without bias."""
    out, _, size, _ = weight.shape
    height, width = image.shape[1:]
    rows = (height + 2 * padding - size) // stride + 1
    columns = (width + 2 * padding - size) // stride + 1
    found = torch.zeros(out, rows, columns, dtype=image.dtype)
    for r in range(rows):
        for c in range(columns):
            for i in range(size):
                for j in range(size):
                    y, x = r * stride + i - padding, c * stride + j - padding
                    if 0 <= y < height and 0 <= x < width:
                        found[:, r, c] += weight[:, :, i, j] @ image[:, y, x]
    return found


def batch_norm(image, weights, name):
    """Batch normalisation of image [channel, rows, columns] by the stored statistics."""
    found = torch.zeros_like(image)
    for c in range(len(image)):
        deviation = math.sqrt(float(weights[f"{name}.running_var"][c]) + 1e-5)
        scaled = (image[c] - weights[f"{name}.running_mean"][c]) / deviation
        found[c] = scaled * weights[f"{name}.weight"][c] + weights[f"{name}.bias"][c]
    return found


def bottleneck(image, weights, name, stride):
    """One residual block; the shortcut is projected where the weights hold a projection."""
    inner = batch_norm(convolution(image, weights[f"{name}.conv1.weight"], 1, 0), weights, f"{name}.bn1").clamp(min=0)
    inner = convolution(inner, weights[f"{name}.conv2.weight"], stride, 1)
    inner = batch_norm(inner, weights, f"{name}.bn2").clamp(min=0)
    inner = batch_norm(convolution(inner, weights[f"{name}.conv3.weight"], 1, 0), weights, f"{name}.bn3")
    if f"{name}.downsample.0.weight" in weights:
        image = convolution(image, weights[f"{name}.downsample.0.weight"], stride, 0)
        image = batch_norm(image, weights, f"{name}.downsample.1")
    return (inner + image).clamp(min=0)


def resnet(image, weights, blocks):
    """Every stage's output [dim, rows, columns], the stem's first, of an image [3, height, width]."""
    hidden = batch_norm(convolution(image, weights["conv1.weight"], 2, 3), weights, "bn1").clamp(min=0)
    rows, columns = ((side - 1) // 2 + 1 for side in hidden.shape[1:])
    pooled = torch.zeros(len(hidden), rows, columns, dtype=hidden.dtype)
    for r in range(rows):
        for c in range(columns):
            window = hidden[:, max(0, 2 * r - 1) : 2 * r + 2, max(0, 2 * c - 1) : 2 * c + 2]
            pooled[:, r, c] = window.flatten(1).max(dim=1).values
    found = [pooled]
    for stage, count in enumerate(blocks):
        hidden = found[-1]
        for block in range(count):
            stride = 2 if stage and not block else 1
            hidden = bottleneck(hidden, weights, f"layer{stage + 1}.{block}", stride)
        found.append(hidden)
    return found


def sine_position(row, column, rows, columns, dim):
    """The place embedding of one patch, [dim]: its row's half, then its column's."""
    half, found = dim // 2, []
    for place, count in ((row, rows), (column, columns)):
        share = (place + 1) / (count + 1e-6) * 2 * math.pi
        for i in range(half):
            angle = share / 10000 ** (2 * (i // 2) / half)
            found.append(math.cos(angle) if i % 2 else math.sin(angle))
    return torch.tensor(found)
