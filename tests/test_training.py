"""How a training run begins, goes on, and starts from a finished model. The training itself takes hours."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

import matex.adapters
from matex.simulation.phrases import all_canonical
from matex.simulation.training import objective
from matex.simulation.training.families import FAMILIES, load
from matex.simulation.training.muon import StackedMuon
from matex.simulation.training.pool import MASK, SIZE, SLOTS, Place, TrainingFilm
from matex.simulation.training.recipe import Recipe
from matex.simulation.training.train import Trainer, _start, make_tokenizer

BUNDLED = Path(matex.adapters.__path__[0]) / "tiny"


@pytest.fixture
def started(tmp_path):
    """A trainer that begins with the bundled model, and its folder."""
    return _start(Recipe(minutes=10), tmp_path / "out", tmp_path, resume=False, start=BUNDLED), tmp_path


def test_a_start_from_a_model_has_its_weights_its_curves_and_a_schedule_of_its_own(started):
    trainer, work = started
    record = json.loads((BUNDLED / "training.json").read_text(encoding="utf-8"))
    trainer.export()
    kept = (work / "out/model.safetensors").read_bytes()
    assert kept == (BUNDLED / "model.safetensors").read_bytes()
    assert trainer.step == record["steps"]
    assert trainer.progress() == 0
    trainer.seconds += 300
    assert trainer.progress() == pytest.approx(0.5)
    assert trainer.recipe.auxiliary == 0  # its heads were thrown away
    rows = [json.loads(row) for row in (work / "curves.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == record["curves"]


def test_the_first_model_keeps_its_share_in_what_ships(tmp_path):
    trainer = _start(Recipe(minutes=10, keep=0.25), tmp_path / "out", tmp_path, resume=False, start=BUNDLED)
    before = float(load_file(BUNDLED / "model.safetensors")["logit_scale"])
    trainer.average.logit_scale += 1
    trainer.export()
    shipped = load_file(tmp_path / "out/model.safetensors")
    assert float(shipped["logit_scale"]) == pytest.approx(before + 0.75, abs=2e-3)


def test_a_run_goes_on_where_its_checkpoint_was(started):
    trainer, work = started
    trainer.step, trainer.seconds = trainer.step + 7, trainer.seconds + 60
    with torch.no_grad():
        trainer.model.logit_scale.add_(0.25)
    trainer.save(work / "checkpoint.pt")
    resumed = _start(Recipe(minutes=10), work / "out", work, resume=True, start=BUNDLED)
    assert resumed.step == trainer.step
    assert resumed.progress() == pytest.approx(0.1)
    assert resumed.first.keys() == trainer.first.keys()
    without = _start(Recipe(minutes=10), work / "out", work, resume=True, start=None)
    assert without.recipe.auxiliary == 0  # the checkpoint knows that it began with a model
    assert torch.equal(resumed.model.logit_scale, trainer.model.logit_scale)


def made_up_films(count):
    rng = np.random.default_rng(0)
    places = [Place(name, side, zone) for _, name, side, zone in all_canonical()]
    return [
        TrainingFilm(
            rng.integers(256, size=(SIZE, SIZE), dtype=np.uint8),
            (places[5 * i % len(places)],),
            True,
            rng.integers(256, size=(SLOTS, MASK, MASK), dtype=np.uint8),
        )
        for i in range(count)
    ]


def elsewhere(films):
    """The same films with their findings recorded at other places of the film."""
    return [replace(film, coverage=np.ascontiguousarray(film.coverage[:, ::-1, ::-1])) for film in films]


def two_steps(recipe, tmp_path, films):
    trainer = _start(recipe, tmp_path / "out", tmp_path, resume=False, start=None, text_from=BUNDLED)
    trainer.train_step(films)  # the rate of the first one is 0
    losses = trainer.train_step(films)
    return losses, {name: value.detach().clone() for name, value in trainer.model.named_parameters()}


def test_a_film_supervised_step_does_not_read_where_a_finding_lies(tmp_path):
    recipe = Recipe(steps=10, batch=4, small=0.0, supervision="film", frozen_text=0.5)
    films = made_up_films(4)
    losses, weights = two_steps(recipe, tmp_path, films)
    moved, same = two_steps(recipe, tmp_path, elsewhere(films))
    assert losses == moved
    assert set(losses) == {"image", "text", "readout", "norm", "rate"}
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_a_place_supervised_step_does(tmp_path):
    recipe = Recipe(steps=10, batch=4, small=0.0)
    films = made_up_films(4)
    losses, _ = two_steps(recipe, tmp_path, films)
    moved, _ = two_steps(recipe, tmp_path, elsewhere(films))
    assert {"local", "patches", "guide", "patch"} <= set(losses)
    assert losses["local"] != moved["local"]
    assert losses["guide"] != moved["guide"]


def test_a_text_tower_taken_from_a_model_stays_while_it_is_frozen_and_the_image_tower_is_new(tmp_path):
    bundled = load_file(BUNDLED / "model.safetensors")
    text = [name for name in bundled if name.startswith("text_")]
    image = [name for name in bundled if name.startswith(("vision_", "visual_")) and bundled[name].ndim > 1]
    films = made_up_films(4)
    for frozen in (0.5, 0.0):
        recipe = Recipe(steps=10, batch=4, small=0.0, supervision="film", frozen_text=frozen)
        _, weights = two_steps(recipe, tmp_path, films)
        kept = [torch.equal(weights[name], bundled[name].float()) for name in text]
        assert all(kept) == (frozen > 0)
        assert not any(torch.equal(weights[name], bundled[name].float()) for name in image)


def test_a_sigmoid_step_trains_a_siglip_without_reading_where_a_finding_lies(tmp_path):
    recipe = Recipe(steps=10, batch=4, small=0.0, supervision="film", family="siglip")
    films = made_up_films(4)

    tokenizer = make_tokenizer(0, FAMILIES["siglip"])  # another one would number equally frequent pairs anew

    def steps(some):
        trainer = Trainer(recipe, tmp_path / "out", tokenizer)
        trainer.train_step(some)
        return trainer.train_step(some), trainer

    losses, trainer = steps(films)
    moved, _ = steps(elsewhere(films))
    assert losses == moved
    assert set(losses) == {"pairs", "readout", "norm", "rate"}
    trainer.export()
    family, model = load(tmp_path / "out")
    assert family is FAMILIES["siglip"]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer("nodule", padding="max_length", max_length=family.length).input_ids
    assert ids[1:] == [tokenizer.eos_token_id] * (family.length - 1)  # no token before the words; the end token pads
    pixels = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        own = torch.nn.functional.normalize(model.get_image_features(pixels).pooler_output, dim=-1)
        torch.testing.assert_close(family.images(model, pixels)[0], own)


def test_the_sigmoid_loss_balances_true_and_false_pairs_and_leaves_unknown_ones_out():
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
    truth = torch.tensor([[1.0, 0.0, torch.nan], [0.0, torch.nan, 1.0]])
    weights = torch.tensor([1.0, 1.0, 3.0])
    true = (math.log1p(math.exp(-2)) + 3 * math.log1p(math.exp(2))) / 4
    false = (math.log1p(math.exp(-1)) + math.log(2)) / 2
    assert float(objective.sigmoid(logits, truth, weights)) == pytest.approx(true + false)


def test_place_supervision_needs_a_clip(tmp_path):
    with pytest.raises(ValueError, match="supervision"):
        _start(Recipe(steps=10, family="siglip"), tmp_path / "out", tmp_path, resume=False, start=None)


def test_stacked_matrices_are_updated_as_torch_updates_them_one_by_one():
    generator = torch.Generator().manual_seed(0)
    shapes = [(12, 8), (8, 12), (12, 8), (8, 8)]
    start = [torch.randn(shape, generator=generator) for shape in shapes]
    own = [torch.nn.Parameter(one.clone()) for one in start]
    theirs = [torch.nn.Parameter(one.clone()) for one in start]
    rate = torch.tensor(0.0)
    stacked = StackedMuon(own, rate, weight_decay=0.05)
    single = torch.optim.Muon(theirs, 1.0, 0.05, adjust_lr_fn="match_rms_adamw")
    for step in range(4):
        rate.fill_(0.01 * (step + 1))
        single.param_groups[0]["lr"] = float(rate)
        for mine, other in zip(own, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            other.grad = mine.grad.clone()
        stacked.step()
        single.step()
    for mine, other, first in zip(own, theirs, start, strict=True):
        assert not torch.equal(mine, first)
        # Both orthogonalise in bfloat16, whose products of stacks round otherwise.
        torch.testing.assert_close(mine, other, atol=3e-3, rtol=0)


def test_a_checkpoint_resumes_with_a_learning_rate_that_still_follows_the_schedule(tmp_path):
    recipe = Recipe(steps=300, batch=4, small=0.0, supervision="film")
    trainer = Trainer(recipe, tmp_path / "out", make_tokenizer(0, FAMILIES["clip"]))
    trainer.train_step(made_up_films(4))
    trainer.save(tmp_path / "checkpoint.pt")
    resumed = Trainer(recipe, tmp_path / "out", trainer.tokenizer)
    resumed.load(tmp_path / "checkpoint.pt")
    resumed.step = 200
    resumed.train_step(made_up_films(4))
    rates = {float(group["lr"]) for optimizer in resumed.optimizers for group in optimizer.param_groups}
    assert len(rates) == 1
    assert rates.pop() == pytest.approx(1e-3 * (0.02 + 0.98 * 0.25))
