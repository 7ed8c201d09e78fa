"""Words that a tokenizer takes apart, leaves out or does not know are named in every explanation."""

import json
import re
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

import matex
from matex.adapters.tokenizer import FastTokenizer
from matex.adapters.unread import unread_words
from matex.samples import samples
from matex.simulation import all_canonical

LABELLED = Path(__file__).parent / "data" / "phrases.jsonl"
TRAINED_ON = Path(matex.__file__).parent / "simulation" / "training" / "words.txt"


def named(tokenizer, text):
    encoded = tokenizer(text, return_offsets_mapping=True)
    found = unread_words(text, encoded["input_ids"], encoded["offset_mapping"], tokenizer.unk_token_id)
    return dict(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Verschattung im linken Unterlappen", {"Verschattung", "linken", "Unterlappen"}),
        ("opacidad en el pulmón izquierdo", {"opacidad", "pulmón", "izquierdo"}),
        ("opacité du poumon gauche", {"opacité", "poumon", "gauche"}),
        ("опухоль в лёгком", {"опухоль", "в", "лёгком"}),
        ("左肺阴影 opacity", {"左肺阴影"}),
        ("عتامة", {"عتامة"}),
        ("opacity 🫁", {"🫁"}),
        ("pnuemonia", {"pnuemonia"}),
        ("xqzvk", {"xqzvk"}),
        ("opacite\u0301", {"opacite\u0301"}),  # an accent of its own
    ],
)
def test_the_bundled_model_names_words_outside_its_vocabulary(tiny, text, words):
    assert set(named(tiny.tokenizer, text)) == words
    note = next(note for note in matex.explain(tiny, samples()[0].path, text).notes if "cannot have understood" in note)
    assert all(repr(word) in note for word in words)


def test_labelled_phrases_raise_no_false_alarm(tiny):
    phrases = [json.loads(line)["text"] for line in LABELLED.read_text(encoding="utf-8").splitlines()]
    phrases += [str(phrase) for phrase in all_canonical()]
    known = set(TRAINED_ON.read_text(encoding="utf-8").lower().split())
    alarms = {phrase: named(tiny.tokenizer, phrase) for phrase in phrases}
    words = {word.lower() for found in alarms.values() for word in found}
    assert not words & known  # what is named never stood in the text that the vocabulary was learned from
    assert sum(map(bool, alarms.values())) / len(phrases) < 0.03
    assert not any(named(tiny.tokenizer, sample.demo_phrase) for sample in samples())


@pytest.mark.parametrize("text", ["nodule, 5 mm; right-sided (apical)", "T12 fracture 2.5 cm", "NO PNEUMOTHORAX!", "A"])
def test_numbers_punctuation_and_capitals_are_no_alarm(tiny, text):
    assert not named(tiny.tokenizer, text)


def of_words(unknown="[UNK]", normalizer=None, split=None):
    """A tokenizer of whole words."""
    words = ["[UNK]", "[CLS]", "opacity", "left", "lung", "5", "in"]
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=unknown))
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = split or pre_tokenizers.Whitespace()
    return FastTokenizer(backend)


def test_unknown_tokens_are_named():
    assert named(of_words(), "opacity in the left lung") == {"the": "unknown to the tokenizer"}


def test_what_never_reaches_the_model_is_named():
    no_digits = of_words(split=pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"[a-z]+"), behavior="removed", invert=True)]))  # fmt: skip
    assert named(no_digits, "left lung 5 β") == {"5": "left out by the tokenizer", "β": "left out by the tokenizer"}
    ascii_only = of_words(normalizer=normalizers.Replace(Regex(r"[^\x00-\x7f]"), ""))
    assert "left out" in named(ascii_only, "left 肺 lung")["肺"]


def test_a_file_that_asks_for_truncation_does_not_shorten_a_phrase(tiny, tmp_path):
    path = Path(matex.__file__).parent / "adapters" / "tiny" / "tokenizer.json"
    assert json.loads(path.read_text())["truncation"]["max_length"] == 48
    assert len(tiny.tokenizer("opacity " * 60)["input_ids"]) == 62
    with pytest.raises(matex.InputError, match="at most 48 tokens, got 62"):
        tiny.encode("opacity " * 60)


def test_an_unknown_token_that_is_special_is_a_note_and_no_refusal(tiny, tmp_path):
    import dataclasses

    tokenizer = of_words()
    tokenizer._backend.add_special_tokens(["[UNK]", "[CLS]"])
    model = dataclasses.replace(tiny, tokenizer=tokenizer)
    assert model.encode("opacity somewhere lung").notes == (
        "words that the model cannot have understood: 'somewhere' (unknown to the tokenizer)",
    )
    with pytest.raises(matex.InputError, match=r"got '\[CLS\]'"):
        model.encode("opacity [CLS] lung")


def test_the_word_list_holds_every_word_of_the_labelled_phrases():
    from matex.adapters.unread import english_words

    lines = [json.loads(line)["text"].lower() for line in LABELLED.read_text(encoding="utf-8").splitlines()]
    words = {word for line in lines if line.isascii() for word in re.findall(r"[a-z]{4,}", line)}
    assert words <= english_words()
