"""A fast tokenizer of transformers that knows a few words, with the special tokens where a family has them."""

from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

WORDS = ("opacity", "in", "the", "left", "lower", "lung", "right", "no", "effusion", "a", "nodule", "and", "on")


def word_tokenizer(start, end, padding, words=WORDS):
    """Start and end around every phrase, given by their ids; None for a family without a start."""
    special = {"<unk>": 3, "<pad>": padding, "<s>": start, "</s>": end}
    if padding == end:
        del special["<pad>"]
    special = {token: number for token, number in special.items() if number is not None}
    vocabulary = special | {word: 4 + number for number, word in enumerate(words)}
    backend = Backend(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.normalizer, backend.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    ends = [(token, special[token]) for token in ("<s>", "</s>") if token in special]
    template = " ".join([*(["<s>"] if start is not None else []), "$A", "</s>"])
    backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=ends)
    named = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>" if padding == end else "<pad>"}
    if start is not None:
        named["bos_token"] = "<s>"
    return PreTrainedTokenizerFast(tokenizer_object=backend, **named)
