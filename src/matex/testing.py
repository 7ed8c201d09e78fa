"""`check_model`: does an adapter say of a model what is true? For authors of model families and their tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters import siglip2
from matex.adapters.encoder import Attentive, Modality, Staged, State
from matex.adapters.model import Encoded, Model
from matex.attribution import METHODS
from matex.errors import InputError, UnsupportedModel
from matex.forward_pass import embed, encode, run
from matex.protocols import Method, make, unserved
from matex.recording import record
from matex.trace import Trace

Library = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
PHRASES = ("opacity in the left lower lung", "no effusion", "a nodule and consolidation on the right")
_TOLERANCE = {torch.float64: 1e-8, torch.float32: 2e-5, torch.bfloat16: 5e-2, torch.float16: 1e-2}
_FEW: Mapping[str, Any] = {"masks": 8, "samples": 8, "steps": 2}
"""Settings that make costly methods cheap: what is checked is that they run."""


@dataclass(frozen=True)
class ModelCheck:
    """One property of a model.

    Args:
        name: such as "image: a batch equals its items".
        state: "skipped" where the model does not have what the check is about.
        detail: what was found wrong, or why it was skipped.
    """

    name: str
    state: Literal["pass", "fail", "skipped"]
    detail: str = ""


class _Side(NamedTuple):
    """One side of a model with inputs for it."""

    encoder: Staged
    inputs: Tensor
    tolerance: float


def check_model(
    model: Model,
    *,
    pixels: Tensor | None = None,
    token_ids: Tensor | None = None,
    library: Library | None = None,
    methods: Sequence[str] | None = None,
) -> tuple[ModelCheck, ...]:
    """ModelCheck that a model's encoders are what their adapter says.

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
        found += _side_checks(_Side(encoder, inputs, tolerance))
    if isinstance(model.image, Staged):
        found += _corner_checks(_Side(model.image, images[:1], tolerance))
    if model.sides[1] == "text":
        found += [_removal(model, phrases, tolerance), *_offsets(model)]
    found += _method_checks(model, images, phrases, methods)
    changed = _fingerprint(model) != before
    found.append(
        _check("the network is left as it was", "weights, flags, hooks or gradients changed" if changed else "")
    )
    failed = [f"{check.name}: {check.detail}" for check in found if check.state == "fail"]
    if failed:
        raise AssertionError(f"{len(failed)} of {len(found)} checks of {model.name!r} failed. " + " | ".join(failed))
    return tuple(found)


def _check(name: str, fault: str) -> ModelCheck:
    return ModelCheck(name, "fail" if fault else "pass", fault)


def _differ(found: Tensor, expected: Tensor, tolerance: float) -> str:
    """What is wrong with values that should be equal; empty when nothing is."""
    if found.shape != expected.shape:
        return f"expected shape {tuple(expected.shape)}, got {tuple(found.shape)}"
    if not bool(torch.isfinite(found).all()):
        return "got values that are not finite"
    size = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
    error = float((found - expected).abs().max()) / size if found.numel() else 0.0
    return f"differs by {error:.1e}, at most {tolerance:g} expected" if error > tolerance else ""


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
        channels = 1 if modality == "audio" else 3
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(2, channels, *preprocessing.size, generator=generator)
    return inputs.to(model.device, model.dtype)


def _of_transformers(model: Model) -> Library | None:
    """The library's own forward of a network of transformers."""
    module: Any = model.module
    if model.sides != ("image", "text"):
        return None
    if not (hasattr(module, "get_image_features") and hasattr(module, "get_text_features")):
        return None

    def features(pixels: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        other = tuple(pixels.shape[-2:]) != getattr(model.image, "size", tuple(pixels.shape[-2:]))
        images: dict[str, Any] = {"pixel_values": pixels} | ({"interpolate_pos_encoding": True} if other else {})
        if isinstance(model.image, siglip2.ImageTower):
            images = model.image.library_inputs(pixels)
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
        yield _check(name.format(encoder.modality), _differ(found, F.normalize(expected.to(found), dim=-1), tolerance))


def _side_checks(side: _Side) -> Iterator[ModelCheck]:
    encoder, kind = side.encoder, side.encoder.modality
    yield _check(f"{kind}: the axis fits the tokens", _axis_fault(side))
    yield _check(f"{kind}: a batch equals its items", _batch_fault(side))
    yield _padding(side)
    yield _check(f"{kind}: a pass continues from every stage", _continuation_fault(side))
    if isinstance(encoder, Attentive):
        yield _check(f"{kind}: attention and values give the output", _attention_fault(encoder, side))
        yield _check(f"{kind}: gradients are those of an eager pass", _gradient_fault(encoder, side))
    yield _check(f"{kind}: input gradients are slopes", _slope_fault(side))
    yield _check(f"{kind}: another pass leaves nothing behind", _stale_fault(side))


def _start(encoder: Staged, inputs: Tensor) -> State:
    with torch.no_grad():
        return encoder.start(encoder.entry(inputs), inputs)


def _axis_fault(side: _Side) -> str:
    for number, state in enumerate(run(side.encoder, side.inputs).states):
        axis, tokens = state.axis, state.hidden.shape[:2]
        if axis.valid.shape != tokens or axis.content.shape != tokens:
            return f"masks {tuple(axis.valid.shape)} for tokens {tuple(tokens)} before stage {number}"
        if bool((axis.content & ~axis.valid).any()):
            return f"content among the padding before stage {number}"
        if axis.grid and not bool((axis.content.sum(dim=1) == axis.grid[0] * axis.grid[1]).all()):
            return f"a grid of {axis.grid} for {axis.content.sum(dim=1).tolist()} content tokens before stage {number}"
    return ""


def _batch_fault(side: _Side) -> str:
    together = encode(side.encoder, side.inputs)
    for number in range(len(side.inputs)):
        one = side.inputs[number : number + 1]
        if not side.encoder.differentiable_input:
            length = int(side.encoder.axis(one).valid.sum())
            one = side.encoder.collate([cast(list[int], one[0, :length].tolist())]).to(one.device)
        fault = _differ(encode(side.encoder, one)[0], together[number], side.tolerance)
        if fault:
            return f"item {number} alone {fault}"
    return ""


def _padding(side: _Side) -> ModelCheck:
    """Noise in the place of padding must reach nothing."""
    name, state = f"{side.encoder.modality}: padding is not attended to", _start(side.encoder, side.inputs)
    if not state.axis.padded:
        return ModelCheck(name, "skipped", "nothing is padded")
    noise = torch.randn(state.hidden.shape, generator=torch.Generator().manual_seed(1)).to(state.hidden)
    noisy = State(torch.where(state.axis.valid[..., None], state.hidden, 10 * noise), state.axis)
    with torch.no_grad():
        found, expected = embed(side.encoder, noisy), embed(side.encoder, state)
    return _check(name, _differ(found, expected, side.tolerance))


def _continuation_fault(side: _Side) -> str:
    forward = run(side.encoder, side.inputs)
    for number, state in enumerate(forward.states):
        with torch.no_grad():
            fault = _differ(embed(side.encoder, state, number), forward.embedding, side.tolerance)
        if fault:
            return f"from stage {number} it {fault}"
    state = _start(side.encoder, side.inputs)
    with torch.no_grad():
        for number in range(side.encoder.depth):
            state = side.encoder.stage(number, state)
            if number + 1 < len(forward.states):
                fault = _differ(state.hidden, forward.states[number + 1].hidden, side.tolerance)
                if fault:
                    return f"stage {number} by itself {fault}"
    return ""


def _target(side: _Side) -> Tensor:
    """A unit vector of the joint space for each input."""
    joint = encode(side.encoder, side.inputs[:1]).shape[-1]
    target = torch.randn(len(side.inputs), joint, generator=torch.Generator().manual_seed(2))
    return F.normalize(target, dim=-1).to(side.inputs.device)


def _trace(side: _Side) -> Trace:
    target = _target(side).to(encode(side.encoder, side.inputs[:1]))
    return Trace(run(side.encoder, side.inputs), torch.arange(len(side.inputs), device=target.device), target)


def _attention_fault(encoder: Attentive, side: _Side) -> str:
    """Compare each block's output with softmax(q k^T / sqrt(head_dim) + mask) v, from which methods take attention."""
    for layer, state in enumerate(run(encoder, side.inputs).states[: encoder.depth]):
        with torch.no_grad():
            query, key, value, output = encoder.attend(layer, encoder.norm(layer, state.hidden), state.axis)
            mask = encoder.mask(layer, state.axis)
            logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
            rows = (logits if mask is None else logits.masked_fill(~mask, -torch.inf)).softmax(dim=-1)
            found = (rows @ value).transpose(1, 2).flatten(2)
        # What a padded token itself reads is nowhere used.
        read = state.axis.valid if output.shape[1] > 1 else slice(None)
        fault = _differ(found[read], output[read], 10 * side.tolerance)
        if fault:
            return f"in block {layer} it {fault}"
    return ""


def _gradient_fault(encoder: Attentive, side: _Side) -> str:
    """Compare gradients at the attention outputs with autograd over every row of every block."""
    trace, state = _trace(side), _start(encoder, side.inputs)
    outputs: list[Tensor] = []
    with torch.enable_grad():
        state = State(state.hidden.detach().requires_grad_(), state.axis)
        for layer in range(encoder.depth):
            output = encoder.attend(layer, encoder.norm(layer, state.hidden), state.axis).output
            outputs.append(output)
            state = state.followed_by(encoder.after_attention(layer, state.hidden, output), layer in encoder.taps)
        position = encoder.readers(state.axis).position
        if position is not None:
            rows = state.hidden[torch.arange(len(position), device=position.device), position]
            state = State(rows[:, None], state.axis, state.earlier)
        score = (F.normalize(encoder.pool(state).to(trace.target), dim=-1) * trace.target).sum()
        gradients = torch.autograd.grad(score, outputs)
    for layer, expected in enumerate(gradients):
        expected = expected.to(trace.target)
        found = trace.gradient_rows(layer).transpose(1, 2).flatten(2)
        size = float(expected.abs().max()) or 1.0
        fault = _differ(found / size, expected / size, 10 * side.tolerance)
        if fault:
            return f"in block {layer} it {fault}"
    return ""


def _slope_fault(side: _Side) -> str:
    """Compare the gradient at the entry with a difference quotient along itself; only where rounding allows it."""
    if side.inputs.dtype in (torch.float16, torch.bfloat16) or side.tolerance > 1e-4:
        return ""
    trace = _trace(side)
    gradient = trace.gradient_entry()
    with torch.no_grad():
        entry = side.encoder.entry(side.inputs)
        length = cast(Tensor, torch.linalg.vector_norm(gradient.flatten(1), dim=1)).clamp(min=1e-12)
        step = (1e-5 if side.tolerance < 1e-6 else 1e-2) / length
        way = (gradient * (step / length).view(-1, *[1] * (gradient.dim() - 1))).to(entry)
        ends = [
            (embed(side.encoder, side.encoder.start(point, side.inputs)) * trace.target).sum(-1)
            for point in (entry + way, entry - way)
        ]
    slope = (ends[0] - ends[1]) / (2 * step)
    return _differ((slope / length).to(trace.target), torch.ones_like(slope).to(trace.target), 0.1)


def _stale_fault(side: _Side) -> str:
    """Read what a trace computes on demand before and after a pass over other inputs."""
    if len(side.inputs) < 2:
        return ""
    first, other = side.inputs[:1], side.inputs[1:2]
    alone = _reading(_trace(_Side(side.encoder, first, side.tolerance)))
    trace = _trace(_Side(side.encoder, first, side.tolerance))
    encode(side.encoder, other)
    for name, value in _reading(trace).items():
        fault = _differ(value, alone[name], side.tolerance)
        if fault:
            return f"{name} after it {fault}"
    return ""


def _reading(trace: Trace) -> dict[str, Tensor]:
    """What a trace computes when it is asked; what starts a pass of its own comes last."""
    values = {"the score": trace.score}
    if trace.attentive:
        values |= {"attention": trace.attention(0), "the gradient of all tokens": trace.gradient_rows(0)}
    return {**values, "the input gradient": trace.gradient_entry()}


def _corner_checks(side: _Side) -> Iterator[ModelCheck]:
    """A patch that is planted in a corner of the image changes the tokens of that corner of the grid."""
    pixels, encoder = side.inputs, side.encoder
    axis = _start(encoder, pixels).axis
    name = f"{encoder.modality}: a planted patch is found in each corner"
    if axis.grid is None:
        yield ModelCheck(name, "skipped", "no grid")
        return
    height, width = pixels.shape[-2:]
    faults: list[str] = []
    forward = run(encoder, pixels)
    states = forward.states if forward.readers is None else forward.states[:1]
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        planted = pixels.clone()
        y, x = down * (height - height // 8), across * (width - width // 8)
        planted[..., y : y + height // 8, x : x + width // 8] += 3.0
        changed = run(encoder, planted).states
        for number, state in enumerate(states):
            rows, columns = state.axis.grid or axis.grid
            change = changed[number].hidden - state.hidden
            move = cast(Tensor, torch.linalg.vector_norm(change, dim=-1))[state.axis.content]
            row, column = divmod(int(move.argmax()), columns)
            corner = ("top", "bottom")[down] + " " + ("left", "right")[across]
            if (row >= rows / 2) != bool(down) or (column >= columns / 2) != bool(across):
                faults.append(
                    f"the {corner} one in row {row}, column {column} of {rows} x {columns} before stage {number}"
                )
    yield _check(name, "; ".join(faults[:2]))


def _removal(model: Model, phrases: Tensor, tolerance: float) -> ModelCheck:
    encoder, name = model.text, "text: removing nothing changes nothing"
    if not isinstance(encoder, Staged):
        return ModelCheck(name, "skipped", "a black box")
    for number in range(len(phrases)):
        phrase = phrases[number : number + 1]
        content = int(encoder.axis(phrase).content.sum())
        kept = torch.ones(1, content, dtype=torch.bool)
        fault = _differ(encode(encoder, encoder.remove(phrase, kept)), encode(encoder, phrase), tolerance)
        if fault:
            return _check(name, f"phrase {number} {fault}")
        if content > 1:
            kept[0, 0] = False
            left = int(encoder.axis(encoder.remove(phrase, kept)).content.sum())
            if left != content - 1:
                return _check(name, f"phrase {number} has {left} content tokens after one of {content} was removed")
    return _check(name, "")


def _offsets(model: Model) -> Iterator[ModelCheck]:
    name = "text: tokens lie where the tokenizer says"
    if model.tokenizer is None:
        yield ModelCheck(name, "skipped", "no tokenizer")
        return
    yield _check(name, next((fault for text in PHRASES if (fault := _offset_fault(model, text))), ""))


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
        yield _check(f"{side}: every method works or refuses", "; ".join(faults[:3]))


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


def _fingerprint(model: Model) -> tuple[Any, ...]:
    """Weights, flags, gradients and hooks of the network."""
    module = model.module
    weights = tuple((name, tensor._version, tensor.requires_grad) for name, tensor in module.named_parameters())
    graded = tuple(name for name, tensor in module.named_parameters() if tensor.grad is not None)
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")  # torch has no public list of them
    parts = cast(Iterator[tuple[str, nn.Module]], module.named_modules())
    hooks = tuple((name, part.training, *(len(getattr(part, kind)) for kind in kinds)) for name, part in parts)
    return model.weights_sha256, weights, graded, hooks
