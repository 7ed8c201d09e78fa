"""A dual encoder that the caller holds in memory, with the processor that belongs to it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import cast

from torch import nn

from matex.adapters.checkpoint import refuse_not_finite
from matex.adapters.huggingface import from_memory, preprocessing_of
from matex.adapters.library import Network
from matex.adapters.model import Model, Options, Tokenizer
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.sound import SoundPreprocessing
from matex.adapters.tokenizer import describe_tokenizer, fast, given_tokenizer
from matex.errors import InputError, UnsupportedModel, shown

_CALLED = re.compile(r"embeddings|norm|projection|layers\.\d+\.(?!_orig_mod$)")


def load(module: nn.Module, options: Options, processor: object, tokenizer: object, image_processor: object) -> Model:
    """Adapt a model of transformers; its weights are checked like those of files.

    Args:
        module: as the caller built or loaded it.
        options: of files, all refused.
        processor: of transformers, with `tokenizer` and `image_processor`; None where these are given.
        tokenizer: a fast tokenizer, or the folder or hub id of one; it wins over the processor's.
        image_processor: it wins over the processor's.

    Raises:
        InputError: options of files, or objects that are no fast tokenizer or image processor.
        CheckpointError: weights that are not finite, or a tokenizer of another model.
        UnsupportedModel: another family, or a part compiled with torch.compile.
    """
    options.refuse("a model in memory", "openai: files", "preset", "heads", "activation")
    module = cast(nn.Module, getattr(module, "_orig_mod", module))  # inside torch.compile's wrapper
    # Encoders run block by block and call the parts of a block, so a compiled forward of one is never used.
    parts = cast(Iterator[tuple[str, nn.Module]], module.named_modules())  # torch annotates no result
    compiled = [path for path, part in parts if _CALLED.search(path) and _is_compiled(part)]
    if compiled:
        raise UnsupportedModel(
            f"Expected a model whose blocks hold no compiled parts, got torch.compile on {compiled[0]!r}, whose "
            "gradients cannot be batched. Compile the model or complete blocks, or pass the uncompiled model."
        )
    tokenizer = getattr(processor, "tokenizer", None) if tokenizer is None else tokenizer
    if image_processor is None:  # CLAP's processor has a feature extractor of sounds in its place
        image_processor = getattr(processor, "image_processor", None) or getattr(processor, "feature_extractor", None)
    if processor is not None and tokenizer is None and image_processor is None:
        raise InputError(
            f"Expected a processor with a tokenizer and an image processor, got {type(processor).__name__}. "
            "Give tokenizer= or image_processor= where there is only one of them."
        )
    preprocessing = None
    if image_processor is not None and hasattr(module, "config"):  # what has none is refused by `from_memory`
        preprocessing = _preprocessing(image_processor, module)
    absent = {"preprocessing": preprocessing, "tokenizer": tokenizer}
    model = from_memory(
        module,
        preprocessing=preprocessing,
        tokenizer=_fast(tokenizer, options),
        missing=tuple(f"a model from memory has no {name}" for name, value in absent.items() if value is None),
    )
    refuse_not_finite(dict(chain(module.named_parameters(), module.named_buffers())), model.name)
    if isinstance(tokenizer, str | Path):
        return dataclasses.replace(model, record={**model.record, "tokenizer": describe_tokenizer(str(tokenizer))})
    return model


def _preprocessing(image_processor: object, module: Network) -> Preprocessing | SoundPreprocessing:
    to_dict: Network = getattr(image_processor, "to_dict", None)
    if to_dict is None:
        raise InputError(
            f"Expected an image processor of transformers, got {type(image_processor).__name__}. "
            "Give AutoImageProcessor.from_pretrained(...)."
        )
    # What a processor does not set is null in its dictionary and absent in its file.
    settings = {name: value for name, value in to_dict().items() if value is not None}
    return preprocessing_of(settings, module)


def _fast(tokenizer: object, options: Options) -> Tokenizer | None:
    """The tokenizer itself where it knows which characters its tokens come from.

    Raises:
        InputError: a slow tokenizer, or none.
    """
    if tokenizer is None:
        return None
    if isinstance(tokenizer, str | Path):
        return given_tokenizer(str(tokenizer), options.cached_only)
    found = fast(tokenizer)
    usable = callable(found) and getattr(found, "is_fast", True) and hasattr(found, "all_special_ids")
    if not usable:
        raise InputError(
            f"Expected a fast tokenizer of transformers, which knows the characters of its tokens, got "
            f"{shown(type(tokenizer).__name__)}. Give AutoTokenizer.from_pretrained(...)."
        )
    return cast(Tokenizer, found)


def _is_compiled(part: nn.Module) -> bool:
    """Whether torch.compile wrapped this module, or `module.compile()` was called on it."""
    return "_orig_mod" in dict(part.named_children()) or getattr(part, "_compiled_call_impl", None) is not None
