"""METHODS 16 with the attention probabilities themselves on the graph, one head and one query after the other."""

import torch


def legrad(parts, tower, target, tokens, layers):
    depth = len(tower.inputs)
    total = [0.0] * len(tokens)
    for layer in range(max(0, depth - layers), depth):
        heads = [a.detach().requires_grad_() for a in tower.probabilities[layer]]
        values = tower.values[layer].detach()
        size = values.shape[1] // len(heads)
        finished = []
        for query in range(len(values)):
            output = torch.cat([a[query] @ values[:, h * size : (h + 1) * size] for h, a in enumerate(heads)])
            x = tower.inputs[layer][query].detach() + parts.linear(layer, "self_attn.out_proj", output)
            finished.append(parts.feed_forward(layer, x))
        score = parts.joint(sum(finished) / len(finished)) @ target
        gradients = torch.autograd.grad(score, heads)
        for n, i in enumerate(tokens):
            for gradient in gradients:
                for query in range(len(values)):
                    total[n] += max(float(gradient[query, i]), 0.0) / len(heads) / len(values)
    return total
