"""Every method on a film that is no square, against the twins: rows and columns cannot be mistaken for each other."""

import copy
from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional as F

import matex
from matex.attribution import METHODS
from matex.attribution.kernel_shap import draw
from tests.attribution.subjects import exact
from tests.conftest import EOS
from tests.reference import clip, gradient, legrad, m2ib, maskclip, methods, mmel, path, relevance, removal
from tests.reference.chefer import chefer
from tests.reference.clip_surgery import single, surgical_tokens
from tests.reference.embedding_space import image_gradients
from tests.reference.gradcam import gradcam

ROWS, COLUMNS, PATCH = 3, 5, 7
# These share the code of others.
OWN_SHAPE = ("attention-flow", "ca-m2ib", "gradient-shap", "guided-backprop", "matex-paper", "mmel-paper")


def with_positions(module, rows=ROWS, columns=COLUMNS):
    """A copy whose position embeddings are interpolated to the other grid, as a twin that does not interpolate sees."""
    module = copy.deepcopy(module)
    embeddings = module.vision_model.embeddings
    table = embeddings.position_embedding.weight.detach()
    square = table[1:].T.reshape(1, -1, 5, 5)
    wide = F.interpolate(square, size=(rows, columns), mode="bicubic", align_corners=False)[0].flatten(1).T
    embeddings.position_embedding = torch.nn.Embedding.from_pretrained(torch.cat([table[:1], wide]))
    return module


@dataclass
class Wide:
    """One wide film and a phrase as the twins see them."""

    module: torch.nn.Module
    pixels: torch.Tensor
    ids: list

    def __post_init__(self):
        self.image, self.text = clip.image(self.module, self.pixels), clip.text(self.module, self.ids)
        self.score = clip.cosine(self.image.embedding, self.text.embedding)
        self.target = (self.text.embedding / self.text.embedding.norm()).detach()
        self.parts = clip.Parts(self.module, "vision_model")
        self.patches = range(1, ROWS * COLUMNS + 1)

    def grad_eclip(self):
        return methods.grad_eclip(self.image, self.score, self.patches, self.patches, 1)

    def slope(self, pixels=None):
        return gradient.image_gradient(self.module, self.pixels if pixels is None else pixels, self.target)

    def chefer_lrp(self):
        scale = self.module.logit_scale.exp().item()
        return relevance.chefer_lrp(
            self.module, "vision_model", self.image, self.target, self.patches, self.score, scale
        )

    def surgery(self):
        nothing = clip.text(self.module, [self.ids[0], EOS]).embedding.detach()
        tokens = surgical_tokens(self.parts, self.image, 6)
        return single([tokens[i] for i in self.patches], self.target, nothing / nothing.norm())

    def shapley(self):
        subsets = draw(ROWS * COLUMNS, 40, seed=1).tolist()
        scores = [
            removal.image_score(self.module, removal.without_patches(self.pixels, PATCH, kept), self.target)
            for kept in [[False] * ROWS * COLUMNS, [True] * ROWS * COLUMNS, *subsets]
        ]
        gains = [score - scores[0] for score in scores[2:]]
        return removal.least_squares(subsets, [1.0] * len(subsets), gains, scores[1] - scores[0])

    def rise(self):
        masks = removal.rise_masks(9, 4, 0.5, self.pixels.shape[1:], seed=0)
        return removal.rise_image(self.module, self.pixels, self.target, masks, 0.5, "control")


TWINS = {
    "raw-attention": ({}, lambda w: methods.raw_attention(w.image, w.patches)),
    "rollout": ({}, lambda w: methods.rollout(w.image, w.patches)),
    "grad-eclip": ({}, Wide.grad_eclip),
    "matex": ({}, lambda w: methods.matex(methods.matex_terms(w.image, w.score, w.patches), beta=0)),
    "mmel": ({}, lambda w: mmel.mmel(w.image, w.patches, (ROWS, COLUMNS), w.grad_eclip(), "spatial")),
    "chefer": ({}, lambda w: chefer(w.image, w.score, w.patches, w.module.logit_scale.exp().item(), 3)),
    "chefer-lrp": ({}, Wide.chefer_lrp),
    "attn-lrp": (
        {},
        lambda w: relevance.attn_lrp(w.module, "vision_model", w.image, w.target, w.patches),
    ),
    "gradcam": ({}, lambda w: gradcam(w.image.normed[-1], w.score, w.patches, w.patches)),
    "legrad": ({}, lambda w: legrad.legrad(w.parts, w.image, w.target, w.patches, 2)),
    "clip-surgery": ({}, Wide.surgery),
    "maskclip": ({}, lambda w: maskclip.maskclip(w.parts, w.image, w.target, w.patches, True, False)),
    "m2ib": (
        {"steps": 3, "samples": 2},
        lambda w: m2ib.m2ib(w.module, "image", w.image, w.text, layer=2, steps=3, samples=2)[0][1:],
    ),
    "saliency": ({}, lambda w: gradient.reduce_pixels(w.slope(), "max_abs")),
    "gradient": ({}, lambda w: gradient.reduce_pixels(w.slope(), "signed")),
    "embedding-space": ({}, lambda w: image_gradients(w.module, w.pixels, w.target, False, False)),
    "integrated-gradients": (
        {"steps": 2},
        lambda w: path.image(w.module, w.pixels, w.target, [torch.zeros_like(w.pixels)] * 2, *path.legendre(2)),
    ),
    "occlusion": ({}, lambda w: removal.occlude_image(w.module, w.pixels, w.target, PATCH, PATCH)),
    "kernel-shap": ({"samples": 40, "seed": 1}, Wide.shapley),
    "rise": ({"masks": 9, "cells": 4}, Wide.rise),
}


@pytest.fixture
def wide(module, token_ids):
    pixels = torch.randn(3, ROWS * PATCH, COLUMNS * PATCH, generator=torch.Generator().manual_seed(5)).double()
    ids = token_ids[0].tolist()
    return Wide(with_positions(module), pixels, ids[: ids.index(EOS) + 1])


@pytest.mark.parametrize("name", TWINS)
def test_a_wide_film_agrees_with_the_twin(model, wide, name):
    parameters, twin = TWINS[name]
    found = matex.attribute(model, wide.pixels[None], torch.tensor([wide.ids]), name, **parameters)
    assert found.shape in ((ROWS, COLUMNS), wide.pixels.shape[1:])
    exact(found.flatten(), torch.as_tensor(twin(wide), dtype=found.dtype).flatten())


def test_no_method_is_forgotten():
    assert set(METHODS) == {*TWINS, *OWN_SHAPE}
