"""Refusal of requests that cannot be served: arguments of another kind than `explain` and its relatives take."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from matex.adapters.encoder import CHANNELS, Modality
from matex.adapters.model import Model, check_model
from matex.attribution import METHODS
from matex.checks import check_once, is_iterable, is_list, is_mapping
from matex.encoder_choice import is_input
from matex.errors import InputError, shown
from matex.registry import Parameters

T = TypeVar("T")


def named_class(text: T | None, labels: object) -> T | str:
    """The text of a request, empty where the predicted class is to be explained.

    Raises:
        InputError: neither a text nor labels, or an empty text in place of a class.
    """
    if text is None and labels is None:
        raise InputError('Expected a phrase, or labels to explain the predicted class, got neither. Give text="...".')
    if labels is not None and isinstance(text, str) and not text.strip():
        raise InputError("Expected a class with labels, got an empty text. Leave it out for the predicted class.")
    return "" if text is None else text


def check_request(model: Model, text: object, method: str) -> None:
    """Refuse arguments of another kind than `explain` takes, before anything is read.

    Raises:
        InputError: what was given instead, and what to write.
        UnknownName: no such method.
    """
    check_model(model)
    if not is_input(text):
        check_phrase(text)
    check_method(method)


def check_phrase(text: object) -> str:
    """The text of a request that must be a phrase.

    Raises:
        InputError: a list of phrases, or anything else that is not text.
    """
    if is_list(text):
        raise InputError(f"Expected one phrase, got {shown(text)}. Give explain_batch an (image, text) pair for each.")
    if not isinstance(text, str):
        raise InputError(f"Expected the phrase as text, got {shown(text)}. Write it in quotation marks.")
    return text


def check_method(method: object) -> str:
    """The name of a method.

    Raises:
        InputError: several names, or anything else that is not text.
        UnknownName: no such method.
    """
    if not isinstance(method, str):
        raise InputError(
            f"Expected the name of one method, got {shown(method)}. matex.compare takes several methods; "
            "explain_batch takes pairs, list(zip(images, texts))."
        )
    METHODS[method]
    return method


def methods_by_name(methods: object) -> dict[str, Parameters]:
    """Methods as `compare` takes them: a name, names, or parameters by name."""
    if isinstance(methods, str):
        methods = [methods]
    chosen: dict[object, object]
    if is_mapping(methods):
        chosen = dict(methods)
    elif is_iterable(methods) and getattr(methods, "ndim", 1):  # an array of no dimension has no entries
        names = [check_method(name) for name in methods]
        check_once("method", names)
        chosen = {name: {} for name in names}
    else:
        raise InputError(f"Expected names of methods, got {shown(methods)}. matex.methods() lists them.")
    if not chosen:
        raise InputError("Expected at least one method, got none. matex.methods() lists them.")
    by_name: dict[str, Parameters] = {}
    for name, parameters in chosen.items():
        if not is_mapping(parameters):
            raise InputError(f"Expected parameters of {shown(name)} by name, got {shown(parameters)}.")
        by_name[check_method(name)] = {str(key): value for key, value in parameters.items()}
    return by_name


def check_inputs(model: Model, pixels: Tensor, token_ids: Tensor, paired: bool = True) -> None:
    """Refuse what is no batch of images and phrases for this model.

    Args:
        model: whose patches, tokens and context count.
        pixels: [image, channel, height, width].
        token_ids: [phrase, token]; images or spectrograms where the model's pair has no text.
        paired: as many phrases as images.

    Raises:
        InputError: other types, shapes, or values that the model cannot take.
    """
    for name, value, instead in (
        ("pixels", pixels, "model.prepare(matex.read(image))[0]"),
        ("token_ids", token_ids, "model.batch([model.encode(text)])"),
    ):
        if not isinstance(value, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(
                f"Expected {name} as a tensor, {instead}, got {shown(value, 60)}. "
                "matex.explain takes images and texts as they are."
            )
    on_words = model.sides[1] == "text"
    if not on_words:
        _check_on_grid(model, model.sides[1], token_ids)
    elif pixels.dim() != 4 or token_ids.dim() != 2 or not len(pixels) or not len(token_ids) or not token_ids.shape[1]:
        raise InputError(
            "Expected pixels [image, channel, height, width] and token_ids [phrase, token], got "
            f"{tuple(pixels.shape)} and {tuple(token_ids.shape)}."
        )
    if paired and len(pixels) != len(token_ids):
        raise InputError(
            "Expected pixels [1, channel, height, width] and token_ids [1, token], got "
            f"{tuple(pixels.shape)} and {tuple(token_ids.shape)}."
        )
    _check_on_grid(model, model.sides[0], pixels)
    if not on_words:
        return
    whole = not (token_ids.is_floating_point() or token_ids.is_complex() or token_ids.dtype == torch.bool)
    if not whole or not 1 <= token_ids.shape[1] <= model.context or token_ids.min() < 0:
        raise InputError(
            f"Expected whole token ids of 0 or more, at most {model.context} in a row, got "
            f"{token_ids.dtype} {tuple(token_ids.shape)}."
        )
    if int(token_ids.max()) >= model.vocabulary:
        raise InputError(f"Expected token ids below {model.vocabulary}, got {int(token_ids.max())}. Wrong tokenizer?")


def _check_on_grid(model: Model, modality: Modality, inputs: Tensor) -> None:
    """Refuse what is no batch of images, spectrograms or readings.

    Raises:
        InputError: other shapes, or values that are not finite.
    """
    channels, (height, width) = CHANNELS[modality], model.patch_of(modality)
    fits = inputs.dim() == 4 and inputs.shape[1] == channels
    if not fits or inputs.shape[2] < height or inputs.shape[3] < width:
        raise InputError(
            f"Expected {channels} channels and at least one patch of {height}x{width} pixels, "
            f"got {tuple(inputs.shape[1:])} (channel, height, width)."
        )
    if not inputs.is_floating_point() or not torch.isfinite(inputs).all():
        raise InputError("Expected finite floating-point pixels, got others. Check the preprocessing.")
