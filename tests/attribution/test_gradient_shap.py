"""GradientSHAP: twin with the same draws, completeness on average, seeds."""

import pytest
import torch

import matex
from tests.attribution.subjects import Subject, exact
from tests.reference import path


@pytest.fixture
def subject(module, pixels, token_ids):
    return Subject(module, pixels[0], token_ids[0])


@pytest.mark.parametrize("baseline", ["mean", "noise"])
def test_it_agrees_with_its_twin(model, subject, baseline):
    samples, seed = 5, 7
    nodes = torch.rand(samples, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).tolist()
    begins = [torch.zeros_like(subject.pixels)] * samples
    if baseline == "noise":
        shape = (samples, *subject.pixels.shape)
        begins = list(torch.randn(shape, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64))
    weights = [1 / samples] * samples
    settings = {"method": "gradient-shap", "samples": samples, "seed": seed, "baseline": baseline, "batch_size": 3}
    found = matex.attribute(model, *subject.inputs, **settings)
    exact(found, path.image(subject.module, subject.pixels, subject.text, begins, nodes, weights))
    found = matex.attribute(model, *subject.inputs, tower="text", **settings)
    exact(found, path.text(subject.module, subject.ids, subject.image, nodes, weights))


def test_it_sums_to_the_change_of_score_on_average(model, subject):
    pixels, ids = subject.inputs
    change = matex.score(model, pixels, ids) - matex.score(model, torch.zeros_like(pixels), ids)
    sums = [
        matex.attribute(model, pixels, ids, method="gradient-shap", samples=100, seed=seed).sum().item()
        for seed in range(10)
    ]
    spread = torch.tensor(sums).std().item() / len(sums) ** 0.5
    assert sum(sums) / len(sums) == pytest.approx(change.item(), abs=4 * spread)


def test_the_seed_decides(model, subject):
    one, again, other = (
        matex.attribute(model, *subject.inputs, method="gradient-shap", samples=3, seed=s) for s in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
