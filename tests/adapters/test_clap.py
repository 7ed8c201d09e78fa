"""CLAP: the library's own embeddings and spectrogram, grids of (frequency, time), what its Swin cannot serve."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, processors
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor, PreTrainedTokenizerFast

import matex
from matex.adapters.clap import adapt
from matex.audio.clap import ClapSpectrogram
from matex.audio.recording import from_samples
from matex.forward_pass import run
from matex.testing import check_model
from tests.adapters.sounding import chirp

WORDS = ("opacity", "in", "the", "left", "lower", "lung", "right", "nodule", "no", "effusion", "a", "and")
BOS, PAD, EOS = 0, 1, 2
METHODS = ["m2ib", "ca-m2ib", "gradcam", "grad-eclip", "saliency", "rise"]


def small_clap(**audio):
    torch.manual_seed(0)
    config = ClapConfig(
        projection_dim=20,
        text_config={
            "vocab_size": 40,
            "hidden_size": 24,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "intermediate_size": 28,
            "max_position_embeddings": 17,
            "pad_token_id": PAD,
            "bos_token_id": BOS,
            "eos_token_id": EOS,
            "projection_dim": 20,
        },
        audio_config={
            "spec_size": 256,
            "patch_embeds_hidden_size": 8,
            "hidden_size": 32,
            "depths": [1, 2, 2],
            "num_attention_heads": [1, 2, 4],
            "window_size": 8,
            "projection_dim": 20,
            "drop_path_rate": 0.0,
            **audio,
        },
    )
    module = ClapModel(config).eval().requires_grad_(False)
    for name, value in module.state_dict().items():
        if value.is_floating_point() and "logit_scale" not in name:
            value.add_(torch.randn_like(value) * 0.05).abs_() if "running_var" in name else value.add_(
                torch.randn_like(value) * 0.05
            )
    return module.double()


def words_tokenizer():
    vocabulary = {"<s>": BOS, "<pad>": PAD, "</s>": EOS, "<unk>": 3} | {word: 4 + i for i, word in enumerate(WORDS)}
    backend = Backend(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<s>", BOS), ("</s>", EOS)]
    backend.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def extractor(**settings):
    return ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc", **settings)


@pytest.fixture(scope="module")
def module():
    return small_clap()


@pytest.fixture(scope="module")
def model(module):
    return matex.load(module, processor=ClapProcessor(extractor(), words_tokenizer()))


def test_embeddings_are_the_librarys_own_and_the_suite_passes(module, model):
    def library(spectrograms, token_ids):
        audio = module.get_audio_features(spectrograms.transpose(2, 3), is_longer=None)
        text = module.get_text_features(token_ids, attention_mask=(token_ids != PAD).long())
        return tuple(getattr(one, "pooler_output", one) for one in (audio, text))

    checks = {check.name: check.state for check in check_model(model, library=library, methods=METHODS)}
    for name in (
        "audio: the embedding is the library's own",
        "text: the embedding is the library's own",
        "text: padding is not attended to",
        "audio: a planted patch is found in each corner",
    ):
        assert checks[name] == "pass", name


def test_grids_are_frequencies_and_times_at_every_stage(model):
    states = run(model.image, torch.randn(1, 1, 64, 1001, dtype=torch.float64)).states
    assert [state.axis.grid for state in states] == [(16, 256), (16, 256), (8, 128), (4, 64)]
    assert model.cells == (4, 64)


@pytest.mark.parametrize("seconds", [1.3, 4.0, 7.0, 10.0])
def test_the_spectrogram_is_the_feature_extractors(seconds):
    samples = chirp(seconds, 48_000).astype(np.float32)
    expected = extractor()(samples, sampling_rate=48_000, return_tensors="np")["input_features"][0, 0]
    found = ClapSpectrogram().values(from_samples(samples, 48_000))
    np.testing.assert_allclose(found.T, expected, atol=2e-3)


def test_a_sound_is_explained(model, tmp_path):
    explanation = matex.explain(model, from_samples(chirp(4, 48_000), 48_000), "a nodule", method="m2ib", steps=3)
    assert explanation.image.grid.shape[0] * 16 == explanation.image.grid.shape[1]
    assert [word for word, _ in explanation.words] == ["a", "nodule"]
    assert "repeated 2 times" in " ".join(explanation.notes)
    assert "spatial prior neutral" not in " ".join(explanation.notes)
    assert explanation.film.size == explanation.image.values.shape == (64 * 6, 1001)
    assert not np.isnan(explanation.image.values).any()
    explanation.save(tmp_path / "out")


def test_what_needs_attention_over_the_whole_spectrogram_is_refused(model):
    sound = from_samples(chirp(4, 48_000), 48_000)
    comparison = matex.compare(
        model, sound, "a nodule", ["gradcam", "rollout", "grad-eclip", "maskclip"], skip_unsupported=True
    )
    assert list(comparison) == ["gradcam"]
    assert "not linear" in comparison.left_out["maskclip"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda: small_clap(enable_fusion=True), "without feature fusion"),
        (lambda: small_clap().train(), "evaluation mode"),
    ],
)
def test_other_claps_are_refused(change, match):
    with pytest.raises(matex.UnsupportedModel, match=match):
        adapt(change(), "small", preprocessing=None, tokenizer=None)


@pytest.mark.parametrize("value", [1000.0, -1000.0])
def test_a_temperature_outside_every_number_is_refused(value):
    module = small_clap()
    module.logit_scale_a.fill_(value)
    with pytest.raises(matex.CheckpointError, match="logit_scale_a in 'small'"):
        adapt(module, "small", preprocessing=None, tokenizer=None)


def test_another_feature_extractor_is_refused(module):
    with pytest.raises(matex.InputError, match="sampling_rate 48000"):
        matex.load(module, processor=ClapProcessor(extractor(sampling_rate=44_100), words_tokenizer()))


def test_a_folder_loads(module, tmp_path):
    small_clap().float().save_pretrained(tmp_path)
    extractor().save_pretrained(tmp_path)
    words_tokenizer().save_pretrained(tmp_path)
    loaded = matex.load(f"hf:{tmp_path}")
    inputs = torch.randn(1, 1, 64, 1001)
    expected = module.get_audio_features(inputs.double().transpose(2, 3))
    expected = getattr(expected, "pooler_output", expected)
    torch.testing.assert_close(run(loaded.image, inputs).embedding.double(), expected, rtol=0, atol=1e-5)
