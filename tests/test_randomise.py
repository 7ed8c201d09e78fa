"""A model with other weights: what changes, what stays, and that the model given is left alone."""

import dataclasses

import pytest
import torch

import matex
from matex.adapters.randomise import randomised, stages


def weights(model):
    return {name: value.clone() for name, value in model.module.state_dict().items()}


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_every_parameter_belongs_to_one_stage(model):
    found = [id(parameter) for some in stages(model).values() for parameter in some]
    assert len(found) == len(set(found))
    left = {id(p) for p in model.module.parameters()} - set(found)
    assert left == {id(model.module.logit_scale)}  # no part of the cosine


def test_stages_run_from_the_output_back(model):
    names = [name for name in stages(model) if name.startswith("image")]
    assert names == ["image " + s for s in ("projection", "norm", *(f"block {n}" for n in (3, 2, 1, 0)), "embeddings")]


def test_the_model_given_keeps_weights_and_hash(model):
    before, sha = weights(model), model.weights_sha256
    other = randomised(model)
    assert not changed(before, weights(model))
    assert model.weights_sha256 == sha != other.weights_sha256
    assert "randomised" not in model.record


def test_the_towers_of_the_copy_see_the_new_weights(model, pixels, token_ids):
    other = randomised(model)
    assert not torch.allclose(matex.score(model, pixels, token_ids), matex.score(other, pixels, token_ids))
    with torch.no_grad():
        other.module.visual_projection.weight.zero_()
    assert matex.score(other, pixels, token_ids).abs().max() == 0  # a view of the copy, not of the original


def test_only_the_named_stage_changes(model):
    before = weights(model)
    after = weights(randomised(model, stages=["image block 2", "text norm"]))
    assert changed(before, after)
    assert all(
        "vision_model.encoder.layers.2." in n or "text_model.final_layer_norm" in n for n in changed(before, after)
    )


def test_a_tensor_is_drawn_alike_alone_and_in_a_cascade(model):
    alone = weights(randomised(model, 5, ["image block 2"]))
    cascade = weights(randomised(model, 5, ["image block 3", "image block 2"]))
    whole = weights(randomised(model, 5))
    name = next(name for name in alone if "vision" in name and "layers.2.self_attn.q_proj" in name)
    assert not torch.equal(alone[name], weights(model)[name])
    assert torch.equal(alone[name], cascade[name])
    assert torch.equal(alone[name], whole[name])


def test_the_seed_decides(model):
    assert not changed(weights(randomised(model, 1)), weights(randomised(model, 1)))
    assert changed(weights(randomised(model, 1)), weights(randomised(model, 2)))


def test_drawn_values_have_the_tensors_mean_and_deviation(model):
    name = next(name for name in weights(model) if name.endswith("token_embedding.weight"))
    before, after = weights(model)[name], weights(randomised(model))[name]
    standard_error = before.std() / before.numel() ** 0.5
    assert abs(after.mean() - before.mean()) < 4 * standard_error
    assert abs(after.std() / before.std() - 1) < 4 / (2 * before.numel()) ** 0.5


def test_permuted_tensors_keep_their_entries(model):
    before, after = weights(model), weights(randomised(model, scheme="permute"))
    for name in before:
        assert torch.equal(before[name].flatten().sort().values, after[name].flatten().sort().values)
    assert changed(before, after)


def test_constant_tensors_stay(model):
    with torch.no_grad():
        model.module.visual_projection.weight.fill_(0.25)
    assert (randomised(model).module.visual_projection.weight == 0.25).all()


def test_the_record_says_what_was_drawn(model):
    other = randomised(dataclasses.replace(model, record={"preset": "clip"}), 3, ["text norm"], "permute")
    assert other.record["randomised"] == {"seed": 3, "scheme": "permute", "stages": ["text norm"]}
    assert other.record["preset"] == "clip"
    assert other.name == "small (random weights)"


def test_gradients_stay_off_and_inference_mode_is_survived(model):
    model.module.requires_grad_(False)
    with torch.inference_mode():
        other = randomised(model)
    assert not any(p.requires_grad or p.is_inference() for p in other.module.parameters())


@pytest.mark.parametrize("arguments", [{"stages": ["image block 9"]}, {"scheme": "uniform"}])
def test_unknown_names_are_refused_in_one_line(model, arguments):
    with pytest.raises(matex.InputError, match=r"^Expected .*, got '(image block 9|uniform)'\.$"):
        randomised(model, **arguments)
