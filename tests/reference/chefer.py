"""METHODS 12 with whole matrices: R <- R + Abar R in every block, gradients with respect to the probabilities."""

import torch


def chefer(tower, score, tokens, scale, first):
    relevance = torch.eye(len(tower.inputs[0]), dtype=torch.float64)
    for layer in range(first, len(tower.probabilities)):
        heads = tower.probabilities[layer]
        mean = torch.zeros_like(relevance)
        for gradient, a in zip(torch.autograd.grad(scale * score, heads, retain_graph=True), heads, strict=True):
            mean += torch.clamp(gradient * a.detach(), min=0) / len(heads)
        relevance = relevance + mean @ relevance
    return [float(relevance[tower.readout, i]) for i in tokens]
