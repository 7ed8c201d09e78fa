"""MedCLIP against transformers' own encoders; files as published."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import matex
from matex.adapters import medclip
from matex.adapters.encoder import Attentive, JointTokens, Staged
from matex.adapters.medclip import MedClip, MedClipConfig
from matex.errors import CheckpointError, InputError
from matex.forward_pass import encode
from tests.adapters.random_weights import (
    BERT,
    IDS,
    SWIN,
    VALID,
    film,
    pixels,
    prefixed,
    published_swin,
    randomise,
    transformers_bert,
    transformers_swin,
    write_vocabulary,
)
from tests.reference import medical

WITH_SWIN, WITH_RESNET = MedClipConfig(SWIN, BERT, 10), MedClipConfig(((1, 1, 1, 1), 2), BERT, 10)


def published():
    """transformers' encoders, the projections, and the state dict as it is published."""
    swin, text = transformers_swin(1), transformers_bert(2)
    generator = torch.Generator().manual_seed(3)
    heads = [torch.randn(10, dim, generator=generator, dtype=torch.float64) for dim in (16, 24)]
    weights = {
        **prefixed("vision_model.model.", published_swin(swin)),
        **prefixed("text_model.model.", text.state_dict()),
        "vision_model.projection_head.weight": heads[0],
        "text_model.projection_head.weight": heads[1],
        "logit_scale": torch.tensor(3.0, dtype=torch.float64),
        "text_model.model.embeddings.position_ids": torch.arange(13)[None],
        "vision_model.model.encoder.layers.0.blocks.0.attention.self.relative_position_index": torch.zeros(9, 9).long(),
    }
    return swin, text, heads, weights


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder as published, of a small model, with the tokenizer next to the weights."""
    torch.save(published()[3], tmp_path / "pytorch_model.bin")
    monkeypatch.setattr(medclip, "SWIN", WITH_SWIN)
    return write_vocabulary(tmp_path)


def test_a_published_file_gives_the_embeddings_of_transformers(folder):
    swin, text, heads, _ = published()
    for source in (folder, folder / "pytorch_model.bin"):
        model = matex.load(f"medclip:{source}", dtype="float64", device="cpu")
        assert model.logit_scale == pytest.approx(20.0855, abs=1e-3)
        assert not model.missing
    # The file is read as float32; the oracle takes the same values.
    swin, text = swin.float().double(), text.float().double()
    images = pixels(56, 56)
    expected = F.normalize(swin(images).pooler_output @ heads[0].float().double().T, dim=-1)
    torch.testing.assert_close(encode(model.image, images), expected, rtol=0, atol=1e-10)
    states = text(IDS[:1], attention_mask=VALID[:1].long(), output_hidden_states=True).hidden_states
    mean = torch.stack([states[1], states[2], states[-1]]).mean(dim=(0, 2))
    expected = F.normalize(mean @ heads[1].float().double().T, dim=-1)
    torch.testing.assert_close(encode(model.text, IDS[:1]), expected, rtol=0, atol=1e-10)


def test_the_published_mean_over_padding_is_a_preset_that_says_so(folder):
    model = matex.load(f"medclip:{folder}")
    padded = matex.load(f"medclip:{folder}", preset="padding-in-mean")
    torch.testing.assert_close(encode(padded.text, IDS)[0], encode(model.text, IDS)[0])
    assert (encode(padded.text, IDS)[1] - encode(model.text, IDS)[1]).abs().max() > 1e-3
    assert "longest phrase of its batch" in padded.notes[0]
    assert padded.record["preset"] == "padding-in-mean"
    with pytest.raises(InputError, match="preset 'padding-in-mean' or none"):
        matex.load(f"medclip:{folder}", preset="clip")
    with pytest.raises(InputError, match="no heads with medclip: models"):
        matex.load(f"medclip:{folder}", heads=(2, 2))


def test_the_resnet_variant_is_recognised_and_equals_the_twin(tmp_path, monkeypatch):
    module = randomise(MedClip(WITH_RESNET)).float()
    weights = dict(module.state_dict())
    weights["vision_model.model.bn1.num_batches_tracked"] = torch.tensor(7)
    torch.save(weights, tmp_path / "medclip.pt")
    monkeypatch.setattr(medclip, "RESNET50", WITH_RESNET)
    model = matex.load(f"medclip:{tmp_path / 'medclip.pt'}", dtype="float64", device="cpu")
    assert "Bio_ClinicalBERT" in model.missing[0]
    image = pixels(32, 64, items=1)
    names = {name.removeprefix("vision_model.model."): value.double() for name, value in weights.items()}
    last = medical.resnet(image[0], names, (1, 1, 1, 1))[-1]
    expected = F.normalize(names["fc.weight"] @ last.mean(dim=(1, 2)), dim=0)
    torch.testing.assert_close(encode(model.image, image)[0], expected, rtol=0, atol=1e-10)
    with pytest.raises(InputError, match="multiples of 32 and 32, got 33x47"):
        encode(model.image, pixels(33, 47))


@pytest.mark.parametrize("config", [WITH_SWIN, WITH_RESNET])
def test_places_of_the_last_grid_add_up_to_the_score(config):
    model = medclip.adapt(randomise(MedClip(config)), "small")
    image, text = model.image, model.text
    assert isinstance(image, JointTokens)
    assert isinstance(text, JointTokens)
    assert not isinstance(image, Attentive)
    assert isinstance(text, Attentive)
    images = pixels(64, 96)
    state = image.start(images, images)
    for layer in range(image.depth):
        state = image.stage(layer, state)
    torch.testing.assert_close(image.project(state.hidden).mean(dim=1), image.pool(state))


@pytest.mark.parametrize("config", [WITH_SWIN, WITH_RESNET])
def test_weights_belong_to_stages_from_the_output_back(config):
    model = medclip.adapt(randomise(MedClip(config)), "small")
    for encoder in (model.image, model.text):
        assert isinstance(encoder, Staged)
        names = list(encoder.stages())
        assert names[0] == "projection"
        assert names[-1] == "embeddings"
        assert [name for name in names if name.startswith("block")] == [
            f"block {layer}" for layer in reversed(range(encoder.depth))
        ]
    known = {id(w) for encoder in (model.image, model.text) for some in encoder.stages().values() for w in some}
    left = {name for name, weight in model.module.named_parameters() if id(weight) not in known}
    assert {name.rpartition(".")[0] for name in left} == {"", "text_model.model.pooler.dense"}  # and the temperature


def test_the_scale_is_clamped_as_published():
    model = MedClip(WITH_RESNET)
    for value, expected in ((9.0, 100.0), (-1.0, 1.0)):
        model.logit_scale.data.fill_(value)
        assert model.scale == pytest.approx(expected, rel=1e-4)


def test_other_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "medclip.safetensors"
    _, _, _, weights = published()
    for change, message in (
        (lambda w: w.pop("vision_model.model.layernorm.bias"), r"MedCLIP model .* 1 missing \(vision_model"),
        (lambda w: w.update(head=torch.ones(1)), r"1 unexpected \(head\)"),
        (lambda w: w.update({"vision_model.projection_head.weight": torch.ones(10, 7)}), "weights of one MedCLIP"),
        (lambda w: w.update({"text_model.projection_head.weight": torch.full((10, 24), torch.nan)}), "got NaN"),
    ):
        changed = dict(weights)
        change(changed)
        save_file(changed, path)
        with pytest.raises(CheckpointError, match=message) as refusal:
            medclip.read(path, WITH_SWIN)
        assert "\n" not in str(refusal.value)


def test_films_are_padded_with_black_and_normalised_as_grey():
    white_film = film(np.full((300, 150), 255, np.uint8))
    values, placement = medclip.PREPROCESSING(white_film, (32, 32))
    black, white = (level - 0.5862785803043838 for level in (0, 1))
    torch.testing.assert_close(values[0, :, 0, 0], torch.full((3,), black / 0.27950088968644304))
    torch.testing.assert_close(values[0, :, 112, 112], torch.full((3,), white / 0.27950088968644304))
    assert placement.resized == (224, 112)
    assert placement.offset == (0, -56)
