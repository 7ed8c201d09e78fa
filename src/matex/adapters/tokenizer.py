"""Tokenizers: location, loading, and description for the provenance.

A tokenizer.json is read by the `tokenizers` package alone. CLIP's older pair of files, vocab.json and merges.txt, is
left to transformers, whose import takes as long as torch's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matex.adapters.checkpoint import first_line, regular
from matex.adapters.folder import TOKENIZERS, locate, read_json
from matex.adapters.model import Tokenizer
from matex.errors import CheckpointError, UnsupportedModel, shown


class FastTokenizer:
    """A tokenizer.json with the interface of a fast Hugging Face tokenizer, without truncation and padding."""

    def __init__(self, backend: Any, unknown: str | None = None) -> None:
        backend.no_truncation()  # phrases that are too long are refused; a file may enable truncation
        backend.no_padding()
        self._backend = backend
        self._unknown = unknown or getattr(backend.model, "unk_token", None)

    @property
    def all_special_ids(self) -> Sequence[int]:
        return [number for number, token in self._backend.get_added_tokens_decoder().items() if token.special]

    @property
    def unk_token_id(self) -> int | None:
        """Id of the unknown token; None where there is none."""
        return None if self._unknown is None else self._backend.token_to_id(self._unknown)

    def convert_ids_to_tokens(self, ids: int) -> str | list[str]:
        return self._backend.id_to_token(ids)

    def __call__(self, text: str, **options: Any) -> Mapping[str, Any]:
        encoded = self._backend.encode(text)
        return {"input_ids": encoded.ids, "offset_mapping": encoded.offsets}


def given_tokenizer(source: str, cached_only: bool = False) -> Tokenizer:
    """Load the tokenizer that the caller named.

    Raises:
        CheckpointError: there is none.
    """
    found = load_tokenizer(locate(source, cached_only, weights=False))
    if found is None:
        raise CheckpointError(
            "Expected a folder or hub id with a tokenizer (tokenizer.json, or vocab.json and merges.txt), found none "
            f"in {shown(source)}."
        )
    return found


def describe_tokenizer(source: str) -> dict[str, str | None]:
    """Describe a tokenizer for the provenance: the hub id, or a folder's name and checksum, never its path."""
    path = Path(os.path.expanduser(source))
    if not os.path.isdir(path):
        return {"source": source, "sha256": None}
    digest = hashlib.sha256()
    for name in TOKENIZERS:
        if regular(path / name):
            digest.update(name.encode() + (path / name).read_bytes())
    return {"source": path.resolve().name, "sha256": digest.hexdigest()}


def load_tokenizer(folder: Path) -> Tokenizer | None:
    """Load the tokenizer of a folder; None when there is none.

    Raises:
        CheckpointError: tokenizer files that cannot be read.
        UnsupportedModel: another tokenizer than CLIP's without a tokenizer.json.
    """
    present = [name for name in TOKENIZERS if regular(folder / name)]
    if not {"tokenizer.json", "vocab.json"} & set(present):
        return None
    config = read_json(folder, "tokenizer_config.json") or {}
    try:
        if "tokenizer.json" in present:
            return _from_json(folder / "tokenizer.json", config.get("unk_token"))
        kind = config.get("tokenizer_class") or "CLIPTokenizer"
        if kind not in ("CLIPTokenizer", "CLIPTokenizerFast"):
            raise UnsupportedModel(
                f"Expected a tokenizer.json or CLIP's vocab.json and merges.txt in {shown(str(folder))}, got the files "
                f"of {shown(kind)}. Save the tokenizer again with AutoTokenizer.from_pretrained and save_pretrained."
            )
        vocabulary = read_json(folder, "vocab.json") or {}
        merges = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        return clip_tokenizer(vocabulary, [line for line in merges if line.strip() and not line.startswith("#version")])
    except (CheckpointError, UnsupportedModel):
        raise
    except Exception as error:  # the readers raise nearly any exception on a damaged file
        raise CheckpointError(f"Expected a tokenizer in {shown(str(folder))}, got: {first_line(error)}.") from error


def _from_json(path: Path, unknown: Any) -> FastTokenizer:
    """Build the tokenizer of a file; `unknown` is the unknown token as in tokenizer_config.json, text or a table."""
    from tokenizers import Tokenizer as Backend

    name = unknown.get("content") if isinstance(unknown, Mapping) else unknown
    try:
        return FastTokenizer(Backend.from_file(str(path)), name if isinstance(name, str) else None)
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # a panic of the Rust code; no Exception
            raise ValueError(first_line(error)) from None
        raise


def clip_tokenizer(vocabulary: Mapping[str, int], merges: Sequence[str]) -> Tokenizer:
    """Build CLIP's tokenizer from a vocabulary and merges, each of these "left right"."""
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    pairs: Any = [tuple(merge.split()) for merge in merges]
    return CLIPTokenizer(vocab=dict(vocabulary), merges=pairs)
