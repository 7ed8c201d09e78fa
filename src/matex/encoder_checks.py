"""Checks of one encoder: tokens, batches, padding, stages, attention, gradients, and where places lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.adapters.encoder import Attentive, Staged, State
from matex.forward_pass import embed, encode, run
from matex.model_check import ModelCheck, as_check, difference
from matex.trace import Trace


class Side(NamedTuple):
    """One side of a model with inputs for it."""

    encoder: Staged
    inputs: Tensor
    tolerance: float


def encoder_checks(side: Side) -> Iterator[ModelCheck]:
    encoder, kind = side.encoder, side.encoder.modality
    yield as_check(f"{kind}: the axis fits the tokens", _axis_fault(side))
    yield as_check(f"{kind}: a batch equals its items", _batch_fault(side))
    yield _padding(side)
    yield as_check(f"{kind}: a pass continues from every stage", _continuation_fault(side))
    if isinstance(encoder, Attentive):
        yield as_check(f"{kind}: attention and values give the output", _attention_fault(encoder, side))
        yield as_check(f"{kind}: gradients are those of an eager pass", _gradient_fault(encoder, side))
    yield as_check(f"{kind}: input gradients are slopes", _slope_fault(side))
    yield as_check(f"{kind}: another pass leaves nothing behind", _stale_fault(side))


def _start(encoder: Staged, inputs: Tensor) -> State:
    with torch.no_grad():
        return encoder.start(encoder.entry(inputs), inputs)


def _axis_fault(side: Side) -> str:
    for number, state in enumerate(run(side.encoder, side.inputs).states):
        axis, tokens = state.axis, state.hidden.shape[:2]
        if axis.valid.shape != tokens or axis.content.shape != tokens:
            return f"masks {tuple(axis.valid.shape)} for tokens {tuple(tokens)} before stage {number}"
        if bool((axis.content & ~axis.valid).any()):
            return f"content among the padding before stage {number}"
        if axis.grid and not bool((axis.content.sum(dim=1) == axis.grid[0] * axis.grid[1]).all()):
            return f"a grid of {axis.grid} for {axis.content.sum(dim=1).tolist()} content tokens before stage {number}"
    return ""


def _batch_fault(side: Side) -> str:
    together = encode(side.encoder, side.inputs)
    for number in range(len(side.inputs)):
        one = side.inputs[number : number + 1]
        if not side.encoder.differentiable_input:
            length = int(side.encoder.axis(one).valid.sum())
            one = side.encoder.collate([cast(list[int], one[0, :length].tolist())]).to(one.device)
        fault = difference(encode(side.encoder, one)[0], together[number], side.tolerance)
        if fault:
            return f"item {number} alone {fault}"
    return ""


def _padding(side: Side) -> ModelCheck:
    """Noise in the place of padding must reach nothing."""
    name, state = f"{side.encoder.modality}: padding is not attended to", _start(side.encoder, side.inputs)
    if not state.axis.padded:
        return ModelCheck(name, "skipped", "nothing is padded")
    noise = torch.randn(state.hidden.shape, generator=torch.Generator().manual_seed(1)).to(state.hidden)
    noisy = State(torch.where(state.axis.valid[..., None], state.hidden, 10 * noise), state.axis)
    with torch.no_grad():
        found, expected = embed(side.encoder, noisy), embed(side.encoder, state)
    return as_check(name, difference(found, expected, side.tolerance))


def _continuation_fault(side: Side) -> str:
    forward = run(side.encoder, side.inputs)
    for number, state in enumerate(forward.states):
        with torch.no_grad():
            fault = difference(embed(side.encoder, state, number), forward.embedding, side.tolerance)
        if fault:
            return f"from stage {number} it {fault}"
    state = _start(side.encoder, side.inputs)
    with torch.no_grad():
        for number in range(side.encoder.depth):
            state = side.encoder.stage(number, state)
            if number + 1 < len(forward.states):
                fault = difference(state.hidden, forward.states[number + 1].hidden, side.tolerance)
                if fault:
                    return f"stage {number} by itself {fault}"
    return ""


def _target(side: Side) -> Tensor:
    """A unit vector of the joint space for each input."""
    joint = encode(side.encoder, side.inputs[:1]).shape[-1]
    target = torch.randn(len(side.inputs), joint, generator=torch.Generator().manual_seed(2))
    return F.normalize(target, dim=-1).to(side.inputs.device)


def _trace(side: Side) -> Trace:
    target = _target(side).to(encode(side.encoder, side.inputs[:1]))
    return Trace(run(side.encoder, side.inputs), torch.arange(len(side.inputs), device=target.device), target)


def _attention_fault(encoder: Attentive, side: Side) -> str:
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
        fault = difference(found[read], output[read], 10 * side.tolerance)
        if fault:
            return f"in block {layer} it {fault}"
    return ""


def _gradient_fault(encoder: Attentive, side: Side) -> str:
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
        fault = difference(found / size, expected / size, 10 * side.tolerance)
        if fault:
            return f"in block {layer} it {fault}"
    return ""


def _slope_fault(side: Side) -> str:
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
    return difference((slope / length).to(trace.target), torch.ones_like(slope).to(trace.target), 0.1)


def _stale_fault(side: Side) -> str:
    """Read what a trace computes on demand before and after a pass over other inputs."""
    if len(side.inputs) < 2:
        return ""
    first, other = side.inputs[:1], side.inputs[1:2]
    alone = _reading(_trace(Side(side.encoder, first, side.tolerance)))
    trace = _trace(Side(side.encoder, first, side.tolerance))
    encode(side.encoder, other)
    for name, value in _reading(trace).items():
        fault = difference(value, alone[name], side.tolerance)
        if fault:
            return f"{name} after it {fault}"
    return ""


def _reading(trace: Trace) -> dict[str, Tensor]:
    """Values that a trace computes on demand; those that start a pass of their own come last."""
    values = {"the score": trace.score}
    if trace.attentive:
        values |= {"attention": trace.attention(0), "the gradient of all tokens": trace.gradient_rows(0)}
    return {**values, "the input gradient": trace.gradient_entry()}


def corner_checks(side: Side) -> Iterator[ModelCheck]:
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
    ends = ((0, 0), (0, 1), (1, 0), (1, 1)) if height > 1 else ((0, 0), (0, 1))  # motion has a height of 1
    deep, wide = max(1, height // 8), width // 8
    for down, across in ends:
        planted = pixels.clone()
        y, x = down * (height - deep), across * (width - wide)
        planted[..., y : y + deep, x : x + wide] += 3.0
        changed = run(encoder, planted).states
        for number, state in enumerate(states):
            rows, columns = state.axis.grid or axis.grid
            change = changed[number].hidden - state.hidden
            move = cast(Tensor, torch.linalg.vector_norm(change, dim=-1))[state.axis.content]
            row, column = divmod(int(move.argmax()), columns)
            corner = ("top", "bottom")[down] + " " + ("left", "right")[across]
            if (rows > 1 and (row >= rows / 2) != bool(down)) or (column >= columns / 2) != bool(across):
                faults.append(
                    f"the {corner} one in row {row}, column {column} of {rows} x {columns} before stage {number}"
                )
    yield as_check(name, "; ".join(faults[:2]))
