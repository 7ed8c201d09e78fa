"""Chefer agrees with its twin."""

import pytest
import torch

import matex
from matex.attribution import make
from tests.reference.chefer import chefer


@pytest.mark.parametrize("layers", ["last", "all"])
def test_chefer_agrees_with_its_twin(pair, layers):
    first = {"last": -1, "all": 0}[layers]
    scale = pair.module.logit_scale.exp().item()

    def formula(tower, tokens):
        return chefer(tower, pair.score, tokens, scale, first % len(tower.inputs))

    pair.check("chefer", formula(pair.image, pair.patches), formula(pair.text, pair.tokens), layers=layers)


def test_the_readout_token_keeps_itself(model, pixels, token_ids):
    """R starts as the identity, so EOS stands at 1 or more."""
    tokens = matex.attribute(model, pixels, token_ids, method="chefer", tower="text")
    ends = torch.stack([row[~row.isnan()][-1] for row in tokens])
    assert (ends >= 1).all()


def test_a_wrong_choice_of_layers_is_refused():
    with pytest.raises(ValueError, match="Expected layers to be one of last, all, got 2"):
        make("chefer", {"layers": 2})
