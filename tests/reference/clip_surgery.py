"""METHODS 14, head by head and channel by channel."""

import torch


def surgical_tokens(parts, tower, layers):
    depth, heads = len(tower.inputs), len(tower.probabilities[0])
    first = max(0, depth - layers)
    new = [x.detach() for x in tower.inputs[first]]
    for layer in range(first, depth):
        values = tower.values[layer].detach()
        size = values.shape[1] // heads
        outputs = []
        for h in range(heads):
            v = values[:, h * size : (h + 1) * size]
            outputs.append(torch.softmax(v @ v.T / size**0.5, dim=-1) @ v)
        outputs = torch.cat(outputs, dim=-1)
        new = [x + parts.linear(layer, "self_attn.out_proj", o) for x, o in zip(new, outputs, strict=True)]
    return [parts.joint(x) for x in new]


def single(tokens, target, redundant):
    return [float(f @ (target - redundant)) for f in tokens]


def several(tokens, image, texts):
    """Feature surgery; the map of the first text."""
    exponents = [torch.exp(2 * (image @ t)) for t in texts]
    weights = [e / sum(exponents) for e in exponents]
    weights = [w / (sum(weights) / len(weights)) for w in weights]
    found = []
    for f in tokens:
        features = [w * f * t for w, t in zip(weights, texts, strict=True)]
        mean = sum(features) / len(features)
        found.append(float((features[0] - mean).sum()))
    return found
