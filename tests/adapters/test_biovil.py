"""BioViL and BioViL-T: image models against slow twins, CXR-BERT against transformers, files as published."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import matex
from matex.adapters import biovil
from matex.adapters.biovil import ImageConfig, ImageModel, ProjectionHead
from matex.adapters.encoder import JointTokens
from matex.adapters.grid import JointGridEncoder
from matex.adapters.temporal import sine_positions
from matex.errors import CheckpointError, InputError
from matex.forward_pass import embed, encode
from tests.adapters.random_weights import (
    BERT,
    IDS,
    VALID,
    film,
    pixels,
    prefixed,
    randomise,
    transformers_bert,
    write_vocabulary,
)
from tests.reference import medical

SMALL = ImageConfig(blocks=(1, 1, 1, 1), width=2, joint=6)
TEMPORAL = ImageConfig(blocks=(1, 1, 1, 1), width=2, joint=6, temporal=8, heads=2, depth=2)
FILES = {SMALL: "biovil_image_resnet50_proj_size_128.pt", TEMPORAL: "biovil_t_image_model_proj_size_128.pt"}


def encoder(model):
    return JointGridEncoder(model, (64, 64), (32, 32), {})


def last_state(tower, images):
    state = tower.start(images, images)
    for layer in range(tower.depth):
        state = tower.stage(layer, state)
    return state


def write_folder(folder, config, patched):
    """A folder as the hub holds it: CXR-BERT and one image model; returns transformers' BERT, the head, the image."""
    text, head, image = transformers_bert(4), randomise(ProjectionHead(24, 6), 5), randomise(ImageModel(config))
    weights = {
        **prefixed("bert.", text.state_dict()),
        **prefixed("cls_projection_head.", head.state_dict()),
        "bert.embeddings.position_ids": torch.arange(13)[None],
        "cls.predictions.bias": torch.ones(37),
    }
    torch.save(weights, folder / "pytorch_model.bin")
    config_json = {**vars(BERT), "model_type": "cxr-bert", "projection_size": 6, "auto_map": {"AutoModel": "own.Code"}}
    (folder / "config.json").write_text(json.dumps(config_json))
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": "own.Tokenizer"}}))
    weights = dict(image.float().state_dict())
    weights |= {"encoder.encoder.fc.weight": torch.ones(1000, 64), "encoder.encoder.fc.bias": torch.ones(1000)}
    weights["projector.model.1.num_batches_tracked"] = torch.tensor(3)
    torch.save(weights, folder / FILES[config])
    patched.setattr(biovil, "BIOVIL", SMALL)
    patched.setattr(biovil, "BIOVIL_T", TEMPORAL)
    write_vocabulary(folder)
    return text.float().double(), head.float().double(), image.double()


def test_the_image_model_equals_the_twin_patch_by_patch():
    model = randomise(ImageModel(SMALL))
    image = pixels(64, 32, items=1)
    weights = model.state_dict()
    trunk = {name.removeprefix("encoder.encoder."): value for name, value in weights.items()}
    last = medical.resnet(image[0], trunk, SMALL.blocks)[-1]
    inner = medical.batch_norm(
        medical.convolution(last, weights["projector.model.0.weight"], 1, 0), weights, "projector.model.1"
    )
    outer = medical.convolution(inner.clamp(min=0), weights["projector.model.3.weight"], 1, 0)
    outer += weights["projector.model.3.bias"][:, None, None]
    tower = encoder(model)
    assert isinstance(tower, JointTokens)
    state = last_state(tower, image)
    assert state.axis.grid == (2, 1)
    projected = tower.project(state.hidden)[0]
    torch.testing.assert_close(projected, outer.permute(1, 2, 0).flatten(0, 1), rtol=1e-10, atol=1e-10)
    expected = F.normalize(outer.mean(dim=(1, 2)), dim=0)
    torch.testing.assert_close(encode(tower, image)[0], expected, rtol=0, atol=1e-10)


def test_one_image_reads_the_learned_vector_and_no_transformer():
    model = randomise(ImageModel(TEMPORAL))
    before = last_state(encoder(model), pixels(64, 64)).hidden
    assert before.shape == (2, 4, 16)
    missing = model.encoder.missing_previous_emb.flatten()
    torch.testing.assert_close(before[..., 8:], missing.expand(2, 4, 8))
    with torch.no_grad():
        for weight in model.encoder.vit_pooler.parameters():
            weight.add_(1)
    torch.testing.assert_close(last_state(encoder(model), pixels(64, 64)).hidden, before)


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
    assert sine_positions(2, 3, 8).shape == (6, 8)
    images, earlier = pixels(64, 64), pixels(64, 64, seed=6)
    alone = embed(encoder(model), encoder(model).start(images, images), unit=False)
    assert (model(images, earlier) - alone).abs().max() > 1e-3
    torch.testing.assert_close(model(images, earlier)[1:], model(images[1:], earlier[1:]))
    with pytest.raises(InputError, match="BioViL compares none"):
        randomise(ImageModel(SMALL))(images, earlier)


@pytest.mark.parametrize("config", [SMALL, TEMPORAL])
def test_a_folder_of_the_hub_gives_the_embeddings_of_its_parts(config, tmp_path, monkeypatch):
    text, head, image = write_folder(tmp_path, config, monkeypatch)
    model = matex.load(f"biovil:{tmp_path}", dtype="float64", device="cpu")
    assert not model.missing
    assert model.image.depth == (5 if config.temporal else 4)
    images = pixels(64, 64)
    torch.testing.assert_close(encode(model.image, images), encode(encoder(image), images))
    hidden = text(IDS, attention_mask=VALID.long()).last_hidden_state
    expected = F.normalize(head(hidden[:, 0]), dim=-1)
    torch.testing.assert_close(encode(model.text, IDS), expected, rtol=0, atol=1e-10)
    assert model.encode("opacity in the lung?!.").ids == model.encode("opacity in the lung").ids
    assert len(model.encode("opacity. lung").ids) == 5
    assert model.preprocessing.size == ((448, 448) if config.temporal else (480, 480))


def test_damaged_folders_are_refused_in_one_line(tmp_path, monkeypatch):
    write_folder(tmp_path, SMALL, monkeypatch)
    path = tmp_path / FILES[SMALL]
    complete = torch.load(path)
    torch.save({**complete, "classifier.fc_0.model.weight": torch.ones(2, 2)}, path)
    with pytest.raises(CheckpointError, match=r"BioViL image model .* 1 unexpected \(classifier"):
        matex.load(f"biovil:{tmp_path}")
    path.unlink()
    with pytest.raises(CheckpointError, match=r"one image model .* got 0\. Download it"):
        matex.load(f"biovil:{tmp_path}")
    torch.save(complete, path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "projection_size": "wide"}))
    with pytest.raises(CheckpointError, match="projection_size"):
        matex.load(f"biovil:{tmp_path}")
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json"):
        matex.load(f"biovil:{tmp_path}")


def test_sizes_of_the_published_models():
    with torch.device("meta"):
        single, temporal = ImageModel().state_dict(), ImageModel(biovil.BIOVIL_T).state_dict()
    assert single["projector.model.0.weight"].shape == (128, 2048, 1, 1)
    assert temporal["projector.model.0.weight"].shape == (128, 512, 1, 1)
    assert temporal["encoder.backbone_to_vit.weight"].shape == (256, 2048, 1, 1)
    assert temporal["encoder.vit_pooler.blocks.2.mlp.fc1.weight"].shape == (256, 256)
    assert temporal["encoder.vit_pooler.type_embed"].shape == (2, 1, 256)


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
