"""MetaCLIP 2, Chinese-CLIP and AltCLIP: the library's own embeddings, ends and padding of their texts, folders."""

import json

import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, processors
from torch.nn import functional as F
from transformers import (
    AltCLIPConfig,
    AltCLIPModel,
    ChineseCLIPConfig,
    ChineseCLIPModel,
    CLIPImageProcessor,
    MetaClip2Config,
    MetaClip2Model,
    PreTrainedTokenizerFast,
)

import matex
from matex.adapters.relatives import adapt
from matex.forward_pass import encode
from matex.samples import samples
from matex.testing import check_model

WORDS = ("opacity", "in", "the", "left", "lower", "lung", "no", "effusion", "a", "nodule", "and", "consolidation", "on")
VISION = {
    "hidden_size": 24,
    "intermediate_size": 28,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "image_size": 35,
    "patch_size": 7,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 18,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "vocab_size": 40,
    "max_position_embeddings": 15,
}
KINDS = {
    "metaclip_2": (MetaClip2Model, MetaClip2Config, {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}),
    "chinese_clip": (ChineseCLIPModel, ChineseCLIPConfig, {"pad_token_id": 0}),
    "altclip": (AltCLIPModel, AltCLIPConfig, {"pad_token_id": 1, "project_dim": 12}),
}
# Ids of the start, the end and the padding of a phrase.
ENDS = {"metaclip_2": (0, 2, 1), "chinese_clip": (2, 3, 0), "altclip": (0, 2, 1)}


def small(kind):
    torch.manual_seed(0)
    model, config, text = KINDS[kind]
    module = model(config(vision_config=VISION, text_config={**TEXT, **text}, projection_dim=20)).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.06)
    return module


def tokenizer(kind):
    start, end, padding = ENDS[kind]
    vocabulary = {"<s>": start, "</s>": end, "<pad>": padding}
    vocabulary |= {"<unk>": 4} | {word: 5 + number for number, word in enumerate(WORDS)} | {"right": 18}
    backend = Backend(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.normalizer, backend.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    ends = [("<s>", start), ("</s>", end)]
    backend.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **named)


def phrases(kind):
    """Phrases of two lengths, the second with an id above its end's, padded as the library pads; and their mask."""
    start, end, padding = ENDS[kind]
    ids = torch.tensor([[start, 7, 11, 5, 30, end], [start, 39, end, padding, padding, padding]])
    return ids, (torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]]))


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_the_librarys_own(kind):
    module, (ids, mask) = small(kind), phrases(kind)
    model = adapt(module, "small", preprocessing=None, tokenizer=None)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        module.to(dtype)
        pixels = torch.randn(2, 3, 35, 35, dtype=dtype)
        with torch.no_grad():
            image = module.get_image_features(pixels).pooler_output
            text = module.get_text_features(ids, attention_mask=mask).pooler_output
        found = (
            encode(model.image, pixels),
            encode(model.text, model.text.collate([ids[0].tolist(), ids[1, :3].tolist()])),
        )
        for one, expected in zip(found, (image, text), strict=True):
            torch.testing.assert_close(one, F.normalize(expected, dim=-1), rtol=0, atol=tolerance)
    wide = torch.randn(1, 3, 28, 49, dtype=torch.float64)
    with torch.no_grad():
        image = module.get_image_features(wide, interpolate_pos_encoding=True).pooler_output
    torch.testing.assert_close(encode(model.image, wide), F.normalize(image, dim=-1), rtol=0, atol=1e-10)


def saved(folder, kind):
    small(kind).save_pretrained(folder)
    tokenizer(kind).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 35}, crop_size={"height": 35, "width": 35}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_explained_and_sound(tmp_path, kind):
    model = matex.load(f"hf:{saved(tmp_path / kind, kind)}")
    explanation = matex.explain(model, samples()[0].path, "Opacity in the left lower lung")
    assert [word for word, _ in explanation.words] == ["Opacity", "in", "the", "left", "lower", "lung"]
    assert explanation.image.grid.shape == (5, 5)
    checks = check_model(model, methods=["grad-eclip", "rollout", "matex", "m2ib", "maskclip"])
    assert "text: the embedding is the library's own" in {check.name for check in checks if check.state == "pass"}


def test_a_model_in_memory_is_the_folders(tmp_path):
    folder = saved(tmp_path / "model", "chinese_clip")
    held = ChineseCLIPModel.from_pretrained(folder)
    words, images = tokenizer("chinese_clip"), CLIPImageProcessor.from_pretrained(folder)
    model = matex.load(held, tokenizer=words, image_processor=images)
    film = samples()[0].path
    expected = matex.explain(matex.load(f"hf:{folder}"), film, "left nodule")
    assert matex.explain(model, film, "left nodule").score == pytest.approx(expected.score, abs=1e-6)


def test_wrong_files_are_refused_with_the_reason(tmp_path):
    folder = saved(tmp_path / "model", "metaclip_2")
    backend = tokenizer("metaclip_2").backend_tokenizer
    backend.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    backend.save(str(folder / "tokenizer.json"))
    with pytest.raises(matex.CheckpointError, match="special tokens before and behind"):
        matex.load(f"hf:{folder}")
    config = json.loads((folder / "config.json").read_text())
    for kind, reason in (
        *(("groupvit", "groups of patches"), ("align", "EfficientNet")),
        ("flava", "third, multimodal encoder"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, "model_type": kind}))
        with pytest.raises(matex.UnsupportedModel, match=f"{reason}.*from_score"):
            matex.load(f"hf:{folder}")
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "chinese_clip"}))
    with pytest.raises(matex.CheckpointError, match="missing"):
        matex.load(f"hf:{folder}")
