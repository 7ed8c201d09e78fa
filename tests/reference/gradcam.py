"""METHODS 7 with loops over channels."""

import torch


def gradcam(points, score, tokens, among):
    """points: the tokens X [token, dim] on the graph; among: token numbers the gradient is averaged over."""
    (gradient,) = torch.autograd.grad(score, [points], retain_graph=True)
    found = []
    for i in tokens:
        total = 0.0
        for c in range(points.shape[1]):
            weight = sum(float(gradient[j, c]) for j in among) / len(among)
            total += weight * float(points[i, c].detach())
        found.append(max(total, 0.0))
    return found
