"""SigLIP's tokenizers: spiece.model as transformers' SiglipTokenizer reads it, tokenizer.json of SigLIP and SigLIP 2.

tests/data/siglip/expected.json holds the ids of SiglipTokenizer (transformers 5.23, sentencepiece 0.2.3) with and
without lower case. The model was trained on phrases for these tests, with a table that replaces six characters.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipImageProcessor, SiglipModel

import matex
from matex.adapters.spiece import read_spiece, siglip_backend
from matex.samples import samples
from matex.testing import check_model

DATA = Path(__file__).parents[1] / "data" / "siglip"
EXPECTED = json.loads((DATA / "expected.json").read_text())
PHRASE = "Opacity, in the LEFT lower lung."


@pytest.mark.parametrize("case", EXPECTED, ids=range(len(EXPECTED)))
def test_ids_are_those_of_siglip_tokenizer(case):
    for lower, key in ((True, "ids"), (False, "cased")):
        encoded = siglip_backend(DATA / "spiece.model", lower).encode(case["text"])
        assert encoded.ids == case[key]
        assert all(0 <= start <= end <= len(case["text"]) for start, end in encoded.offsets)


def test_leading_spaces_are_taken_off_as_in_the_training():
    """big_vision strips a text before it is cut; SiglipTokenizer puts a piece of its own where the spaces were."""
    backend = siglip_backend(DATA / "spiece.model")
    assert backend.encode("  left lung").ids == backend.encode("left lung").ids


def test_offsets_refer_to_the_text_as_it_was_given():
    text = "T2, ﬁne LEFT!"
    encoded = siglip_backend(DATA / "spiece.model").encode(text)
    words = {token: text[a:b] for token, (a, b) in zip(encoded.tokens, encoded.offsets, strict=True)}
    assert words["▁left"] == " LEFT"
    assert words["f"] == "ﬁ"


def test_damaged_files_and_models_of_another_kind_are_refused(tmp_path):
    content, path = (DATA / "spiece.model").read_bytes(), tmp_path / "spiece.model"
    for damaged in (
        content[:-3],
        content[: len(content) // 2],
        b"",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"no",
    ):
        path.write_bytes(damaged)
        with pytest.raises(matex.CheckpointError, match="SentencePiece model"):
            siglip_backend(path)
    path.write_bytes(content + b"\x12\x02\x18\x02")  # trainer_spec.model_type: BPE
    with pytest.raises(matex.UnsupportedModel, match=r"unigram.*tokenizer\.json"):
        read_spiece(path)


def published(folder, vocabulary):
    """A SigLIP as published: the configuration states neither special tokens nor padding."""
    folder.mkdir()
    torch.manual_seed(0)
    sizes = {"intermediate_size": 28, "num_hidden_layers": 2, "num_attention_heads": 2}
    module = SiglipModel(
        SiglipConfig(
            vision_config={"hidden_size": 16, "image_size": 28, "patch_size": 7, **sizes},
            text_config={"hidden_size": 16, "vocab_size": vocabulary, "max_position_embeddings": 64, **sizes},
        )
    )
    module.eval().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        config["text_config"].pop(key, None)
    (folder / "config.json").write_text(json.dumps(config))
    SiglipImageProcessor(size={"height": 28, "width": 28}).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    folder = published(tmp_path / "siglip", len(read_spiece(DATA / "spiece.model").pieces))
    shutil.copy(DATA / "spiece.model", folder)
    settings = {"tokenizer_class": "SiglipTokenizer", "do_lower_case": True, "pad_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def padded(model, text):
    return model.batch([model.encode(text)])[0].tolist()


def test_a_published_folder_is_explained_and_padded_with_the_end_token(folder):
    model = matex.load(f"hf:{folder}")
    ids = EXPECTED[1]["ids"]  # "Opacity in the LEFT lower lung."
    assert padded(model, "Opacity in the LEFT lower lung.") == ids + [1] * (64 - len(ids))
    explanation = matex.explain(model, samples()[0].path, PHRASE)
    assert [word for word, _ in explanation.words] == ["Opacity", "in", "the", "LEFT", "lower", "lung"]
    axis = model.text.axis(model.batch([model.encode(PHRASE)]))
    assert int(axis.content.sum()) == len(ids) - 1
    check_model(model, methods=["grad-eclip", "rollout"])


def test_the_model_alone_without_settings_and_a_folder_of_another_tokenizer(folder):
    expected = padded(matex.load(f"hf:{folder}"), PHRASE)
    (folder / "tokenizer_config.json").unlink()
    assert padded(matex.load(f"hf:{folder}"), PHRASE) == expected
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer"}))
    with pytest.raises(matex.UnsupportedModel, match="next to the spiece"):
        matex.load(f"hf:{folder}")


def test_a_tokenizer_json_of_siglip_gets_its_form_of_the_text(folder):
    expected = padded(matex.load(f"hf:{folder}"), PHRASE)
    backend = siglip_backend(folder / "spiece.model")
    backend.normalizer = normalizers.Replace("  ", " ")  # as converters write it that know nothing of SigLIP
    backend.save(str(folder / "tokenizer.json"))
    (folder / "spiece.model").unlink()
    assert padded(matex.load(f"hf:{folder}"), PHRASE) == expected
    assert padded(matex.load(f"hf:{folder}"), PHRASE.lower()) == expected


def gemma(folder, **settings):
    """A tokenizer.json like Gemma's: byte pairs, spaces as "▁", BOS in its template."""
    letters = "▁abcdefghijklmnopqrstuvwxyzA"
    vocabulary = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3} | {letter: 4 + i for i, letter in enumerate(letters)}
    backend = Backend(models.BPE(vocabulary, [], unk_token="<unk>", fuse_unk=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    backend.decoder = decoders.Replace("▁", " ")
    backend.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    backend.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>"])
    backend.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "GemmaTokenizer", "pad_token": "<pad>", "unk_token": {"content": "<unk>"}}
    (folder / "tokenizer_config.json").write_text(json.dumps(named | settings))


def test_siglip_2_is_read_in_lower_case_and_padded_with_its_own_padding(tmp_path):
    folder = published(tmp_path / "siglip2", 32)
    gemma(folder, add_bos_token=False, add_eos_token=True)
    model = matex.load(f"hf:{folder}")
    ids = padded(model, "A b")
    assert ids == [5, 4, 6, 1] + [0] * 60
    assert padded(model, "a b") == ids
    axis = model.text.axis(model.batch([model.encode("A b")]))
    assert axis.content[0].tolist() == [True] * 3 + [False] * 61
    check_model(model, methods=["grad-eclip", "rollout"])


def test_a_tokenizer_without_an_end_token_is_refused(tmp_path):
    folder = published(tmp_path / "siglip2", 32)
    gemma(folder)
    with pytest.raises(matex.CheckpointError, match="ends phrases with the model's end token"):
        matex.load(f"hf:{folder}")


def test_a_tokenizer_in_memory_that_keeps_capital_letters_is_noted(tmp_path):
    folder = published(tmp_path / "siglip2", 32)
    gemma(folder, add_bos_token=False, add_eos_token=True)
    backend = Backend.from_file(str(folder / "tokenizer.json"))
    backend.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    words = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    model = matex.load(SiglipModel.from_pretrained(folder), tokenizer=words)
    assert "distinguishes capital letters" in model.notes[0]
    assert padded(model, "a b") == padded(matex.load(f"hf:{folder}"), "A b")
    assert matex.load(f"hf:{folder}").notes == ()


def test_siglip_tokenizer_in_memory_is_read_from_its_file(folder):
    class SiglipTokenizer:
        """What is read of transformers' class, which needs the sentencepiece package."""

        is_fast, do_lower_case, pad_token, vocab_file = False, True, "</s>", str(folder / "spiece.model")

    held = SiglipModel.from_pretrained(folder)
    model = matex.load(held, tokenizer=SiglipTokenizer(), image_processor=SiglipImageProcessor.from_pretrained(folder))
    assert padded(model, PHRASE) == padded(matex.load(f"hf:{folder}"), PHRASE)
