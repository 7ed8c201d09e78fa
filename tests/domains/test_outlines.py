"""The weight of outlines: closed forms, and a slow twin that goes point by point."""

import math

import numpy as np
import pytest

from matex.domains.pack import Ellipse, Polygon
from matex.priors.outlines import outline_weight, placed
from matex.priors.shapes import gaussian, indicator, parabola, plateau
from tests.reference.outlines import in_ellipse, soft_ellipse, soft_polygon, winds_around

X, Y = (np.arange(23) + 0.5) / 23, (np.arange(17) + 0.5) / 17
BOX = (0.21, 0.32, 0.63, 0.81)
SOFT = (0.07, 0.04)
SHAPES = {
    "box": ((0.21, 0.32), (0.63, 0.32), (0.63, 0.81), (0.21, 0.81)),
    "triangle": ((0.1, 0.9), (0.45, 0.07), (0.83, 0.61)),
    "concave": ((0.12, 0.1), (0.9, 0.13), (0.88, 0.93), (0.47, 0.35), (0.15, 0.77)),
    "turned": ((0.15, 0.77), (0.47, 0.35), (0.88, 0.93), (0.9, 0.13), (0.12, 0.1)),
    "edges shorter than soft": ((0.4, 0.4), (0.43, 0.39), (0.45, 0.42), (0.42, 0.44)),
}


@pytest.mark.parametrize("points", SHAPES.values(), ids=SHAPES)
def test_a_polygon_equals_its_slow_twin(points):
    inside = outline_weight("box", Polygon(points), X, Y, SOFT)
    soft = outline_weight("atlas", Polygon(points), X, Y, SOFT)
    for row, y in enumerate(Y):
        for column, x in enumerate(X):
            assert inside[row, column] == winds_around(list(points), x, y)
            assert soft[row, column] == pytest.approx(soft_polygon(list(points), x, y, SOFT), abs=1e-8)


def test_points_level_with_a_corner_and_in_line_with_an_edge_equal_the_slow_twin():
    """Rows through corners cross two edges at one point; a line goes on beyond its edge, the border does not."""
    for name, points in SHAPES.items():
        heights = np.array([] if name == "box" else [v for _, v in points])  # the corners of a box are level with edges
        level = outline_weight("box", Polygon(points), X, heights, SOFT)
        assert level.tolist() == [[winds_around(list(points), x, y) for x in X] for y in heights]
        for (a, b), (c, d) in zip(points, (*points[1:], points[0]), strict=True):
            for x, y in ((a - 0.1 * (c - a), b - 0.1 * (d - b)), (c + 0.1 * (c - a), d + 0.1 * (d - b))):
                found = outline_weight("box", Polygon(points), np.array([x]), np.array([y]), SOFT)
                assert found == winds_around(list(points), x, y)


def test_a_polygon_closed_by_its_first_corner_is_the_polygon():
    for kind in ("box", "atlas", "gaussian"):
        points = SHAPES["triangle"]
        found = outline_weight(kind, Polygon((*points, points[0])), X, Y, SOFT)
        np.testing.assert_array_equal(found, outline_weight(kind, Polygon(points), X, Y, SOFT))


def test_a_rectangle_is_the_box_that_the_chest_draws():
    outline = Polygon(SHAPES["box"])
    assert np.array_equal(outline_weight("box", outline, X, Y, SOFT), indicator(X, Y, BOX))
    np.testing.assert_allclose(outline_weight("atlas", outline, X, Y, SOFT), plateau(X, Y, BOX, SOFT), atol=1e-12)
    for kind, formula in (("gaussian", gaussian), ("parabola", parabola), ("paper-gaussian", gaussian)):
        assert np.array_equal(outline_weight(kind, outline, X, Y, SOFT), formula(X, Y, BOX))


def test_points_on_the_border_are_inside():
    edges = np.array([0.21, 0.4, 0.63]), np.array([0.32, 0.5, 0.81])
    assert outline_weight("box", Polygon(SHAPES["box"]), *edges, SOFT).all()
    ends = outline_weight("box", Ellipse((0.5, 0.5), (0.25, 0.125)), np.array([0.25, 0.75]), np.array([0.5]), SOFT)
    assert ends.all()


def test_a_circle_falls_off_with_its_distance():
    circle, soft = Ellipse((0.5, 0.4), (0.2, 0.2)), (0.1, 0.1)
    found = outline_weight("atlas", circle, np.array([0.5, 0.69, 0.8, 0.9]), np.array([0.4]), soft)[0]
    np.testing.assert_allclose(found, [1, 1, math.exp(-0.5), math.exp(-2)], atol=1e-12)


def test_an_ellipse_equals_its_slow_twin():
    ellipse = Ellipse((0.45, 0.55), (0.22, 0.13))
    inside, soft = (outline_weight(kind, ellipse, X, Y, SOFT) for kind in ("box", "atlas"))
    for row, y in enumerate(Y):
        for column, x in enumerate(X):
            assert inside[row, column] == in_ellipse(ellipse.centre, ellipse.radii, x, y)
            assert soft[row, column] == pytest.approx(soft_ellipse(ellipse.centre, ellipse.radii, x, y, SOFT), abs=1e-8)


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
