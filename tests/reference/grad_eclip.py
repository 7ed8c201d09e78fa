"""METHODS 6 with the explained blocks run again by one wide head, and with projected query and key."""

import torch

from tests.reference.clip import layer_norm


def single_head(parts, tower, target, layers, causal):
    """Blocks from depth - layers on; per block (output on the graph, query row, keys, values), and the score."""
    depth = len(tower.inputs)
    x = tower.inputs[max(0, depth - layers)].detach()
    seen = []
    for layer in range(max(0, depth - layers), depth):
        here = f"{parts.prefix}encoder.layers.{layer}.layer_norm1"
        normed = layer_norm(
            x, parts.weights[here + ".weight"], parts.weights[here + ".bias"], parts.config.layer_norm_eps
        )
        q, k, v = (
            torch.stack([parts.linear(layer, f"self_attn.{letter}_proj", row) for row in normed]) for letter in "qkv"
        )
        rows = []
        for i in range(len(x)):
            reach = i + 1 if causal else len(x)
            logits = torch.stack([q[i] @ k[j] for j in range(reach)]) / q.shape[1] ** 0.5
            rows.append(torch.softmax(logits, dim=0) @ v[:reach])
        o = torch.stack(rows)
        if not o.requires_grad:
            o.requires_grad_()
        seen.append((o, q.detach(), k.detach(), v.detach()))
        x = torch.stack(
            [
                parts.feed_forward(layer, row + parts.linear(layer, "self_attn.out_proj", out))
                for row, out in zip(x, o, strict=True)
            ]
        )
    return seen, parts.joint(x[tower.readout]) @ target


def similarity(q, k, tokens, among):
    cosines = [float(q @ row / (q.norm() * row.norm())) for row in k]
    low, high = min(cosines[i] for i in among), max(cosines[i] for i in among)
    return [(cosines[i] - low) / (high - low) for i in tokens]


def grad_eclip(parts, tower, target, tokens, among, layers, *, single, projected, relu_each):
    depth = len(tower.inputs)
    first = max(0, depth - layers)
    if single:
        seen, score = single_head(parts, tower, target, layers, causal=not relu_each)
    else:
        own = zip(tower.outputs[first:], tower.queries[first:], tower.keys[first:], tower.values[first:], strict=True)
        seen = [(o, q.detach(), k.detach(), v.detach()) for o, q, k, v in own]
        score = tower.embedding @ target / tower.embedding.norm()
    gradients = torch.autograd.grad(score, [o for o, *_ in seen], retain_graph=True)
    total = [0.0] * len(tokens)
    for n, (gradient, (_, q, k, v)) in enumerate(zip(gradients, seen, strict=True)):
        q = q[tower.readout]
        if projected:
            q = parts.linear(first + n, "self_attn.out_proj", q)
            k = [parts.linear(first + n, "self_attn.out_proj", row) for row in k]
        for at, (i, weight) in enumerate(zip(tokens, similarity(q, k, tokens, among), strict=True)):
            value = float(gradient[tower.readout] @ v[i]) * weight
            total[at] += max(value, 0.0) if relu_each else value
    return total if relu_each else [max(value, 0.0) for value in total]
