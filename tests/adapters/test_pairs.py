"""GLoRIA, CXR-CLIP and ConVIRT: poolings, local attention, files, preprocessing."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from matex.adapters import bert, convirt, cxr_clip, gloria
from matex.adapters.convirt import Convirt, ConvirtConfig
from matex.adapters.cxr_clip import CxrClip, CxrClipConfig
from matex.adapters.gloria import Gloria, GloriaConfig
from matex.errors import CheckpointError
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
)
from tests.reference import medical

RESNET = ((1, 1, 1, 1), 2)
GLORIA = GloriaConfig(*RESNET, text=BERT)
CONVIRT = ConvirtConfig(*RESNET, text=BERT, joint=10)


def test_gloria_sums_the_last_four_states_over_the_phrase():
    model = randomise(Gloria(GLORIA)).text_encoder
    states = bert.hidden_states(model.model, IDS, VALID)
    summed = sum(states[-4:])
    assert isinstance(summed, torch.Tensor)
    expected = torch.stack([F.normalize(summed[i, : int(VALID[i].sum())].sum(dim=0), dim=0) for i in range(2)])
    torch.testing.assert_close(model(IDS, VALID), expected)
    starts = torch.tensor([[1, 1, 0, 1, 0, 1], [1, 1, 1, 1, 0, 0]]).bool()
    words = model.words(states[-4:], VALID, starts)
    assert words.shape == (2, 4, 24)
    for item, length in enumerate((6, 4)):
        twin = medical.gloria_words(summed[item, :length], starts[item, :length])
        torch.testing.assert_close(words[item], twin)


def test_gloria_attends_and_compares_as_the_twin():
    generator = torch.Generator().manual_seed(1)
    words, patches = (torch.randn(2, *size, 7, generator=generator, dtype=torch.float64) for size in ((3,), (2, 5)))
    attention = gloria.local_attention(words, patches)
    assert attention.shape == (2, 3, 2, 5)
    for item in range(2):
        weights, similarity = medical.gloria_local(words[item], patches[item].flatten(0, 1))
        torch.testing.assert_close(attention[item].flatten(1), weights.double(), rtol=0, atol=1e-6)
        assert float(gloria.local_similarity(words, patches)[item]) == pytest.approx(similarity)
    assert (gloria.local_similarity(words, patches, "max") < gloria.local_similarity(words, patches)).all()


def test_gloria_resizes_inside_and_projects_two_stages():
    model = randomise(Gloria(GLORIA)).img_encoder
    hidden = model.start(pixels(56, 56))
    shapes = [hidden.shape[1:3]]
    for layer in range(model.depth):
        hidden = model.stage(layer, hidden)
        shapes.append(hidden.shape[1:3])
        if layer == gloria.LOCAL_STAGE:
            local = model.project_patches(hidden)
    assert shapes == [(75, 75), (75, 75), (38, 38), (19, 19), (10, 10)]
    assert local.shape == (2, 19, 19, 24)
    expected = F.normalize(model.global_embedder(hidden.mean(dim=(1, 2))), dim=-1)
    torch.testing.assert_close(model(pixels(56, 56)), expected)


def test_gloria_files_of_lightning_are_read(tmp_path):
    module = randomise(Gloria(GLORIA)).float()
    weights = prefixed("gloria.", module.state_dict())
    weights["gloria.text_encoder.model.embeddings.position_ids"] = torch.arange(13)[None]
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "gloria.ckpt")
    model = gloria.load(tmp_path / "gloria.ckpt", GLORIA)
    torch.testing.assert_close(model.text_encoder(IDS, VALID), module.text_encoder(IDS, VALID))
    del weights["gloria.img_encoder.local_embedder.weight"]
    torch.save({"state_dict": weights}, tmp_path / "gloria.ckpt")
    with pytest.raises(CheckpointError, match=r"GLoRIA model .* 1 missing \(img_encoder.local_embedder.weight"):
        gloria.load(tmp_path / "gloria.ckpt", GLORIA)


def test_gloria_films_are_padded_to_256_and_cut_to_224():
    _, placement = gloria.PREPROCESSING(film(np.zeros((1000, 701), np.uint8)), (32, 32))
    assert placement.resized == (256, 179)
    assert placement.offset == (16, 16 - 38)  # 77 columns of padding, 38 of them on the left
    _, placement = gloria.PREPROCESSING(film(np.zeros((512, 1024), np.uint8)), (32, 32))
    assert (placement.resized, placement.offset) == ((128, 256), (-48, 16))


def test_cxr_clip_reads_one_patch_of_swin_and_the_separator(tmp_path, monkeypatch):
    swin, text = transformers_swin(1), transformers_bert(2)
    config = CxrClipConfig(SWIN, BERT, 10)
    heads = randomise(CxrClip(config), 3)
    weights = {
        **heads.state_dict(),
        **prefixed("image_encoder.image_encoder.", published_swin(swin)),
        **prefixed("text_encoder.text_encoder.", text.state_dict()),
    }
    torch.save({"model": weights, "optimizer": {"step": 2}, "epoch": 5}, tmp_path / "model-best.tar")
    monkeypatch.setattr(cxr_clip, "SWIN", config)
    model = cxr_clip.load(tmp_path / "model-best.tar").double()
    swin, text, heads = (module.float().double() for module in (swin, text, heads))
    expected = F.normalize(heads.image_projection(swin(pixels(56, 56)).last_hidden_state[:, 0]), dim=-1)
    torch.testing.assert_close(model.embed_image(pixels(56, 56)), expected, rtol=0, atol=1e-10)
    hidden = text(IDS, attention_mask=VALID.long()).last_hidden_state
    expected = F.normalize(heads.text_projection(hidden[[0, 1], [5, 3]]), dim=-1)
    torch.testing.assert_close(model.embed_text(IDS, VALID), expected, rtol=0, atol=1e-10)


def test_cxr_clip_pools_text_as_its_configuration_says():
    hidden = torch.randn(2, 6, 24, dtype=torch.float64)
    for pooling, expected in (("bos", hidden[:, 0]), ("mean", torch.stack([hidden[0].mean(0), hidden[1, :4].mean(0)]))):
        model = randomise(CxrClip(CxrClipConfig(RESNET, BERT, 10, pooling)))
        projected = F.normalize(model.text_projection(expected), dim=-1)
        torch.testing.assert_close(model.pool_text(hidden, VALID), projected)


def test_cxr_clip_with_a_resnet_is_recognised(tmp_path, monkeypatch):
    config = CxrClipConfig(RESNET, BERT, 10)
    module = randomise(CxrClip(config)).float()
    torch.save({"model": module.state_dict()}, tmp_path / "model.tar")
    monkeypatch.setattr(cxr_clip, "RESNET50", config)
    images = pixels(64, 64).float()
    torch.testing.assert_close(cxr_clip.load(tmp_path / "model.tar").embed_image(images), module.embed_image(images))


def test_convirt_files_number_the_children_of_the_resnet(tmp_path):
    module = randomise(Convirt(CONVIRT)).float()
    numbers = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    weights = {}
    for name, value in module.state_dict().items():
        parts = name.split(".")
        if parts[0] == "res_features":
            parts[1] = str(numbers[parts[1]])
        weights[".".join(parts)] = value
    torch.save(weights, tmp_path / "model.pth")
    model = convirt.load(tmp_path / "model.pth", CONVIRT)
    images = pixels(64, 64).float()
    torch.testing.assert_close(model.embed_image(images), module.embed_image(images))
    hidden = bert.hidden_states(module.bert_model, IDS, VALID)[-1]
    mean = torch.stack([hidden[0].mean(dim=0), hidden[1, :4].mean(dim=0)])
    expected = F.normalize(module.bert_l2(module.bert_l1(mean).relu()), dim=-1)
    torch.testing.assert_close(model.embed_text(IDS, VALID), expected)
