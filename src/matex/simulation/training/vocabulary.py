"""The bundled model's tokenizer: byte-level pairs learned from the grammar and a list of radiology words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import cast

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD = "<|startoftext|>", "<|endoftext|>", "<|pad|>"
WORDS = Regex(r"""'s|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+""")


def radiology_words() -> list[str]:
    """Words of radiology reports, beyond those of the grammar."""
    return files("matex.simulation.training").joinpath("words.txt").read_text(encoding="utf-8").split()


def train_tokenizer(sentences: Iterable[str], size: int, length: int, bos: bool = True) -> PreTrainedTokenizerFast:
    """Train a lower-case byte-level tokenizer in CLIP's layout; no text is unknown to it.

    The end token has the highest id, so that both ways in which CLIP implementations find it (first end
    token, largest id) agree.

    Equally frequent pairs are numbered by chance: keep the tokenizer that a model was trained with.

    Args:
        sentences: texts whose words become whole tokens where possible.
        size: vocabulary size, special tokens included.
        length: most tokens a text may have, begin and end included.
        bos: begin every text with a token of its own, as CLIP does; without it the end token also pads, as SigLIP's.
    """
    tokenizer = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(WORDS, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace("</w>", "Ġ"), decoders.ByteLevel()])
    trainer = trainers.BpeTrainer(
        vocab_size=size - 3,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    # Every byte that can end a word must be seen ending one: ASCII, and the last bytes of longer characters.
    endings = [chr(code) for code in range(128)] + [chr(0x4E00 + code) for code in range(64)]
    tokenizer.train_from_iterator(chain(sentences, endings), trainer)
    tokenizer.add_special_tokens([PAD, BOS, EOS])
    begin, end = (tokenizer.token_to_id(token) for token in (BOS, EOS))
    first = f"{BOS} " if bos else ""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first}$A {EOS}", pair=f"{first}$A {EOS} $B {EOS}", special_tokens=[(BOS, begin), (EOS, end)]
    )
    begins = {"bos_token": BOS} if bos else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **begins, eos_token=EOS, pad_token=PAD if bos else EOS, model_max_length=length
    )


def read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a folder that `save_tokenizer` wrote."""
    return cast(PreTrainedTokenizerFast, PreTrainedTokenizerFast.from_pretrained(folder))


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the tokenizer so that transformers 4 and 5 both find its class."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(config, indent=2) + "\n")
