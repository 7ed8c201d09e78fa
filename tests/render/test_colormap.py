import numpy as np
import pytest

from matex.render.colormap import INFERNO, ColourScale, table


def test_the_colour_table_is_inferno_within_two_steps():
    matplotlib = pytest.importorskip("matplotlib")
    real = matplotlib.colormaps["inferno"].resampled(255)(np.arange(255))[:, :3] * 255
    assert np.abs(table(INFERNO).astype(float) - real).max() <= 2.6


def test_lightness_of_the_colours_never_falls():
    light = ColourScale(0, 1).colours.astype(float) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light) >= -0.5).all()


def test_opacity_is_nothing_at_the_low_end_and_at_the_centre_of_signed_values():
    assert ColourScale(0, 1).opacity[0] == 0
    assert ColourScale(-1, 1).opacity[127] == 0
    assert ColourScale(-1, 1).opacity[0] == ColourScale(0, 1).opacity[-1]
    assert ColourScale(0, 1).opacity.max() < 0.75


def test_a_scale_maps_its_ends_to_the_ends_and_keeps_nan():
    scale = ColourScale.of(np.array([[2.0, np.nan], [4.0, 6.0]]))
    np.testing.assert_allclose(scale.fractions(np.array([2.0, 4.0, 6.0])), [0, 0.5, 1])
    assert np.isnan(scale.fractions(np.array([np.nan]))).all()
    assert ColourScale.of(np.array([1.0, np.inf, 3.0, -np.inf])) == ColourScale(1, 3)


@pytest.mark.parametrize(("low", "high"), [(-2.0, 6.0), (-6.0, 2.0), (-6.0, 0.0), (-6.0, -2.0), (-1e-9, 6.0)])
def test_a_scale_with_negative_values_is_centred_on_zero(low, high):
    scale = ColourScale.of(np.array([low, np.nan, high]))
    assert scale.signed
    assert scale.ends == (-6.0, 6.0)
    np.testing.assert_allclose(scale.fractions(np.array([-6.0, 0.0, 3.0])), [0, 0.5, 0.75])
    np.testing.assert_allclose(scale.strength(np.array([-6.0, 0.0, 3.0])), [1, 0, 0.5])
    assert scale.format(0.0) == "0"
    assert scale.format(low) in scale.legend


def test_a_scale_without_negative_values_keeps_the_sequential_map():
    for low in (0.0, 0.3):
        scale = ColourScale.of(np.array([low, 1.0]))
        assert not scale.signed
        assert scale.ends == (low, 1.0)
        np.testing.assert_array_equal(scale.strength(np.array([low, 1.0])), [0, 1])


@pytest.mark.parametrize("values", [np.zeros(3), np.full(3, 0.4), np.full(3, np.nan), np.array([])])
def test_constant_and_unknown_values_make_a_constant_scale(values):
    assert ColourScale.of(values).constant
    assert ColourScale.of(-values).constant
    assert ColourScale(0, 1e-30).constant is False


def test_numbers_are_told_as_finely_as_the_scale_needs():
    assert ColourScale(0, 1.31).format(1.31) == "1.31"
    assert ColourScale(0, 310).format(155) == "155"
    assert ColourScale(0.0, 0.0042).format(0.0021) == "0.00210"
    assert ColourScale(0, 1e-9).format(5e-10) == "5.00e-10"
    assert ColourScale(0, 1).format(float("nan")) == "undefined"


@pytest.mark.parametrize("shape", [(12, 14), (192, 224)])
def test_a_map_and_its_negative_differ_in_hue_alone(shape):
    grid = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    one, other = (ColourScale.of(values) for values in (grid, -grid))
    np.testing.assert_allclose(one.strength(grid), other.strength(-grid), atol=1e-12)
    np.testing.assert_allclose(one.opacity, one.opacity[::-1], atol=1e-12)
