"""The prior of a data pack on known displays: a slow twin in the unit frame of the pack, and the reason in words."""

import numpy as np
import pytest

from matex.domains import find_pack
from matex.phrases import Mention
from matex.priors.display import Display
from matex.priors.pack_prior import pack_prior
from matex.priors.shapes import KINDS, PAPER
from tests.domains.pack_files import knee, write
from tests.reference import priors as twin
from tests.reference.outlines import in_ellipse, soft_ellipse, soft_polygon, winds_around

X, Y = np.linspace(-0.1, 1.1, 25) + 0.003, np.linspace(-0.2, 1.1, 19) + 0.003
FRAME = (0.2, 0.1, 0.9, 0.6)
SOFT = {"patella": 0.07, "field": 0.04}
PATELLA, TIBIA = ((0.3, 0.4), (0.05, 0.1)), ((0.15, 0.55), (0.42, 0.6), (0.3, 0.95))
FIELD = ((0.35, 0.0), (0.6, 0.0), (0.6, 1.0), (0.35, 1.0))


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Knees: the patella with a piece of the tibia, sided, and a field that overlaps them off the middle."""
    content = knee(views={"AP": {}, "R": {"plane": "AP", "sides": "right"}, "L": {"plane": "AP", "sides": "left"}})
    patella, field = content["regions"]["patella"], content["regions"]["field"]
    ellipse, polygon = {"ellipse": [*PATELLA[0], *PATELLA[1]]}, {"polygon": [list(point) for point in TIBIA]}
    patella |= {"outlines": {"AP": [ellipse, polygon]}, "soft": SOFT["patella"]}
    field |= {"outlines": {"AP": {"polygon": [list(point) for point in FIELD]}}, "soft": SOFT["field"]}
    return find_pack(str(write(tmp_path_factory.mktemp("packs"), content)))


def mention(region, side=None, weight=1.0):
    return Mention("", 0, 0, region, side, False, False, False, weight)


def display(pack, view="AP", frame=FRAME, mirrored=False, assumed=False):
    return Display(pack.view(view), frame, mirrored, assumed)


def in_unit_frame(region, kind, flipped):
    """The weight of a region as a function of the point in the image, from the pack's numbers."""
    soft = (SOFT[region], SOFT[region])

    def ellipse(u, v):
        return soft_ellipse(*PATELLA, u, v, soft) if kind == "atlas" else float(in_ellipse(*PATELLA, u, v))

    def polygon(points):
        return lambda u, v: soft_polygon(points, u, v, soft) if kind == "atlas" else float(winds_around(points, u, v))

    layers = [polygon(FIELD)] if region == "field" else [ellipse, polygon(TIBIA)]
    if kind in ("parabola", "gaussian", "paper-gaussian"):
        profile = twin.ramp_product if kind == "parabola" else twin.bell
        boxes = [(0.35, 0, 0.6, 1)] if region == "field" else [(0.25, 0.3, 0.35, 0.5), (0.15, 0.55, 0.42, 0.95)]
        layers = [twin.on_box(box, profile) for box in boxes]

    def weight(x, y):
        u, v = (x - FRAME[0]) / (FRAME[2] - FRAME[0]), (y - FRAME[1]) / (FRAME[3] - FRAME[1])
        return max(layer(1 - u if flipped else u, v) for layer in layers)

    return weight


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("view", "named", "drawn"),
    [  # drawn: region, whether it is the mirror image of the pack's outline, weight
        ("AP", [("patella", "right", 1.0)], [("patella", False, 1.0)]),
        ("AP", [("patella", None, 0.5)], [("patella", False, 0.5), ("patella", True, 0.5)]),
        ("AP", [("patella", "right", 0.6), ("field", None, 1.0)], [("patella", False, 0.6), ("field", False, 1.0)]),
        ("R", [("patella", "left", 1.0), ("patella", "right", 0.5)], [("patella", False, 0.5)]),
        ("L", [("patella", "right", 1.0), ("patella", "left", 0.5)], [("patella", True, 0.5)]),
        ("L", [("patella", "right", 1.0), ("field", None, 1.0)], [("field", True, 1.0)]),
    ],
)
@pytest.mark.parametrize(("mirrored", "exchanged"), [(False, False), (True, False), (False, True), (True, True)])
def test_the_prior_of_a_pack_equals_its_slow_twin(pack, kind, view, named, drawn, mirrored, exchanged):
    shown = display(pack, view, mirrored=mirrored)
    found = pack_prior(pack, [mention(*one) for one in named], shown, X, Y, kind, exchanged)
    layers = [in_unit_frame(region, kind, flipped != (mirrored != exchanged)) for region, flipped, _ in drawn]
    joined = sum if kind == "parabola" or kind.startswith(PAPER) else max
    expected = twin.normalized(X, Y, layers, [weight for *_, weight in drawn], joined)
    assert found.neutral is False
    np.testing.assert_allclose(found.values, expected, atol=1e-8)


RIGHT, FIELDS = [mention("patella", "right")], [mention("field")]


@pytest.mark.parametrize(
    ("changes", "exchanged", "convention"),
    [
        ({}, False, "the patient's right on the image's left"),
        ({"assumed": True}, False, "the patient's right on the image's left (assumed)"),
        ({"mirrored": True}, False, "mirrored: the patient's right on the image's left"),
        ({"mirrored": True}, True, "mirrored: the patient's right on the image's left, drawn on the other side"),
        ({}, True, "the patient's right on the image's left, drawn on the other side"),
    ],
)
def test_the_reason_names_regions_view_and_display(pack, changes, exchanged, convention):
    mentions = [*RIGHT, mention("patella", "left", 0.5), *FIELDS]
    found = pack_prior(pack, mentions, display(pack, **changes), X, Y, "atlas", exchanged)
    assert found.reason == f"right patella, left patella, field; domain knee, view AP, {convention}"


def test_the_reason_names_no_display_where_it_is_not_known(pack):
    """What is its own mirror image is drawn all the same."""
    both = [mention("patella")]
    found = pack_prior(pack, both, display(pack, mirrored=None, assumed=True), X, Y, "atlas", False)
    assert not found.neutral
    assert found.reason == (
        "right patella, left patella; domain knee, view AP, its own mirror image: the display of the image is not known"
    )


@pytest.mark.parametrize(
    ("mentions", "changes", "reason"),
    [
        ([], {}, "the phrase names no region of the domain 'knee'"),
        ([mention("field", weight=0.0)], {}, "every region in the phrase is negated, normal or of the past"),
        (
            FIELDS,
            {"view": "LATERAL"},
            "the view is unknown or none of AP, R, L: places of the domain 'knee' need one",
        ),
        (FIELDS, {"frame": None}, "no knee was found in front of a dark background"),
        ([*RIGHT, mention("knee", "right")], {"view": "L"}, "right patella, right knee: not shown on view L"),
        (
            RIGHT,
            {"mirrored": None},
            "the display of the image is not known (in standard display: the patient's right on the image's left)",
        ),
        (RIGHT, {"frame": (0.4, 0.4, 0.401, 0.401)}, "no sample point falls into right patella"),
        (
            [mention("patella")],
            {"frame": (0.4, 0.4, 0.401, 0.401)},
            "no sample point falls into right patella, left patella",
        ),
    ],
)
def test_a_prior_of_a_pack_is_neutral_and_says_why(pack, mentions, changes, reason):
    found = pack_prior(pack, mentions, display(pack, **changes), X, Y, "box", False)
    assert found.neutral is True
    assert found.reason == reason
    np.testing.assert_array_equal(found.values, np.zeros((19, 25)))
