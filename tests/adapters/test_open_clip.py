"""open_clip models read without open_clip: a timm image tower, a BERT, the built-in towers and their mixtures.

open_clip cannot be installed next to a torch without CUDA (its torchvision does not import), so transformers' ViTModel
and BertModel are the oracles here; against open_clip_torch 3.3 and timm 1.0.31 every kind of tower below agreed to
3e-7 in float32 and 4e-16 in float64, BiomedCLIP's and UniMed-CLIP's architectures in their true sizes too.
"""

import json

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

import matex
from matex.errors import UnknownName
from matex.forward_pass import encode
from matex.samples import samples
from matex.testing import check_model
from tests.openai_format import state_dict
from tests.test_adapters import openai_module

WORDS = ("opacity", "in", "the", "left", "lower", "lung", "no", "effusion", "a", "nodule", "and", "right", "on")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
JOINT = 20
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def perturbed(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.06)
    return module.eval()


def small_vit():
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "intermediate_size": 28, "num_hidden_layers": 3, "num_attention_heads": 3}
    config = ViTConfig(image_size=35, patch_size=7, layer_norm_eps=1e-6, **sizes)
    return perturbed(ViTModel(config, add_pooling_layer=False))


def small_bert():
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 18, "num_hidden_layers": 4, "num_attention_heads": 2}
    return perturbed(BertModel(BertConfig(vocab_size=len(SPECIAL) + len(WORDS), max_position_embeddings=19, **sizes)))


def small_heads():
    """Projection of the image; of the text, in two layers as in BiomedCLIP."""
    torch.manual_seed(2)
    text = nn.Sequential(nn.Linear(16, 18, bias=False), nn.GELU(), nn.Linear(18, JOINT, bias=False))
    return nn.Linear(24, JOINT, bias=False), text


@pytest.fixture
def vit():
    return small_vit()


@pytest.fixture
def bert():
    return small_bert()


@pytest.fixture
def heads():
    return small_heads()


def timm_names(vit):
    """The state dict of a ViTModel under timm's names."""
    parts = {
        "attention.o_proj": "attn.proj",
        "attention.output.dense": "attn.proj",
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
        "intermediate.dense": "mlp.fc1",
        "output.dense": "mlp.fc2",
    }
    found, joined = {}, {}
    for name, value in vit.state_dict().items():
        if name == "embeddings.cls_token":
            found["cls_token"] = value
        elif name == "embeddings.position_embeddings":
            found["pos_embed"] = value
        elif "patch_embeddings.projection." in name:
            found["patch_embed.proj." + name.rpartition(".")[2]] = value
        elif name.startswith("layernorm."):
            found["norm." + name.rpartition(".")[2]] = value
        else:
            stem, _, rest = name.partition("layers." if "layers." in name else "layer.")
            number, _, part = rest.partition(".")
            part, _, kind = part.rpartition(".")
            letter = next(
                (x[0] for x in ("query", "key", "value", "q_proj", "k_proj", "v_proj") if part.endswith(x)), ""
            )
            if letter:
                joined[number, kind, letter] = value
            else:
                found[f"blocks.{number}.{parts[part]}.{kind}"] = value
            assert stem in ("", "encoder.")
    for number, kind, letter in list(joined):
        if letter == "q":
            found[f"blocks.{number}.attn.qkv.{kind}"] = torch.cat([joined[number, kind, one] for one in "qkv"])
    return found


def biomed(vit, bert, heads, pooler="cls_last_hidden_state_pooler"):
    """State dict and configuration of a small BiomedCLIP, as published: position ids in the file, no BERT pooler."""
    image, text = heads
    tensors = {f"visual.trunk.{name}": value for name, value in timm_names(vit).items()}
    tensors["visual.head.proj.weight"] = image.weight.detach()
    tensors |= {
        f"text.transformer.{name}": value
        for name, value in bert.state_dict().items()
        if pooler == "cls_pooler" or not name.startswith("pooler.")
    }
    tensors["text.transformer.embeddings.position_ids"] = torch.arange(19)[None]
    tensors |= {f"text.proj.{name}": value for name, value in text.state_dict().items()}
    tensors["logit_scale"] = torch.tensor(2.5)
    config = {
        "embed_dim": JOINT,
        "vision_cfg": {
            "timm_model_name": "vit_tiny_patch7_35",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 35,
        },
        "text_cfg": {
            "hf_model_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
            "hf_tokenizer_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
            "hf_proj_type": "mlp",
            "hf_pooler_type": pooler,
            "context_length": 17,
        },
    }
    return {name: value.detach() for name, value in tensors.items()}, config


def tokenizer():
    backend = Backend(models.WordLevel({word: i for i, word in enumerate((*SPECIAL, *WORDS))}, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    backend.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    backend.add_special_tokens(list(SPECIAL))
    return backend


def saved(folder, tensors, config, file="open_clip_pytorch_model.bin"):
    folder.mkdir(exist_ok=True)
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    if file.endswith(".safetensors"):
        save_file({name: value.contiguous() for name, value in tensors.items()}, folder / file)
    else:
        torch.save(tensors, folder / file)
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def expected(vit, bert, heads, pixels, ids, pooler):
    with torch.no_grad():
        image = heads[0](vit(pixels).last_hidden_state[:, 0])
        mask = (ids != 0).long()
        output = bert(input_ids=ids, attention_mask=mask)
        pooled = output.last_hidden_state[:, 0]
        if pooler == "cls_pooler":
            pooled = output.pooler_output
        elif pooler == "mean_pooler":
            pooled = (output.last_hidden_state * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        text = heads[1](pooled)
    return nn.functional.normalize(image, dim=-1), nn.functional.normalize(text, dim=-1)


@pytest.mark.parametrize("pooler", ["cls_last_hidden_state_pooler", "cls_pooler", "mean_pooler"])
def test_embeddings_are_those_of_vit_and_bert(tmp_path, vit, bert, heads, pooler):
    folder = saved(tmp_path / "biomed", *biomed(vit, bert, heads, pooler))
    model = matex.load(f"open-clip:{folder}", heads=(3, 2))
    ids = torch.tensor([[2, 4, 5, 6, 7, 3], [2, 10, 11, 3, 0, 0]])
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        for part in (vit, bert, *heads, model.module):
            part.to(dtype)
        pixels = torch.randn(2, 3, 35, 35, dtype=dtype)
        image, text = expected(vit, bert, heads, pixels, ids, pooler)
        torch.testing.assert_close(encode(model.image, pixels), image, rtol=0, atol=tolerance)
        torch.testing.assert_close(encode(model.text, ids), text, rtol=0, atol=tolerance)
    assert model.text.collate([ids[0].tolist(), ids[1, :4].tolist()]).equal(ids)
    assert model.similarity.scale == pytest.approx(torch.tensor(2.5).exp().item())


def test_biomedclip_is_explained_in_three_lines_and_sound(tmp_path, vit, bert, heads):
    folder = saved(tmp_path / "biomed", *biomed(vit, bert, heads))
    model = matex.load(f"open-clip:{folder}", heads=(3, 2))
    explanation = matex.explain(model, samples()[0].path, "Opacity in the left lower lung")
    assert explanation.image.grid.shape == (5, 5)
    assert [word for word, _ in explanation.words] == ["Opacity", "in", "the", "left", "lower", "lung"]
    assert explanation.provenance["model"]["heads"] == [3, 2]
    states = {check.state for check in check_model(model)}
    assert states == {"pass", "skipped"}


def test_safetensors_and_old_files_give_the_same_model_and_differing_ones_are_refused(tmp_path, vit, bert, heads):
    tensors, config = biomed(vit, bert, heads)
    folder = saved(tmp_path / "biomed", tensors, config)
    first = matex.load(f"open-clip:{folder}", heads=(3, 2)).weights_sha256
    saved(folder, {k: v for k, v in tensors.items() if "position_ids" not in k}, config, "open_clip_model.safetensors")
    with pytest.raises(matex.CheckpointError, match="two that differ"):
        matex.load(f"open-clip:{folder}", heads=(3, 2))
    (folder / "open_clip_pytorch_model.bin").unlink()
    assert matex.load(f"open-clip:{folder}", heads=(3, 2)).weights_sha256 == first


def built_in():
    """A small open_clip of both built-in towers, from the OpenAI-format test model."""
    config = {
        "embed_dim": 20,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 128, "layers": 2, "mlp_ratio": 0.75},
        "text_cfg": {"width": 64, "heads": 1, "layers": 3, "mlp_ratio": 1.25, "context_length": 13, "vocab_size": 50},
    }
    return state_dict(openai_module()), config


def test_built_in_towers_are_those_of_openai_files(tmp_path):
    tensors, config = built_in()
    torch.save(tensors, tmp_path / "clip.pt")
    plain = matex.load(f"openai:{tmp_path / 'clip.pt'}", preset="clip")
    custom = {name if name.startswith(("visual.", "logit")) else f"text.{name}": v for name, v in tensors.items()}
    pixels, ids = torch.randn(2, 3, 32, 32), torch.tensor([[48, 7, 8, 9, 49]])
    for number, names in enumerate((tensors, custom)):  # CLIP's names, and those of custom text towers
        folder = saved(tmp_path / str(number), names, config)
        model = matex.load(f"open-clip:{folder}")
        assert torch.equal(matex.score(model, pixels, ids), matex.score(plain, pixels, ids))
        gelu = matex.load(f"open-clip:{saved(folder, names, {**config, 'quick_gelu': False})}")
        assert not torch.allclose(matex.score(gelu, pixels, ids), matex.score(plain, pixels, ids))


def refused(folder, kind, match, **options):
    with pytest.raises(kind, match=match):
        matex.load(f"open-clip:{folder}", **options)


def test_what_is_not_read_is_refused_by_its_key(tmp_path, vit, bert, heads):
    tensors, config = biomed(vit, bert, heads)

    def changed(**parts):
        sections = {name: {**config[name], **parts.pop(name, {})} for name in ("vision_cfg", "text_cfg")}
        return saved(tmp_path / "model", tensors, {**config, **sections, **parts})

    unsupported = matex.UnsupportedModel
    refused(changed(), matex.CheckpointError, "Expected 192 dimensions.*got 24")
    both = {"heads": (3, 2)}
    refused(changed(vision_cfg={"timm_model_name": "convnext_base"}), unsupported, "convnext_base", **both)
    refused(changed(vision_cfg={"timm_pool": "avg"}), unsupported, "timm_pool 'token' or ''.*'avg'", **both)
    refused(changed(vision_cfg={"timm_proj": "none"}), unsupported, "timm_proj 'linear'.*'none'", **both)
    refused(changed(vision_cfg={"ls_init_value": 1e-5}), unsupported, "ls_init_value", **both)
    refused(changed(text_cfg={"pool_type": "last"}), unsupported, "pool_type", **both)
    refused(changed(text_cfg={"hf_pooler_type": "max_pooler"}), unsupported, "max_pooler", **both)
    refused(changed(init_logit_bias=-10), unsupported, "SigLIP", **both)
    refused(changed(vision_cfg={"image_size": "35"}), matex.CheckpointError, "image_size.*'35'", **both)
    refused(changed(text_cfg={"context_length": "9"}), matex.CheckpointError, "context_length.*'9'", **both)
    refused(changed(text_cfg={"hf_model_name": "xlm-roberta-base"}), unsupported, "xlm-roberta-base", **both)
    refused(changed(embed_dim=21), matex.CheckpointError, "another shape", **both)
    refused(changed(), matex.InputError, "no preset", preset="ViT-B-16", **both)
    (tmp_path / "model" / "open_clip_config.json").unlink()
    refused(tmp_path / "model", matex.CheckpointError, "open_clip_config.json, found none", **both)


def test_settings_of_the_preprocessing_that_are_not_read_are_refused_by_their_key(tmp_path, vit, bert, heads):
    folder = saved(tmp_path / "biomed", *biomed(vit, bert, heads))
    config = json.loads((folder / "open_clip_config.json").read_text())

    def write(**settings):
        changed = {**config, "preprocess_cfg": {**config["preprocess_cfg"], **settings}}
        (folder / "open_clip_config.json").write_text(json.dumps(changed))

    for settings in ({"fill_color": 128}, {"size": 48}, {"mode": "L"}, {"rotate": True}):
        write(**settings)
        refused(folder, matex.InputError, f"preprocess_cfg without {min(settings)} .*{min(settings)}=", heads=(3, 2))
    for settings in ({"mean": [0.5]}, {"std": [1, 1, "1"]}):
        write(**settings)
        refused(folder, matex.InputError, "Expected mean and std", heads=(3, 2))
    write(fill_color=0, size=[35, 35], mode="RGB")
    matex.load(f"open-clip:{folder}", heads=(3, 2))


def test_a_file_takes_its_architecture_from_the_preset(tmp_path):
    tensors, _ = built_in()
    torch.save(tensors, tmp_path / "clip.pt")
    file = tmp_path / "clip.pt"
    refused(file, matex.CheckpointError, "architecture of .*ViT-B-32")
    refused(file, UnknownName, "Unknown preset 'ViT-B-31'", preset="ViT-B-31")
    refused(file, matex.CheckpointError, "missing", preset="ViT-B-32-quickgelu")
