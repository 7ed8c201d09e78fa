"""Methods over a text that is read as a mean, at several depths (MedCLIP) or one, agree with slow twins."""

import dataclasses
import math

import pytest
import torch

from matex.adapters import medclip
from matex.adapters.medclip import MedClip, MedClipConfig
from matex.attribution import make
from matex.attribution.ca_m2ib import CaM2IB
from matex.interaction.attention import word_attention
from matex.protocols import on_side
from matex.raw_maps import trace_inputs
from tests.adapters.random_weights import BERT, IDS, pixels, randomise
from tests.reference import m2ib, mmel, readers

TAPS = {"at several depths": (0, 1), "behind the last block": ()}


@pytest.fixture(scope="module", params=TAPS)
def model(request):
    made = medclip.adapt(randomise(MedClip(MedClipConfig(((1, 1, 1, 1), 2), BERT, 10))), "small")
    text = dataclasses.replace(made.text, taps=TAPS[request.param])
    return dataclasses.replace(made, encoders={**made.encoders, "text": text})


@pytest.fixture(params=[0, 1], ids=["the longest", "padded"])
def phrase(request, model):
    """Number of the phrase in `IDS`, its slow twin, and its score against the other side's embedding."""
    text = model.module.text_model
    ids = IDS[request.param][IDS[request.param] != 0]
    weights = {name: value.detach() for name, value in text.model.state_dict().items()}
    head, taps = text.projection_head.weight.detach(), model.text.taps
    twin = readers.MeanBert(weights, head, ids, BERT.num_attention_heads, BERT.num_hidden_layers, taps)
    target = trace(model, "gradcam").text.target[request.param]
    return request.param, twin, twin.score(target)


def trace(model, method, **parameters):
    method = make(method, parameters)
    return trace_inputs(model, pixels(64, 64), IDS, [(0, 0), (1, 1)], [], [method])


def check(model, phrase, expected, method, tolerance=1e-9, **parameters):
    number, _, _ = phrase
    values = on_side(make(method, parameters), "text")(trace(model, method, **parameters).text)[number]
    found = values[: len(expected)]
    expected = torch.tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    assert values[len(expected) :].isnan().all()  # nothing is known of padding


def content(twin):
    """The words, without CLS and SEP."""
    return list(range(1, len(twin.outputs[0]) - 1))


def test_the_score_is_that_of_the_twin(model, phrase):
    number, _, score = phrase
    assert float(trace(model, "gradcam").text.score[number]) == pytest.approx(float(score.detach()), abs=1e-12)


@pytest.mark.parametrize("layers", [1, 3, 5])
def test_grad_eclip_sums_over_the_readers(model, phrase, layers):
    _, twin, score = phrase
    expected = readers.grad_eclip(twin, score, layers)
    assert layers == 1 or max(expected) > 0
    check(model, phrase, expected, "grad-eclip", layers=layers)


def test_raw_attention_and_rollout_average_over_the_readers(model, phrase):
    _, twin, _ = phrase
    check(model, phrase, readers.mean_attention(twin, -1), "raw-attention")
    check(model, phrase, readers.rollout(twin), "rollout")


@pytest.mark.parametrize("mode", ["spatial", "paper"])
def test_mmel_raises_grad_eclip_by_the_resemblance_of_the_queries(model, phrase, mode):
    _, twin, score = phrase
    base, words = readers.grad_eclip(twin, score, BERT.num_hidden_layers), content(twin)
    gated = mmel.mmel(twin, words, (1, len(words)), [base[i] for i in words], mode, seed=3)
    expected = [value * 2 for value in base]  # special tokens: alpha 2 times the sigmoid of level 0, and 1
    expected[1:-1] = gated
    check(model, phrase, expected, "mmel", tolerance=1e-8, mode=mode, seed=3)


@pytest.mark.parametrize("gradient", ["attention", "value"])
def test_matex_sums_the_gradient_over_the_readers_and_averages_their_attention(model, phrase, gradient):
    number, twin, score = phrase
    words = content(twin)
    terms = readers.matex_terms(twin, score, words, layers=3, temperature=0.5)
    found = make("matex", {"gradient": gradient}).components(trace(model, "matex").text)
    for name, expected in {**terms, "prior": terms["gradient"]}.items():
        expected = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(found[name][number, words], expected, rtol=1e-8, atol=1e-8)
    flow = make("matex", {"flow": "rollout"}).components(trace(model, "matex").text)["flow"][number, words]
    expected = torch.tensor(readers.minmax([readers.rollout(twin)[i] for i in words]), dtype=torch.float64)
    torch.testing.assert_close(flow, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("layers", ["last", "all"])
def test_chefer_averages_the_relevance_of_the_readers(model, phrase, layers):
    _, twin, score = phrase
    expected = readers.chefer(twin, score, model.logit_scale, 0 if layers == "all" else BERT.num_hidden_layers - 1)
    check(model, phrase, expected, "chefer", tolerance=1e-8, layers=layers)


@pytest.mark.parametrize("layer", range(BERT.num_hidden_layers))
def test_m2ib_squeezes_a_block_in_a_tap_as_in_the_stream(model, phrase, layer):
    number, twin, _ = phrase
    given = trace(model, "gradcam").text.target[number]
    expected, _ = m2ib.squeeze(lambda z: twin.behind(layer, z), twin.states[layer + 1].detach(), given, steps=3,
                               samples=2, seed=5)  # fmt: skip
    check(model, phrase, expected, "m2ib", tolerance=1e-8, layer=layer, steps=3, samples=2, seed=5)


@pytest.mark.parametrize("layer", range(BERT.num_hidden_layers))
def test_gradients_at_a_tapped_output_do_not_depend_on_what_was_read_before(model, phrase, layer):
    number, twin, score = phrase
    (expected,) = torch.autograd.grad(score, twin.states[layer], retain_graph=True)
    fresh, lower = trace(model, "gradcam").text, trace(model, "gradcam").text
    lower.gradient_hidden(0)
    for one in (fresh, lower):
        found = one.gradient_hidden(layer)[number, : len(expected)]
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("layer", [0, 1])
def test_the_attention_of_words_is_that_of_copies_at_tapped_blocks_too(model, layer):
    """After one step the gate is sigmoid(5) everywhere, so that every copy can be written down."""
    ids = IDS[:1][:, : int((IDS[0] != 0).sum())]
    method = CaM2IB(layer=layer, steps=1, samples=2, seed=4)
    traced = trace_inputs(model, pixels(64, 64)[:1], ids, [(0, 0)], [], [method]).text
    found = word_attention(traced, method)

    text = model.module.text_model
    weights = {name: value.detach() for name, value in text.model.state_dict().items()}
    head = text.projection_head.weight.detach()
    twin = readers.MeanBert(weights, head, ids[0], BERT.num_attention_heads, BERT.num_hidden_layers, model.text.taps)
    hidden, places = twin.states[layer + 1].detach(), traced.target_tokens(readout=False)[0][0]
    torch.manual_seed(4)
    noise = torch.empty(2, *hidden.shape, dtype=hidden.dtype).normal_()
    gate = 1 / (1 + math.exp(-5))
    expected = 0
    for copy in noise:
        words = twin.tokens_behind(layer, gate * hidden + (1 - gate) * copy)
        cosines = words @ places.T / words.norm(dim=1, keepdim=True)
        expected = expected + torch.softmax(model.logit_scale * cosines, dim=1) / 2
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=1e-8, atol=1e-8)
