"""Embeddings of phrases, cached with the model for as long as its weights stay the same."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Sequence
from typing import cast

import torch
from torch import Tensor

from matex.adapters.encoder import Staged, staged
from matex.adapters.model import Model
from matex.errors import InputError, UnsupportedModel
from matex.forward_pass import PHRASES_AT_ONCE, ForwardPass, encode, run

_CACHE: weakref.WeakKeyDictionary[Model, dict[Hashable, Tensor]] = weakref.WeakKeyDictionary()
_MAX_PHRASES = 4096  # of each model


def phrase_ids(model: Model, phrase: str | Sequence[int], texts: ForwardPass) -> tuple[int, ...]:
    """Token ids of a phrase, special tokens included.

    Args:
        model: that reads it.
        phrase: words, which need the model's tokenizer, or token ids. Empty words are the tokens that begin and end
            every phrase.
        texts: pass over other phrases, which show these tokens without a tokenizer.

    Raises:
        InputError: words, and a model without a tokenizer; or token ids that the model does not have.
        UnsupportedModel: a pass over something other than phrases.
    """
    if texts.tower.modality != "text":
        raise UnsupportedModel(
            f"Expected a phrase as one side, since further phrases are embedded with it, got {model.sides[0]} and "
            f"{model.sides[1]}."
        )
    if isinstance(phrase, str) and phrase and model.tokenizer is None:
        raise InputError(f"Expected token ids, since {model.name!r} came with no tokenizer, got {phrase!r}.")
    if phrase == "":
        none = torch.zeros(1, int(texts.states[0].axis.content[0].sum()), dtype=torch.bool)
        return tuple(cast("list[int]", texts.tower.remove(texts.inputs[:1], none)[0].tolist()))
    ids = tuple(model.encode(phrase).ids if isinstance(phrase, str) else phrase)
    if len(ids) > model.context or not all(0 <= token < model.vocabulary for token in ids):
        raise InputError(
            f"Expected at most {model.context} token ids from 0 to {model.vocabulary - 1}, got {phrase!r}."
        )
    return ids


def embed_phrase(model: Model, ids: tuple[int, ...], device: torch.device) -> Tensor:
    """Unit-norm embedding of a phrase, [joint]; the same for every image, and so cached with the model."""
    text = staged(model.text)
    cache, key = _CACHE.setdefault(model, {}), (ids, str(device), _fingerprint(text))
    if key not in cache:
        if len(cache) >= _MAX_PHRASES:
            cache.clear()
        cache[key] = run(text, text.collate([ids]).to(device)).embedding[0].detach()
    return cache[key]


def embed_phrases(model: Model, token_ids: Tensor) -> Tensor:
    """Unit-norm embeddings of many phrases [phrase, token] without a graph, [phrase, joint]; cached row by row.

    The classes of a query are scored to choose one and again to explain it, and are the same for every film of a call.
    """
    text = staged(model.text)
    cache, weights = _CACHE.setdefault(model, {}), _fingerprint(text)
    rows = cast("list[list[int]]", token_ids.tolist())
    keys: list[Hashable] = [("row", tuple(row), str(token_ids.device), weights) for row in rows]
    missing = [number for number, key in enumerate(keys) if key not in cache]
    found = {key: cache[key] for key in keys if key in cache}
    for start in range(0, len(missing), PHRASES_AT_ONCE):
        numbers = missing[start : start + PHRASES_AT_ONCE]
        found.update(zip((keys[number] for number in numbers), encode(text, token_ids[numbers]), strict=True))
    if len(cache) + len(missing) > _MAX_PHRASES:
        cache.clear()
    cache.update(found)
    return torch.stack([found[key] for key in keys])


def _fingerprint(tower: Staged) -> Hashable:
    """Identity of a tower's weights: their addresses, torch's modification counters, and a sample of their values.

    Writing through `Tensor.data` changes neither address nor counter; the sample reveals all such changes but those of
    single entries.
    """
    weights = [weight for stage in tower.stages().values() for weight in stage]
    with torch.inference_mode(False), torch.no_grad():
        sample = torch.stack([weight.flatten()[:: max(1, weight.numel() // 8)].double().sum() for weight in weights])
    sums = cast("list[float]", sample.tolist())
    return tuple((weight.data_ptr(), weight._version) for weight in weights), tuple(sums)
