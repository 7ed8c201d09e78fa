"""Tokenizers: location, loading, and description for the provenance.

A tokenizer.json, SigLIP's spiece.model or BERT's vocab.txt is read by the `tokenizers` package alone. CLIP's older
files, vocab.json and merges.txt, are left to transformers, whose import takes as long as torch's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matex.adapters.checkpoint import first_line, regular
from matex.adapters.folder import TOKENIZERS, locate, read_json
from matex.adapters.model import Options, TokenIds, Tokenizer
from matex.adapters.spiece import canonical, siglip_backend
from matex.adapters.wordpiece import bert_backend
from matex.checks import is_mapping
from matex.coerce import as_type
from matex.errors import CheckpointError, UnsupportedModel, shown

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend
    from tokenizers.normalizers import Normalizer

_GEMMA = ("Siglip2Tokenizer", "GemmaTokenizer", "GemmaTokenizerFast")  # SigLIP 2's, which was trained in lower case


class FastTokenizer:
    """A tokenizer.json with the interface of a fast Hugging Face tokenizer, without truncation and padding.

    Args:
        backend: of the `tokenizers` package.
        unknown: the unknown token; as in the backend where None.
        padding: the padding token; as in the backend where None.
    """

    def __init__(self, backend: Backend, unknown: str | None = None, padding: str | None = None) -> None:
        self._padding: int | None
        if padding is None:
            self._padding = backend.padding["pad_id"] if backend.padding else None
        else:
            self._padding = backend.token_to_id(padding)
        backend.no_truncation()  # phrases that are too long are refused; a file may enable truncation
        backend.no_padding()
        self._backend = backend
        self._unknown = unknown or getattr(backend.model, "unk_token", None)

    def __len__(self) -> int:
        return self._backend.get_vocab_size()

    @property
    def all_special_ids(self) -> Sequence[int]:
        return [number for number, token in self._backend.get_added_tokens_decoder().items() if token.special]

    @property
    def unk_token_id(self) -> int | None:
        """Id of the unknown token; None where there is none."""
        return None if self._unknown is None else self._backend.token_to_id(self._unknown)

    @property
    def pad_token_id(self) -> int | None:
        """Id of the padding token; None where the files do not name one."""
        return self._padding

    def convert_ids_to_tokens(self, ids: int) -> str | list[str]:
        token = self._backend.id_to_token(ids)
        return "" if token is None else token

    def __call__(self, text: str, **options: bool) -> TokenIds:
        encoded = self._backend.encode(text)
        return {"input_ids": encoded.ids, "offset_mapping": encoded.offsets}


class RewritingTokenizer:
    """A tokenizer that reads a phrase as a family's published code rewrites it.

    Args:
        tokenizer: of the rewritten phrase.
        rewrite: keeps every character that it does not cut off at its place, so that spans refer to the phrase.
    """

    def __init__(self, tokenizer: Tokenizer, rewrite: Callable[[str], str]) -> None:
        self._tokenizer, self._rewrite = tokenizer, rewrite

    @property
    def all_special_ids(self) -> Sequence[int]:
        return self._tokenizer.all_special_ids

    @property
    def unk_token_id(self) -> int | None:
        """Id of the unknown token; None where there is none."""
        return getattr(self._tokenizer, "unk_token_id", None)

    def convert_ids_to_tokens(self, ids: int) -> str | list[str]:
        return self._tokenizer.convert_ids_to_tokens(ids)

    def __call__(self, text: str, **options: bool) -> TokenIds:
        return self._tokenizer(self._rewrite(text), **options)


def given_tokenizer(source: str, cached_only: bool = False) -> Tokenizer:
    """Load the tokenizer that the caller named.

    Raises:
        CheckpointError: there is none.
    """
    found = load_tokenizer(locate(source, cached_only, weights=()))
    if found is None:
        raise CheckpointError(
            "Expected a folder or hub id with a tokenizer (tokenizer.json, spiece.model, or vocab.json and "
            f"merges.txt), found none in {shown(source)}."
        )
    return found


def bert_tokenizer(
    options: Options, path: Path | None, published: str, vocabulary: int, own_code: bool = False
) -> tuple[Tokenizer | None, tuple[str, ...]]:
    """Find the tokenizer of a BERT: the caller's, one next to the weights, or the published one in the hub's cache.

    Args:
        options: of `matex.load`.
        path: file or folder of the weights; None for a model in memory.
        published: hub id of the tokenizer that the model was trained with; nothing is downloaded.
        vocabulary: number of token ids that the model has embeddings for.
        own_code: see `read_json`.

    Returns:
        The tokenizer, and the entries of `Model.missing`, which say how to get one where there is none.

    Raises:
        CheckpointError: tokenizer files that cannot be read, or a tokenizer with another number of tokens or without
            special tokens around a phrase, of which the first or the last is read.
    """
    found: Tokenizer | None = None
    if options.tokenizer is not None:
        found = given_tokenizer(options.tokenizer, options.cached_only)
    elif path is not None:
        found = load_tokenizer(path if path.is_dir() else path.parent, own_code)
    if found is None:
        found = _cached(published)
    if found is None:
        return None, (f"it has no tokenizer (give tokenizer={published!r}, or a folder with its vocab.txt)",)
    size = len(found) if isinstance(found, Sized) else vocabulary
    if size != vocabulary:
        raise CheckpointError(
            f"Expected a tokenizer of {vocabulary} tokens, as many as the model has embeddings for, got one of {size}. "
            f"The model's own is {published}."
        )
    if not has_ends(found):
        raise CheckpointError(
            "Expected a tokenizer that puts special tokens before and behind a phrase, as BERT was trained, got one "
            f"that does not. The model's own is {published}."
        )
    return found, ()


def has_ends(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer puts a token of no character before and behind a phrase."""
    spans = tokenizer("a", return_offsets_mapping=True)["offset_mapping"]
    return len(spans) >= 3 and all(end == start for start, end in (spans[0], spans[-1]))


def _cached(hub_id: str) -> Tokenizer | None:
    """The tokenizer of a hub id where the hub's cache has it; nothing is downloaded."""
    try:
        folder = locate(hub_id, cached_only=True, weights=())
    except CheckpointError:
        return None
    return load_tokenizer(folder)


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


def load_tokenizer(folder: Path, own_code: bool = False) -> Tokenizer | None:
    """Load the tokenizer of a folder; None when there is none.

    Args:
        folder: of the model.
        own_code: see `read_json`.

    Raises:
        CheckpointError: tokenizer files that cannot be read.
        UnsupportedModel: another tokenizer than CLIP's without a tokenizer.json.
    """
    present = [name for name in TOKENIZERS if regular(folder / name)]
    if not {"tokenizer.json", "spiece.model", "vocab.json", "vocab.txt"} & set(present):
        return None
    config = read_json(folder, "tokenizer_config.json", own_code) or {}
    try:
        if "spiece.model" in present and ("tokenizer.json" not in present or _is_siglip(config)):
            return _from_spiece(folder, config)
        if "tokenizer.json" in present:
            return _from_json(folder / "tokenizer.json", config)
        if "vocab.txt" in present:
            return FastTokenizer(bert_backend(folder / "vocab.txt", config))
        kind = config.get("tokenizer_class") or "CLIPTokenizer"
        if kind not in ("CLIPTokenizer", "CLIPTokenizerFast"):
            raise UnsupportedModel(
                f"Expected a tokenizer.json or CLIP's vocab.json and merges.txt in {shown(str(folder))}, got the files "
                f"of {shown(kind)}. Save the tokenizer again with AutoTokenizer.from_pretrained and save_pretrained."
            )
        vocabulary = as_type(read_json(folder, "vocab.json") or {}, dict[str, int])
        merges = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        return clip_tokenizer(vocabulary, [line for line in merges if line.strip() and not line.startswith("#version")])
    except (CheckpointError, UnsupportedModel):
        raise
    except Exception as error:  # the readers raise nearly any exception on a damaged file
        raise CheckpointError(f"Expected a tokenizer in {shown(str(folder))}, got: {first_line(error)}.") from error


def _is_siglip(config: Mapping[str, object]) -> bool:
    return str(config.get("tokenizer_class")).removesuffix("Fast") == "SiglipTokenizer"


def _from_spiece(folder: Path, config: Mapping[str, object]) -> FastTokenizer:
    """Build SigLIP's tokenizer of a folder, which transformers reads from spiece.model too.

    Raises:
        UnsupportedModel: the spiece.model of another tokenizer.
    """
    if config and not _is_siglip(config):
        raise UnsupportedModel(
            f"Expected a tokenizer.json next to the spiece.model in {shown(str(folder))}, since only SiglipTokenizer "
            f"is built from it, got {shown(config.get('tokenizer_class'))}. Save the tokenizer again with "
            "AutoTokenizer.from_pretrained and save_pretrained."
        )
    backend = siglip_backend(folder / "spiece.model", bool(config.get("do_lower_case", True)))
    return FastTokenizer(backend, "<unk>", _token(config.get("pad_token")) or "</s>")


def fast(tokenizer: object) -> object:
    """The fast equivalent of transformers' SiglipTokenizer, which has no other; any other tokenizer as it is."""
    file = getattr(tokenizer, "vocab_file", None)
    if type(tokenizer).__name__ != "SiglipTokenizer" or getattr(tokenizer, "is_fast", True) or not file:
        return tokenizer
    lower, padding = (getattr(tokenizer, name) for name in ("do_lower_case", "pad_token"))
    return FastTokenizer(siglip_backend(Path(file), lower), "<unk>", str(padding))


def _from_json(path: Path, config: Mapping[str, object]) -> FastTokenizer:
    """Build the tokenizer of a file.

    Args:
        path: of tokenizer.json.
        config: of tokenizer_config.json, which names the unknown and the padding token.
    """
    from tokenizers import Tokenizer as Backend

    try:
        backend = Backend.from_file(str(path))
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # a panic of the Rust code; no Exception
            raise ValueError(first_line(error)) from None
        raise
    if _is_siglip(config):
        _prepend(backend, canonical(bool(config.get("do_lower_case", True))))
    elif config.get("tokenizer_class") in _GEMMA:
        _lower_case_and_end(backend, config)
    return FastTokenizer(backend, _token(config.get("unk_token")), _token(config.get("pad_token")))


def _lower_case_and_end(backend: Backend, config: Mapping[str, object]) -> None:
    """Prepare Gemma's tokenizer as SigLIP 2 was trained: small letters, and the end token where the settings say so.

    Source:
        transformers' Siglip2Tokenizer. The settings of Gemma's tokenizers win over the template of tokenizer.json.
    """
    from tokenizers import normalizers, processors

    _prepend(backend, [normalizers.Lowercase()])
    ends = [
        (config[flag], _token(config.get(name)) or default)
        for flag, name, default in (("add_bos_token", "bos_token", "<bos>"), ("add_eos_token", "eos_token", "<eos>"))
        if isinstance(config.get(flag), bool)
    ]
    if len(ends) == 2:
        first, last = ([token] if added else [] for added, token in ends)
        numbers = [(token, backend.token_to_id(token)) for token in (*first, *last)]
        backend.post_processor = processors.TemplateProcessing(single=[*first, "$A", *last], special_tokens=numbers)


def _prepend(backend: Backend, normalizers: list[Normalizer]) -> None:
    """Let these normalizers run before those of the file."""
    from tokenizers import normalizers as kinds

    backend.normalizer = kinds.Sequence([*normalizers, *([backend.normalizer] if backend.normalizer else [])])


def _token(entry: object) -> str | None:
    """A token of tokenizer_config.json, where it is text or a table; None for anything else."""
    name = entry.get("content") if is_mapping(entry) else entry
    return name if isinstance(name, str) else None


def clip_tokenizer(vocabulary: Mapping[str, int], merges: Sequence[str]) -> Tokenizer:
    """Build CLIP's tokenizer from a vocabulary and merges, each of these "left right"."""
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    pairs: Any = [tuple(merge.split()) for merge in merges]
    found: Any = CLIPTokenizer(vocab=dict(vocabulary), merges=pairs)  # its stubs know neither the pairs nor offsets
    return found
