"""gradient, saliency and guided-backprop against gradients of the slow towers, and against finite differences."""

import pytest
import torch

import matex
from matex.adapters import UnsupportedModel
from matex.adapters.clip import adapt
from tests.attribution.subjects import Subject, exact
from tests.conftest import small_clip
from tests.reference import clip, gradient


@pytest.fixture(params=[0, 1])
def subject(request, module, pixels, token_ids):
    return Subject(module, pixels[request.param], token_ids[request.param])


def twins(subject, reduce):
    """The twin's pixels and tokens."""
    words, places = gradient.token_parts(subject.module, subject.ids)
    on_pixels = gradient.image_gradient(subject.module, subject.pixels, subject.text)
    on_tokens = gradient.text_gradient(subject.module, words + places, len(subject.ids) - 1, subject.image)
    return gradient.reduce_pixels(on_pixels, reduce), gradient.reduce_tokens(on_tokens, words, reduce)


@pytest.mark.parametrize("reduce", [None, "max_abs", "sum_abs", "l2", "signed"])
def test_saliency_agrees_with_its_twin(model, subject, reduce):
    found = matex.attribute(model, *subject.inputs, method="saliency", reduce=reduce)
    assert found.shape == (35, 35)
    exact(found, twins(subject, reduce or "max_abs")[0])
    found = matex.attribute(model, *subject.inputs, method="saliency", tower="text", reduce=reduce)
    exact(found, twins(subject, reduce or "l2")[1])


def test_gradient_agrees_with_its_twin(model, subject):
    pixels, tokens = twins(subject, "signed")
    exact(matex.attribute(model, *subject.inputs, method="gradient"), pixels)
    exact(matex.attribute(model, *subject.inputs, method="gradient", tower="text"), tokens)


def test_gradient_is_the_slope_of_the_score(model, subject):
    pixels, ids = subject.inputs
    found = matex.attribute(model, pixels, ids, method="gradient")
    step = torch.zeros_like(pixels)
    step[:, :, 17, 4] = 1e-5  # all channels at once: their sum
    slope = (matex.score(model, pixels + step, ids) - matex.score(model, pixels - step, ids)) / 2e-5
    assert found[17, 4].item() == pytest.approx(slope.item(), abs=1e-8)


def test_guided_backprop_is_refused_without_relu(model, subject):
    for tower in ("image", "text"):
        with pytest.raises(UnsupportedModel, match=r"got 'guided-backprop': it needs ReLU activations.* gradient,"):
            matex.attribute(model, *subject.inputs, method="guided-backprop", tower=tower)


def test_guided_backprop_agrees_with_its_twin(monkeypatch, pixels, token_ids):
    module = small_clip(activation="relu")
    model = adapt(module, "relu", preprocessing=None, tokenizer=None)
    monkeypatch.setattr(clip, "activation", lambda x, name: gradient.GuidedRelu.apply(x))
    subject = Subject(module, pixels[0], token_ids[0])
    on_pixels, on_tokens = twins(subject, "signed")
    found = matex.attribute(model, *subject.inputs, method="guided-backprop")
    exact(found, on_pixels)
    exact(matex.attribute(model, *subject.inputs, method="guided-backprop", tower="text"), on_tokens)
    plain = matex.attribute(model, *subject.inputs, method="gradient")
    assert not torch.allclose(found, plain, atol=1e-4)


def test_pairs_that_share_an_image_are_run_together(model, pixels, token_ids):
    trace = matex.record(model, pixels[:2], token_ids, pairs=[(0, 0), (1, 1), (0, 2), (0, 1)]).image
    from matex.attribution import make

    for name in ("gradient", "saliency"):
        together = make(name, {})(trace)
        for i, (image, text) in enumerate([(0, 0), (1, 1), (0, 2), (0, 1)]):
            exact(
                together[i], matex.attribute(model, pixels[image : image + 1], token_ids[text : text + 1], method=name)
            )


def test_the_model_is_left_as_it_was(module, model, subject):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    wanted = [parameter.requires_grad for parameter in module.parameters()]
    with torch.inference_mode():
        matex.attribute(model, *subject.inputs, method="saliency")
        matex.attribute(model, *subject.inputs, method="gradient", tower="text")
    assert all(parameter.grad is None for parameter in module.parameters())
    assert [parameter.requires_grad for parameter in module.parameters()] == wanted
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_blank_tokens_keep_only_their_places(module, model, subject):
    words, places = gradient.token_parts(module, subject.ids)
    exact(model.text.blank(subject.inputs[1])[0].detach(), places)
    exact(model.text.entry(subject.inputs[1])[0].detach() - places, words)
    blank = model.image.blank(subject.inputs[0]).detach()
    exact(blank, 0 * subject.inputs[0])
