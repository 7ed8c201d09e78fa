"""Batches of a training run come from this process or from others, from the films of a data folder."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from matex import samples
from matex.simulation.training.batches import Batches
from matex.simulation.training.families import FAMILIES
from matex.simulation.training.pool import Workers
from matex.simulation.training.recipe import Recipe
from matex.simulation.training.source import PreparedElsewhere, SimulatedElsewhere
from matex.simulation.training.train import make_tokenizer
from matex.simulation.training.vocabulary import save_tokenizer

RECIPE = Recipe(steps=10, batch=4, simulated=2, real=1, first=2, films=4, fresh=1, family="siglip", supervision="film")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The package's normal films in the folders of the development data, each collection with a normal one."""
    root = tmp_path_factory.mktemp("data")
    normals = [sample.path for sample in samples.samples() if sample.normal]
    for name, labels in (("normals", []), ("nih", ["No Finding"]), ("kermany", ["normal"])):
        (root / name).mkdir()
        rows = []
        for path in normals:
            with Image.open(path) as film:
                film.convert("L").resize((224, 224)).save(root / name / f"{path.stem}.png")
            rows.append({"image": f"{path.stem}.png", "split": "train", "labels": labels})
        (root / name / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    save_tokenizer(make_tokenizer(0, FAMILIES["siglip"]), folder)
    return folder


def check(batch, size):
    assert batch.pixels.shape == (4, 1, size, size)
    assert torch.isfinite(batch.pixels).all()
    assert len(batch.truth) == len(batch.known) == 4
    assert batch.tokens["input_ids"].shape == (batch.truth.shape[1], FAMILIES["siglip"].length)
    assert batch.truth[:, 0].isfinite().any()
    assert (batch.coverage.amax(dim=(1, 2)) > 0).sum() == 2  # the simulated films, and no normal one


def test_batches_of_either_source_have_the_same_content_and_the_size_of_the_schedule(data, words):
    batches = Batches(RECIPE, make_tokenizer(0, FAMILIES["siglip"]), [0, 3])
    with SimulatedElsewhere(data, RECIPE, batches, 1) as source:
        check(source.next(0.0), 64)
        check(source.next(0.9), 112)
        assert source.simulated >= 2
    with PreparedElsewhere(data, RECIPE, words, 1) as source:
        check(source.next(0.0), 64)
        assert source.simulated >= 2


def test_a_process_that_has_ended_is_not_waited_for():
    workers = Workers("fork", lambda queue, progress: None, [()], ahead=1)
    with workers, pytest.raises(RuntimeError, match="has ended"):
        workers.take()
