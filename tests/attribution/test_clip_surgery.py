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
    rivals = ("4 11", "62", "30 7 7")
    tokens = surgical_tokens(clip.Parts(pair.module, "vision_model"), pair.image, 6)
    texts = [clip.text(pair.module, Numbers()(label)["input_ids"]).embedding for label in rivals]
    texts = [unit(text) for text in (pair.text.embedding, *texts)]
    expected = several([tokens[i] for i in pair.patches], unit(pair.image.embedding), texts)
    pair.check("clip-surgery", expected, rivals=rivals)
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


def text_passes(monkeypatch, model):
    """Number of rows in every pass through the text tower from now on."""
    runs, start = [], type(model.text).start
    monkeypatch.setattr(type(model.text), "start", lambda self, x, ids: runs.append(len(ids)) or start(self, x, ids))
    return runs


def test_the_redundant_text_is_run_once_for_all_films_of_a_model(model, pixels, token_ids, monkeypatch):
    runs = text_passes(monkeypatch, model)
    first, second = (matex.attribute(model, pixels[i : i + 1], token_ids[:1], method="clip-surgery") for i in (0, 1))
    assert runs == [1, 1, 1]  # the phrase twice, the empty text once
    assert not torch.equal(first, second)


def changed_in_place(module):
    module.text_projection.weight.add_(torch.randn_like(module.text_projection.weight))


def changed_behind_torch(module):
    weight = module.text_model.encoder.layers[2].mlp.fc1.weight
    weight.data.mul_(3)


def replaced(module):
    weight = module.text_model.final_layer_norm.weight
    module.text_model.final_layer_norm.weight = torch.nn.Parameter(weight + 1, requires_grad=False)


def loaded_again(module):
    module.load_state_dict({name: 1.5 * value for name, value in module.state_dict().items()})


@pytest.mark.parametrize("change", [changed_in_place, changed_behind_torch, replaced, loaded_again])
def test_a_model_whose_weights_changed_embeds_the_redundant_text_again(module, model, pixels, token_ids, change):
    module.requires_grad_(False)
    matex.attribute(model, pixels[:1], token_ids[:1], method="clip-surgery")
    change(module)
    found = matex.attribute(model, pixels[:1], token_ids[:1], method="clip-surgery")
    fresh = dataclasses.replace(model)
    torch.testing.assert_close(found, matex.attribute(fresh, pixels[:1], token_ids[:1], method="clip-surgery"))


def test_a_randomised_copy_and_a_moved_model_have_embeddings_of_their_own(model, pixels, token_ids):
    from matex.adapters.randomise import randomised

    settings = {"method": "clip-surgery", "redundant": (BOS, 7, EOS)}
    before = matex.attribute(model, pixels[:1], token_ids[:1], **settings)
    other = randomised(model)
    assert not torch.allclose(matex.attribute(other, pixels[:1], token_ids[:1], **settings), before)
    torch.testing.assert_close(matex.attribute(model, pixels[:1], token_ids[:1], **settings), before)
    model.module.float()
    found = matex.attribute(model, pixels[:1].float(), token_ids[:1], **settings)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), before, rtol=1e-3, atol=1e-5)


def test_no_more_than_a_bounded_number_of_phrases_is_kept(model, pixels, token_ids, monkeypatch):
    import matex.phrase_cache as phrase_cache

    monkeypatch.setattr(phrase_cache, "_MAX_PHRASES", 3)
    for word in range(2, 9):
        matex.attribute(model, pixels[:1], token_ids[:1], method="clip-surgery", redundant=(BOS, word, EOS))
    assert len(phrase_cache._CACHE[model]) <= 3
