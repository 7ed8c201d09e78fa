"""SentencePiece models (spiece.model), read without the sentencepiece package, and SigLIP's tokenizer built from one.

The file is a protocol buffer of three messages: the pieces with their scores, the training settings, the normalisation.
Field numbers are those of sentencepiece_model.proto.
"""

from __future__ import annotations

import re
import string
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matex.adapters.checkpoint import regular
from matex.errors import CheckpointError, UnsupportedModel, shown

if TYPE_CHECKING:
    from tokenizers import Regex, Tokenizer
    from tokenizers.normalizers import Normalizer

_LARGEST = 64 << 20  # bytes; published models hold up to 5 MB
_UNIGRAM, _CONTROL = 1, 3


@dataclass(frozen=True)
class Spiece:
    """A unigram model of SentencePiece.

    Args:
        pieces: with their log probabilities, by id.
        control: ids of control symbols (end, padding), which no text becomes.
        unknown: id of the unknown piece.
        characters: the compiled table of characters that are replaced, empty where none are.
    """

    pieces: tuple[tuple[str, float], ...]
    control: tuple[int, ...]
    unknown: int
    characters: bytes


def read_spiece(path: Path) -> Spiece:
    """Read a spiece.model.

    Raises:
        CheckpointError: no such file, or another content.
        UnsupportedModel: a model of merges (BPE), of words or of characters.
    """
    if not regular(path) or path.stat().st_size > _LARGEST:
        raise CheckpointError(f"Expected a SentencePiece model of at most {_LARGEST >> 20} MB at {shown(str(path))}.")
    pieces: list[tuple[str, float]] = []
    control: list[int] = []
    training: dict[int, Any] = {}
    normalisation: dict[int, Any] = {}
    try:
        for number, value in _fields(path.read_bytes()):
            if number == 1:
                piece = dict(_fields(value))
                if piece.get(3, 1) == _CONTROL:
                    control.append(len(pieces))
                pieces.append((piece[1].decode("utf-8"), struct.unpack("<f", piece.get(2, bytes(4)))[0]))
            elif number == 2:
                training = dict(_fields(value))
            elif number == 3:
                normalisation = dict(_fields(value))
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise CheckpointError(
            f"Expected a SentencePiece model at {shown(str(path))}, got a damaged file or another content. "
            "Copy or download it again."
        ) from error
    if training.get(3, _UNIGRAM) != _UNIGRAM:
        raise UnsupportedModel(
            f"Expected a unigram SentencePiece model at {shown(str(path))}, got one of another kind. Save the "
            "tokenizer again with AutoTokenizer.from_pretrained and save_pretrained, which writes a tokenizer.json."
        )
    unknown = training.get(40, 0)
    if not pieces or unknown >= len(pieces):
        raise CheckpointError(f"Expected a SentencePiece model at {shown(str(path))}, got {len(pieces)} pieces.")
    return Spiece(tuple(pieces), tuple(control), unknown, normalisation.get(2, b""))


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) of a protocol buffer message; fixed32 and nested messages as bytes, varints as numbers."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        length, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
        if at + length > len(message):
            raise ValueError("a field ends behind its message")
        yield number, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that starts at a byte, and the byte behind it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def siglip_backend(path: Path, lower: bool = True) -> Tokenizer:
    """Build the tokenizer of SigLIP from its spiece.model, for the `tokenizers` package.

    The text is put into the form that SigLIP was trained on (`canonicalised`), cut into pieces of the highest
    probability, and ended with `</s>`. Offsets refer to the text as it was given.

    Args:
        path: of the file.
        lower: whether capital letters become small ones.

    Raises:
        CheckpointError, UnsupportedModel: see `read_spiece`; a file without `</s>`.
    """
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    spiece = read_spiece(path)
    backend = Tokenizer(models.Unigram(list(spiece.pieces), spiece.unknown))
    end = backend.token_to_id("</s>")
    if end is None:
        raise CheckpointError(f"Expected SigLIP's spiece.model at {shown(str(path))}, got one without the piece </s>.")
    table = [normalizers.Precompiled(spiece.characters)] if spiece.characters else []
    spaces = normalizers.Replace(_regex(" {2,}"), " ")
    backend.normalizer = normalizers.Sequence([*canonical(lower), *table, spaces])
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", end)])
    special = {spiece.unknown, end, *spiece.control}
    backend.add_special_tokens(
        [AddedToken(spiece.pieces[i][0], lstrip=True, rstrip=True, normalized=False, special=True) for i in special]
    )
    return backend


def canonical(lower: bool) -> list[Normalizer]:
    """SigLIP's form of a text, as normalizers of `tokenizers`: small letters, no ASCII punctuation, single spaces.

    Source:
        big_vision, evaluators/proj/image_text/prompt_engineering.py, `canonicalize_text`; transformers'
        SiglipTokenizer.
    """
    from tokenizers import normalizers

    return [
        normalizers.Replace("▁", " "),
        *([normalizers.Lowercase()] if lower else []),
        normalizers.Replace(_regex(f"[{re.escape(string.punctuation)}]"), ""),
        normalizers.Replace(_regex(r"\s+"), " "),
        normalizers.Strip(),
    ]


def _regex(pattern: str) -> Regex:
    from tokenizers import Regex

    return Regex(pattern)
