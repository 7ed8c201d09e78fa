"""The audit of a map: stub methods with a known verdict, and independent computations of its numbers."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

import matex
from matex.adapters.randomise import randomised
from matex.attribution import METHODS
from matex.audits import LIMITS
from matex.audits.checks import NO_ANATOMY, check_score
from matex.audits.regions import displaced, prior_share
from matex.audits.side import check_side
from matex.cli import run
from matex.phrases.swap_sides import other_side
from matex.samples import samples

FILM = next(sample for sample in samples() if sample.name == "left-lower-opacity")
PHRASE = "opacity in the left lower lung"
FEW = {"regions": 10, "repeats": 2, "view": "PA"}


@dataclass(frozen=True)
class Stub:
    """Base of the stub methods: no gradients, the image tower alone."""

    towers: ClassVar[tuple[str, ...]] = ("image",)
    source: ClassVar[str] = "none"

    def gradient_blocks(self, kind):
        return 0


@dataclass(frozen=True)
class Guided(Stub):
    """A map that is a fixed picture times the prior; strength 1 has none."""

    strength: float = 40.0
    flat: bool = False

    def components(self, trace):
        rows, columns = trace.grid
        down, across = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
        base = torch.ones(rows, columns) if self.flat else torch.exp(-((down + 0.1) ** 2) - across**2)
        return {"prior": base * self.spatial_weights(trace)}

    def weights(self):
        return {"prior": 1.0}

    def fuse(self, terms):
        return terms["prior"]

    def __call__(self, trace):
        return self.fuse(self.components(trace))

    def spatial_priors(self, trace):
        return trace.priors("atlas", "patient")

    def spatial_weights(self, trace):
        places = torch.stack([torch.from_numpy(prior.values) for prior in self.spatial_priors(trace)]).float()
        return 1 + (self.strength - 1) * places


@dataclass(frozen=True)
class Noise(Stub):
    """Random numbers from a seed, whatever the film and phrase."""

    seed: int = 0

    def __call__(self, trace):
        rows, columns = trace.grid
        draw = torch.rand(rows, columns, generator=torch.Generator().manual_seed(self.seed))
        return draw.expand(len(trace.item), rows, columns)


@dataclass(frozen=True)
class Corners(Stub):
    """A map of the upper corners alone."""

    def __call__(self, trace):
        grid = torch.zeros(len(trace.item), *trace.grid)
        grid[:, 0, [0, -1]] = 1.0
        return grid


@dataclass(frozen=True)
class Half(Stub):
    """One value in the lower part of the image, another above it."""

    share: float = 0.5

    def __call__(self, trace):
        rows, columns = trace.grid
        grid = torch.zeros(len(trace.item), rows, columns)
        grid[:, rows - round(self.share * rows) :] = 1.0
        return grid


@dataclass(frozen=True)
class Sometimes(Stub):
    """Random numbers, but a constant for every other seed."""

    seed: int = 0

    def __call__(self, trace):
        return Noise(self.seed)(trace) * (self.seed % 2)


@dataclass(frozen=True)
class Constant(Stub):
    def __call__(self, trace):
        return torch.full((len(trace.item), *trace.grid), 0.5)


def rephrased(explanation, text):
    return dataclasses.replace(explanation, query=dataclasses.replace(explanation.query, text=text))


@pytest.fixture(autouse=True, scope="module")
def stubs():
    """Register the stub methods; one model with random weights instead of three is enough here."""
    made = {"guided": Guided, "noise": Noise, "corners": Corners, "constant": Constant}
    made |= {"half": Half, "sometimes": Sometimes}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(METHODS, "_entries", {**METHODS, **made})
        patch.setattr("matex.audits.controls.RANDOM_MODELS", 1)
        yield


@pytest.fixture(scope="module")
def audited(tiny):
    return matex.audit(tiny, FILM.path, PHRASE, **FEW)


def states(audit):
    return {name: check.state for name, check in audit.checks.items()}


# -------------------------------------------------------------------------------------- methods with a known verdict


def test_a_map_that_is_only_the_prior_has_a_prior_share_of_one(tiny):
    audit = matex.audit(tiny, FILM.path, PHRASE, "guided", flat=True, **FEW)
    assert audit.prior_share == pytest.approx(1)
    assert audit.verdict == audit.checks["prior_share"].state == "fail"
    assert "100 % of the map comes from the place that the phrase names" in audit.summary
    assert audit.summary.startswith("This map should not be taken as evidence of what the model used.")
    assert audit.controls["no_prior"].image.degenerate


def test_a_side_that_the_prior_chose_is_called_the_priors(tiny):
    audit = matex.audit(tiny, FILM.path, PHRASE, "guided", **FEW)
    values = audit.checks["side"].values
    assert audit.checks["side"].state == "fail"
    assert values["shift"] < -LIMITS["side"][1]  # from the patient's left to the right
    assert values["shift_without_prior"] == pytest.approx(0, abs=1e-6)
    assert values["shift_by_prior_alone"] == pytest.approx(values["shift"])
    assert "The side of this map is the prior's." in audit.checks["side"].answer
    # Whatever the prior does, the picture under it is the same for any phrase.
    assert audit.checks["unrelated_phrase"].values["stays"] == pytest.approx(1, abs=0.02)


def test_on_a_mirrored_film_the_patients_sides_stay_what_they_are(tiny):
    there = matex.audit(tiny, FILM.path, PHRASE, "guided", **FEW).checks["side"].values
    pixels = matex.read(FILM.path).pixels[:, ::-1].copy()
    back = matex.audit(tiny, pixels, PHRASE, "guided", mirrored=True, **FEW).checks["side"].values
    assert back["across"] == pytest.approx(there["across"], abs=0.02)
    assert back["shift"] == pytest.approx(there["shift"], abs=0.02)


def test_a_map_of_random_numbers_is_unmasked(tiny):
    audit = matex.audit(tiny, FILM.path, PHRASE, "noise", **{**FEW, "repeats": 3})
    found = states(audit)
    assert found["seeds"] == found["unrelated_phrase"] == found["random_weights"] == "fail"
    assert audit.checks["unrelated_phrase"].values["stays"] == pytest.approx(1, abs=0.02)
    assert audit.checks["seeds"].values["lowest_likeness"] < 0.3
    assert audit.checks["seeds"].values["lowest_likeness"] < audit.checks["seeds"].values["mean_likeness"]


def test_a_map_of_the_corners_is_caught(tiny):
    audit = matex.audit(tiny, FILM.path, PHRASE, "corners", **FEW)
    assert audit.checks["corners"].state == "fail"
    assert audit.checks["corners"].values["corners"] == pytest.approx(1, abs=0.05)
    assert audit.checks["lungs"].state == "warn"


def test_a_constant_map_is_no_map_and_nothing_is_claimed_of_it(tiny):
    audit = matex.audit(tiny, FILM.path, PHRASE, "constant", **FEW)
    found = states(audit)
    assert found["map"] == "fail"
    assert {found[name] for name in ("side", "unrelated_phrase", "random_weights", "deletion")} == {"skipped"}
    assert audit.summary == (
        "This map should not be taken as evidence of what the model used. "
        "The map is constant: it says nothing about where."
    )


def test_a_map_of_attention_is_blind_to_the_phrase(tiny):
    audit = matex.audit(tiny, FILM.path, PHRASE, "rollout", **FEW)
    assert states(audit)["unrelated_phrase"] == "fail"
    assert audit.checks["unrelated_phrase"].values["stays"] == pytest.approx(1, abs=0.02)
    assert audit.prior_share == 0
    assert "no_prior" not in audit.controls
    side = audit.checks["side"]
    assert side.state != "pass"
    assert "The map ignores left and right: it is the same for both." in side.answer


def side_of(audited, film, mirrored, **changes):
    """The side check with these scores of the two sides' phrases on the film and on the mirrored film."""
    names = ("other_side", "mirrored_film", "mirrored_film_other_side")
    scores = dict(zip(names, (film[1], *mirrored), strict=True))
    controls = {
        name: dataclasses.replace(control, score=scores.get(name, control.score), **changes.get(name, {}))
        for name, control in audited.controls.items()
    }
    explanation = dataclasses.replace(audited.explanation, score=film[0])
    return check_side(explanation, controls, audited_model().logit_scale)


def audited_model():
    return matex.load("tiny")


@pytest.mark.parametrize(
    ("film", "mirrored", "state", "sentence"),
    [
        ((0.3, 0.0), (0.0, 0.3), "pass", "it sees the finding on the named side"),
        ((0.0, 0.3), (0.3, 0.0), "fail", "it sees the finding on the other side"),
        ((0.3, 0.0), (0.3, 0.0), "warn", "does not reverse when the film is mirrored, so the map may follow the word"),
        ((0.1, 0.1), (0.1, 0.1), "warn", "does not reverse when the film is mirrored, so the map may follow the word"),
        ((0.3, 0.0), (0.1, 0.1), "warn", "does not reverse when the film is mirrored, so the map may follow the word"),
    ],
)
def test_the_side_is_what_the_model_prefers_on_the_film_and_not_on_the_mirrored_one(
    audited, film, mirrored, state, sentence
):
    """A model that follows the word prefers it wherever the finding is; one that sees it turns with the film."""
    check = side_of(audited, film, mirrored)
    assert check.state == state
    assert sentence in check.answer
    assert check.values["preference_for_named_side"] == pytest.approx(
        1 / (1 + math.exp(-audited_model().logit_scale * (film[0] - film[1])))
    )


def test_a_map_that_ignores_left_and_right_does_not_pass(audited):
    same = {"image": audited.controls["no_prior"].image}
    check = side_of(audited, (0.3, 0.0), (0.0, 0.3), other_side_no_prior=same)
    assert check.state == "warn"
    assert check.values["stays_with_other_side_without_prior"] == pytest.approx(1)
    assert "ignores left and right" in check.answer


def test_the_mirrored_film_is_drawn_back_onto_the_film_as_it_is(tiny, audited):
    pixels = matex.read(FILM.path).pixels[:, ::-1].copy()
    for name, text in (("mirrored_film", PHRASE), ("mirrored_film_other_side", "opacity in the right lower lung")):
        made = matex.explain(tiny, pixels, text, view="PA", prior_strength=1.0)
        control = audited.controls[name]
        assert control.text == text
        assert control.score == pytest.approx(made.score, abs=1e-3)  # mirrored after, not before the resampling
        alike = np.corrcoef(control.image.grid[:, ::-1].ravel(), made.image.grid.ravel())[0, 1]
        assert alike > 0.98
        assert np.corrcoef(control.image.grid.ravel(), made.image.grid.ravel())[0, 1] < 0.9


def test_a_control_without_the_prior_is_compared_with_the_map_without_the_prior(audited):
    """One reference for each number: the picture of a control and the check that reads it agree."""
    for name, control in audited.controls.items():
        apart = name in ("other_side_no_prior", "unrelated", "mirrored_film", "mirrored_film_other_side")
        apart = apart or name.startswith("against_") or name == "opposite_claim"
        assert control.reference == ("no_prior" if apart else "map"), name
    unrelated = audited.controls["unrelated"]
    assert audited.checks["unrelated_phrase"].values["stays"] == unrelated.stays
    assert f"{100 * unrelated.stays:.0f} % of the highlighted region stays" in audited.checks["unrelated_phrase"].answer


def test_a_number_has_one_sign(audited):
    check = audited.checks["deletion"]
    drop = f"{check.values['drop']:.3f}"
    assert drop in check.answer
    assert f"-{drop}" not in check.answer.replace("drop -", "")


def test_what_does_not_apply_is_skipped_and_never_passed(tiny):
    audit = matex.audit(tiny, FILM.path, "cardiomegaly", "rollout", **FEW)
    for name in ("seeds", "prior_share", "side"):
        assert audit.checks[name].state == "skipped", name
    assert audit.prior_share == 0
    from matex.render.audit import page

    html = page(audit)
    parts = html.split('<div class="check">')[1:]
    skipped = [part for part in parts if '<span class="state skipped">skipped</span>' in part]
    assert len(skipped) >= 3
    assert not any('class="rule"' in part or 'class="numbers"' in part for part in skipped)
    assert any('class="rule"' in part for part in parts)


# ----------------------------------------------------------------------------------- numbers, computed independently


def test_prior_share_in_closed_form():
    base = torch.tensor([[0.0, 1.0], [2.0, 3.0]], dtype=torch.float64)
    assert prior_share(base, base) == 0
    assert prior_share(base * torch.tensor([[1, 1], [1, 2]]), base) == pytest.approx(3 / 9)
    assert prior_share(base, torch.full_like(base, 7.0)) == 1
    assert prior_share(base + 5, base) == 0  # a constant says nothing about where
    assert math.isnan(prior_share(torch.ones(2, 2), base))


def test_prior_share_of_matex_is_that_of_its_terms(audited, tiny):
    explanation = audited.explanation
    weights, terms = explanation.weights, explanation.components
    strength = explanation.prior  # M of eq. 5
    without = explanation.image.grid - weights["prior"] * terms["prior"] * (1 - 1 / strength)
    np.testing.assert_allclose(audited.controls["no_prior"].image.grid, without, atol=1e-5)
    here, there = explanation.image.grid - explanation.image.grid.min(), without - without.min()
    assert audited.prior_share == pytest.approx(np.abs(here - there).sum() / here.sum(), abs=0.03)  # cells, not pixels


def test_controls_equal_explanations_of_their_own(audited, tiny):
    other = "opacity in the right lower lung"
    for name, text, changes in (
        ("other_side", other, {}),
        ("other_side_no_prior", other, {"prior_strength": 1.0}),
        ("no_prior", PHRASE, {"prior_strength": 1.0}),
    ):
        made = matex.explain(tiny, FILM.path, text, view="PA", **changes)
        control = audited.controls[name]
        assert control.text == text
        assert control.score == pytest.approx(made.score, abs=1e-5)
        np.testing.assert_allclose(control.image.grid, made.image.grid, atol=1e-5)


def test_contrasts_are_explanations_of_differences_without_the_prior(audited, tiny):
    for name, rival in (
        ("against_other_side", "opacity in the right lower lung"),
        ("against_opposite_claim", f"no {PHRASE[:1].lower()}{PHRASE[1:]}"),
    ):
        made = matex.explain(tiny, FILM.path, PHRASE, view="PA", against=rival, prior_strength=1.0)
        control = audited.controls[name]
        assert rival in control.title
        assert control.score == pytest.approx(made.score, abs=1e-5)
        np.testing.assert_allclose(control.image.grid, made.image.grid, atol=1e-5)
        other = audited.controls[name.removeprefix("against_")]
        assert control.score == pytest.approx(audited.explanation.score - other.score, abs=1e-5)


def test_random_weights_are_those_of_another_model(audited, tiny):
    made = matex.explain(randomised(tiny, 0), FILM.path, PHRASE, view="PA")
    control = audited.controls["random_weights_1"]
    assert control.score == pytest.approx(made.score, abs=1e-5)
    np.testing.assert_allclose(control.image.grid, made.image.grid, atol=1e-5)
    assert audited.checks["random_weights"].values["stays"] == control.stays < 0.9


@pytest.mark.parametrize(("score", "state"), [(0.2, "pass"), (0.1, "warn"), (0.0, "warn")])
def test_a_phrase_that_fits_no_better_than_another_is_doubtful(audited, score, state):
    other = dataclasses.replace(audited.controls["unrelated"], score=0.1)
    check = check_score(dataclasses.replace(audited.explanation, score=score), {"unrelated": other})
    assert check.state == state
    assert (f"To the model, “{other.text}” fits as well or better" in check.answer) == (state == "warn")


def test_the_mirrored_prior_changes_the_prior_and_not_the_phrase(audited):
    control = audited.controls["mirrored_prior"]
    assert control.score == pytest.approx(audited.explanation.score, abs=1e-6)
    apart = np.abs(control.image.grid - audited.controls["no_prior"].image.grid).sum(axis=0)
    half = len(apart) // 2
    assert apart[:half].sum() > 10 * apart[half:].sum()  # the patient's right, on the image's left


def test_deletion_counts_regions_that_matter_less(audited, tiny):
    values = audited.checks["deletion"].values
    pixels, _ = tiny.prepare(matex.read(FILM.path))
    ids = torch.tensor([tiny.encode(PHRASE).ids])
    grid = torch.from_numpy(audited.explanation.image.grid)[None, None]
    raw = torch.nn.functional.interpolate(grid, size=pixels.shape[-2:], mode="bilinear")[0, 0]
    count = math.ceil(0.1 * raw.numel())
    region = raw >= raw.flatten().sort(descending=True).values[count - 1]
    painted = torch.where(region, pixels.mean(dim=(2, 3), keepdim=True), pixels)
    drop = matex.score(tiny, pixels, ids) - matex.score(tiny, painted, ids)
    assert values["drop"] == pytest.approx(drop.item(), abs=1e-5)
    assert values["quantile"] * 10 == pytest.approx(round(values["quantile"] * 10))
    assert values["random_drop_median"] <= values["random_drop_largest"]


def test_a_region_moves_elsewhere_in_one_piece_or_over_the_border():
    region = torch.zeros(11, 17, dtype=torch.bool)
    region[2:6, 3:8] = True
    found = displaced(region, 60)
    assert len({moved.numpy().tobytes() for moved in found}) > 30
    for moved in found:
        assert moved.sum() == region.sum()
        assert 2 * (moved & region).sum() <= region.sum()
        down, across = (int(place) for place in moved.nonzero()[0] - region.nonzero()[0])
        shifts = [region.roll((down + i, across + j), (0, 1)) for i in range(11) for j in range(17)]
        assert any(torch.equal(moved, shift) for shift in shifts)
    assert all(torch.equal(one, other) for one, other in zip(found, displaced(region, 60), strict=True))


def scores_are(monkeypatch, score):
    """Every image has this score instead of the model's own; score: pixels [channel, height, width] -> float."""

    def encode(tower, inputs):
        if tower.modality == "text":
            return torch.ones(1, 1)
        return torch.tensor([[score(pixels)] for pixels in inputs])

    monkeypatch.setattr("matex.scores.encode", encode)


def test_a_region_whose_loss_raises_the_score_is_not_needed(tiny, monkeypatch):
    """Even where every other region raises it more."""
    for mine, state, sentence in (
        (0.01, "fail", "does not lower the score (drop -0.010)"),
        (-0.01, "pass", "lowers the score by 0.010, more than"),
    ):
        values = iter([0.3, 0.3 + mine, *[0.4] * 10])
        scores_are(monkeypatch, lambda _, values=values: next(values))
        check = matex.audit(tiny, FILM.path, "opacity", "corners", **FEW).checks["deletion"]
        assert check.state == state
        assert sentence in check.answer
        assert check.values["quantile"] == 1


def test_padding_is_neither_painted_nor_part_of_the_mean(tiny, monkeypatch):
    shown = []
    scores_are(monkeypatch, lambda pixels: float(shown.append(pixels) or pixels.mean()))
    picture = dataclasses.replace(matex.read(FILM.path), pixels=matex.read(FILM.path).pixels[128:384])
    matex.audit(tiny, picture, "opacity", "noise", resize="pad", regions=10, repeats=2)
    film, *painted = shown
    assert len(painted) == 11
    middle = film[:, 28:84]
    for one in painted:
        assert torch.equal(one[:, :28], film[:, :28])
        assert torch.equal(one[:, 84:], film[:, 84:])
        changed = (one[:, 28:84] != middle).any(0)
        assert 0.05 < changed.double().mean() < 0.11
        expected = middle.mean(dim=(1, 2))[:, None].expand(3, int(changed.sum()))
        torch.testing.assert_close(one[:, 28:84][:, changed], expected)


def test_a_wide_plateau_is_painted_whole_or_not_at_all(tiny):
    """Pixels of equal value share the tenth: none of them belongs to it for more than half."""
    narrow = matex.audit(tiny, FILM.path, "opacity", "half", share=0.2, **FEW).checks["deletion"]
    assert narrow.state != "skipped"
    assert narrow.values["drop"] != 0
    wide = matex.audit(tiny, FILM.path, "opacity", "half", share=0.5, **FEW).checks["deletion"]
    assert (wide.state, wide.values) == ("skipped", {})
    assert "no comparable region elsewhere" in wide.answer


def test_a_map_that_is_constant_for_some_seeds_is_not_compared(tiny):
    audit = matex.audit(tiny, FILM.path, "opacity", "sometimes", seed=1, **FEW)
    check = audit.checks["seeds"]
    assert check.state == "skipped"
    assert "nan" not in check.answer
    json.dumps(audit.record())


def test_shares_of_lungs_and_corners_in_closed_form(tiny):
    """On an even map the shares are those of the film."""
    picture = dataclasses.replace(matex.read(FILM.path), view="PA")
    mask = np.zeros(picture.pixels.shape[:2], dtype=np.uint8)
    mask[:, : mask.shape[1] // 4], mask[:, -mask.shape[1] // 4 :] = 1, 2
    audit = matex.audit(tiny, picture, "opacity", "noise", lung_mask=mask, regions=10, repeats=2)
    lungs, corners = audit.checks["lungs"].values, audit.checks["corners"].values
    assert lungs["outside_lungs_of_an_even_map"] == pytest.approx(0.5)
    assert lungs["outside_lungs"] == pytest.approx(0.5, abs=0.1)
    assert lungs["lungs_by"] == "the lung mask"
    assert corners["corners_of_an_even_map"] == pytest.approx(0.09, abs=0.01)
    assert corners["times"] == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize(("value", "word"), [(0, "none"), (1, "all")])
def test_a_lung_mask_of_nothing_or_of_everything_tells_nothing(tiny, value, word):
    mask = np.full(matex.read(FILM.path).pixels.shape[:2], value, dtype=np.uint8)
    check = matex.audit(tiny, FILM.path, "opacity", "noise", lung_mask=mask, **FEW).checks["lungs"]
    assert check.state == "skipped"
    assert check.answer == f"By the lung mask, {word} of what the model sees is lung."


def test_the_verdict_is_the_worst_of_the_checks(audited):
    def with_state(*found):
        checks = {str(i): dataclasses.replace(audited.checks["map"], state=state) for i, state in enumerate(found)}
        return dataclasses.replace(audited, checks=checks)

    assert with_state("pass", "skipped").verdict == "pass"
    assert with_state("pass", "warn", "skipped").verdict == "warn"
    assert with_state("warn", "fail").verdict == "fail"
    assert with_state("pass", "skipped").summary.startswith("None of the 1 applicable checks")
    assert with_state("warn").summary.startswith("Interpret this map with caution.")


def test_two_audits_are_the_same_and_the_model_is_left_alone(audited, tiny):
    before = tiny.weights_sha256
    repeated = matex.audit(tiny, FILM.path, PHRASE, **FEW)
    first, second = (json.loads(json.dumps(audit.record()["checks"])) for audit in (audited, repeated))
    assert first == second
    assert tiny.weights_sha256 == before


def test_an_explanation_can_be_audited(audited, tiny, monkeypatch):
    call = {}
    monkeypatch.setattr("matex.audits.audit", lambda *given, **named: call.update(given=given, named=named))
    audited.explanation.audit(tiny)
    model, film, text, method = call["given"]
    assert (model, film, text, method) == (tiny, audited.explanation.film, PHRASE, "matex")
    assert call["named"]["domain"] == "chest"
    assert call["named"]["gradient_layers"] == 3


# --------------------------------------------------------------------------------------------- phrases, views, refusals


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("opacity in the left lower lung", "opacity in the right lower lung"),
        ("Right pleural effusion", "Left pleural effusion"),
        ("RLL consolidation, LUL nodule", "LLL consolidation, RUL nodule"),
        ("no left effusion", "no right effusion"),
        ("LEFT PNEUMOTHORAX", "RIGHT PNEUMOTHORAX"),
        ("right middle lobe pneumonia", None),  # the left lung has none
        ("bilateral effusions", None),
        ("cardiomegaly", None),
        ("the patient has left the room", None),
    ],
)
def test_the_phrase_with_the_other_side(text, expected):
    assert other_side(text) == expected
    if expected:
        assert other_side(expected) == text


def test_without_a_side_or_a_prior_the_checks_stay_open(tiny):
    audit = matex.audit(tiny, FILM.path, "cardiomegaly", "noise", regions=10, repeats=2)
    assert states(audit)["side"] == "skipped"
    denied = {"opposite_claim", "against_opposite_claim"}
    assert set(audit.controls) == {"unrelated", "random_weights_1", *denied}
    lateral = matex.audit(tiny, FILM.path, "opacity", "noise", view="LATERAL", regions=10, repeats=2)
    assert states(lateral)["lungs"] == "skipped"
    turned = matex.audit(tiny, FILM.path, PHRASE, "noise", view="LATERAL", regions=10, repeats=2)
    assert states(turned)["side"] == "skipped"
    assert turned.checks["side"].answer == "Only a frontal film shows left and right side by side."
    natural = matex.audit(tiny, FILM.path, "a dog on the left", "noise", domain="natural", regions=10, repeats=2)
    no_chest = "The image was not declared to be a chest film."
    for name, answer in (("lungs", no_chest), ("side", NO_ANATOMY), ("corners", NO_ANATOMY)):
        assert natural.checks[name].state == "skipped"
        assert natural.checks[name].answer == answer
    assert natural.controls["unrelated"].text == "frontal chest radiograph"


def test_a_finding_outside_the_lungs_is_not_asked_to_lie_in_them(tiny):
    audit = matex.audit(tiny, FILM.path, "enlarged heart", "corners", **FEW)
    assert states(audit)["lungs"] == "skipped"


def test_bad_requests_are_refused_in_one_line(tiny):
    with pytest.raises(matex.InputError, match=r"^Expected regions to be a whole number from 10 to 10000, got 3"):
        matex.audit(tiny, FILM.path, PHRASE, regions=3)
    with pytest.raises(matex.InputError, match="empty text"):
        matex.audit(tiny, FILM.path, " ")
    with pytest.raises(matex.InputError, match="empty text"):
        matex.audit(tiny, FILM.path, PHRASE, unrelated="", **FEW)
    with pytest.raises(matex.InputError, match=r"^Expected an unrelated phrase other than the phrase itself, got "):
        matex.audit(tiny, FILM.path, PHRASE, unrelated=PHRASE)
    with pytest.raises(matex.InputError, match=r"^Expected a phrase of at most 48 tokens, got \d+"):
        matex.audit(tiny, FILM.path, "There is an opacity in the left lower lung. " * 12)
    with pytest.raises(ValueError, match="Unknown method"):
        matex.audit(tiny, FILM.path, PHRASE, "matrix")


# ----------------------------------------------------------------------------------------------------- files, command


def test_the_page_says_it_in_words_and_loads_nothing(audited, tmp_path):
    audited.save(tmp_path / "audit")
    written = {path.name for path in (tmp_path / "audit").iterdir()}
    assert written == {"audit.html", "audit.json"}
    page = (tmp_path / "audit" / "audit.html").read_text(encoding="utf-8")
    for check in audited.checks.values():
        assert check.question.replace("'", "&#x27;") in page
    assert "Not for diagnosis" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<img") == 2 + len(audited.controls)  # and the film for a closer look
    saved = json.loads((tmp_path / "audit" / "audit.json").read_text(encoding="utf-8"))
    assert saved["verdict"] == audited.verdict
    assert saved["checks"]["prior_share"]["values"]["prior_share"] == audited.prior_share
    assert saved["provenance"]["model"]["name"] == "tiny"


def test_a_phrase_cannot_write_into_the_page(audited):
    from matex.render.audit import page

    explanation = rephrased(audited.explanation, "<script>alert(1)</script>")
    assert "<script>alert" not in page(dataclasses.replace(audited, explanation=explanation))


def test_the_command_writes_both_files_and_tells_the_verdict(tmp_path, capsys):
    out = tmp_path / "audit"
    arguments = ["audit", str(FILM.path), PHRASE, "-m", "corners", "--regions", "10", "-o", str(out), "--view", "PA"]
    assert run(arguments) == 0
    output = capsys.readouterr().out
    assert "fail      Does the map point at the corners" in output
    assert "This map should not be taken as evidence of what the model used." in " ".join(output.split())
    assert sorted(path.name for path in out.iterdir()) == ["audit.html", "audit.json"]


def test_the_command_prints_json_alone_and_refuses_in_one_line(tmp_path, capsys):
    common = ["audit", str(FILM.path), PHRASE, "-m", "corners", "-o", str(tmp_path)]
    assert run([*common, "--regions", "10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "matex-audit/2"
    assert run([*common, "--repeats", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run(["audit", str(FILM.path), str(FILM.path), "-o", str(tmp_path)]) == 2
    assert "Expected the phrase as text, got" in capsys.readouterr().err


def test_the_repr_of_an_audit_is_one_line(audited):
    text = repr(audited)
    assert text.startswith(f"Audit({audited.verdict}: matex on 'opacity in the left lower lung'; ")
    assert text.endswith("skipped)")
    other = rephrased(audited.explanation, "a\nb")
    assert "\n" not in repr(dataclasses.replace(audited, explanation=other))


def test_the_former_module_of_the_limits_still_names_them():
    from matex import auditing

    assert auditing.LIMITS is LIMITS
    assert auditing.audit is matex.audit
