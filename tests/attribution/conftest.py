import pytest

from tests.attribution.pairs import make_pair


@pytest.fixture(params=[0, 1])
def pair(request, module, model, pixels, token_ids):
    """Two pairs of an image and a phrase, as the slow twin sees them."""
    return make_pair(module, model, pixels, token_ids, request.param)
