"""GLoRIA, CXR-CLIP and ConVIRT: poolings, files, preprocessing."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import matex
from matex.adapters import convirt, cxr_clip, gloria
from matex.adapters.convirt import Convirt, ConvirtConfig
from matex.adapters.cxr_clip import CxrClip, CxrClipConfig
from matex.adapters.encoder import JointTokens, LocalTokens
from matex.adapters.gloria import Gloria, GloriaConfig
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

RESNET = ((1, 1, 1, 1), 2)
GLORIA = GloriaConfig(*RESNET, text=BERT)
CONVIRT = ConvirtConfig(*RESNET, text=BERT, joint=10)


def states_of(bert):
    return bert(IDS, attention_mask=VALID.long(), output_hidden_states=True).hidden_states


def test_gloria_sums_the_last_four_states_over_the_phrase():
    module, bert = randomise(Gloria(GLORIA)), transformers_bert(7)
    module.text_encoder.model.load_state_dict(bert.state_dict())
    text = gloria.adapt(module, "small").text
    summed = sum(states_of(bert)[-4:])
    assert isinstance(summed, torch.Tensor)
    expected = torch.stack([F.normalize(summed[i, : int(VALID[i].sum())].sum(dim=0), dim=0) for i in range(2)])
    torch.testing.assert_close(encode(text, IDS), expected, rtol=0, atol=1e-10)


def test_gloria_resizes_inside_and_projects_two_stages():
    module = randomise(Gloria(GLORIA))
    model = gloria.adapt(module, "small")
    image, images = model.image, pixels(224, 224, items=1)
    assert isinstance(image, LocalTokens)
    state = image.start(images, images)
    grids = [state.axis.grid]
    for layer in range(image.depth):
        state = image.stage(layer, state)
        grids.append(state.axis.grid)
        if layer == image.local_stage:
            embedder = module.img_encoder.local_embedder
            local = image.project_local(state.hidden)
            expected = embedder(state.hidden.unflatten(1, state.axis.grid).permute(0, 3, 1, 2))
            torch.testing.assert_close(local.mT.unflatten(2, (19, 19)), expected)
    assert grids == [(75, 75), (75, 75), (38, 38), (19, 19), (10, 10)]
    torch.testing.assert_close(image.project(state.hidden).mean(dim=1), image.pool(state))
    with pytest.raises(InputError, match="Expected images of 224x224"):
        encode(image, pixels(256, 256))


def test_gloria_files_of_lightning_are_read(tmp_path, monkeypatch):
    module = randomise(Gloria(GLORIA)).float()
    weights = prefixed("gloria.", module.state_dict())
    weights["gloria.text_encoder.model.embeddings.position_ids"] = torch.arange(13)[None]
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "gloria.ckpt")
    write_vocabulary(tmp_path)
    monkeypatch.setattr(gloria, "GloriaConfig", lambda: GLORIA)
    model = matex.load(f"gloria:{tmp_path / 'gloria.ckpt'}")
    torch.testing.assert_close(encode(model.text, IDS), encode(gloria.adapt(module, "small").text, IDS))
    plain, odd = model.encode("opacity in the lung"), model.encode("Opacity, in-the LUNG.")
    assert plain.ids == odd.ids
    assert odd.spans[3] == (12, 14 + 1)
    del weights["gloria.img_encoder.local_embedder.weight"]
    torch.save({"state_dict": weights}, tmp_path / "gloria.ckpt")
    with pytest.raises(CheckpointError, match=r"GLoRIA model .* 1 missing \(img_encoder.local_embedder.weight"):
        matex.load(f"gloria:{tmp_path / 'gloria.ckpt'}")


def test_gloria_films_are_padded_to_256_and_cut_to_224():
    _, placement = gloria.PREPROCESSING(film(np.zeros((1000, 701), np.uint8)), (32, 32))
    assert placement.resized == (256, 179)
    assert placement.offset == (16, 16 - 38)  # 77 columns of padding, 38 of them on the left
    _, placement = gloria.PREPROCESSING(film(np.zeros((512, 1024), np.uint8)), (32, 32))
    assert (placement.resized, placement.offset) == ((128, 256), (-48, 16))


def write_cxr_clip(folder, config):
    swin, text = transformers_swin(1), transformers_bert(2)
    heads = randomise(CxrClip(config), 3)
    weights = {
        **heads.state_dict(),
        **prefixed("image_encoder.image_encoder.", published_swin(swin)),
        **prefixed("text_encoder.text_encoder.", text.state_dict()),
    }
    torch.save({"model": weights, "optimizer": {"step": 2}, "epoch": 5}, folder / "model-best.tar")
    return [module.float().double() for module in (swin, text, heads)]


def test_cxr_clip_reads_one_patch_of_swin_and_the_separator(tmp_path, monkeypatch):
    config = CxrClipConfig(SWIN, BERT, 10)
    swin, text, heads = write_cxr_clip(tmp_path, config)
    monkeypatch.setattr(cxr_clip, "SWIN", config)
    model = matex.load(f"cxr-clip:{tmp_path / 'model-best.tar'}", dtype="float64", device="cpu")
    assert not isinstance(model.image, JointTokens)
    assert "top left" in model.notes[0]
    expected = F.normalize(heads.image_projection(swin(pixels(56, 56)).last_hidden_state[:, 0]), dim=-1)
    torch.testing.assert_close(encode(model.image, pixels(56, 56)), expected, rtol=0, atol=1e-10)
    hidden = text(IDS, attention_mask=VALID.long()).last_hidden_state
    expected = F.normalize(heads.text_projection(hidden[[0, 1], [5, 3]]), dim=-1)
    torch.testing.assert_close(encode(model.text, IDS), expected, rtol=0, atol=1e-10)
    for preset, pooled in (("bos", hidden[:, 0]), ("mean", torch.stack([hidden[0].mean(0), hidden[1, :4].mean(0)]))):
        model = matex.load(f"cxr-clip:{tmp_path / 'model-best.tar'}", preset=preset, dtype="float64", device="cpu")
        expected = F.normalize(heads.text_projection(pooled), dim=-1)
        torch.testing.assert_close(encode(model.text, IDS), expected, rtol=0, atol=1e-10)
        assert model.record["preset"] == preset
    with pytest.raises(InputError, match="preset eos, bos, mean or none"):
        matex.load(f"cxr-clip:{tmp_path / 'model-best.tar'}", preset="cls")


def test_cxr_clip_with_a_resnet_is_recognised(tmp_path, monkeypatch):
    config = CxrClipConfig(RESNET, BERT, 10)
    module = randomise(CxrClip(config)).float()
    torch.save({"model": module.state_dict()}, tmp_path / "model.tar")
    monkeypatch.setattr(cxr_clip, "RESNET50", config)
    model, images = matex.load(f"cxr-clip:{tmp_path / 'model.tar'}"), pixels(64, 64).float()
    assert isinstance(model.image, JointTokens)
    assert not model.notes
    trunk = module.image_encoder
    hidden = trunk.start(images)
    for layer in range(4):
        hidden = trunk.stage(layer, hidden)
    expected = F.normalize(module.image_projection(hidden.mean(dim=(1, 2))), dim=-1)
    torch.testing.assert_close(encode(model.image, images), expected)


def test_a_cxr_clip_with_a_temperature_outside_every_number_is_refused():
    module = randomise(CxrClip(CxrClipConfig(RESNET, BERT, 10)))
    module.logit_scale.data.fill_(1000.0)
    with pytest.raises(CheckpointError, match="logit_scale in 'small'"):
        cxr_clip.adapt(module, "small")


def published_convirt(module):
    """The state dict of a ConVIRT under the names of published files, which number the children of the ResNet."""
    numbers = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    weights = {}
    for name, value in module.state_dict().items():
        parts = name.split(".")
        if parts[0] == "res_features":
            parts[1] = str(numbers[parts[1]])
        weights[".".join(parts)] = value
    return weights


def test_convirt_files_number_the_children_of_the_resnet(tmp_path, monkeypatch):
    module, bert = randomise(Convirt(CONVIRT)).float(), transformers_bert(7).float()
    module.bert_model.load_state_dict(bert.state_dict())
    torch.save(published_convirt(module), tmp_path / "model.pth")
    monkeypatch.setattr(convirt, "ConvirtConfig", lambda: CONVIRT)
    model = matex.load(f"convirt:{tmp_path / 'model.pth'}", dtype="float64", device="cpu")
    images, module = pixels(300, 300, items=1), module.double()
    known = convirt.adapt(module, "small")
    torch.testing.assert_close(encode(model.image, images), encode(known.image, images))
    assert known.image.axis(images).grid == (10, 10)
    hidden = states_of(bert.double())[-1]
    mean = torch.stack([hidden[0].mean(dim=0), hidden[1, :4].mean(dim=0)])
    expected = F.normalize(module.bert_l2(module.bert_l1(mean).relu()), dim=-1)
    torch.testing.assert_close(encode(model.text, IDS), expected, rtol=0, atol=1e-10)
    assert "not linear" in model.image.missing["joint tokens"]
