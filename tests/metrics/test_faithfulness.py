"""ROAD, infidelity, sensitivity and ROAR+: against slow twins, closed forms, and what is undefined."""

import copy
import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch

import matex
from matex.datasets.sample import Sample
from matex.errors import InputError
from matex.metrics import Case, make_metric
from matex.metrics.infidelity import square
from matex.metrics.road import fill
from matex.metrics.roar import split
from matex.metrics.sample_rng import generator_of
from tests.metrics.made import film, loop, make_case, same, small_model
from tests.reference import faithfulness as twin
from tests.reference.maps import enlarge

TEXTS = ["3 14 15 9", "26 5", "7 7 8 1 30", "12 40 41", "9 9 2", "60 61 62 63"]


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def cases(model):
    return [make_case(model, seed, text=text) for seed, text in enumerate(TEXTS)]


def score_of(model, case):
    def score(pixels):
        return float(matex.score(model, torch.as_tensor(pixels)[None], torch.tensor([case.token_ids]))[0, 0])

    return score


# ------------------------------------------------------------------------------------------------------------ ROAD


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_fill_equals_a_dense_solution(share):
    generator = torch.Generator().manual_seed(int(10 * share))
    image = torch.randn(3, 7, 9, generator=generator, dtype=torch.float64)
    missing = torch.rand(7, 9, generator=generator) < share
    np.testing.assert_allclose(fill(image, missing).numpy(), twin.fill(image.numpy(), missing.numpy()), atol=1e-10)


def test_a_plane_is_filled_with_itself_and_what_is_there_stays():
    image = torch.tensor([[[3.0 * x + 2 * y for x in range(9)] for y in range(8)]])
    missing = torch.zeros(8, 9, dtype=torch.bool)
    missing[2:6, 3:7] = True  # away from the border, where the mean over neighbours is one-sided
    torch.testing.assert_close(fill(image, missing), image)
    noisy = image + torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    filled = fill(noisy, missing)
    assert torch.equal(filled[:, ~missing], noisy[:, ~missing])
    assert filled[:, missing].max() <= noisy[:, ~missing].max()


def test_nothing_missing_is_nothing_done():
    image = torch.randn(3, 5, 6)
    assert torch.equal(fill(image, torch.zeros(5, 6, dtype=torch.bool)), image)


def test_road_equals_the_twin(model):
    grid = np.random.default_rng(8).standard_normal((35, 35))  # no two pixels alike
    case = make_case(model, 0, grid)
    found = make_metric("road", {"seed": 3, "noise": 0.4})([case])
    raw = enlarge(case.explanation.image.grid, 35, 35)
    pixels, score = case.pixels.numpy(), score_of(model, case)
    draw = torch.randn(case.pixels.shape, generator=generator_of(case, 3)).double().numpy()
    order = sorted(((y, x) for y in range(35) for x in range(35)), key=lambda at: -raw[at])
    for name, ordered in (("morf", order), ("lerf", order[::-1])):
        missing = np.zeros((35, 35), dtype=bool)
        for y, x in ordered[: round(0.2 * 35 * 35)]:
            missing[y, x] = True
        noisy = twin.fill(pixels, missing) + 0.4 * draw * missing
        assert found[f"road_{name}_at_20"][0] == pytest.approx(score(noisy), abs=1e-6)
        curve = [score(pixels), *(found[f"road_{name}_at_{percent}"][0] for percent in range(10, 100, 10))]
        area = sum((a + b) / 2 for a, b in pairwise(curve)) / 9
        assert found[f"road_{name}_auc"][0] == pytest.approx(area, abs=1e-9)
    assert found["road"] == pytest.approx(found["road_lerf_auc"] - found["road_morf_auc"])


def test_draws_depend_on_the_sample_and_the_seed_alone(model):
    def draw(number, seed, text="3 14"):
        return torch.rand(3, generator=generator_of(make_case(model, number, text=text), seed)).tolist()

    assert draw(0, 1) == draw(0, 1, "15 9 26")
    assert len({str(draw(number, seed)) for number in range(3) for seed in range(3)}) == 9


def test_the_reverse_of_a_map_has_the_reverse_of_its_road(model):
    grid = np.random.default_rng(5).standard_normal((35, 35))
    there, back = (make_metric("road", {"noise": 0.0})([make_case(model, 0, sign * grid)]) for sign in (1, -1))
    assert there["road"] == pytest.approx(-back["road"], abs=1e-9)
    np.testing.assert_allclose(there["road_morf_at_30"], back["road_lerf_at_30"], atol=1e-9)


# --------------------------------------------------------------------------------------- infidelity, sensitivity


def test_infidelity_equals_the_twin(model, cases):
    found = make_metric("infidelity", {"samples": 12, "seed": 2, "batch_size": 5})(cases[:2])["infidelity"]
    for value, case in zip(found, cases, strict=False):
        generator = generator_of(case, 2)
        masks = [square((35, 35), (0.1, 0.4), generator).numpy() for _ in range(12)]
        raw = enlarge(case.explanation.image.grid, 35, 35)
        expected = twin.infidelity(score_of(model, case), case.pixels.numpy(), raw, masks)
        assert value == pytest.approx(1e4 * expected, rel=1e-4)


def test_infidelity_does_not_depend_on_the_maps_unit(model):
    grid = np.random.default_rng(1).random((5, 5))
    first, second = (make_metric("infidelity", {"samples": 8})([make_case(model, 0, g)]) for g in (grid, 40 * grid))
    assert first["infidelity"] == pytest.approx(second["infidelity"], rel=1e-4)


def test_infidelity_does_not_tell_a_map_from_its_negative(model):
    """What Captum's normalisation makes of it: the factor that suits best may be below 0."""
    grid = np.random.default_rng(1).random((5, 5))
    first, second = (make_metric("infidelity", {"samples": 8})([make_case(model, 0, sign * grid)]) for sign in (1, -1))
    assert first["infidelity"] == pytest.approx(second["infidelity"], rel=1e-4)


def test_squares_lie_in_the_image_and_have_the_sides_asked_for():
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        mask = square((20, 31), (0.1, 0.5), generator)
        side = int(mask.any(0).sum())
        assert mask.sum() == side**2
        assert 2 <= side <= 10


@pytest.mark.parametrize("samples", [1, 5])
def test_sensitivity_equals_the_twin(model, samples):
    picture, text = film(0), TEXTS[0]
    case = Case(model, Sample("s", picture, text), matex.explain(model, picture, text, "grad-eclip"), {})
    found = make_metric("sensitivity-max", {"samples": samples, "radius": 0.1, "batch_size": 2})([case])
    generator, ids = generator_of(case, 0), torch.tensor([case.token_ids])
    before = enlarge(case.explanation.image.grid, 35, 35)
    changes = []
    for _ in range(samples):
        noise = torch.rand(3, 35, 35, generator=generator, dtype=torch.float32).double() * 2 - 1
        grid = matex.attribute(model, (case.pixels + 0.1 * noise)[None], ids, "grad-eclip").numpy()
        changes.append(np.linalg.norm(enlarge(grid, 35, 35) - before) / np.linalg.norm(before))
    assert found["sensitivity_max"][0] == pytest.approx(max(changes), rel=1e-4)


@pytest.mark.parametrize("name", ["road", "infidelity"])
def test_one_by_one_is_the_same(name, cases):
    metric = make_metric(name, {"samples": 6} if name == "infidelity" else {})
    before = cases[0].pixels.clone()
    same(metric(cases[:3]), loop(metric, cases[:3]), 1e-6)
    assert torch.equal(cases[0].pixels, before)


@pytest.mark.parametrize("value", [0.3, np.nan, np.inf])
@pytest.mark.parametrize("name", ["road", "infidelity", "sensitivity-max"])
def test_a_map_that_tells_no_place_from_another_is_undefined(name, value, model):
    found = make_metric(name, {})([make_case(model, 0, np.full((5, 5), value))])
    assert all(np.isnan(values).all() for values in found.values())


# ----------------------------------------------------------------------------------------------------------- ROAR+


def orders(count, seed, share, epochs):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(count, generator=generator).tolist()
    return order, [torch.randperm(round(share * count), generator=generator).tolist() for _ in range(epochs)]


def test_roar_equals_training_through_transformers(model):
    grids = np.random.default_rng(9).standard_normal((9, 35, 35))  # no two pixels alike
    cases = [make_case(model, seed, grids[seed], text=TEXTS[seed % 6]) for seed in range(9)]
    # Four films to train on in two batches, five to validate on in two of different sizes.
    settings = {"seeds": 2, "epochs": 2, "learning_rate": 1e-3, "batch_size": 2, "train_share": 0.42}
    found = make_metric("roar-plus", settings)(cases)
    images, phrases = torch.stack([case.pixels for case in cases]), [list(case.token_ids) for case in cases]
    degraded, shortened = images.clone(), []
    for i, case in enumerate(cases):
        raw = enlarge(case.explanation.image.grid, 35, 35)
        limit = np.percentile(raw, 75)
        for y in range(35):
            for x in range(35):
                if raw[y, x] > limit:
                    degraded[i, :, y, x] = images[i].mean(dim=(1, 2))
        middle = np.median(case.token_scores)
        kept = [t for t, s in zip(phrases[i][1:-1], case.token_scores, strict=True) if s <= middle]
        shortened.append([phrases[i][0], *kept, phrases[i][-1]])
    for seed in range(2):
        given = ((images, phrases), *orders(9, seed, 0.42, 2), 0.42, 2, 1e-3)
        for name, train in {
            "original": (images, phrases),
            "image": (degraded, phrases),
            "text": (images, shortened),
        }.items():
            expected = twin.roar_loss(model.module, train, *given)
            assert found[f"loss_{name}"][seed] == pytest.approx(expected, rel=1e-5)
        clean = found["loss_original"][seed]
        assert found["roar_image"][seed] == pytest.approx(100 * (found["loss_image"][seed] - clean) / clean)
    assert found["loss_original"][0] != found["loss_original"][1]


def test_all_phrases_of_a_film_are_trained_on_or_none():
    films = ["a", "b", "b", "c", "d", "a", "e", "e", "e", "b"]
    seen = set()
    for seed in range(20):
        chosen, held_out = split(films, 0.6, torch.Generator().manual_seed(seed))
        assert sorted([*chosen.tolist(), *held_out.tolist()]) == list(range(10))
        sides = [{films[i] for i in part.tolist()} for part in (chosen, held_out)]
        assert not sides[0] & sides[1]
        assert [len(side) for side in sides] == [3, 2]
        seen.add(tuple(sorted(sides[1])))
    assert len(seen) > 4


def test_phrases_of_one_film_do_not_count_as_films(model):
    cases = [make_case(model, seed, text=text, picture=film(seed // 3)) for seed, text in enumerate(TEXTS)]
    with pytest.raises(InputError, match="got 2 films in all"):
        make_metric("roar-plus", {"train_share": 0.5})(cases)


def test_images_rendered_from_one_film_do_not_count_as_films(model):
    """Else a chest that was trained on would be validated on."""
    cases = [make_case(model, seed, text=text, cluster=f"film {seed // 3}") for seed, text in enumerate(TEXTS)]
    with pytest.raises(InputError, match="got 2 films in all"):
        make_metric("roar-plus", {"train_share": 0.5})(cases)


def test_a_small_clean_loss_is_warned_of(model, monkeypatch):
    cases = [make_case(model, seed, text=text, picture=film(seed)) for seed, text in enumerate(TEXTS)]
    metric = make_metric("roar-plus", {"seeds": 1, "epochs": 1, "batch_size": 2, "train_share": 0.5})
    metric(cases)  # warnings are errors: none of a loss of the usual size
    monkeypatch.setattr("matex.metrics.roar.SMALL_LOSS", 100.0)
    with pytest.warns(UserWarning, match=r"validation loss on clean films is \d"):
        metric(cases)


def test_the_loss_of_clean_films_is_kept_for_the_same_question_alone():
    """A second answer of the same model equals that of a model that was never asked before."""
    settings = {"seeds": 1, "epochs": 1, "batch_size": 2, "train_share": 0.5, "learning_rate": 1e-3}

    def ask(model, change, **others):
        cases = [make_case(model, seed, **{"text": text, **others}) for seed, text in enumerate(TEXTS[:5])]
        return make_metric("roar-plus", {**settings, **change.pop("settings", {})})(
            [
                dataclasses.replace(
                    case,
                    explanation=dataclasses.replace(
                        case.explanation, query=dataclasses.replace(case.explanation.query, **change)
                    ),
                )
                for case in cases
            ]
        )["loss_original"][0]

    def grown(model):
        with torch.no_grad():
            next(model.module.vision_model.parameters()).add_(0.5)
        return model

    model = small_model()
    first = ask(model, {})
    for change, others in (({"resize": "crop"}, {}), ({"settings": {"epochs": 2}}, {}), ({}, {"text": "5 6 7 8"})):
        again, fresh = (ask(one, dict(change), **others) for one in (model, small_model()))
        assert again == fresh != first
    assert ask(grown(model), {}) == ask(grown(small_model()), {}) != first


def test_a_map_that_removes_nothing_changes_nothing(model):
    flat = [make_case(model, seed, np.zeros((5, 5)), text=text) for seed, text in enumerate(TEXTS)]
    found = make_metric("roar-plus", {"seeds": 1, "batch_size": 2, "train_share": 0.6, "text_percentile": 100.0})(flat)
    assert found["roar_image"].tolist() == [0.0]
    assert found["roar_text"].tolist() == [0.0]


def test_training_helps_and_leaves_the_model_alone(model, cases):
    before = copy.deepcopy(model.module.state_dict())
    settings = {"seeds": 1, "batch_size": 4, "train_share": 0.6}
    short = make_metric("roar-plus", {**settings, "epochs": 1, "learning_rate": 1e-9})(cases)
    assert all(torch.equal(before[name], value) for name, value in model.module.state_dict().items())
    assert all(parameter.grad is None for parameter in model.module.parameters())
    again = make_metric("roar-plus", {**settings, "epochs": 1, "learning_rate": 1e-9})(cases)
    same(short, again, 0)


def test_a_method_without_words_has_no_text_column(model):
    cases = [make_case(model, seed, scores=()) for seed in range(5)]
    found = make_metric("roar-plus", {"seeds": 1, "epochs": 1, "batch_size": 2, "train_share": 0.6})(cases)
    assert np.isnan(found["roar_text"]).all()
    assert np.isfinite(found["roar_image"]).all()


@pytest.mark.parametrize(("removal", "filler"), [("delete", []), ("paper", [0]), ("blank", [77])])
def test_removed_words_are_left_out_or_replaced(model, removal, filler):
    case = make_case(model, 0, scores=(0.1, 0.9, 0.2, 0.8))
    metric = make_metric("roar-plus", {"removal": removal, **({"blank_id": 77} if removal == "blank" else {})})
    first, a, _, c, _, last = case.token_ids
    assert list(metric._degrade_text(case)) == [first, a, *filler, c, *filler, last]


def test_too_few_films_are_refused(model, cases):
    with pytest.raises(InputError, match=r"^Expected at least two films to train on and two to validate on"):
        make_metric("roar-plus", {})(cases[:4])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("road", {"noise": -1}),
        ("infidelity", {"sides": (0.4, 0.1)}),
        ("infidelity", {"samples": 1}),
        ("sensitivity-max", {"radius": 0}),
        ("roar-plus", {"seeds": 0}),
        ("roar-plus", {"batch_size": 1}),
        ("roar-plus", {"removal": "blank"}),
        ("roar-plus", {"train_share": 1.0}),
    ],
)
def test_parameters_outside_their_range_are_refused(name, parameters):
    with pytest.raises(ValueError, match=r"^Expected \w+ "):
        make_metric(name, parameters)
