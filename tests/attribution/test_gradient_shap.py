"""GradientSHAP: twin with the same draws, completeness on average, stratified positions, seeds."""

import pytest
import torch

import matex
from matex.attribution import make
from matex.attribution.gradient_shap import stratified
from matex.attribution.shared.path_integral import along, starts
from tests.attribution.subjects import Subject, exact
from tests.reference import path


@pytest.fixture
def subject(module, pixels, token_ids):
    return Subject(module, pixels[0], token_ids[0])


@pytest.mark.parametrize("baseline", ["mean", "noise"])
def test_it_agrees_with_its_twin(model, subject, baseline):
    samples, seed = 5, 7
    offsets = torch.rand(samples, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).tolist()
    nodes = [(k + offset) / samples for k, offset in enumerate(offsets)]
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


def test_every_interval_of_the_path_has_one_position():
    for samples in (1, 7, 50):
        positions = stratified(samples, seed=3)
        assert (positions * samples).long().tolist() == list(range(samples))
    draws = torch.stack([stratified(7, seed) for seed in range(2000)])
    expected = (torch.arange(7) + 0.5) / 7
    torch.testing.assert_close(draws.mean(0), expected.double(), atol=0.005, rtol=0)
    assert draws.std(0).min().item() == pytest.approx(1 / 7 / 12**0.5, rel=0.05)


def test_stratified_positions_sum_closer_to_the_change_of_score(model, subject):
    pixels, ids = subject.inputs
    pair = matex.record(model, pixels, ids)
    errors = {"stratified": [], "independent": []}
    for seed in range(8):
        row = make("gradient-shap", {"samples": 20, "seed": seed}).report(pair.image)[0]
        errors["stratified"].append(row["attribution_sum"] - row["score_change"])
        generator = torch.Generator().manual_seed(seed)
        position = torch.rand(20, generator=generator, dtype=torch.float64)
        begin = starts(pair.image, "mean", 0)
        found = along(pair.image, pair.image.target[None], begin, position, torch.full_like(position, 1 / 20))
        errors["independent"].append(found.sum().item() - row["score_change"])
    spread = {name: torch.tensor(values).square().mean().sqrt().item() for name, values in errors.items()}
    assert spread["stratified"] < 0.5 * spread["independent"]


def test_the_seed_decides(model, subject):
    one, again, other = (
        matex.attribute(model, *subject.inputs, method="gradient-shap", samples=3, seed=s) for s in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
