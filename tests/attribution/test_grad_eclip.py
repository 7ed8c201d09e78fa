"""Grad-ECLIP's variants agree with their twin."""

import pytest
import torch

import matex
from matex.attribution.grad_eclip import _SingleHead
from tests.reference.clip import Parts
from tests.reference.grad_eclip import grad_eclip


def unit(vector):
    return (vector / vector.norm()).detach()


@pytest.mark.parametrize("layers", [None, 3])
@pytest.mark.parametrize(("heads", "qk"), [("single", "raw"), ("model", "projected"), ("single", "projected")])
def test_variants_agree_with_their_twin(pair, layers, heads, qk):
    kind = {"single": heads == "single", "projected": qk == "projected"}
    image = grad_eclip(
        Parts(pair.module, "vision_model"), pair.image, unit(pair.text.embedding), pair.patches, pair.patches,
        layers or 1, relu_each=True, **kind,
    )  # fmt: skip
    text = grad_eclip(
        Parts(pair.module, "text_model"), pair.text, unit(pair.image.embedding), pair.tokens,
        pair.tokens, layers or 8, relu_each=False, **kind,
    )  # fmt: skip
    pair.check("grad-eclip", image, text, layers=layers, heads=heads, qk=qk)


def test_one_head_is_another_network(model, pixels, token_ids):
    """The reference explains a score that the model never gave."""
    trace = matex.record(model, pixels, token_ids).image
    assert (trace.rerun(_SingleHead(model.image), 2).score - trace.score).abs().min() > 1e-6
    torch.testing.assert_close(trace.rerun(model.image, 2).score, trace.score)
