"""The controls of an audit on methods whose maps are known in advance, and what an audit passes to its parts."""

import dataclasses
import inspect
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import matex
from matex.adapters.randomise import randomised
from matex.attribution import METHODS
from matex.audit_results import Check
from matex.audits.controls import phrase_controls, random_weight_controls, seed_maps
from matex.audits.deletion import PLATEAU, QUESTION, RULE, check_deletion
from matex.audits.run import audit
from matex.cli.audit import audit as command
from matex.errors import UnknownName
from matex.images import READ_SIDE
from matex.progress import listening
from matex.samples import samples
from tests.audits.test_audit import Guided, Noise, Stub

FILM = next(sample for sample in samples() if sample.name == "left-lower-opacity")
PHRASE = "opacity in the left lower lung"
OTHER = "opacity in the right lower lung"
DENIED = f"no {PHRASE}"
WEATHER = "the weather is fine today"
ALIKE = {"atol": 1e-6, "rtol": 1e-5}


@dataclass(frozen=True)
class Ramp(Stub):
    """From 0 at the image's left to 1 at its right, whatever the film and phrase."""

    def __call__(self, trace):
        rows, columns = trace.grid
        return torch.linspace(0, 1, columns).expand(len(trace.item), rows, columns).clone()


@dataclass(frozen=True)
class Picture(Stub):
    """The film itself, by its mean over each patch."""

    def __call__(self, trace):
        mean = torch.nn.functional.adaptive_avg_pool2d(trace.inputs.mean(dim=1, keepdim=True), trace.grid)
        return mean[trace.item, 0]


@dataclass(frozen=True)
class Target(Stub):
    """The phrase, or the difference of two phrases, by its embedding, one number for each patch."""

    def __call__(self, trace):
        rows, columns = trace.grid
        missing = rows * columns - trace.target.shape[1]
        return torch.nn.functional.pad(trace.target, (0, missing)).reshape(-1, rows, columns)


@dataclass(frozen=True)
class GuidedNoise(Guided):
    """The prior with a seed that has no effect."""

    seed: int = 0


@dataclass(frozen=True)
class SeededPicture(Picture):
    """The film with a seed that has no effect."""

    seed: int = 0


@dataclass(frozen=True)
class OnePhrase(Ramp):
    """A method that says that it reads the tokens of one phrase."""

    other_needs = ("tokens",)


@pytest.fixture(autouse=True, scope="module")
def stubs():
    made = {"ramp": Ramp, "picture": Picture, "target": Target, "guided": Guided, "noise": Noise}
    made |= {"guided-noise": GuidedNoise, "seeded-picture": SeededPicture, "one-phrase": OnePhrase}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(METHODS, "_entries", {**METHODS, **made})
        yield


def explained(tiny, method, text=PHRASE, film=FILM.path, **changes):
    return matex.explain(tiny, film, text, method, **{"view": "PA", **changes})


def controls_of(tiny, method, text=PHRASE, **changes):
    return phrase_controls(tiny, explained(tiny, method, text, **changes), WEATHER)


def listed(controls):
    return {name: (control.title, control.text, control.reference) for name, control in controls.items()}


# ------------------------------------------------------------------------------------------------- names and titles


def test_the_controls_of_a_method_with_a_prior_are_named_and_titled(tiny):
    assert listed(controls_of(tiny, "guided")) == {
        "no_prior": ("without the prior", PHRASE, "map"),
        "mirrored_prior": ("prior on the other side", PHRASE, "map"),
        "other_side": ("phrase with the other side", OTHER, "map"),
        "other_side_no_prior": ("other side, without the prior", OTHER, "no_prior"),
        "unrelated": ("unrelated phrase, without the prior", WEATHER, "no_prior"),
        "opposite_claim": ("phrase denied", DENIED, "no_prior"),
        "against_other_side": (f"the phrase rather than “{OTHER}”", PHRASE, "no_prior"),
        "against_opposite_claim": (f"the phrase rather than “{DENIED}”", PHRASE, "no_prior"),
        "mirrored_film": ("mirrored film, without the prior", PHRASE, "no_prior"),
        "mirrored_film_other_side": ("mirrored film, other side, without the prior", OTHER, "no_prior"),
    }


def test_the_controls_of_a_method_without_a_prior_do_not_speak_of_one(tiny):
    assert listed(controls_of(tiny, "ramp")) == {
        "other_side": ("phrase with the other side", OTHER, "map"),
        "unrelated": ("unrelated phrase", WEATHER, "map"),
        "opposite_claim": ("phrase denied", DENIED, "map"),
        "against_other_side": (f"the phrase rather than “{OTHER}”", PHRASE, "map"),
        "against_opposite_claim": (f"the phrase rather than “{DENIED}”", PHRASE, "map"),
        "mirrored_film": ("mirrored film", PHRASE, "map"),
        "mirrored_film_other_side": ("mirrored film, other side", OTHER, "map"),
    }


def test_a_phrase_without_a_side_has_no_control_of_the_other_side(tiny):
    assert listed(controls_of(tiny, "guided", "cardiomegaly")) == {
        "no_prior": ("without the prior", "cardiomegaly", "map"),
        "unrelated": ("unrelated phrase, without the prior", WEATHER, "no_prior"),
        "opposite_claim": ("phrase denied", "no cardiomegaly", "no_prior"),
        "against_opposite_claim": ("the phrase rather than “no cardiomegaly”", "cardiomegaly", "no_prior"),
    }


def test_a_denial_is_compared_with_its_affirmation_and_one_without_either_with_neither(tiny):
    affirmed = controls_of(tiny, "ramp", "no effusion")
    assert listed(affirmed)["opposite_claim"] == ("phrase affirmed", "effusion", "map")
    assert set(controls_of(tiny, "ramp", "without effusion")) == {"unrelated"}


def test_an_opposite_claim_is_read_by_the_rules_of_the_domain(tiny):
    """A domain without anatomy has no other side; its phrases are still denied."""
    controls = controls_of(tiny, "ramp", "a dog on the left", domain="natural", view=None)
    assert set(controls) == {"unrelated", "opposite_claim", "against_opposite_claim"}
    denial = controls_of(tiny, "ramp", "glioma is not seen", domain="brain-axial", view="AXIAL-VENTRICLES")
    assert set(denial) == {"unrelated"}  # a finding of the head alone


def test_the_other_side_is_read_by_the_rules_of_the_domain(tiny):
    """A chest film shows no kidneys; without a known side of the patient there is no mirrored film to explain."""
    controls = controls_of(tiny, "ramp", "stone in the right kidney", domain="abdomen", view="AP")
    assert controls["other_side"].text == controls["mirrored_film_other_side"].text == "stone in the left kidney"
    assert "other_side" not in controls_of(tiny, "ramp", "stone in the right kidney")
    unknown = controls_of(tiny, "ramp", "infarct in the right thalamus", domain="brain-axial", view="AXIAL-VENTRICLES")
    assert "other_side" in unknown
    assert not [name for name in unknown if name.startswith("mirrored_film")]


def test_phrases_that_the_model_cannot_read_are_left_out(tiny):
    longest = PHRASE
    while len(tiny.encode(f"{longest} opacity").ids) < 48:
        longest += " opacity"
    longest += " opacity"
    with pytest.raises(matex.InputError, match="at most 48 tokens"):
        tiny.encode(f"no {longest}")
    controls = controls_of(tiny, "ramp", longest)
    assert "other_side" in controls
    assert "opposite_claim" not in controls
    assert "against_opposite_claim" not in controls


def test_another_side_that_the_model_cannot_read_is_left_out(tiny, monkeypatch):
    monkeypatch.setattr("matex.audits.controls.is_readable", lambda model, phrase: phrase != OTHER)
    assert set(controls_of(tiny, "ramp")) == {"unrelated", "opposite_claim", "against_opposite_claim"}


def test_a_method_that_reads_one_phrase_has_no_contrasts(tiny, monkeypatch):
    explanation = dataclasses.replace(explained(tiny, "ramp"), method="one-phrase")
    monkeypatch.setattr("matex.audits.controls.make", lambda name, parameters: Ramp())
    controls = phrase_controls(tiny, explanation, WEATHER)
    assert not [name for name in controls if name.startswith("against_")]
    assert "opposite_claim" in controls


# -------------------------------------------------------------------------------------------------- maps in closed form


def test_the_map_of_the_mirrored_film_is_mirrored_back(tiny):
    """A map that ignores the film comes back reversed; one that shows the film comes back as the film lies."""
    explanation = explained(tiny, "ramp")
    ramp, controls = explanation.image.grid, phrase_controls(tiny, explanation, WEATHER)
    for name in ("mirrored_film", "mirrored_film_other_side"):
        np.testing.assert_allclose(controls[name].image.grid, ramp[:, ::-1], **ALIKE)
        assert controls[name].stays == pytest.approx(0)
        assert controls[name].likeness == pytest.approx(-1, abs=0.01)
    for name in ("other_side", "unrelated", "opposite_claim"):
        np.testing.assert_allclose(controls[name].image.grid, ramp, **ALIKE)
    explanation = explained(tiny, "picture")
    for name, control in phrase_controls(tiny, explanation, WEATHER).items():
        np.testing.assert_allclose(control.image.grid, explanation.image.grid, **ALIKE, err_msg=name)
        assert (control.stays, control.likeness) == pytest.approx((1, 1))


def test_a_contrast_explains_the_difference_of_two_phrases(tiny):
    explanation = explained(tiny, "target")
    controls = phrase_controls(tiny, explanation, WEATHER)
    for name, rival in (("other_side", OTHER), ("opposite_claim", DENIED)):
        difference = explanation.image.grid - controls[name].image.grid
        np.testing.assert_allclose(controls[f"against_{name}"].image.grid, difference, atol=1e-6)
        np.testing.assert_allclose(controls[name].image.grid, explained(tiny, "target", rival).image.grid, **ALIKE)
        assert np.abs(difference).max() > 1e-3


def test_a_control_is_compared_with_its_reference(tiny):
    """The prior multiplies a picture that is the same for every phrase, so that without it nothing changes."""
    controls = controls_of(tiny, "guided")
    for name in ("unrelated", "opposite_claim", "other_side_no_prior", "against_other_side", "mirrored_film"):
        assert controls[name].stays == pytest.approx(1, abs=0.02), name
    for name in ("no_prior", "mirrored_prior", "other_side"):
        assert controls[name].stays < 0.5, name
    grids = {name: control.image.grid for name, control in controls.items()}
    np.testing.assert_allclose(grids["mirrored_prior"], grids["other_side"], **ALIKE)
    np.testing.assert_allclose(grids["other_side"], explained(tiny, "guided", OTHER).image.grid, **ALIKE)
    assert np.abs(grids["other_side"] - grids["no_prior"]).max() > 1
    np.testing.assert_allclose(grids["no_prior"], grids["unrelated"], **ALIKE)


def test_controls_are_made_of_the_pixels_that_were_explained(tiny):
    """Half of a film, padded: the same resize for the explanation and its controls."""
    film = matex.read(FILM.path)
    half = dataclasses.replace(film, pixels=film.pixels[128:384], view="PA")
    explanation = explained(tiny, "picture", film=half, resize="pad")
    controls = phrase_controls(tiny, explanation, WEATHER)
    np.testing.assert_allclose(controls["unrelated"].image.grid, explanation.image.grid, **ALIKE)
    assert controls["unrelated"].image.placement == explanation.image.placement


def test_there_are_three_models_with_random_weights_of_their_own(tiny):
    explanation = explained(tiny, "raw-attention")
    controls = random_weight_controls(tiny, explanation)
    assert list(controls) == ["random_weights_1", "random_weights_2", "random_weights_3"]
    for number, control in enumerate(controls.values()):
        made = explained(randomised(tiny, number), "raw-attention")
        assert control.title == f"random weights, model {number + 1}"
        assert (control.text, control.reference) == (PHRASE, "map")
        assert control.score == pytest.approx(made.score, abs=1e-6)
        np.testing.assert_allclose(control.image.grid, made.image.grid, **ALIKE)
    assert len({control.score for control in controls.values()}) == 3


def test_random_weights_keep_the_prior(tiny):
    control = random_weight_controls(tiny, explained(tiny, "guided"))["random_weights_1"]
    assert control.stays == pytest.approx(1)


def test_seeds_count_from_zero_and_keep_everything_else(tiny):
    explanation = explained(tiny, "noise", seed=7)
    maps = seed_maps(tiny, explanation, 3)
    assert len(maps) == 3
    for seed, image in enumerate(maps):
        np.testing.assert_array_equal(image.grid, explained(tiny, "noise", seed=seed).image.grid)
        assert image.placement == explanation.image.placement
    for same in (explained(tiny, "guided-noise", strength=20.0), explained(tiny, "seeded-picture")):
        for image in seed_maps(tiny, same, 2):
            np.testing.assert_allclose(image.grid, same.image.grid, **ALIKE)
    assert seed_maps(tiny, explained(tiny, "ramp"), 3) == []


# ----------------------------------------------------------------------------------------------------------- deletion


def region_of_rows(monkeypatch, rows):
    region = torch.zeros(112, 112, dtype=torch.bool)
    region[:rows] = True
    monkeypatch.setattr("matex.audits.deletion.region_to_delete", lambda image: region)


def test_a_region_of_a_quarter_of_the_film_is_compared_and_a_larger_one_is_not(tiny, monkeypatch):
    explanation = explained(tiny, "ramp")
    assert PLATEAU == 28 / 112
    region_of_rows(monkeypatch, 28)
    assert check_deletion(tiny, explanation, 10).values["regions"] == 10
    region_of_rows(monkeypatch, 29)
    why = "The map is at its maximum over so much of the film that there is no comparable region elsewhere."
    assert check_deletion(tiny, explanation, 10) == Check(QUESTION, "skipped", why, {}, RULE)


def test_a_constant_map_has_nothing_to_delete(tiny):
    explanation = explained(tiny, "ramp")
    flat = dataclasses.replace(explanation.image, grid=np.zeros_like(explanation.image.grid))
    check = check_deletion(tiny, dataclasses.replace(explanation, image=flat), 10)
    assert check == Check(QUESTION, "skipped", "A constant map highlights nothing.", {}, RULE)


# ---------------------------------------------------------------------------------------------------------- the audit

NAMES = ["map", "prior_share", "side", "unrelated_phrase", "score", "random_weights", "seeds", "deletion"]


def test_an_audit_has_its_checks_in_order_and_its_documented_defaults(tiny, monkeypatch, capsys):
    monkeypatch.setattr("matex.audits.controls.RANDOM_MODELS", 1)
    audited = matex.audit(tiny, FILM.path, PHRASE, "noise", view="PA")
    assert list(audited.checks) == [*NAMES, "lungs", "corners"]
    assert audited.checks["deletion"].values["regions"] == 40
    assert audited.checks["seeds"].values["seeds"] == 5
    assert audited.controls["unrelated"].text == WEATHER
    assert capsys.readouterr().err == ""
    defaults = {name: one.default for name, one in inspect.signature(audit).parameters.items()}
    of_command = {name: one.default for name, one in inspect.signature(command).parameters.items()}
    for name in ("regions", "repeats"):
        assert of_command[name] == defaults[name]


def test_an_audit_counts_four_stages(tiny, monkeypatch, capsys):
    monkeypatch.setattr("matex.audits.controls.RANDOM_MODELS", 1)
    seen = []
    with listening(lambda done, total: seen.append((done, total))):
        matex.audit(tiny, FILM.path, "opacity", "ramp", view="PA", regions=10, repeats=2, progress=True)
    assert {total for _, total in seen} == {4}
    assert [done for done, _ in seen if done == int(done)][-1] == 4
    assert {1, 2, 3, 4} <= {done for done, _ in seen}
    bar = capsys.readouterr().err
    assert "controls: 100%" in bar
    assert "4/4" in bar


def test_an_audit_reads_the_film_as_an_explanation_does(tiny, monkeypatch):
    monkeypatch.setattr("matex.audits.controls.RANDOM_MODELS", 1)
    sides = []

    def read(image, side=None):
        sides.append(side)
        return matex.read(image)

    monkeypatch.setattr("matex.audits.run.read", read)
    audited = matex.audit(tiny, FILM.path, PHRASE, "ramp", view="AP", mirrored=True, regions=10, repeats=2)
    assert sides == [READ_SIDE]
    assert audited.explanation.film.mirrored
    assert audited.explanation.film.view == "AP"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"repeats": 1}, "Expected repeats to be a whole number from 2 to 1000, got 1"),
        ({"repeats": 1001}, "Expected repeats to be a whole number from 2 to 1000, got 1001"),
        ({"regions": 9}, "Expected regions to be a whole number from 10 to 10000, got 9"),
        ({"regions": 10_001}, "Expected regions to be a whole number from 10 to 10000, got 10001"),
        (
            {"unrelated": f" {PHRASE} "},
            f"Expected an unrelated phrase other than the phrase itself, got ' {PHRASE} ' for both.",
        ),
    ],
)
def test_a_setting_of_an_audit_outside_its_range_is_refused(tiny, changes, message):
    with pytest.raises(matex.InputError) as caught:
        matex.audit(tiny, FILM.path, PHRASE, "ramp", **changes)
    assert str(caught.value).startswith(message)


def test_choices_are_refused_before_the_film_is_read(tiny):
    for changes in ({"view": "RCC"}, {"resize": "fill"}, {"domain": "mri"}):
        with pytest.raises((matex.InputError, UnknownName)) as caught:
            matex.audit(tiny, "no-such-film.png", PHRASE, "ramp", **changes)
        assert str(next(iter(changes.values()))) in str(caught.value)


def test_a_map_that_is_the_prior_alone_has_no_share_that_is_no_number(tiny, monkeypatch):
    monkeypatch.setattr("matex.audits.controls.RANDOM_MODELS", 1)
    check = matex.audit(tiny, FILM.path, PHRASE, "guided", flat=True, view="PA", regions=10).checks["prior_share"]
    assert check.answer == (
        "100 % of the map comes from the place that the phrase names, whatever the film shows; "
        "without it, the map is constant."
    )
    assert math.isnan(check.values["stays_without_prior"])
