"""CA-M2IB's attention of words to places: against copies written out slowly, and its sums."""

import itertools
import math

import numpy as np
import pytest
import torch

import matex
from matex.attribution.ca_m2ib import CaM2IB
from matex.forward_pass import run
from matex.interaction.attention import word_attention
from matex.samples import samples
from matex.trace import Trace
from tests.reference import clip
from tests.reference.m2ib import rest_of, tokens_of, unit


@pytest.mark.parametrize("logits", ["clip", "paper"])
def test_the_attention_of_words_is_that_of_copies_written_out(module, model, pixels, logits):
    """After one step the gate is sigmoid(5) everywhere, so that every copy can be written down."""
    ids = torch.tensor([[97, 3, 14, 15, 9, 98]])
    seen, read, item = run(model.image, pixels[:1]), run(model.text, ids), torch.zeros(1, dtype=torch.long)
    trace = Trace(read, item, seen.embedding, (), model, (seen, item))
    found = word_attention(trace, CaM2IB(layer=2, steps=1, samples=3, seed=4, logits=logits))

    places = tokens_of(module, "image", clip.image(module, pixels[0]), range(1, 26))
    hidden, behind = clip.text(module, ids[0].tolist()).inputs[3].detach(), rest_of(module, "text", 2)
    torch.manual_seed(4)
    noise = torch.empty(3, *hidden.shape, dtype=torch.float64).normal_()
    gate = 1 / (1 + math.exp(-5))
    expected = torch.zeros(6, 25, dtype=torch.float64)
    for copy in range(3):
        words = behind(gate * hidden + (1 - gate) * noise[copy])
        for token in range(6):
            cosines = torch.stack([unit(words[token]) @ place for place in places])
            scale = model.logit_scale if logits == "clip" else 1 / len(places[0]) ** 0.5
            powers = torch.exp(scale * cosines)
            expected[token] += (powers / powers.sum() / 3).detach()
    torch.testing.assert_close(found[:, 1:], expected, rtol=0, atol=1e-8)
    assert float(found[:, 0].abs().max()) == 0  # CLS is no place


def test_the_way_gives_each_word_weights_that_add_up_to_one():
    tiny, film = matex.load("tiny"), samples()[0]
    found = matex.interactions(tiny, film.path, "opacity in the left lower lung", method="ca-m2ib", steps=4)
    np.testing.assert_allclose(found.values.sum((1, 2)), 1, atol=1e-5)
    assert 0 < found.report["evenness"] < 1
    assert all(np.abs(one - other).max() > 1e-4 for one, other in itertools.pairwise(found.values))
    printed = matex.interactions(tiny, film.path, "opacity in the left lower lung", method="ca-m2ib", logits="paper")
    assert printed.report["evenness"] > 0.99
    with pytest.raises(ValueError, match="steps"):
        matex.interactions(tiny, film.path, "opacity", method="ca-m2ib", steps=0)
