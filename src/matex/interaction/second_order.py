"""Second-order attributions: the contribution of a word and a place together, by two integrated Jacobians.

Source:
    "Explaining Caption-Image Interactions in CLIP Models with Second-Order Attributions", arXiv:2408.14153; METHODS 20.
    A dual encoder's score is a product of embeddings, g(x) . h(y), so the matrix splits into a factor for each side:
    A[t, p] = u_p . v_t. The words' factors are few and computed first; then the image side runs one backward for each
    word and node, never one for each coordinate of the embedding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from matex.attribution.integrated_gradients import gauss_legendre
from matex.forward_pass import embed
from matex.interaction.sides import Path


class SecondOrder(NamedTuple):
    """The matrix and the error of its closed form.

    Args:
        values: of each word and each token of the image, [word, token].
        total: sum over all tokens of both sides, special ones included.
        expected: what the sum should be, f(x, y) - f(r, y) - f(x, r') + f(r, r'), r and r' blank.
    """

    values: Tensor
    total: float
    expected: float


def word_factors(text: Path, groups: Tensor, nodes: int) -> Tensor:
    """v_w = integral of the derivative of the phrase's embedding along the path of each group of tokens.

    The derivative along a direction is the gradient of a gradient: the backward pass is linear in its cotangent u, and
    the derivative of <backward(u), direction> at u is the result. One forward and one backward over all nodes
    serve all groups.

    Args:
        text: the phrase's path.
        groups: bool [group, token].
        nodes: of the Gauss-Legendre rule.

    Returns:
        [group, joint].
    """
    position, weight = gauss_legendre(nodes)
    # Only the plain form of attention can be differentiated twice.
    with torch.inference_mode(False), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        state = text.points(position)
        hidden = state.hidden.clone().requires_grad_()
        embedding = embed(text.encoder, replace(state, hidden=hidden), text.layer)
        cotangent = torch.zeros_like(embedding, requires_grad=True)
        (linear,) = torch.autograd.grad(embedding, hidden, cotangent, create_graph=True)
        directions = text.displacement * groups[..., None].to(text.displacement)  # [group, token, dim]
        (slope,) = torch.autograd.grad(
            linear, cotangent, directions[:, None].expand(-1, nodes, -1, -1).to(linear), is_grads_batched=True
        )
    return torch.einsum("n,gnj->gj", weight.to(slope), slope.detach())


def with_rest(groups: Tensor) -> Tensor:
    """Words [word, token], and all other tokens (special ones, punctuation) as a last group."""
    return torch.cat([groups, ~groups.any(dim=0, keepdim=True)])


def place_rows(image: Path, targets: Tensor, nodes: int, batch_size: int) -> Tensor:
    """sum over nodes of the gradient of target . embedding times the displacement, per token, for each target.

    Args:
        image: the image's path.
        targets: [target, joint].
        nodes: of the Gauss-Legendre rule.
        batch_size: nodes run at once.

    Returns:
        [target, token].
    """
    position, weight = gauss_legendre(nodes)
    total = torch.zeros(len(targets), len(image.displacement), dtype=targets.dtype, device=targets.device)
    for some in torch.split(torch.arange(nodes), batch_size):
        with torch.inference_mode(False), torch.enable_grad():
            state = image.points(position[some])
            hidden = state.hidden.clone().requires_grad_()
            embedding = embed(image.encoder, replace(state, hidden=hidden), image.layer)
            # One backward after the other: attention has no batched one, and its substitute takes a sixth longer.
            for number, target in enumerate(targets):
                cotangent = weight[some].to(embedding)[:, None] * target.to(embedding)
                (gradient,) = torch.autograd.grad(embedding, hidden, cotangent, retain_graph=number + 1 < len(targets))
                total[number] += torch.einsum("ntd,td->t", gradient.to(total), image.displacement.to(total))
    return total


def second_order(image: Path, text: Path, groups: Tensor, nodes: int, batch_size: int = 8) -> SecondOrder:
    """The matrix of words against tokens of the image.

    Args:
        image, text: the paths of both sides.
        groups: tokens of each word, bool [word, token].
        nodes: of the Gauss-Legendre rules of both sides.
        batch_size: nodes of the image run at once.
    """
    factors = word_factors(text, with_rest(groups), nodes)
    rows = place_rows(image, factors, nodes, batch_size)
    return SecondOrder(rows[:-1], float(rows.sum()), _corners(image, text))


def _corners(image: Path, text: Path) -> float:
    """f(x, y) - f(r, y) - f(x, r') + f(r, r')"""
    ends = torch.tensor([1.0, 0.0])
    with torch.inference_mode(False), torch.no_grad():
        seen, read = (embed(side.encoder, side.points(ends.to(side.blank)), side.layer) for side in (image, text))
        corners = seen @ read.T
    return float(corners[0, 0] - corners[1, 0] - corners[0, 1] + corners[1, 1])
