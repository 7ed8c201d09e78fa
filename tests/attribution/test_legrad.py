"""LeGrad agrees with its twin."""

import pytest

import matex
from matex.attribution import make
from tests.attribution.pairs import exact
from tests.reference.clip import Parts
from tests.reference.legrad import legrad


@pytest.mark.parametrize("layers", [1, 2, 9])
def test_legrad_agrees_with_its_twin(pair, layers):
    target = (pair.text.embedding / pair.text.embedding.norm()).detach()
    parts = Parts(pair.module, "vision_model")
    pair.check("legrad", legrad(parts, pair.image, target, pair.patches, layers), layers=layers)


def test_what_other_methods_announced_changes_nothing(model, pixels, token_ids):
    """A pass whose graph starts at one row of a block has to be asked for the others."""
    expected = matex.attribute(model, pixels, token_ids, method="legrad", layers=3)
    for blocks in range(5):
        exact(
            make("legrad", {"layers": 3})(matex.record(model, pixels, token_ids, image_gradient_blocks=blocks).image),
            expected,
        )


def test_legrad_explains_images_only(model, pixels, token_ids):
    with pytest.raises(matex.InputError, match="Expected a method for this text tower, got 'legrad'"):
        matex.attribute(model, pixels, token_ids, method="legrad", tower="text")
