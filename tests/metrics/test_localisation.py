"""Localisation against counts pixel by pixel, closed forms, ties, crops, and what is undefined."""

import dataclasses

import numpy as np
import pytest

from matex.errors import InputError
from matex.geometry import Placement
from matex.metrics import make_metric
from matex.metrics.field_of_view import union
from matex.metrics.localisation import grown, hit, iou, tune_thresholds
from matex.results import SaliencyMap
from tests.metrics.made import film, loop, make_case, same, small_model
from tests.reference import localisation as twin

METRICS = ["iou", "miou", "pointing", "energy", "named-over-other"]
HEIGHT, WIDTH = 33, 40


@pytest.fixture(scope="module", params=["squash", "crop", "pad"])
def model(request):
    return small_model(request.param)


@pytest.fixture(scope="module")
def squashed():
    return small_model()


def with_map(case, values):
    """The case with a map given pixel by pixel at the original resolution."""
    size = values.shape
    placement = Placement(size, size, (0, 0), size, (1, 1))
    image = SaliencyMap(np.asarray(values, dtype=np.float32), placement)
    return dataclasses.replace(case, explanation=dataclasses.replace(case.explanation, image=image))


def blocks(y0, y1, x0, x1, height=HEIGHT, width=WIDTH):
    mask = np.zeros((height, width), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def cases_of(model):
    picture = film(0, HEIGHT, WIDTH)
    return [
        make_case(model, 0, picture=picture, boxes=((5, 4, 17, 20),), other=blocks(10, 30, 15, 39)),
        make_case(
            model, 1, picture=picture, boxes=((2.4, 3.5, 9.6, 12.5), (8, 10, 39.5, 14)), other=blocks(20, 30, 3, 9)
        ),
        make_case(
            model, 2, picture=picture, mask=blocks(12, 31, 20, 38), boxes=((0, 0, 3, 3),), other=blocks(0, 9, 9, 30)
        ),
        make_case(model, 3, picture=picture, mask=blocks(0, 33, 0, 5), other=blocks(0, 33, 36, 40)),
    ]


def check(actual, expected):
    assert actual == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_every_measure_equals_the_twin(model):
    cases = cases_of(model)
    found = {name: make_metric(name, {})(cases) for name in METRICS}
    by_value = make_metric("iou", {"threshold": 60, "by": "value"})(cases)
    near = make_metric("pointing", {"within": 4})(cases)
    unseen = 0.0
    for i, case in enumerate(cases):
        values = case.explanation.image.raw.tolist()
        mask = case.sample.mask
        mask = twin.truth(case.sample.boxes, HEIGHT, WIDTH) if mask is None else mask.tolist()
        lost = twin.outside(values, mask)
        unseen += lost
        for name in METRICS:
            check(found[name]["outside_view"][i], lost)
        if lost == 1:
            assert np.isnan(found["iou"]["iou"][i])
            continue
        check(found["iou"]["iou"][i], twin.iou(values, mask, 75, "percentile"))
        check(by_value["iou"][i], twin.iou(values, mask, 60, "value"))
        for threshold in (20, 50, 80):
            check(found["miou"][f"iou_at_{threshold}"][i], twin.iou(values, mask, threshold, "value"))
        check(found["miou"]["hit"][i], twin.pointing(values, mask, 0))
        check(found["pointing"]["pointing"][i], twin.pointing(values, mask, 0))
        check(found["pointing"]["pointing_within"][i], twin.pointing(values, mask, 15))
        check(near["pointing_within"][i], twin.pointing(values, mask, 4))
        check(found["energy"]["energy"][i], twin.energy(values, mask))
        other = [
            [bool(o) and not m for o, m in zip(*rows, strict=True)]
            for rows in zip(case.sample.other, mask, strict=True)
        ]
        two = found["named-over-other"]
        if twin.outside(values, other) == 1:
            assert np.isnan(two["points_named"][i])
            continue
        check(two["points_named"][i], twin.pointing(values, mask, 0))
        check(two["points_other"][i], twin.pointing(values, other, 0))
        check(two["named_above_other"][i], float(twin.mean(values, mask) > twin.mean(values, other)))
        check(two["energy_share"][i], twin.energy(values, mask, other))
    crops = case.explanation.image.placement.offset[1] > 0
    assert (unseen > 0) == crops


@pytest.mark.parametrize("name", METRICS)
def test_a_batch_equals_its_cases_one_by_one(squashed, name):
    cases = [*cases_of(squashed), make_case(squashed, 5), make_case(squashed, 6, grid=np.zeros((5, 5)))]
    metric = make_metric(name, {})
    same(metric(cases), loop(metric, cases), tolerance=0)


def test_a_perfect_map_is_perfect(squashed):
    """A quarter of the pixels marked, and nothing else."""
    truth = blocks(0, 20, 0, 20, 40, 40)
    case = make_case(squashed, 0, picture=film(0, 40, 40), mask=truth, other=blocks(30, 40, 30, 40, 40, 40))
    case = with_map(case, truth.astype(float))
    assert make_metric("iou", {})([case])["iou"][0] == 100
    assert make_metric("iou", {"by": "value"})([case])["iou"][0] == 100
    assert make_metric("energy", {})([case])["energy"][0] == 1
    assert make_metric("pointing", {})([case])["pointing"][0] == 1
    assert all(make_metric("miou", {})([case])[f"iou_at_{t}"][0] == 100 for t in (20, 80))
    two = {name: values[0] for name, values in make_metric("named-over-other", {})([case]).items()}
    assert two == {
        "points_named": 1,
        "points_other": 0,
        "named_above_other": 1,
        "energy_share": 1,
        "outside_view": 0,
    }


def test_a_value_at_the_threshold_is_not_above_it(squashed):
    """Values 0, .25, .5, .75 and 1 in bands, cut at .5: the three lower bands are not highlighted."""
    bands = np.repeat(np.linspace(0, 1, 5), 8)[:, None].repeat(40, axis=1)
    case = with_map(make_case(squashed, 0, picture=film(0, 40, 40), mask=blocks(24, 40, 0, 40, 40, 40)), bands)
    assert make_metric("iou", {"by": "value", "threshold": 50})([case])["iou"][0] == 100


def test_a_map_of_the_other_finding_is_wrong_in_everything(squashed):
    truth, other = blocks(0, 9, 0, 9), blocks(20, 33, 20, 39)
    case = with_map(
        make_case(squashed, 0, picture=film(0, HEIGHT, WIDTH), mask=truth, other=other), other.astype(float)
    )
    two = make_metric("named-over-other", {})([case])
    assert [two[name][0] for name in ("points_named", "points_other", "named_above_other", "energy_share")] == [
        0,
        1,
        0,
        0,
    ]
    assert make_metric("iou", {})([case])["iou"][0] == 0
    assert make_metric("energy", {})([case])["energy"][0] == 0


def test_a_constant_map_gets_what_chance_would(squashed):
    case = make_case(
        squashed,
        0,
        grid=np.full((5, 5), 0.3),
        picture=film(0, HEIGHT, WIDTH),
        mask=blocks(0, 11, 0, 20),
        other=blocks(11, 33, 0, 5),
    )
    share = 11 * 20 / (HEIGHT * WIDTH)
    assert make_metric("pointing", {})([case])["pointing"][0] == pytest.approx(share)
    assert make_metric("energy", {})([case])["energy"][0] == pytest.approx(share)
    assert make_metric("miou", {})([case])["hit"][0] == pytest.approx(share)
    two = make_metric("named-over-other", {})([case])
    assert two["named_above_other"][0] == 0.5
    assert two["energy_share"][0] == pytest.approx(220 / 330)
    for name, column in (("iou", "iou"), ("miou", "iou_at_50")):
        assert np.isnan(make_metric(name, {})([case])[column][0])


def test_what_is_undefined_is_nan(squashed):
    nothing = make_case(squashed, 0)
    negative = make_case(squashed, 1, grid=-1 - np.arange(25.0).reshape(5, 5), boxes=((0, 0, 20, 20),))
    nowhere = make_case(squashed, 2, grid=np.full((5, 5), np.nan), boxes=((0, 0, 20, 20),))
    for name in METRICS:
        metric = make_metric(name, {})
        for values in metric([nothing]).values():
            assert np.isnan(values[0])
        for column, values in metric([nowhere]).items():
            assert values[0] == 1 if column == "outside_view" else np.isnan(values[0])
        assert all(len(values) == 0 for values in metric([]).values())
    assert np.isnan(make_metric("energy", {})([negative])["energy"][0])
    assert make_metric("pointing", {})([negative])["pointing"][0] == 1
    assert np.isnan(make_metric("named-over-other", {})([negative])["points_named"][0])  # no other finding


def test_ties_count_by_their_share(squashed):
    values = np.zeros((HEIGHT, WIDTH))
    for y, x in ((5, 5), (5, 30), (20, 5), (6, 6)):
        values[y, x] = 2
    case = with_map(make_case(squashed, 0, picture=film(0, HEIGHT, WIDTH), boxes=((4, 4, 8, 8),)), values)
    found = make_metric("pointing", {"within": 13})([case])
    assert found["pointing"][0] == 0.5
    assert found["pointing_within"][0] == 0.75  # (20, 5) is 13 pixels below the box's last row
    assert make_metric("pointing", {"within": 12})([case])["pointing_within"][0] == 0.5


def test_tolerance_is_a_disc():
    mask = np.zeros((31, 33), dtype=bool)
    mask[14, 16] = True
    disc = grown(mask, 5)
    for y in range(31):
        for x in range(33):
            assert disc[y, x] == ((y - 14) ** 2 + (x - 16) ** 2 <= 25)
    assert (grown(mask, 0) == mask).all()
    assert grown(mask, 60).all()  # taller than the image
    assert not grown(np.zeros_like(mask), 60).any()


def test_tolerance_at_the_border_of_the_image():
    values = np.zeros((20, 24))
    values[0, 23] = 1
    truth = np.zeros((20, 24), dtype=bool)
    truth[3, 19] = True  # 3 down, 4 left: 5 away
    assert hit(values, truth, 5) == 1
    assert hit(values, truth, 4) == 0


def test_boxes_cover_the_pixels_whose_centre_they_hold():
    assert union([(2, 1, 4, 3)], (5, 6)).nonzero()[0].tolist() == [1, 1, 2, 2]
    assert union([(0.5, 0.5, 1.5, 1.5)], (3, 3)).nonzero() == ([0], [0])
    assert union([], (3, 3)).sum() == 0
    assert union([(0, 0, 2, 2), (1, 1, 3, 3)], (4, 4)).sum() == 7


def test_overlap_of_nothing_with_nothing_is_undefined():
    empty = np.zeros((3, 4), dtype=bool)
    assert np.isnan(iou(empty, empty))
    assert iou(~empty, empty) == 0


def test_a_mask_of_another_size_is_refused(squashed):
    case = make_case(squashed, 0, mask=np.ones((5, 5), dtype=bool))
    with pytest.raises(InputError, match="sample-0"):
        make_metric("energy", {})([case])


def test_thresholds_are_tuned_on_one_split_and_used_on_another():
    nan = np.nan
    groups = ["a", "a", "a", "b", "b", "b", "c", "d", "d"]
    splits = ["val", "val", "test", "val", "test", "train", "test", "val", "test"]
    ious = {
        30: np.array([10, 20, 1, 50, 2, 9, 3, nan, 7.0]),
        20: np.array([30, nan, 4, 50, 5, 9, 6, nan, 8.0]),
        40: np.array([16, 16, 0, 10, 0, 9, 0, nan, 9.0]),
    }
    tuned = tune_thresholds(ious, groups, splits)
    assert tuned.thresholds == {"a": 20, "b": 20}  # of two equally good ones the lower
    np.testing.assert_array_equal(tuned.values, [nan, nan, 4, nan, 5, nan, nan, nan, nan])


def test_tuning_on_the_test_split_is_refused():
    with pytest.raises(ValueError, match="different splits"):
        tune_thresholds({20: np.array([1.0])}, ["a"], ["test"], choose="test")
    with pytest.raises(ValueError, match="lengths"):
        tune_thresholds({20: np.array([1.0])}, ["a", "b"], ["test", "val"])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("iou", {"threshold": 100}),
        ("iou", {"by": "maximum"}),
        ("miou", {"thresholds": []}),
        ("miou", {"thresholds": [0.5]}),
        ("pointing", {"within": -1}),
    ],
)
def test_wrong_parameters_are_refused(name, parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        make_metric(name, parameters)


def test_thresholds_may_come_as_a_list(squashed):
    metric = make_metric("miou", {"thresholds": [25, 75]})
    found = metric([make_case(squashed, 0, boxes=((0, 0, 20, 20),))])
    assert list(found) == ["iou_at_25", "iou_at_75", "hit", "outside_view"]
    assert set(found) <= set(metric.better)
    assert hash(metric) == hash(make_metric("miou", {"thresholds": (25, 75)}))


def test_a_tolerance_beyond_the_map_takes_no_longer_than_its_size():
    values, truth = np.zeros((7, 11)), np.zeros((7, 11), dtype=bool)
    values[0, 0] = truth[6, 10] = True
    assert hit(values, truth, within=10**9) == 1
    assert hit(values, truth, within=5) == 0


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("iou", {"threshold": 0.5}),
        ("iou", {"threshold": 0.75, "by": "value"}),
        ("roar-plus", {"image_percentile": 0.75}),
        ("roar-plus", {"text_percentile": 0.5}),
    ],
)
def test_a_share_in_place_of_a_percentage_is_refused(name, parameters):
    with pytest.raises(InputError, match=r"in percent, 0 or at least 1 \(a half is 50\), got 0\."):
        make_metric(name, parameters)
    make_metric(name, {key: value if isinstance(value, str) else 100 * value for key, value in parameters.items()})
