"""CA-M2IB agrees with its twin, and its attention does what eq. 4 says."""

import numpy as np
import pytest
import torch

import matex
from matex.attribution import make
from matex.attribution.ca_m2ib import attention_maps, cross_attention, width_map
from matex.samples import samples
from tests.attribution.test_m2ib import exact, slow
from tests.conftest import BOS, EOS
from tests.reference.m2ib import attend, m2ib, tokens_of, unit

JOINT = 20


def compare(module, model, pixels, token_ids, which, ca, parameters, keys=(None, None)):
    """Both towers against the twin; `keys` are the positions attended to on the image and the text."""
    image, text = slow(module, pixels, token_ids, which)
    inputs = pixels[which : which + 1], token_ids[which : which + 1]
    trace = matex.record(model, *inputs)
    method = make("ca-m2ib", {"steps": 6, "samples": 4, **parameters})
    for kind, tower, other, layer, positions in (
        ("image", image, text, 2, keys[1] or range(1, len(text.inputs[0]))),
        ("text", text, image, 3, keys[0] or range(1, 26)),
    ):
        tokens = tokens_of(module, "text" if kind == "image" else "image", other, positions)
        each = {"maps": torch.eye(JOINT, dtype=torch.float64).repeat(3, 1, 1), "gamma": 1.0, "learned": None}
        each |= {"tokens": tokens, "scale": module.logit_scale.exp().item()} | ca()
        width = tower.inputs[0].shape[-1]
        each |= {"lift": width_map(0, JOINT, width)}
        if each.get("query"):
            each["query"] = range(1, 26) if kind == "image" else range(1, len(tower.inputs[0]) - 1)
        sigma = parameters.get("sigma", 1.0)
        expected, moved = m2ib(module, kind, tower, other, layer=layer, steps=6, samples=4, ca=each, sigma=sigma)
        found = method(getattr(trace, kind))[0]
        exact(found.flatten()[: len(expected)], expected[1:] if kind == "image" else expected)
        assert method.report(getattr(trace, kind))[0]["target_cosine"] == pytest.approx(moved, abs=1e-8)


def test_ca_m2ib_agrees_with_its_twin(module, model, pixels, token_ids):
    compare(module, model, pixels, token_ids, 0, dict, {})


def test_the_papers_logits_and_gamma_agree_with_the_twin(module, model, pixels, token_ids):
    ca = {"scale": None, "gamma": 0.3}
    compare(module, model, pixels, token_ids, 1, lambda: ca, {"logits": "paper", "gamma": 0.3})


def test_random_attention_agrees_with_the_twin(module, model, pixels, token_ids):
    maps = attention_maps("random", 0, JOINT)
    compare(module, model, pixels, token_ids, 2, lambda: {"maps": maps}, {"attention": "random"})


@pytest.mark.parametrize(
    ("twin", "given"),
    [
        ({}, {"sigma": 0.4}),
        ({"query": True}, {"query": "latent"}),
        ({"latent": True}, {"latent": "attended"}),
        ({"query": True, "latent": True, "scale": None}, {"query": "latent", "latent": "attended", "logits": "paper"}),
    ],
)
def test_the_printed_forms_agree_with_the_twin(module, model, pixels, token_ids, twin, given):
    compare(module, model, pixels, token_ids, 0, lambda: dict(twin), given)


def test_the_map_between_a_block_and_the_joint_space_is_orthogonal_and_seeded():
    wide, narrow = width_map(0, 4, 7), width_map(0, 7, 4)
    exact(wide @ wide.T, torch.eye(4, dtype=torch.float64))
    exact(narrow.T @ narrow, torch.eye(4, dtype=torch.float64))
    assert not torch.allclose(wide, width_map(1, 4, 7))


@pytest.mark.parametrize("rate", [1e-3, 0.05])
def test_learned_attention_agrees_with_the_twin(module, model, pixels, token_ids, rate):
    compare(
        module,
        model,
        pixels,
        token_ids,
        1,
        lambda: {"maps": attention_maps("learned", 0, JOINT), "learned": rate},
        {"attention": "learned", "attention_learning_rate": rate},
    )


def test_the_readout_token_can_be_counted_or_left_out(module, model, pixels, token_ids):
    compare(module, model, pixels, token_ids, 0, dict, {"readout_key": True}, (range(26), None))
    words = range(1, token_ids[0].tolist().index(EOS))
    compare(module, model, pixels, token_ids, 0, dict, {"readout_key": False}, (None, words))


def test_attention_is_eq_four_over_the_tokens_that_count():
    generator = torch.Generator().manual_seed(3)
    query, tokens = (torch.randn(2, n, 5, generator=generator, dtype=torch.float64) for n in (3, 4))
    counts = torch.tensor([[True, True, True, True], [True, False, True, False]])
    maps = torch.randn(2, 3, 5, 5, generator=generator, dtype=torch.float64)
    for scale in (None, 7.0):
        found = cross_attention(query, tokens, counts, maps, scale)
        for row in range(2):
            kept = [token for token, count in zip(tokens[row], counts[row], strict=True) if count]
            for sample in range(3):
                exact(found[row, sample], attend(query[row, sample], kept, maps[row], scale))


def test_one_key_is_the_target_whatever_the_query():
    tokens = torch.randn(1, 1, 5, dtype=torch.float64)
    query = torch.randn(1, 3, 5, dtype=torch.float64)
    exact(cross_attention(query, tokens, torch.ones(1, 1, dtype=torch.bool), scale=100.0), tokens.expand(1, 3, 5))


def test_the_papers_logits_give_nearly_the_mean_token():
    """METHODS 4.2: unit vectors of 512 entries have logits of at most 1 / sqrt(512) = 0.0442."""
    generator = torch.Generator().manual_seed(3)
    tokens = unit(torch.randn(1, 49, 512, generator=generator, dtype=torch.float64))
    same = torch.eye(49, dtype=torch.float64)[None]
    weights = torch.linalg.lstsq(
        tokens[0].T, cross_attention(tokens, tokens, torch.ones(1, 49, dtype=torch.bool))[0].T
    ).solution
    assert (weights * 49 - 1).abs().max() < 0.05
    strict = cross_attention(tokens, tokens, torch.ones(1, 49, dtype=torch.bool), scale=100.0)
    exact(strict, same @ tokens, atol=1e-6)


def test_random_attention_is_orthogonal_and_learned_attention_starts_near_the_identity():
    maps = attention_maps("random", 2, 6)
    exact(maps @ maps.mT, torch.eye(6, dtype=torch.float64).expand(3, 6, 6))
    exact(maps, attention_maps("random", 2, 6), atol=0)
    assert not torch.allclose(maps, attention_maps("random", 3, 6))
    exact(attention_maps("learned", 0, 6), torch.eye(6).expand(3, 6, 6), atol=5e-3)


def test_drawn_to_a_single_token_that_is_the_target_it_is_m2ib(module, model, pixels):
    """An empty phrase has EOS alone: softmax over one key, METHODS 4.2."""
    ids = torch.tensor([[BOS, EOS]])
    found = matex.attribute(model, pixels[:1], ids, method="ca-m2ib")
    exact(found, matex.attribute(model, pixels[:1], ids, method="m2ib"))
    assert make("ca-m2ib", {}).report(matex.record(model, pixels[:1], ids).image)[0]["target_cosine"] == pytest.approx(
        1
    )


def test_without_agreement_nothing_but_compression_is_left(model, pixels, token_ids):
    inputs = pixels[:1], token_ids[:1]
    free = matex.attribute(model, *inputs, method="ca-m2ib", gamma=0.0)
    exact(free, matex.attribute(model, *inputs, method="ca-m2ib", gamma=0.0, attention="random", seed=8))
    assert free.sum() < matex.attribute(model, *inputs, method="ca-m2ib", gamma=10.0).sum()


def test_learned_attention_can_agree_without_evidence(model, pixels, token_ids):
    """Why it is not the default: the values alone raise the agreement, whatever passes the bottleneck."""
    trace = matex.record(model, pixels[:1], token_ids[:1]).image
    aim = make("ca-m2ib", {"attention": "learned"}).aim(trace, torch.tensor([0]), [0])
    embedding = torch.nn.functional.normalize(torch.randn(1, 1, JOINT, dtype=torch.float64), dim=-1)
    (maps,) = aim.learned
    for _ in range(40):
        agreement = torch.cosine_similarity(aim.target(embedding, embedding), embedding, dim=-1).sum()
        maps.data += 0.05 * torch.autograd.grad(agreement, maps)[0].sign()
    assert agreement > 0.99


def test_a_batch_of_pairs_is_each_pair_alone(model, pixels, token_ids):
    pairs = [(0, 1), (2, 0), (0, 2)]
    for kind in ("image", "text"):
        for attention in ("identity", "learned"):
            method = make("ca-m2ib", {"attention": attention, "steps": 4, "n": 2})
            found = method(getattr(matex.record(model, pixels, token_ids, pairs), kind))
            for number, (i, t) in enumerate(pairs):
                alone = method(getattr(matex.record(model, pixels[i : i + 1], token_ids[t : t + 1]), kind))
                exact(found[number].nan_to_num(), alone[0].nan_to_num())


@pytest.mark.parametrize("attention", ["random", "learned"])
def test_every_seed_of_an_average_has_its_own_matrices(model, pixels, token_ids, attention):
    settings = {"attention": attention, "attention_learning_rate": 0.05, "logits": "paper", "steps": 3}
    trace = matex.record(model, pixels, token_ids).image
    each = [make("ca-m2ib", {**settings, "seed": seed}).squeeze(trace).information for seed in (4, 5, 6)]
    exact(make("ca-m2ib", {**settings, "seed": 4, "n": 3}).squeeze(trace).information, torch.stack(each).mean(0))


def test_bad_choices_are_refused(model, pixels):
    for name, value, message in (
        ("attention", "all", "attention to be one of identity, random, learned"),
        ("logits", "x", "logits to be one of clip, paper"),
        ("gamma", -1.0, "gamma of 0 or more"),
        ("attention_learning_rate", 0.0, "attention_learning_rate above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            make("ca-m2ib", {name: value})
    with pytest.raises(matex.InputError, match="Expected words or patches to attend to, got none"):
        matex.attribute(model, pixels[:1], torch.tensor([[BOS, EOS]]), method="ca-m2ib", readout_key=False)


def test_the_tokens_of_a_second_image_are_its_patches_alone(tiny):
    """The end token of a phrase takes part; the CLS token of an image does not."""
    first, second = (matex.read(film.path) for film in samples()[8:10])

    def grid(**parameters):
        return matex.explain(tiny, first, second, method="ca-m2ib", steps=2, samples=2, **parameters).image.grid

    default = grid()
    np.testing.assert_array_equal(default, grid(readout_key=False))
    assert (default != grid(readout_key=True)).any()
