"""The spread of a map over seeds, noise and paraphrases, against maps computed one by one."""

import json

import numpy as np
import pytest

import matex
from matex import raw_maps
from matex.audits.controls import seed_maps
from matex.cli.app import run
from matex.phrases.paraphrases import FRAMES, paraphrases
from matex.protocols import make
from matex.raw_maps import image_maps
from matex.samples import samples

FILM = samples()[0]
PHRASE = "opacity in the left lower lung"
FEW = {"masks": 20, "cells": 4}


def scaled(grid):
    return (grid - grid.min()) / (grid.max() - grid.min())


def test_the_spread_is_the_deviation_of_maps_explained_one_by_one(tiny):
    found = matex.uncertainty(tiny, FILM.path, PHRASE, "rise", seeds=2, noise=1, paraphrases=["nodule"], **FEW)
    seeds = [matex.explain(tiny, FILM.path, PHRASE, "rise", seed=seed, **FEW).image.grid for seed in range(3)]
    expected = np.std([scaled(grid.astype(float)) for grid in seeds], axis=0)
    np.testing.assert_allclose(found.spreads["seeds"].image.grid, expected, atol=1e-4)
    other = matex.explain(tiny, FILM.path, "nodule", "rise", **FEW).image.grid
    expected = np.std([scaled(seeds[0].astype(float)), scaled(other.astype(float))], axis=0)
    np.testing.assert_allclose(found.spreads["paraphrases"].image.grid, expected, atol=1e-4)
    assert found.spreads["seeds"].mean == pytest.approx(np.nanmean(found.spreads["seeds"].image.raw))
    assert found.spreads["noise"].maps == 1


def test_a_map_that_knows_no_phrase_has_no_spread_over_paraphrases(tiny):
    found = matex.uncertainty(tiny, FILM.path, PHRASE, "rollout", noise=2)
    assert found.spreads["paraphrases"].mean == pytest.approx(0, abs=1e-6)
    assert found.spreads["paraphrases"].likeness == pytest.approx(1, abs=1e-4)
    assert found.spreads["noise"].mean > 1e-4
    assert found.skipped == {"seeds": "the method is deterministic"}
    assert len(found.phrases) == len(FRAMES)


def test_a_source_of_which_there_is_none_is_left_out(tiny):
    found = matex.uncertainty(tiny, FILM.path, PHRASE, "rise", seeds=0, noise=0, paraphrases=["nodule"], **FEW)
    assert found.skipped == {"seeds": "seeds is 0", "noise": "noise is 0"}
    assert list(found.spreads) == ["paraphrases"]
    with pytest.raises(matex.InputError, match="paraphrases: none are given"):
        matex.uncertainty(tiny, FILM.path, PHRASE, "rise", seeds=0, noise=0, paraphrases=[], **FEW)


def test_more_noise_spreads_more(tiny):
    low, high = (
        matex.uncertainty(tiny, FILM.path, PHRASE, "grad-eclip", noise=3, noise_level=level).spreads["noise"]
        for level in (0.002, 0.1)
    )
    assert low.mean < high.mean
    assert low.likeness > high.likeness


def test_frames_keep_the_words():
    assert paraphrases("No effusion.") == (
        "there is no effusion",
        "no effusion is seen",
        "the film shows no effusion",
        "findings: no effusion",
        "on this film, no effusion",
    )
    assert paraphrases("RUL opacity.")[0] == "there is RUL opacity"  # "rUL" is another word to many tokenizers
    assert paraphrases("A nodule")[0] == "there is a nodule"


def test_the_command_writes_numbers_and_a_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["uncertainty", str(FILM.path), PHRASE, "-m", "integrated-gradients", "-p", "steps=2", "--noise", "1"]
    assert run([*command, "--paraphrase", "there is an opacity"]) == 0
    printed = capsys.readouterr().out
    assert "seeds        skipped: the method is deterministic" in printed
    assert "completeness error of the image attributions" in printed
    record = json.loads((tmp_path / "uncertainty" / "uncertainty.json").read_text())
    assert record["paraphrases"] == ["there is an opacity"]
    assert record["spreads"].keys() == {"noise", "paraphrases"}
    assert (tmp_path / "uncertainty" / "uncertainty.png").stat().st_size > 10_000
    with np.load(tmp_path / "uncertainty" / "uncertainty.npz") as arrays:
        assert arrays["noise"].shape == (224, 224) or arrays["noise"].ndim == 2
    assert run([*command, "--noise-level", "2"]) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([f" {PHRASE}"], "the phrase itself"),
        (["a nodule", "a  nodule"], "one twice"),
        ([" "], "an empty one"),
        (["a nodule", "opacity " * 60], "at most 48 tokens"),  # else the spread is that of fewer wordings than given
    ],
)
def test_paraphrases_that_cannot_add_to_the_spread_are_refused(tiny, given, message):
    with pytest.raises(matex.InputError, match=message):
        matex.uncertainty(tiny, FILM.path, PHRASE, "grad-eclip", noise=1, paraphrases=given)


def test_a_file_in_place_of_the_phrase_is_refused(tmp_path, capsys):
    assert run(["uncertainty", str(FILM.path), str(FILM.path), "-o", str(tmp_path / "out")]) == 2
    assert "Expected the phrase as text" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("rise", {"masks": 6}),
        ("kernel-shap", {"samples": 8}),
        ("gradient-shap", {}),
        ("m2ib", {"steps": 2, "samples": 2}),
        ("mmel", {"mode": "paper"}),
    ],
)
def test_maps_of_seeds_over_one_trace_are_those_of_a_trace_for_each(tiny, method, settings):
    explanation = matex.explain(tiny, FILM.path, PHRASE, method, **settings)
    methods = [make(method, {**settings, "seed": seed}) for seed in (3, 4)]
    pixels, placement = tiny.prepare(explanation.query.film)
    context = explanation.query.context(placement, explanation.regions)

    def maps(some):
        found = image_maps(tiny, pixels, [tiny.encode(PHRASE)], [(0, 0)], [context], some)
        return [one.grids for one in found]

    together, alone = maps(methods), [grids for one in methods for grids in maps([one])]
    assert not np.array_equal(*together)
    for shared, own in zip(together, alone, strict=True):
        np.testing.assert_array_equal(shared, own)


def test_seeds_take_one_pass_of_the_towers(tiny, monkeypatch):
    explanation = matex.explain(tiny, FILM.path, PHRASE, "rise", **FEW)
    passes = []
    record = raw_maps.record
    monkeypatch.setattr(raw_maps, "record", lambda *given, **named: passes.append(1) or record(*given, **named))
    assert len(seed_maps(tiny, explanation, 4)) == 4
    assert len(passes) == 1
    matex.uncertainty(tiny, FILM.path, PHRASE, "rise", seeds=4, noise=1, paraphrases=["nodule"], **FEW)
    assert len(passes) == 1 + 4  # the explanation, seeds, noise, paraphrases
