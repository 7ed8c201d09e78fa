"""Gradients at pixels and token embeddings, through the slow towers of tests/reference/clip.py."""

import torch

from tests.reference import clip


def image_gradient(module, pixels, target):
    """dS/d(pixels) [channel, height, width]; target: the text's embedding."""
    pixels = pixels.clone().requires_grad_()
    score = clip.cosine(clip.image(module, pixels).embedding, target)
    return torch.autograd.grad(score, pixels)[0]


def token_parts(module, ids):
    """(token embeddings without places, embeddings of the places), each [token, dim]."""
    weights = {name: value.double() for name, value in module.state_dict().items()}
    prefix = clip.prefix_of(weights, "text_model")
    table = weights[prefix + "embeddings.token_embedding.weight"]
    places = weights[prefix + "embeddings.position_embedding.weight"]
    return torch.stack([table[i] for i in ids]), torch.stack([places[n] for n in range(len(ids))])


def text_embedding(module, embedded, readout):
    """The text tower from its first block's input [token, dim] on."""
    weights = {name: value.double() for name, value in module.state_dict().items()}
    config, prefix = module.config.text_config, clip.prefix_of(weights, "text_model")
    _, x = clip.blocks(weights, prefix, embedded, config, causal=True)
    last = clip.layer_norm(
        x[readout],
        weights[prefix + "final_layer_norm.weight"],
        weights[prefix + "final_layer_norm.bias"],
        config.layer_norm_eps,
    )
    return weights["text_projection.weight"] @ last


def text_gradient(module, embedded, readout, target):
    """dS/d(first block's input) [token, dim]."""
    embedded = embedded.clone().requires_grad_()
    return torch.autograd.grad(clip.cosine(text_embedding(module, embedded, readout), target), embedded)[0]


def reduce_pixels(gradient, reduce):
    channels, height, width = gradient.shape
    return [
        [_one([float(gradient[c, y, x]) for c in range(channels)], reduce) for x in range(width)] for y in range(height)
    ]


def reduce_tokens(gradient, words, reduce):
    """`words`: token embeddings without places, which the signed form is multiplied with."""
    found = []
    for t in range(len(gradient)):
        values = gradient[t] * words[t] if reduce == "signed" else gradient[t]
        found.append(_one([float(value) for value in values], reduce))
    return found


def _one(values, reduce):
    if reduce == "max_abs":
        return max(abs(value) for value in values)
    if reduce == "sum_abs":
        return sum(abs(value) for value in values)
    if reduce == "l2":
        return sum(value * value for value in values) ** 0.5
    return sum(values)


class GuidedRelu(torch.autograd.Function):
    """ReLU whose backward lets a gradient through where the input and the gradient are both positive."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x > 0, x, torch.zeros_like(x))

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return torch.where((x > 0) & (gradient > 0), gradient, torch.zeros_like(gradient))
