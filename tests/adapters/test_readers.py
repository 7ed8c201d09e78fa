"""Methods over a text that is read as a mean at several depths (MedCLIP) agree with slow twins, padded and not."""

import pytest
import torch

from matex.adapters import medclip
from matex.adapters.medclip import MedClip, MedClipConfig
from matex.attribution import make
from matex.queries import trace_inputs
from tests.adapters.random_weights import BERT, IDS, pixels, randomise
from tests.reference import readers

TAPS = (0, 1)


@pytest.fixture(scope="module")
def model():
    return medclip.adapt(randomise(MedClip(MedClipConfig(((1, 1, 1, 1), 2), BERT, 10))), "small")


@pytest.fixture(params=[0, 1], ids=["the longest", "padded"])
def phrase(request, model):
    """Number of the phrase in `IDS`, its slow twin, and its score against the other side's embedding."""
    text = model.module.text_model
    ids = IDS[request.param][IDS[request.param] != 0]
    weights = {name: value.detach() for name, value in text.model.state_dict().items()}
    head = text.projection_head.weight.detach()
    twin = readers.MeanBert(weights, head, ids, BERT.num_attention_heads, BERT.num_hidden_layers, TAPS)
    target = trace(model, "gradcam").text.target[request.param]
    return request.param, twin, twin.score(target)


def trace(model, method, **parameters):
    method = make(method, parameters)
    return trace_inputs(model, pixels(64, 64), IDS, [(0, 0), (1, 1)], [], [method])


def check(model, phrase, expected, method, tolerance=1e-9, **parameters):
    number, _, _ = phrase
    found = make(method, parameters)(trace(model, method, **parameters).text)[number, : len(expected)]
    expected = torch.tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


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
