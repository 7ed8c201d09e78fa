"""MaskCLIP agrees with its twin."""

import pytest

from tests.reference.clip import Parts
from tests.reference.maskclip import maskclip


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("key_similarity", [True, False])
def test_maskclip_agrees_with_its_twin(pair, residual, key_similarity):
    target = (pair.text.embedding / pair.text.embedding.norm()).detach()
    expected = maskclip(Parts(pair.module, "vision_model"), pair.image, target, pair.patches, residual, key_similarity)
    pair.check("maskclip", expected, residual=residual, key_similarity=key_similarity)
    assert min(expected) < 0 < max(expected)
