"""The bundled models are plain Hugging Face folders, small, with their records, and see what they were trained to."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

import matex
from matex import samples
from matex.adapters import bundled
from matex.datasets.simulated import read_names
from matex.errors import CheckpointError
from matex.simulation import find_lungs
from matex.simulation.phrases import all_canonical
from matex.simulation.training.evaluate import (
    TrainedModel,
    auc,
    evaluate,
    in_bins,
    patch_maps,
    retrieval,
    simulated_films,
)
from matex.simulation.training.pool import read_grey

ADAPTERS = Path(matex.adapters.__path__[0])
BUNDLED = ("tiny", "tiny-plain")
DATA = Path(__file__).parent.parent.parent / "shared" / "data"
SIGLIP = Path(__file__).parent.parent / "benchmarks" / "models" / "tiny-siglip"


@pytest.fixture(scope="module", params=BUNDLED)
def folder(request) -> Path:
    return ADAPTERS / request.param


@pytest.fixture(scope="module")
def encoder(folder) -> TrainedModel:
    return TrainedModel.load(folder)


@pytest.fixture(scope="module")
def films():
    """One obvious film per canonical phrase on the normal films of the package, with its phrase's place."""
    normals = [read_grey(sample.path) for sample in samples.samples() if sample.normal]
    backgrounds = [(normal, find_lungs(normal)) for normal in normals]
    return simulated_films(backgrounds, 2 * len(all_canonical()), "obvious", 1, seed=11)


def test_it_loads_with_plain_transformers_and_every_weight_is_there(folder):
    model, loading = CLIPModel.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    assert all(torch.isfinite(weights).all() for weights in model.parameters())
    assert CLIPImageProcessor.from_pretrained(folder).do_center_crop is False


def test_it_is_small_and_half_precision(folder):
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert files["model.safetensors"] < 8e6
    assert sum(files.values()) < 8.5e6
    assert CLIPModel.from_pretrained(folder, dtype="auto").dtype == torch.float16


def test_the_record_says_how_it_was_made(folder):
    record = json.loads((folder / "training.json").read_text())
    assert {"summary", "data", "seed", "steps", "minutes", "recipe", "curves", "evaluation"} <= set(record)
    assert "not for diagnosis" in (folder / "TRAINING.md").read_text().lower()


@pytest.mark.parametrize(
    "text",
    [
        "nodule in the right upper lung",
        "12 mm ground-glass nodule, RUL; no effusion.",
        "naïve café 肺炎 😀 <|x|> ~`@#",
        "",
    ],
)
def test_no_text_is_unknown_to_the_tokenizer(folder, text):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text).input_ids
    plain = tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "")
    assert plain == text.lower().replace(" ", "")
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert tokenizer.eos_token_id == len(tokenizer) - 1


def test_words_of_the_grammar_are_single_tokens(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for word in {word for text, *_ in all_canonical() for word in text.split()}:
        assert len(tokenizer(word).input_ids) == 3, word


def test_padding_does_not_change_a_text(encoder):
    alone = encoder.texts(["left pleural effusion"])
    beside = encoder.texts(["left pleural effusion", "small nodule in the right upper lung and cardiomegaly"])
    torch.testing.assert_close(alone[0], beside[0], atol=1e-5, rtol=1e-4)


def test_it_finds_the_phrase_of_a_simulated_film(encoder, films):
    measured, right = retrieval(encoder, films)
    assert len(right) == len(films) == 68
    assert measured["top1"] > 0.8
    assert measured["side"] > 0.9
    assert measured["zone"] > 0.85


def test_the_patches_of_the_guided_model_show_where_the_finding_is(films):
    assert patch_maps(TrainedModel.load(ADAPTERS / "tiny"), films)["patch_auc"] > 0.85


def test_no_loss_of_the_plain_model_knew_a_place():
    record = json.loads((ADAPTERS / "tiny-plain" / "training.json").read_text())
    assert record["recipe"]["supervision"] == "film"
    assert not {"local", "patches", "guide", "patch", "kind"} & {name for row in record["curves"] for name in row}


def test_the_siglip_of_the_benchmarks_is_the_recorded_one_and_finds_the_phrase_of_a_simulated_film(films):
    record = json.loads((SIGLIP / "training.json").read_text())
    assert hashlib.sha256((SIGLIP / "model.safetensors").read_bytes()).hexdigest() == record["weights_sha256"]
    assert record["recipe"]["supervision"] == "film"
    measured, _ = retrieval(TrainedModel.load(SIGLIP), films)
    assert measured["top1"] > 0.7
    assert measured["side"] > 0.85
    assert matex.load(f"hf:{SIGLIP}").name.endswith("tiny-siglip")


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_model_loads_by_its_name_and_says_what_it_is(name):
    model = matex.load(name)
    assert model.name == name
    assert "not for diagnosis" in model.record["training"]


def test_weights_other_than_the_recorded_ones_are_refused(monkeypatch, tmp_path):
    shutil.copytree(ADAPTERS / "tiny-plain", tmp_path / "tiny-plain")
    shutil.copy(ADAPTERS / "tiny" / "model.safetensors", tmp_path / "tiny-plain")
    monkeypatch.setattr(bundled, "ADAPTERS", tmp_path)
    with pytest.raises(CheckpointError, match="training record"):
        matex.load("tiny-plain")


def test_mirrored_films_get_the_other_side(encoder, films):
    sided = [film for film in films if film.findings[0].side in ("right", "left")]
    phrases = [text for text, *_ in all_canonical()]
    sides = [side for _, _, side, _ in all_canonical()]
    images = encoder.images([np.ascontiguousarray(film.image[:, ::-1]) for film in sided])
    best = (images @ encoder.texts(phrases).T).argmax(dim=1)
    opposite = {"right": "left", "left": "right"}
    hits = [sides[i] == opposite[film.findings[0].side] for i, film in zip(best.tolist(), sided, strict=True)]
    assert np.mean(hits) > 0.8


def test_auc_counts_pairs_and_halves_ties():
    assert auc(np.array([2.0, 1.0]), np.array([0.0, 1.0, 3.0])) == (2 + 1.5) / 6


def test_bins_say_none_where_there_is_no_film():
    bins = in_bins([0.5, 0.6], np.array([True, False]), (0, 1, 2))
    assert bins == {"0-1": {"films": 2, "top1": 0.5}, "1-2": {"films": 0, "top1": None}}


@pytest.mark.slow
@pytest.mark.skipif(
    not all((DATA / name).is_dir() for name in ("normals", "boxes", "nih", "kermany")),
    reason="the development data ../shared/data are not here",
)
def test_the_full_protocol_gives_the_recorded_numbers(folder):
    recorded = json.loads((folder / "training.json").read_text())["evaluation"]
    kept = read_names(Path(__file__).parent.parent / "examples" / "test-normals.txt")
    measured = evaluate(DATA, folder, recorded["obvious"]["films"], recorded["seed"], kept)
    for tier in ("obvious", "moderate", "subtle"):
        for name in ("top1", "side", "zone"):
            assert measured[tier][name] == pytest.approx(recorded[tier][name], abs=0.01)
    auc_recorded = recorded["real"]["boxes_against_normals"]["auc"]
    assert measured["real"]["boxes_against_normals"]["auc"] == pytest.approx(auc_recorded, abs=0.01)
