"""Models that every test file may use: small seeded ones without weights, and the bundled one; no network."""

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

import matex
from matex.adapters.clip import adapt

BOS, EOS = 97, 98


def small_clip(seed: int = 0, activation: str = "quick_gelu", eos: int = EOS, spread: float = 3.0) -> CLIPModel:
    """A CLIP with every size different: 4 image blocks of 3 heads, 5 text blocks of 2, a grid of 5 x 5."""
    torch.manual_seed(seed)
    config = CLIPConfig(
        projection_dim=20,
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 28,
            "num_hidden_layers": 4,
            "num_attention_heads": 3,
            "image_size": 35,
            "patch_size": 7,
            "hidden_act": activation,
        },
        text_config={
            "hidden_size": 16,
            "intermediate_size": 18,
            "num_hidden_layers": 5,
            "num_attention_heads": 2,
            "max_position_embeddings": 11,
            "vocab_size": 99,
            "bos_token_id": BOS,
            "eos_token_id": eos,
            "pad_token_id": 0,
            "hidden_act": activation,
        },
    )
    module = CLIPModel(config).eval()
    with torch.no_grad():  # the default initialisation is so small that attention would be uniform
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02 * spread)
    return module.double()


@pytest.fixture(scope="module")
def tiny() -> matex.Model:
    """The bundled model."""
    return matex.load("tiny")


@pytest.fixture
def module() -> CLIPModel:
    return small_clip()


@pytest.fixture
def model(module):
    return adapt(module, "small", preprocessing=None, tokenizer=None)


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 35, 35, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def token_ids() -> torch.Tensor:
    return torch.tensor([[BOS, 3, 14, 15, 9, 26, EOS], [BOS, 5, 35, EOS, 0, 0, 0], [BOS, 8, 9, 79, 32, EOS, EOS]])
