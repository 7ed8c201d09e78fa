"""BERT's vocab.txt read as transformers reads it, and tokenizers of other models refused."""

import json

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import BertTokenizer

from matex.adapters.model import Options
from matex.adapters.tokenizer import bert_tokenizer, load_tokenizer
from matex.adapters.wordpiece import bert_backend
from matex.errors import CheckpointError
from tests.adapters.random_weights import BERT, write_vocabulary

PHRASES = ("Opacity in the LEFT lower lungs.", "no pleural effusion, smal\u00e9", "nodule of \u4e2d lung", "xyz")


@pytest.mark.parametrize("lower", [None, True, False])
def test_ids_and_spans_are_those_of_transformers(tmp_path, lower):
    write_vocabulary(tmp_path)
    options = {} if lower is None else {"do_lower_case": lower}
    if options:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(options))
    found, expected = load_tokenizer(tmp_path), BertTokenizer.from_pretrained(str(tmp_path), **options)
    assert found is not None
    for phrase in PHRASES:
        ours, theirs = found(phrase), expected(phrase, return_offsets_mapping=True)
        assert list(ours["input_ids"]) == theirs["input_ids"]
        assert [tuple(span) for span in ours["offset_mapping"]] == [tuple(span) for span in theirs["offset_mapping"]]
    assert set(found.all_special_ids) == {0, 1, 2, 3, 4}


def test_a_tokenizer_is_found_next_to_the_weights_or_named(tmp_path):
    words, missing = bert_tokenizer(Options(), write_vocabulary(tmp_path) / "model.pt", "no/such", BERT.vocab_size)
    assert words is not None
    assert not missing
    words, missing = bert_tokenizer(Options(), None, "no/such-tokenizer", 37)
    assert words is None
    assert "tokenizer='no/such-tokenizer'" in missing[0]
    with pytest.raises(CheckpointError, match=r"of 50 tokens.*got one of 37\. The model's own is some/tokenizer"):
        bert_tokenizer(Options(tokenizer=str(tmp_path)), None, "some/tokenizer", 50)
    backend = bert_backend(tmp_path / "vocab.txt", {})
    backend.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    backend.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=r"before and behind a phrase.* The model's own is some/tokenizer"):
        bert_tokenizer(Options(tokenizer=str(tmp_path)), None, "some/tokenizer", 37)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(CheckpointError, match="none called"):
        load_tokenizer(tmp_path)
