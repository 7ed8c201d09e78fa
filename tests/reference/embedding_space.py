"""Embedding-space XAI coordinate by coordinate: sum over i of T_i F_i, as METHODS 3.1 writes it."""

import torch

from tests.reference import clip, gradient


def image_gradients(module, pixels, target, absolute, raw):
    """[height, width] for the gradient operator; target: the text's embedding, any length."""
    pixels = pixels.clone().requires_grad_()
    embedding = clip.image(module, pixels).embedding
    embedding = embedding if raw else embedding / torch.sqrt(embedding @ embedding)
    return _weighed(embedding, pixels, target, lambda g: g, absolute).sum(0)


def image_gradients_of_a_set(module, pixels, targets, absolute, raw):
    """Average of the maps of several prompts, one loop over the coordinates for each."""
    total = 0
    for target in targets:
        total = total + image_gradients(module, pixels, target, absolute, raw)
    return total / len(targets)


def text_gradients(module, ids, target, absolute, raw):
    """[token]"""
    words, places = gradient.token_parts(module, ids)
    embedded = (words + places).requires_grad_()
    embedding = gradient.text_embedding(module, embedded, len(ids) - 1)
    embedding = embedding if raw else embedding / torch.sqrt(embedding @ embedding)
    return _weighed(embedding, embedded, target, lambda g: g * words, absolute).sum(-1)


def _weighed(embedding, point, target, element, absolute):
    target = target / torch.sqrt(target @ target)
    total = torch.zeros_like(point)
    for i in range(len(embedding)):
        found = element(torch.autograd.grad(embedding[i], point, retain_graph=True)[0])
        total = total + target[i] * (found.abs() if absolute else found)
    return total.detach()
