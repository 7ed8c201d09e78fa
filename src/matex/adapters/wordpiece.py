"""BERT's word pieces (vocab.txt), and its tokenizer built from them with the `tokenizers` package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from matex.errors import CheckpointError, shown

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend


def bert_backend(path: Path, config: Mapping[str, object]) -> Backend:
    """Build BERT's tokenizer from its list of word pieces, one per line.

    Args:
        path: of vocab.txt.
        config: of tokenizer_config.json; what it does not say is as in transformers, which lowers the case.

    Returns:
        A tokenizer of the `tokenizers` package.

    Raises:
        CheckpointError: word pieces without the special ones of BERT.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, normalizers, pre_tokenizers, processors

    backend = Backend(models.WordPiece.from_file(str(path), unk_token="[UNK]"))
    accents = config.get("strip_accents")
    backend.normalizer = normalizers.BertNormalizer(
        lowercase=bool(config.get("do_lower_case", True)),
        strip_accents=None if accents is None else bool(accents),
        handle_chinese_chars=bool(config.get("tokenize_chinese_chars", True)),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    needed = {name: backend.token_to_id(name) for name in ("[SEP]", "[CLS]", "[UNK]")}
    numbers = {name: number for name, number in needed.items() if number is not None}
    absent = [name for name in needed if name not in numbers]
    if absent:
        raise CheckpointError(f"Expected the word pieces of a BERT in {shown(str(path))}, got none called {absent[0]}.")
    backend.post_processor = processors.BertProcessing(("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"]))
    backend.add_special_tokens(
        [name for name in ("[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]") if backend.token_to_id(name) is not None]
    )
    return backend
