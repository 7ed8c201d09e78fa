"""SLIP checkpoints: embeddings of the architecture's own forward, the file as its training script writes it."""

import argparse

import pytest
import torch
from torch.nn import functional as F

import matex
from matex.errors import CheckpointError
from matex.forward_pass import encode
from tests.adapters.test_open_clip import small_vit, timm_names
from tests.conftest import EOS, small_clip
from tests.openai_format import state_dict

WIDTH, JOINT = 24, 20
HEADS = (3, 2)


def published(vit, clip, projection, head=True):
    """A checkpoint of SLIP's training script: "module." before every name, options, an optimiser, the loss's head."""
    tensors = {f"visual.{name}": value for name, value in timm_names(vit).items()}
    tensors |= {name: value for name, value in state_dict(clip).items() if not name.startswith("visual.")}
    tensors["image_projection"] = projection
    if head:
        tensors["image_mlp.layer1.weight"] = torch.randn(7, WIDTH)
        tensors["image_mlp.bn1.num_batches_tracked"] = torch.tensor(3)
    return {
        "epoch": 25,
        "state_dict": {f"module.{name}": value for name, value in tensors.items()},
        "optimizer": {"state": {}, "param_groups": []},
        "best_acc1": 42.8,
        "args": argparse.Namespace(model="SLIP_VITB16", ssl_mlp_dim=4096, ssl_emb_dim=256, gpu=0),
    }


@pytest.fixture
def parts():
    torch.manual_seed(3)
    vit, clip = small_vit().float(), small_clip().float()
    clip.text_model.final_layer_norm.eps = 1e-5
    return vit, clip, torch.randn(WIDTH, JOINT) * 0.3


@pytest.fixture
def pixels_of():
    return torch.randn(3, 3, 35, 35, generator=torch.Generator().manual_seed(1))


def own_forward(vit, clip, projection, pixels, token_ids):
    """CLS behind the final norm times the projection; the text at its largest id, as SLIP reads it."""
    image = vit(pixel_values=pixels).last_hidden_state[:, 0] @ projection
    hidden = clip.text_model(input_ids=token_ids).last_hidden_state
    text = hidden[torch.arange(len(token_ids)), token_ids.argmax(dim=-1)] @ clip.text_projection.weight.T
    return F.normalize(image, dim=-1), F.normalize(text, dim=-1)


@pytest.mark.parametrize("head", [True, False])
def test_embeddings_are_those_of_the_architectures_own_forward(parts, pixels_of, token_ids, tmp_path, head):
    torch.save(published(*parts, head=head), tmp_path / "slip.pt")
    model = matex.load(f"slip:{tmp_path / 'slip.pt'}", heads=HEADS)
    with torch.no_grad():
        image, text = own_forward(*parts, pixels_of, token_ids)
    torch.testing.assert_close(encode(model.image, pixels_of), image, rtol=0, atol=1e-5)
    torch.testing.assert_close(encode(model.text, token_ids), text, rtol=0, atol=1e-5)
    assert model.vocabulary == EOS + 1


def test_the_preprocessing_is_the_training_scripts(parts, tmp_path):
    torch.save(published(*parts), tmp_path / "slip.pt")
    preprocessing = matex.load(f"slip:{tmp_path / 'slip.pt'}", heads=HEADS).preprocessing
    assert (preprocessing.size, preprocessing.mean, preprocessing.std) == (
        (35, 35),
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    )


def test_files_that_are_no_slip_are_refused_in_one_line(parts, tmp_path):
    whole = published(*parts)
    path = tmp_path / "slip.pt"
    torch.save(whole, path)
    with pytest.raises(CheckpointError, match="Expected an image tower of 384, 768, 1024 dimensions"):
        matex.load(f"slip:{path}")
    for change, message in (
        (lambda tensors: tensors.pop("module.image_projection"), "1 missing .*visual_projection"),
        (lambda tensors: tensors.update({"module.foreign": torch.zeros(2)}), "1 unexpected .*foreign"),
        (lambda tensors: tensors.pop("module.visual.pos_embed"), "without visual.pos_embed"),
    ):
        broken = published(*parts)
        change(broken["state_dict"])
        torch.save(broken, path)
        with pytest.raises(CheckpointError, match=message):
            matex.load(f"slip:{path}", heads=HEADS)


class Script:
    """Something that a pickle may not hold."""


def test_a_file_with_more_than_options_is_not_opened(parts, tmp_path):
    torch.save({**published(*parts), "args": Script()}, tmp_path / "slip.pt")
    with pytest.raises(CheckpointError, match="could run code"):
        matex.load(f"slip:{tmp_path / 'slip.pt'}", heads=HEADS)
