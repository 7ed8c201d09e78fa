"""How a training run begins, goes on, and starts from a finished model. The training itself takes hours."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import matex.adapters
from matex.simulation.training.train import Recipe, _start

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
