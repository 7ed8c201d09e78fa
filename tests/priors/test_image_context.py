"""The prior of a phrase on the patch grid of one image."""

import numpy as np
import pytest

from matex.geometry import Placement
from matex.phrases import parse
from matex.priors.image_context import ImageContext
from matex.priors.spatial import spatial_prior

MENTIONS = parse("opacity in the left base")


@pytest.fixture
def placement():
    return Placement.fit((120, 96), model=(30, 42), patch=(6, 6), resize="squash")


def test_the_parabola_is_read_at_patch_centres(placement):
    x, y = placement.patch_fractions()
    found = ImageContext(MENTIONS, placement).prior("parabola", "patient")
    np.testing.assert_array_equal(found.values, spatial_prior(MENTIONS, x, y, kind="parabola").values)


@pytest.mark.parametrize("kind", ["gaussian", "box", "atlas"])
def test_other_kinds_are_averaged_over_the_pixels_of_each_patch(placement, kind):
    x, y = placement.fractions()
    pixels = spatial_prior(MENTIONS, x, y, kind=kind)
    found = ImageContext(MENTIONS, placement).prior(kind, "patient")
    np.testing.assert_allclose(found.values, pixels.values.reshape(5, 6, 7, 6).mean(axis=(1, 3)), atol=1e-12)
    assert (found.neutral, found.reason) == (False, pixels.reason)


@pytest.mark.parametrize("kind", ["parabola", "atlas"])
def test_exchanged_places_are_those_of_the_mirrored_film(placement, kind):
    here = ImageContext(MENTIONS, placement).prior(kind, "patient").values
    there = ImageContext(MENTIONS, placement, exchanged=True).prior(kind, "patient").values
    np.testing.assert_allclose(there, here[:, ::-1], atol=1e-12)
    assert np.abs(there - here).max() > 0.1


@pytest.mark.parametrize(
    ("settings", "reason"), [({"view": "LL"}, "not frontal"), ({"domain": "natural"}, "not a chest")]
)
def test_view_and_domain_decide_whether_there_is_a_prior(placement, settings, reason):
    found = ImageContext(MENTIONS, placement, **settings).prior("atlas", "patient")
    assert found.neutral
    assert reason in found.reason
    assert found.values.shape == (5, 7)
