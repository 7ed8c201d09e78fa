"""CLIP Surgery agrees with its twin."""

import dataclasses

import pytest
import torch

import matex
from matex.attribution import make
from matex.attribution.clip_surgery import feature_surgery
from tests.attribution.pairs import Numbers, exact
from tests.conftest import BOS, EOS
from tests.reference import clip
from tests.reference.clip_surgery import several, single, surgical_tokens


def unit(vector):
    return (vector / vector.norm()).detach()


@pytest.mark.parametrize(("redundant", "layers"), [("", 6), ("", 2), ((BOS, 4, 11, EOS), 3)])
def test_a_single_phrase_agrees_with_the_twin(pair, redundant, layers):
    tokens = surgical_tokens(clip.Parts(pair.module, "vision_model"), pair.image, layers)
    other = unit(clip.text(pair.module, list(redundant or (BOS, EOS))).embedding)
    expected = single([tokens[i] for i in pair.patches], unit(pair.text.embedding), other)
    pair.check("clip-surgery", expected, redundant=redundant, layers=layers)


def test_a_label_set_agrees_with_the_twin(pair):
    pair.model = dataclasses.replace(pair.model, tokenizer=Numbers())
    labels = ("4 11", "62", "30 7 7")
    tokens = surgical_tokens(clip.Parts(pair.module, "vision_model"), pair.image, 6)
    texts = [clip.text(pair.module, Numbers()(label)["input_ids"]).embedding for label in labels]
    texts = [unit(text) for text in (pair.text.embedding, *texts)]
    expected = several([tokens[i] for i in pair.patches], unit(pair.image.embedding), texts)
    pair.check("clip-surgery", expected, labels=labels)
    words = matex.attribute(pair.model, *pair.inputs, method="clip-surgery", redundant="4 11")
    exact(words, matex.attribute(pair.model, *pair.inputs, method="clip-surgery", redundant=(BOS, 4, 11, EOS)))


def test_labels_that_all_say_the_same_leave_nothing():
    tokens, image = torch.randn(1, 4, 5), torch.randn(1, 5)
    same = torch.randn(1, 1, 5).expand(1, 3, 5)
    torch.testing.assert_close(feature_surgery(tokens, image, same), torch.zeros(1, 4), atol=1e-6, rtol=0)


def test_words_need_a_tokenizer(model, pixels, token_ids):
    with pytest.raises(matex.InputError, match="tokenizer"):
        matex.attribute(model, pixels, token_ids, method="clip-surgery", redundant="nothing")
    with pytest.raises(ValueError, match="Expected redundant to be words or at least one token id"):
        make("clip-surgery", {"redundant": ()})


@pytest.mark.parametrize("ids", [(BOS, 99, EOS), (BOS, -1, EOS), (BOS, *range(10), EOS)])
def test_token_ids_that_the_model_does_not_have_are_refused(model, pixels, token_ids, ids):
    with pytest.raises(matex.InputError, match="Expected at most 11 token ids from 0 to 98, got"):
        matex.attribute(model, pixels, token_ids, method="clip-surgery", redundant=ids)
