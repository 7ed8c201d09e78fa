"""The weight of outlines: closed forms, and a slow twin that goes point by point."""

import math

import numpy as np
import pytest

from matex.domains.pack import Ellipse, Polygon
from matex.priors.outlines import outline_weight, placed
from matex.priors.shapes import gaussian, indicator, parabola, plateau
from tests.reference.outlines import soft_polygon, winds_around

X, Y = (np.arange(23) + 0.5) / 23, (np.arange(17) + 0.5) / 17
BOX = (0.21, 0.32, 0.63, 0.81)
SOFT = (0.07, 0.04)
SHAPES = {
    "box": ((0.21, 0.32), (0.63, 0.32), (0.63, 0.81), (0.21, 0.81)),
    "triangle": ((0.1, 0.9), (0.45, 0.07), (0.83, 0.61)),
    "concave": ((0.12, 0.1), (0.9, 0.13), (0.88, 0.93), (0.47, 0.35), (0.15, 0.77)),
    "turned": ((0.15, 0.77), (0.47, 0.35), (0.88, 0.93), (0.9, 0.13), (0.12, 0.1)),
}


@pytest.mark.parametrize("points", SHAPES.values(), ids=SHAPES)
def test_a_polygon_equals_its_slow_twin(points):
    inside = outline_weight("box", Polygon(points), X, Y, SOFT)
    soft = outline_weight("atlas", Polygon(points), X, Y, SOFT)
    for row, y in enumerate(Y):
        for column, x in enumerate(X):
            assert inside[row, column] == winds_around(list(points), x, y)
            assert soft[row, column] == pytest.approx(soft_polygon(list(points), x, y, SOFT), abs=1e-8)


def test_a_rectangle_is_the_box_that_the_chest_draws():
    outline = Polygon(SHAPES["box"])
    assert np.array_equal(outline_weight("box", outline, X, Y, SOFT), indicator(X, Y, BOX))
    np.testing.assert_allclose(outline_weight("atlas", outline, X, Y, SOFT), plateau(X, Y, BOX, SOFT), atol=1e-12)
    for kind, formula in (("gaussian", gaussian), ("parabola", parabola), ("paper-gaussian", gaussian)):
        assert np.array_equal(outline_weight(kind, outline, X, Y, SOFT), formula(X, Y, BOX))


def test_points_on_the_border_are_inside():
    edges = np.array([0.21, 0.4, 0.63]), np.array([0.32, 0.5, 0.81])
    assert outline_weight("box", Polygon(SHAPES["box"]), *edges, SOFT).all()


def test_a_circle_falls_off_with_its_distance():
    circle, soft = Ellipse((0.5, 0.4), (0.2, 0.2)), (0.1, 0.1)
    found = outline_weight("atlas", circle, np.array([0.5, 0.69, 0.8, 0.9]), np.array([0.4]), soft)[0]
    np.testing.assert_allclose(found, [1, 1, math.exp(-0.5), math.exp(-2)], atol=1e-12)


def test_the_area_of_an_ellipse_is_pi_a_b():
    fine = (np.arange(1000) + 0.5) / 1000
    found = outline_weight("box", Ellipse((0.5, 0.5), (0.3, 0.2)), fine, fine, SOFT).mean()
    assert found == pytest.approx(math.pi * 0.3 * 0.2, abs=1e-3)


def test_an_outline_is_placed_in_its_frame_and_mirrored_within_it():
    frame = (0.2, 0.1, 0.6, 0.9)
    ellipse = placed(Ellipse((0.25, 0.5), (0.1, 0.2)), frame, False)
    np.testing.assert_allclose((*ellipse.centre, *ellipse.radii), (0.3, 0.5, 0.04, 0.16))
    mirrored = placed(Polygon(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0))), frame, True)
    np.testing.assert_allclose(mirrored.points, [(0.6, 0.1), (0.4, 0.1), (0.4, 0.9)])
