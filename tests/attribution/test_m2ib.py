"""The bottleneck agrees with the reference's whole loop, and with what can be worked out by hand."""

import json
import math
from types import SimpleNamespace

import pytest
import torch

import matex
from matex.attribution import make
from matex.attribution.shared.bottleneck import Adam, information, noise_steps, noisy
from matex.cli import run
from matex.samples import samples
from tests.conftest import EOS
from tests.reference import clip
from tests.reference.m2ib import m2ib


def exact(actual, expected, atol=1e-8):
    torch.testing.assert_close(actual, torch.as_tensor(expected, dtype=actual.dtype), rtol=0, atol=atol)


def slow(module, pixels, token_ids, which=0):
    ids = token_ids[which].tolist()
    return clip.image(module, pixels[which]), clip.text(module, ids[: ids.index(EOS) + 1])


@pytest.mark.parametrize(
    ("which", "parameters", "twin"),
    [
        (0, {}, {}),
        (1, {"seed": 4}, {"seed": 4}),
        (
            2,
            {"layer": 0, "beta": 1.0, "steps": 4, "samples": 3, "learning_rate": 0.5},
            {"layer": 0, "beta": 1.0, "steps": 4, "samples": 3, "rate": 0.5},
        ),
    ],
)
def test_m2ib_agrees_with_the_whole_reference_loop(module, model, pixels, token_ids, which, parameters, twin):
    image, text = slow(module, pixels, token_ids, which)
    inputs = pixels[which : which + 1], token_ids[which : which + 1]  # padding behind EOS must not matter
    expected, _ = m2ib(module, "image", image, text, **{"layer": 2, **twin})
    found = matex.attribute(model, *inputs, method="m2ib", **parameters)
    assert found.shape == (5, 5)
    exact(found.flatten(), expected[1:])
    expected, _ = m2ib(module, "text", text, image, **{"layer": 3, **twin})
    found = matex.attribute(model, *inputs, method="m2ib", tower="text", **parameters)
    exact(found[: len(expected)], expected)
    assert torch.isnan(found[len(expected) :]).all()


def test_information_is_that_between_gaussians():
    alpha, hidden = torch.randn(7, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    mean = noisy(alpha, hidden, torch.zeros(7, dtype=torch.float64))
    deviation = noisy(alpha, torch.zeros(7, dtype=torch.float64), torch.ones(7, dtype=torch.float64))
    prior, channel = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(mean, deviation)
    exact(information(alpha, hidden), torch.distributions.kl_divergence(channel, prior))
    narrow = torch.distributions.Normal(mean, 0.3 * deviation)
    exact(information(alpha, hidden, 0.3), torch.distributions.kl_divergence(narrow, prior))


def test_a_closed_bottleneck_carries_nothing_and_a_half_open_one_what_is_worked_out_by_hand():
    shut = torch.full((3,), -800.0, dtype=torch.float64)
    exact(information(shut, torch.tensor([9.0, -3.0, 0.0])), torch.zeros(3))
    half, hidden = torch.zeros(3, dtype=torch.float64), torch.tensor([2.0, -1.0, 0.0], dtype=torch.float64)
    exact(information(half, hidden), 0.5 * ((hidden / 2) ** 2 + 1 / 4 - math.log(1 / 4) - 1))
    exact(noisy(half, hidden, torch.ones(3)), (hidden + 1) / 2)


def test_an_open_bottleneck_stays_finite_in_single_precision():
    alpha = torch.full((1,), 40.0, requires_grad=True)
    found = information(alpha, torch.ones(1))
    assert found.item() == pytest.approx(40.0, abs=1e-4)
    assert torch.autograd.grad(found, alpha)[0].item() == pytest.approx(1.0)


def test_one_step_reads_the_bottleneck_as_it_was_set_up(module, model, pixels, token_ids):
    hidden = matex.record(model, pixels, token_ids).image.hidden(3)
    expected = information(torch.full_like(hidden, 5.0), hidden).sum(-1)[:, 1:]
    exact(matex.attribute(model, pixels, token_ids, method="m2ib", steps=1).flatten(1), expected)


def test_noise_is_the_stream_of_manual_seed_for_each_row_alone():
    steps = noise_steps([3, 4, 3], [5, 7, 5], samples=2, dim=6, dtype=torch.float32)
    first, second = next(steps), next(steps)
    for row, (seed, length) in enumerate(((3, 5), (4, 7), (3, 5))):
        torch.manual_seed(seed)
        for step in (first, second):
            exact(step[row, :, :length], torch.empty(2, length, 6).normal_(), atol=0)
            assert (step[row, :, length:] == 0).all()


def test_the_optimiser_is_adam():
    ours, theirs = (torch.tensor([1.0, -2.0, 5.0], dtype=torch.float64).requires_grad_() for _ in range(2))
    update, reference = Adam(ours, 0.7), torch.optim.Adam([theirs], lr=0.7)
    for step in range(6):
        gradient = torch.tensor([1e-9, math.sin(step), -(3.0**step)], dtype=torch.float64)
        update(gradient)
        theirs.grad = gradient
        reference.step()
    exact(ours.detach(), theirs.detach(), atol=1e-12)


def test_seeds_are_averaged_and_their_spread_is_reported(model, pixels, token_ids):
    trace = matex.record(model, pixels[:2], token_ids[:2], [(0, 0), (1, 1), (0, 1)]).image
    each = torch.stack([make("m2ib", {"seed": seed}).squeeze(trace).information for seed in (5, 6, 7)])
    method = make("m2ib", {"seed": 5, "n": 3})
    found = method.squeeze(trace)
    exact(found.information, each.mean(0))
    exact(found.spread, each.std(0))
    exact(method(trace), trace.to_grid(each.mean(0)))
    inside, spread = each.mean(0)[1, 1:], each.std(0)[1, 1:]
    report = method.report(trace)[1]
    assert report["seed_spread"] == pytest.approx(float(spread.max() / (inside.max() - inside.min())))
    assert report["target_cosine"] == 1
    assert make("m2ib", {}).report(trace)[0]["seed_spread"] is None


def test_what_the_method_measured_is_in_the_provenance_as_plain_numbers(tmp_path):
    film = next(sample for sample in samples() if not sample.normal)
    explanation = matex.explain(matex.load("tiny"), film.path, "opacity in the left lung", method="m2ib", n=2, steps=2)
    explanation.save(tmp_path)
    report = json.loads((tmp_path / "explanation.json").read_text())["provenance"]["report"]
    assert set(report) == {"image", "text"}
    assert report["image"]["target_cosine"] == 1
    assert 0 <= report["image"]["seed_spread"] < 1


@pytest.mark.parametrize("method", ["m2ib", "ca-m2ib"])
def test_seeds_are_averaged_from_the_command_line_with_their_spread_in_the_record(method, tmp_path, capfd):
    film = str(next(sample for sample in samples() if not sample.normal).path)
    given = [
        "-p",
        "n=2",
        "-p",
        "steps=4",
        "-p",
        "seed=5",
        "-p",
        "progress=true",
        "--model",
        "tiny",
        "-o",
        str(tmp_path),
    ]
    assert run(["explain", film, "opacity in the left lung", "-m", method, *given]) == 0
    record = json.loads((tmp_path / "explanation.json").read_text())
    assert (record["parameters"]["n"], record["parameters"]["seed"]) == (2, 5)
    assert all(0 < record["provenance"]["report"][side]["seed_spread"] < 1 for side in ("image", "text"))
    assert capfd.readouterr().err.count("2/2") >= 2


def test_copies_run_in_pieces_give_the_same_map(model, pixels, token_ids):
    for tower in ("image", "text"):
        trace = getattr(matex.record(model, pixels, token_ids), tower)
        whole = make("m2ib", {"n": 2})(trace)
        exact(make("m2ib", {"n": 2, "batch_size": 1})(trace).nan_to_num(), whole.nan_to_num())


def test_only_the_blocks_behind_the_bottleneck_are_run_and_not_for_the_last_map(model, pixels, token_ids, monkeypatch):
    trace = matex.record(model, pixels[:1], token_ids[:1]).image
    tower, calls = type(model.image), []
    after_attention = tower.after_attention
    monkeypatch.setattr(
        tower,
        "after_attention",
        lambda self, layer, hidden, output: calls.append(layer) or after_attention(self, layer, hidden, output),
    )
    make("m2ib", {"layer": 1, "steps": 4})(trace)
    assert calls == [2, 3] * 3


def test_the_default_layer_lies_at_ten_twelfths_of_the_depth():
    depths = (2, 3, 4, 5, 6, 8, 12, 24)
    behind = [
        make("m2ib", {}).squeezed_layer(SimpleNamespace(depth=depth, last_squeezed=depth - 2)) for depth in depths
    ]
    assert behind == [0, 1, 2, 3, 4, 6, 9, 19]


def test_gradients_and_the_callers_mode_are_left_alone(module, model, pixels, token_ids):
    expected = matex.attribute(model, pixels, token_ids, method="m2ib", steps=3)
    with torch.inference_mode():
        found = matex.attribute(model, pixels.clone(), token_ids.clone(), method="m2ib", steps=3)
        exact(found, expected)
    module.requires_grad_(True)
    exact(matex.attribute(model, pixels, token_ids, method="m2ib", steps=3), expected)
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not expected.requires_grad


def test_half_precision_is_squeezed_in_float32(module, model, pixels, token_ids):
    expected = matex.attribute(model, pixels, token_ids, method="m2ib", steps=3).float()
    module.bfloat16()
    found = matex.attribute(model, pixels, token_ids, method="m2ib", steps=3)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    assert torch.corrcoef(torch.stack([found.flatten(), expected.flatten()]))[0, 1] > 0.5


def test_what_cannot_be_used_is_refused_in_one_line(model, pixels, token_ids):
    with pytest.raises(matex.InputError, match=r"layer from 0 to 2 on this tower of 4 blocks.* got 3"):
        matex.attribute(model, pixels, token_ids, method="m2ib", layer=3)
    with pytest.raises(ValueError, match="Expected layer of 0 or more, got -1"):
        make("m2ib", {"layer": -1})
    with pytest.raises(ValueError, match="Expected samples of 1 or more, got 0"):
        make("m2ib", {"samples": 0})
    with pytest.raises(ValueError, match="Expected learning_rate above 0, got 0"):
        make("m2ib", {"learning_rate": 0})
    with pytest.raises(ValueError, match="Expected beta of 0 or more"):
        make("m2ib", {"beta": -0.1})
