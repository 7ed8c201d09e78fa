"""The prior of a phrase on the patch grid of one image."""

import numpy as np
import pytest

from matex.domains import find_pack, read_places
from matex.geometry import Placement
from matex.phrases import parse
from matex.priors.display import Display
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


def test_printed_mentions_ignore_what_is_said_of_a_place(placement):
    """MATEX eq. 5 sums the regions that are named, negated or not."""
    denied = ImageContext(parse("no opacity in the left base, possible nodule in the right apex"), placement)
    stated = ImageContext(parse("opacity in the left base, nodule in the right apex"), placement)
    for kind in ("parabola", "atlas"):
        found = denied.prior(kind, "patient", printed=True)
        np.testing.assert_allclose(found.values, stated.prior(kind, "patient").values, atol=1e-12)
        assert not np.allclose(denied.prior(kind, "patient").values, found.values)


def test_emphasis_marks_the_tokens_of_places_that_count(placement):
    text = "right apex, nodule. No opacity in the left base."
    named = ("right", "apex", ",", "opacity", "left", "base")
    words = [(text.index(word), text.index(word) + len(word)) for word in named]
    full_stop = (len(text) - 1, len(text))
    context = ImageContext(parse(text), placement, spans=((0, 0), *words, full_stop, (0, 0)))
    assert context.emphasis().tolist() == [False, True, True, False, False, False, False, False, False]
    assert context.emphasis(printed=True).tolist() == [False, True, True, False, False, True, True, False, False]
    unknown = ImageContext(parse(text), placement).emphasis()
    assert (unknown.shape, unknown.dtype) == ((0,), np.bool_)


@pytest.mark.parametrize("kind", ["parabola", "atlas"])
def test_exchanged_places_are_those_of_the_mirrored_film(placement, kind):
    here = ImageContext(MENTIONS, placement).prior(kind, "patient").values
    there = ImageContext(MENTIONS, placement, exchanged=True).prior(kind, "patient").values
    np.testing.assert_allclose(there, here[:, ::-1], atol=1e-12)
    assert np.abs(there - here).max() > 0.1


@pytest.mark.parametrize("kind", ["parabola", "atlas"])
def test_the_papers_laterality_draws_the_mirror_image(placement, kind):
    here = ImageContext(MENTIONS, placement).prior(kind, "patient").values
    with pytest.warns(UserWarning, match="laterality='paper'"):
        there = ImageContext(MENTIONS, placement).prior(kind, "paper").values
    np.testing.assert_allclose(there, here[:, ::-1], atol=1e-12)


def test_a_data_pack_is_drawn_with_the_laterality_and_the_mentions_that_the_method_asks_for(placement):
    display = Display(find_pack("abdomen").view("AP"), (0.0, 0.0, 1.0, 1.0), mirrored=False, assumed=False)

    def prior(text, laterality="patient", printed=False):
        context = ImageContext(read_places(text, "abdomen"), placement, domain="abdomen", display=display)
        return context.prior("atlas", laterality, printed).values

    stated = prior("stone in the left kidney")
    assert stated.max() > 0.5
    np.testing.assert_allclose(prior("stone in the left kidney", "paper"), stated[:, ::-1], atol=1e-12)
    np.testing.assert_array_equal(prior("possible stone in the left kidney", printed=True), stated)
    assert not np.allclose(prior("possible stone in the left kidney"), stated)


@pytest.mark.parametrize(
    ("settings", "reason"), [({"view": "LL"}, "not frontal"), ({"domain": "natural"}, "not a chest")]
)
def test_view_and_domain_decide_whether_there_is_a_prior(placement, settings, reason):
    found = ImageContext(MENTIONS, placement, **settings).prior("atlas", "patient")
    assert found.neutral
    assert reason in found.reason
    assert found.values.shape == (5, 7)
