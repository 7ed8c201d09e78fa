"""A matex model with the attributes of OpenAI's CLIP that the package exclip reads, for comparisons with it.

exclip (https://pypi.org/project/exclip/, MIT) is no dependency: pip install --no-deps exclip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import torch
from exclip.explanation import OpenAIExplainer
from torch import Tensor, nn

import matex
from matex.adapters.encoder import Staged, State, staged
from matex.forward_pass import pooled


class Block(nn.Module):
    """One block of an encoder over [token, item, dim], as OpenAI's code orders them."""

    def __init__(self, encoder: Staged, layer: int, axis: Callable[[], State]) -> None:
        super().__init__()
        self.encoder, self.layer, self.axis = encoder, layer, axis

    def forward(self, hidden: Tensor) -> Tensor:
        state = self.axis().select(torch.zeros(hidden.shape[1], dtype=torch.long))
        return self.encoder.stage(self.layer, replace(state, hidden=hidden.permute(1, 0, 2))).hidden.permute(1, 0, 2)


class Transformer(nn.Module):
    """The blocks of an encoder, under the name that exclip hooks."""

    def __init__(self, encoder: Staged, state: Callable[[], State]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(encoder, layer, state) for layer in range(encoder.depth))

    def forward(self, hidden: Tensor) -> Tensor:
        for block in self.resblocks:
            hidden = block(hidden)
        return hidden


class OpenAIShaped(nn.Module):
    """Both encoders of a model behind the names that exclip hooks and calls."""

    def __init__(self, model: matex.Model) -> None:
        super().__init__()
        self.images, self.texts = staged(model.image), staged(model.text)
        self.image_state: State | None = None
        self.text_state: State | None = None
        self.visual = SimpleNamespace(transformer=Transformer(self.images, lambda: self.image_state))
        self.transformer = Transformer(self.texts, lambda: self.text_state)
        self.positional_embedding = torch.zeros(1)
        self.text_projection = torch.eye(1)

    @property
    def dtype(self) -> torch.dtype:
        return next(iter(self.images.stages().values()))[0].dtype

    def encode_image(self, pixels: Tensor) -> Tensor:
        state = self.images.start(self.images.entry(pixels), pixels)
        self.image_state = state
        hidden = self.visual.transformer(state.hidden.permute(1, 0, 2)).permute(1, 0, 2)
        state = state.select(torch.zeros(len(hidden), dtype=torch.long))
        return pooled(self.images, replace(state, hidden=hidden), unit=False)

    def token_embedding(self, ids: Tensor) -> Tensor:
        self.text_state = self.texts.start(self.texts.entry(ids), ids)
        return self.texts.entry(ids)

    def ln_final(self, hidden: Tensor) -> Tensor:
        """The last norm and the projection, whose matrix is then the identity."""
        projected = self.texts.project(hidden)
        self.text_projection = torch.eye(projected.shape[-1], dtype=projected.dtype)
        return projected


def explainer(model: matex.Model, side: int, tokens: int, blank: Tensor) -> OpenAIExplainer:
    """exCLIP's explainer of a model.

    Args:
        model: whose encoders are blocks with a CLS and an end token.
        side: of the image, pixels.
        tokens: length of the phrases.
        blank: ids of the reference phrase, [1, token].
    """
    made = OpenAIExplainer(OpenAIShaped(model), side, tokens, device=torch.device("cpu"))
    made.txt_ref = blank
    made.img_ref = made.img_ref.to(made.model.dtype)
    return made
