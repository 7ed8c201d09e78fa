"""`check_model`: the conformance suite of model adapters, for authors of model families and their tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters import siglip2
from matex.adapters.encoder import CHANNELS, Modality, Staged
from matex.adapters.library import Network
from matex.adapters.model import Encoded, Model
from matex.attribution import METHODS
from matex.encoder_checks import Side, corner_checks, encoder_checks
from matex.errors import InputError, UnsupportedModel
from matex.forward_pass import encode
from matex.model_check import ModelCheck, as_check, difference
from matex.protocols import Method, make, unserved
from matex.recording import record

Library = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
PHRASES = ("opacity in the left lower lung", "no effusion", "a nodule and consolidation on the right")
_TOLERANCE = {torch.float64: 1e-8, torch.float32: 2e-5, torch.bfloat16: 5e-2, torch.float16: 1e-2}
_FEW: Mapping[str, object] = {"masks": 8, "samples": 8, "steps": 2}
"""Settings that make costly methods cheap: what is checked is that they run."""


def check_model(
    model: Model,
    *,
    pixels: Tensor | None = None,
    token_ids: Tensor | None = None,
    library: Library | None = None,
    methods: Sequence[str] | None = None,
) -> tuple[ModelCheck, ...]:
    """Check that a model's encoders are what their adapter says.

    The embedding is the library's own; a batch equals its items, padded and not; padding reaches nothing; a pass
    continues from every stage; attention times values is each block's output; gradients are those of an eager pass; a
    patch that is planted in each corner of the image is found in that corner of the grid; removing nothing changes
    nothing; tokens lie where the tokenizer says; another pass in between leaves nothing behind; every method works or
    refuses; and the network is left as it was.

    Args:
        model: any model of `matex.load`, `matex.from_encoders`, or of an adapter under test; of more than two encoders
            the pair that `Model.between` chose.
        pixels: at least two different images as the model reads them, [image, channel, height, width]; random ones
            where the model has preprocessing. Spectrograms where the pair's first side is audio.
        token_ids: at least two phrases of different lengths, as the model's `batch` pads them; `PHRASES` where it has a
            tokenizer. Images or spectrograms, as `pixels`, where the pair's second side is not text.
        library: embeddings of pixels and token ids by the library that the network comes from, normalised or not. A
            network of transformers has its own; without it that check is skipped.
        methods: names of methods to run; all otherwise.

    Returns:
        Every check with its state; none of them failed.

    Raises:
        AssertionError: naming every check that failed and what was found.
        InputError: a model without preprocessing or tokenizer, and no pixels or token ids.

    Examples:
        >>> from matex.testing import check_model
        >>> checks = check_model(matex.load("tiny"), methods=["grad-eclip"])
        >>> {check.state for check in checks} <= {"pass", "skipped"}
        True
    """
    images, phrases = _images(model, pixels), _phrases(model, token_ids)
    tolerance = _TOLERANCE[model.dtype]
    before = _fingerprint(model)
    found = [*_library_checks(model, images, phrases, library or _of_transformers(model), tolerance)]
    for inputs, encoder in ((images, model.image), (phrases, model.text)):
        if not isinstance(encoder, Staged):
            found.append(ModelCheck(f"{encoder.modality}: stages", "skipped", "a black box"))
            continue
        found += encoder_checks(Side(encoder, inputs, tolerance))
    if isinstance(model.image, Staged):
        found += corner_checks(Side(model.image, images[:1], tolerance))
    if model.sides[1] == "text":
        found += [_removal(model, phrases, tolerance), *_offsets(model)]
    found += _method_checks(model, images, phrases, methods)
    changed = _fingerprint(model) != before
    found.append(
        as_check("the network is left as it was", "weights, flags, hooks or gradients changed" if changed else "")
    )
    failed = [f"{check.name}: {check.detail}" for check in found if check.state == "fail"]
    if failed:
        raise AssertionError(f"{len(failed)} of {len(found)} checks of {model.name!r} failed. " + " | ".join(failed))
    return tuple(found)


def _images(model: Model, pixels: Tensor | None) -> Tensor:
    return _on_grid(model, model.sides[0], pixels, "pixels", 0)


def _phrases(model: Model, token_ids: Tensor | None) -> Tensor:
    if model.sides[1] != "text":
        return _on_grid(model, model.sides[1], token_ids, "token_ids", 3)
    if token_ids is None:
        if model.tokenizer is None:
            raise InputError("Expected token_ids for a model without a tokenizer, got none. Give token_ids=.")
        return model.batch([model.encode(phrase) for phrase in PHRASES])
    return token_ids.to(model.device)


def _on_grid(model: Model, modality: Modality, inputs: Tensor | None, name: str, seed: int) -> Tensor:
    """Images or spectrograms as given, or random ones of the size that the model's preprocessing makes."""
    if inputs is None:
        preprocessing = model.preprocessing_of(modality)
        if preprocessing is None:
            raise InputError(f"Expected {name} for a model without preprocessing, got none. Give {name}=.")
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(2, CHANNELS[modality], *preprocessing.size, generator=generator)
    return inputs.to(model.device, model.dtype)


def _of_transformers(model: Model) -> Library | None:
    """The library's own forward of a network of transformers."""
    module: Network = model.module
    if model.sides != ("image", "text"):
        return None
    if not (hasattr(module, "get_image_features") and hasattr(module, "get_text_features")):
        return None

    def features(pixels: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        other = tuple(pixels.shape[-2:]) != getattr(model.image, "size", tuple(pixels.shape[-2:]))
        images: Mapping[str, Tensor | bool]
        if isinstance(model.image, siglip2.ImageTower):
            images = model.image.library_inputs(pixels)
        else:
            images = {"pixel_values": pixels, **({"interpolate_pos_encoding": True} if other else {})}
        valid = model.text.axis(token_ids).valid.long()
        with torch.no_grad():
            found = (
                module.get_image_features(**images),
                module.get_text_features(token_ids, attention_mask=valid),
            )
        image, text = (getattr(one, "pooler_output", one) for one in found)
        return image, text

    return features


def _library_checks(
    model: Model, images: Tensor, phrases: Tensor, library: Library | None, tolerance: float
) -> Iterator[ModelCheck]:
    name = "{}: the embedding is the library's own"
    if library is None:
        for side in model.sides:
            yield ModelCheck(name.format(side), "skipped", "no forward of the library given")
        return
    for encoder, inputs, expected in zip(
        (model.image, model.text), (images, phrases), library(images, phrases), strict=True
    ):
        found = encode(encoder, inputs)
        fault = difference(found, F.normalize(expected.to(found), dim=-1), tolerance)
        yield as_check(name.format(encoder.modality), fault)


def _removal(model: Model, phrases: Tensor, tolerance: float) -> ModelCheck:
    encoder, name = model.text, "text: removing nothing changes nothing"
    if not isinstance(encoder, Staged):
        return ModelCheck(name, "skipped", "a black box")
    for number in range(len(phrases)):
        phrase = phrases[number : number + 1]
        content = int(encoder.axis(phrase).content.sum())
        kept = torch.ones(1, content, dtype=torch.bool)
        fault = difference(encode(encoder, encoder.remove(phrase, kept)), encode(encoder, phrase), tolerance)
        if fault:
            return as_check(name, f"phrase {number} {fault}")
        if content > 1:
            kept[0, 0] = False
            left = int(encoder.axis(encoder.remove(phrase, kept)).content.sum())
            if left != content - 1:
                return as_check(name, f"phrase {number} has {left} content tokens after one of {content} was removed")
    return as_check(name, "")


def _offsets(model: Model) -> Iterator[ModelCheck]:
    name = "text: tokens lie where the tokenizer says"
    if model.tokenizer is None:
        yield ModelCheck(name, "skipped", "no tokenizer")
        return
    yield as_check(name, next((fault for text in PHRASES if (fault := _offset_fault(model, text))), ""))


def _offset_fault(model: Model, text: str) -> str:
    assert model.tokenizer is not None
    encoded = model.encode(text)
    content = model.text.axis(model.batch([Encoded(encoded.ids, ())]))
    words = [number for number, (a, b) in enumerate(encoded.spans) if b > a]
    positions = cast(list[int], content.content[0].nonzero()[:, 0].tolist())
    if positions != words:
        return f"content tokens at {positions}, tokens with characters at {words} in {text!r}"
    for number in words:
        token = str(model.tokenizer.convert_ids_to_tokens(encoded.ids[number]))
        a, b = encoded.spans[number]
        letters, there = (re.sub(r"[^a-z0-9]", "", part.lower().replace("</w>", "")) for part in (token, text[a:b]))
        unknown = encoded.ids[number] == getattr(model.tokenizer, "unk_token_id", None)
        if letters and letters != there and not unknown:  # a piece without letters marks the start of a word
            return f"token {token!r} at characters {a} to {b} of {text!r}, which are {text[a:b]!r}"
    return ""


def _method_checks(
    model: Model, images: Tensor, phrases: Tensor, methods: Sequence[str] | None
) -> Iterator[ModelCheck]:
    names = [*METHODS] if methods is None else methods
    for side in ("image", "text"):
        faults = [f"{name} {fault}" for name in names if (fault := _method_fault(model, images, phrases, name, side))]
        yield as_check(f"{side}: every method works or refuses", "; ".join(faults[:3]))


def _method_fault(model: Model, images: Tensor, phrases: Tensor, name: str, side: str) -> str:
    method = _cheap(name)
    if unserved(method, *((model.image, model.text) if side == "image" else (model.text, model.image))):
        return ""
    traces = record(model, images[:1], phrases[:1])
    trace = traces.image if side == "image" else traces.text
    try:
        values = method(trace)
    except (ImportError, InputError):  # an extra that is not installed; a tower too shallow for the defaults
        return ""
    except UnsupportedModel as error:  # further phrases, of a pair without words
        return f"raised UnsupportedModel: {error}" if model.sides[1] == "text" else ""
    except Exception as error:  # whatever a method over a wrong adapter raises
        return f"raised {type(error).__name__}: {error}"
    on_grid = trace.grid is not None
    finite = torch.isfinite(values) if on_grid else torch.isfinite(values)[trace.content]
    if len(values) != 1 or values.dim() != (3 if on_grid else 2):
        return f"gave {tuple(values.shape)}"
    return "" if bool(finite.all()) else "gave values that are not finite"


def _cheap(name: str) -> Method:
    fields = METHODS[name].__dataclass_fields__
    return make(name, {key: value for key, value in _FEW.items() if key in fields})


def _fingerprint(model: Model) -> tuple[object, ...]:
    """Weights, flags, gradients and hooks of the network."""
    module = model.module
    weights = tuple((name, tensor._version, tensor.requires_grad) for name, tensor in module.named_parameters())
    graded = tuple(name for name, tensor in module.named_parameters() if tensor.grad is not None)
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")  # torch has no public list of them
    parts = cast(Iterator[tuple[str, nn.Module]], module.named_modules())
    hooks = tuple((name, part.training, *(len(getattr(part, kind)) for kind in kinds)) for name, part in parts)
    return model.weights_sha256, weights, graded, hooks
