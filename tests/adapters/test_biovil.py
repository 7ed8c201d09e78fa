"""BioViL and BioViL-T: image models against slow twins, CXR-BERT against transformers, files as published."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from matex.adapters import biovil, resnet
from matex.adapters.biovil import ImageConfig, ImageModel, ProjectionHead
from matex.errors import CheckpointError, InputError
from tests.adapters.random_weights import BERT, IDS, VALID, film, pixels, prefixed, randomise, transformers_bert
from tests.reference import medical

SMALL = ImageConfig(blocks=(1, 1, 1, 1), width=2, joint=6)
TEMPORAL = ImageConfig(blocks=(1, 1, 1, 1), width=2, joint=6, temporal=8, heads=2, depth=2)


def chain(model, images):
    hidden = model.start(images)
    for layer in range(model.depth):
        hidden = model.stage(layer, hidden)
    return hidden


def test_the_image_model_equals_the_twin_patch_by_patch():
    model = randomise(ImageModel(SMALL))
    image = pixels(70, 50, items=1)
    weights = model.state_dict()
    trunk = {name.removeprefix("encoder.encoder."): value for name, value in weights.items()}
    last = medical.resnet(image[0], trunk, SMALL.blocks)[-1]
    inner = medical.batch_norm(
        medical.convolution(last, weights["projector.model.0.weight"], 1, 0), weights, "projector.model.1"
    )
    outer = medical.convolution(inner.clamp(min=0), weights["projector.model.3.weight"], 1, 0)
    outer += weights["projector.model.3.bias"][:, None, None]
    hidden = chain(model, image)
    assert hidden.shape == (1, 3, 2, 64)
    torch.testing.assert_close(model.project_patches(hidden)[0], outer.permute(1, 2, 0), rtol=1e-10, atol=1e-10)
    expected = F.normalize(outer.mean(dim=(1, 2)), dim=0)
    torch.testing.assert_close(model.pool(hidden)[0], expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(model(image)[0], expected, rtol=0, atol=1e-10)


def test_one_image_reads_the_learned_vector_and_no_transformer():
    model = randomise(ImageModel(TEMPORAL))
    before = chain(model, pixels(64, 64))
    assert before.shape == (2, 2, 2, 16)
    missing = model.encoder.missing_previous_emb.flatten()
    torch.testing.assert_close(before[..., 8:], missing.expand(2, 2, 2, 8))
    with torch.no_grad():
        for weight in model.encoder.vit_pooler.parameters():
            weight.add_(1)
    torch.testing.assert_close(chain(model, pixels(64, 64)), before)


def test_two_images_are_compared_by_attention_over_both():
    model = randomise(ImageModel(TEMPORAL))
    current, previous = (torch.randn(1, 2, 3, 8, dtype=torch.float64) for _ in range(2))
    pooler = model.encoder.vit_pooler
    tokens = torch.cat([current.flatten(1, 2), previous.flatten(1, 2)], dim=1)[0]
    places = [medical.sine_position(row, column, 2, 3, 8) for row in range(2) for column in range(3)]
    places = torch.stack([place + kind[0].float() for kind in pooler.type_embed for place in places]).double()
    for block in pooler.blocks:
        normed = F.layer_norm(tokens, (8,), block.norm1.weight, block.norm1.bias, 1e-6) + places
        q, k, v = (
            (normed @ projection.weight.T).unflatten(1, (2, 4)).transpose(0, 1)
            for projection in (block.attn.proj_q, block.attn.proj_k, block.attn.proj_v)
        )
        mixed = (q @ k.mT / 2).softmax(dim=-1) @ v
        tokens = tokens + mixed.transpose(0, 1).flatten(1) @ block.attn.proj.weight.T + block.attn.proj.bias
        normed = F.layer_norm(tokens, (8,), block.norm2.weight, block.norm2.bias, 1e-6)
        inner = F.gelu(normed @ block.mlp.fc1.weight.T + block.mlp.fc1.bias)
        tokens = tokens + inner @ block.mlp.fc2.weight.T + block.mlp.fc2.bias
    expected = F.layer_norm(tokens, (8,), pooler.norm_post.weight, pooler.norm_post.bias, 1e-6)[:6]
    torch.testing.assert_close(pooler(current, previous)[0].flatten(0, 1), expected, rtol=0, atol=1e-6)
    images, earlier = pixels(64, 64), pixels(64, 64, seed=6)
    assert (model(images, earlier) - model(images)).abs().max() > 1e-3
    torch.testing.assert_close(model(images, earlier)[1:], model(images[1:], earlier[1:]))
    with pytest.raises(InputError, match="BioViL compares none"):
        randomise(ImageModel(SMALL))(images, earlier)


@pytest.mark.parametrize("config", [SMALL, TEMPORAL])
def test_published_image_files_are_read_without_the_dead_classifier(config, tmp_path, monkeypatch):
    module = randomise(ImageModel(config)).float()
    weights = dict(module.state_dict())
    weights |= {"encoder.encoder.fc.weight": torch.ones(1000, 64), "encoder.encoder.fc.bias": torch.ones(1000)}
    weights["projector.model.1.num_batches_tracked"] = torch.tensor(3)
    torch.save(weights, tmp_path / "image.pt")
    monkeypatch.setattr(biovil, "BIOVIL", SMALL)
    monkeypatch.setattr(biovil, "BIOVIL_T", TEMPORAL)
    images = pixels(64, 64).float()
    torch.testing.assert_close(biovil.load_image(tmp_path / "image.pt")(images), module(images))
    torch.save({**weights, "classifier.fc_0.model.weight": torch.ones(2, 2)}, tmp_path / "image.pt")
    with pytest.raises(CheckpointError, match=r"BioViL image model .* 1 unexpected \(classifier"):
        biovil.load_image(tmp_path / "image.pt")


def test_sizes_of_the_published_models():
    with torch.device("meta"):
        single, temporal = ImageModel().state_dict(), ImageModel(biovil.BIOVIL_T).state_dict()
    assert single["projector.model.0.weight"].shape == (128, 2048, 1, 1)
    assert temporal["projector.model.0.weight"].shape == (128, 512, 1, 1)
    assert temporal["encoder.backbone_to_vit.weight"].shape == (256, 2048, 1, 1)
    assert temporal["encoder.vit_pooler.blocks.2.mlp.fc1.weight"].shape == (256, 256)
    assert temporal["encoder.vit_pooler.type_embed"].shape == (2, 1, 256)


def test_the_text_folder_gives_the_embeddings_of_transformers(tmp_path):
    text, head = transformers_bert(4), randomise(ProjectionHead(24, 6), 5)
    weights = {
        **prefixed("bert.", text.state_dict()),
        **prefixed("cls_projection_head.", head.state_dict()),
        "bert.embeddings.position_ids": torch.arange(13)[None],
        "cls.predictions.bias": torch.ones(37),
    }
    torch.save(weights, tmp_path / "pytorch_model.bin")
    config = {**vars(BERT), "model_type": "cxr-bert", "projection_size": 6, "auto_map": {"AutoModel": "own.Code"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model, text, head = biovil.load_text(tmp_path).double(), text.float().double(), head.float().double()
    hidden = text(IDS, attention_mask=VALID.long()).last_hidden_state
    expected = F.normalize(head(hidden[:, 0]), dim=-1)
    torch.testing.assert_close(model(IDS, VALID), expected, rtol=0, atol=1e-10)
    (tmp_path / "config.json").write_text(json.dumps({**config, "projection_size": "wide"}))
    with pytest.raises(CheckpointError, match="projection_size"):
        biovil.load_text(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json"):
        biovil.load_text(tmp_path)


def test_films_are_stretched_resized_and_cut():
    values = np.full((600, 1200), 90, np.uint8)
    values[:, :600], values[0, 0], values[-1, -1] = 60, 40, 240
    pixels_, placement = biovil.PREPROCESSING(film(values), (32, 32))
    assert placement.resized == (512, 1024)
    assert placement.offset == (16, 272)
    assert placement.grid == (15, 15)
    torch.testing.assert_close(pixels_[0, :, 240, 100], torch.full((3,), 25 / 255))  # (60 - 40) / 200 * 255
    torch.testing.assert_close(pixels_[0, :, 240, 400], torch.full((3,), 63 / 255))
    _, odd = biovil.PREPROCESSING(film(np.zeros((1201, 987), np.uint8)), (32, 32))
    assert (odd.resized, odd.offset) == ((623, 512), (72, 16))  # torchvision rounds 71.5 to the even number
    assert biovil.PREPROCESSING_T(film(values), (32, 32))[1].grid == (14, 14)
    flat, _ = biovil.PREPROCESSING(film(np.full((600, 600), 7, np.uint8)), (32, 32))
    torch.testing.assert_close(flat.max(), torch.tensor(7 / 255))


def test_patches_average_to_the_embedding_before_normalisation():
    model = randomise(ImageModel(SMALL))
    hidden = chain(model, pixels(64, 96))
    mean = resnet.mean(model.project_patches(hidden))
    torch.testing.assert_close(F.normalize(mean, dim=-1), model.pool(hidden))
