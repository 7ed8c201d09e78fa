"""Weight files: tensors read without running code, checked one by one, and fitted to a network.

Nothing is built and nothing is converted before the names and shapes in the file have been compared with what the
configuration asks for, so that a number in a configuration cannot make the process allocate more than the file holds.
"""

from __future__ import annotations

import argparse
import math
import re
import stat
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from matex.checks import is_mapping, is_object
from matex.errors import CheckpointError, shown

Tensors = dict[str, Tensor]
# Keys under which training frameworks store the weights of a checkpoint, in the order of preference.
_OUTER = ("state_dict", "model_state_dict", "model", "module", "net", "weights")
_AVERAGES = re.compile(r"(^|[^a-z])(ema|swa|averaged?)([^a-z]|$)", re.IGNORECASE)
# Attributes under which wrappers (DataParallel, torch.compile, Lightning) hold the network they wrap.
_WRAPPERS = re.compile(r"(?:module|_orig_mod|model|clip_model|clip|net|network|encoder|backbone)\.")
_ADAPTER = re.compile(r"(^|[._])(lora|loha|lokr|ia3|dora|vera|adapter|base_layer|base_model)(_|\.|$)", re.IGNORECASE)
_BUFFERS = re.compile(r"(^|\.)(position_ids|relative_position_index|num_batches_tracked)$")
_DEEPEST = 8  # wrappers around a network, more than any training framework puts there


def regular(path: Path) -> bool:
    """Whether a regular file exists at this path; folders, pipes and devices are refused.

    Raises:
        CheckpointError: a pipe, a device, a folder, or a path that cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise CheckpointError(f"Expected a file at {shown(str(path))}, got: {first_line(error)}.") from None
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"Expected a regular file at {shown(str(path))}, got a folder, a pipe or a device.")
    return True


def read_tensors(path: Path, options: bool = False) -> dict[str, object]:
    """Read a weights file: safetensors, or a file of torch.save read with weights_only.

    Args:
        path: of the file.
        options: allow the options of a training script (`argparse.Namespace`, which holds values and runs nothing)
            next to the tensors.

    Raises:
        CheckpointError: no such file, a damaged one, a TorchScript archive, or a pickle with other things than tensors.
    """
    if not regular(path):
        raise CheckpointError(f"Expected a checkpoint file, found none at {shown(str(path))}. Check the path.")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path, options)


def _read_safetensors(path: Path) -> dict[str, object]:
    from safetensors import safe_open

    try:
        opened: Any = safe_open(path, framework="pt")  # an extension without types
        with opened as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  the file is no mapping
    except Exception as error:  # a damaged file can raise nearly any exception
        raise CheckpointError(
            f"Expected weights in {shown(str(path))}, got: {first_line(error)}. Copy or download it again."
        ) from error


def _read_torch(path: Path, options: bool) -> dict[str, object]:
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
            unpacked = 0  # torch.load's own message names the fault
        # torch.save stores without compression: a larger content would fill the memory from a small file.
        if unpacked > path.stat().st_size:
            raise CheckpointError(f"Expected a file as torch.save writes it, got a compressed archive: {path.name!r}.")
    try:
        with torch.serialization.safe_globals([argparse.Namespace] if options else []):
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        kind = "a TorchScript archive" if "TorchScript" in str(error) else "something else or a broken file"
        raise CheckpointError(
            f"Expected a file of tensors alone in {shown(str(path))}, got {kind}, which is not opened since it could "
            "run code. Save it again as torch.save(model.state_dict(), ...) or as safetensors."
        ) from error
    if not is_object(content):
        raise CheckpointError(
            f"Expected a dictionary of tensors in {shown(str(path))}, got {type(content).__name__}. "
            "Save it again as torch.save(model.state_dict(), ...)."
        )
    return content


def unwrap(content: Mapping[str, object], landmark: str, source: str) -> Tensors:
    """Extract the state dict of a network from the checkpoint of a training framework.

    Outer keys ("state_dict", "model", ...) are opened and prefixes that all names share ("module.", "_orig_mod.",
    "model.", one inside the other too) are taken off until `landmark` is among the names.

    Args:
        content: of a weights file.
        landmark: a name that the state dict of this family has.
        source: named in refusals.

    Raises:
        CheckpointError: no tensors, or averaged weights next to the others, where the file does not say which to use.
    """
    state = content
    for _ in range(_DEEPEST):
        inner = [key for key in _OUTER if isinstance(state.get(key), Mapping)]
        averages = [
            str(key) for key, value in state.items() if isinstance(value, Mapping) and _AVERAGES.search(str(key))
        ]
        if not inner and not averages:
            break
        if averages:
            raise CheckpointError(
                f"Expected one set of weights in {source!r}, got averaged ones ({shown(averages[0])}) next to "
                f"{shown(inner[0]) if inner else 'none'}. Save the set that you mean as torch.save(state_dict, ...)."
            )
        nested = state[inner[0]]
        assert is_mapping(nested)
        state = {str(name): value for name, value in nested.items()}
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors or len(tensors) < len(state):
        other = next((type(value).__name__ for value in state.values() if not isinstance(value, Tensor)), "nothing")
        raise CheckpointError(
            f"Expected a dictionary of tensors in {source!r}, got one with {other}. "
            "Save it again as torch.save(model.state_dict(), ...)."
        )
    for _ in range(_DEEPEST):
        wrapper = _WRAPPERS.match(next(iter(tensors)))
        shared = wrapper is not None and all(name.startswith(wrapper.group()) for name in tensors)
        if landmark in tensors or wrapper is None or not shared:
            break
        tensors = {name.removeprefix(wrapper.group()): value for name, value in tensors.items()}
    return tensors


def prefixes(names: Iterable[str], landmark: str) -> list[str]:
    """Prefixes of the names that end with `landmark`, for error messages."""
    return sorted(name.removesuffix(landmark) for name in names if name.endswith("." + landmark))


def as_float32(tensors: Mapping[str, Tensor], source: str) -> Tensors:
    """Copy tensors to float32, independent of the file they were read from.

    Raises:
        CheckpointError: the first tensor that is not a dense one of finite floating-point numbers, by its name.
    """
    return {name: _as_float32(name, tensor, source) for name, tensor in tensors.items()}


def _as_float32(name: str, tensor: Tensor, source: str) -> Tensor:
    kind = None
    if tensor.layout != torch.strided:
        kind = f"a sparse one ({str(tensor.layout).removeprefix('torch.')})"
    elif tensor.is_quantized or not tensor.is_floating_point() or tensor.element_size() == 1:
        kind = f"one of {str(tensor.dtype).removeprefix('torch.')}, as quantised weights have"
    elif tensor.is_meta or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        kind = "one that is larger than what the file holds of it"
    if kind is not None:
        raise CheckpointError(
            f"Expected dense floating-point weights in {source!r}, got {name!r}, {kind}. "
            "Save the full weights in float32, float16 or bfloat16."
        )
    values = tensor.detach().to(torch.float32, copy=True).contiguous()
    refuse_not_finite({name: values}, source)
    return values


def refuse_not_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise when a tensor holds NaN or infinity.

    Raises:
        CheckpointError: naming the first such tensor and the number of its non-finite values.
    """
    for name, tensor in tensors.items():
        # One pass without a temporary of the tensor's size; minimum and maximum propagate NaN.
        if not tensor.numel() or not tensor.is_floating_point() or all(map(torch.isfinite, tensor.aminmax())):
            continue
        bad = int((~torch.isfinite(tensor)).sum())
        value = "NaN" if bool(tensor.isnan().any()) else "inf"
        raise CheckpointError(
            f"Expected finite weights in {source!r}, got {value} in {name!r} ({bad} of {tensor.numel()} values as "
            f"{str(tensor.dtype).removeprefix('torch.')}). Copy the checkpoint again, or load it in a wider dtype."
        )


def scale_of(logarithm: Tensor, source: str, name: str = "logit_scale") -> float:
    """The factor on cosines (inverse temperature) of a checkpoint, which stores its logarithm.

    Args:
        logarithm: the parameter.
        source: named in refusals.
        name: of the parameter.

    Raises:
        CheckpointError: no finite number above 0.
    """
    scale = float(logarithm.detach().exp())
    if not 0 < scale < math.inf:
        raise CheckpointError(
            f"Expected a {name} in {source!r} whose exponential is a finite number above 0, got "
            f"{float(logarithm.detach()):g}. Copy the checkpoint again."
        )
    return scale


def without_buffers(tensors: Tensors) -> Tensors:
    """The tensors without the integer buffers that old files carry: position numbers, indices, counts of batches.

    A network computes the first two itself, and no forward pass reads the last.
    """
    return {name: tensor for name, tensor in tensors.items() if not _BUFFERS.search(name)}


def refuse_incomplete(source: str, missing: Iterable[str], unexpected: Iterable[str], family: str = "CLIP") -> None:
    """Raise when weights have missing or unexpected names.

    Args:
        source: named in refusals.
        missing: names that the network has and the file has not.
        unexpected: names that the file has and the network has not.
        family: of the network, named in refusals.

    Raises:
        CheckpointError: with the first few names of each kind.
    """
    groups = [(kind, sorted(names)) for kind, names in (("missing", missing), ("unexpected", unexpected))]
    faults = [
        f"{len(names)} {kind} ({', '.join(name[:120] for name in names[:3])}{', ...' if len(names) > 3 else ''})"
        for kind, names in groups
        if names
    ]
    if not faults:
        return
    advice = "Use a complete checkpoint of this architecture."
    if any(_ADAPTER.search(name) for name in groups[1][1]):
        advice = "These are an adapter's (LoRA) weights: merge them into the base model first (peft: merge_and_unload)."
    raise CheckpointError(
        f"Expected all weights of a {family} model and no others in {source!r}, got {' and '.join(faults)}. {advice}"
    )


def fit(module: nn.Module, tensors: Tensors, source: str, family: str = "CLIP") -> None:
    """Assign weights to a network on the meta device.

    Args:
        module: the network, whose state dict is its complete state.
        tensors: by the names of that state dict; emptied, so that the weights are not held twice.
        source: named in refusals.
        family: of the network, named in refusals.

    Raises:
        CheckpointError: names that are missing or foreign, other shapes, or values that are not finite.
    """
    state = module.state_dict()
    # Integer buffers, such as positions, are computed by the network and are in no file.
    expected = {name: tuple(tensor.shape) for name, tensor in state.items() if tensor.is_floating_point()}
    refuse_incomplete(source, expected.keys() - tensors.keys(), tensors.keys() - expected.keys(), family)
    differing = [name for name, tensor in tensors.items() if tuple(tensor.shape) != expected[name]]
    if differing:
        name = min(differing)
        raise CheckpointError(
            f"Expected weights of one {family} model in {source!r}, got {len(differing)} of another shape ({name}: "
            f"{tuple(tensors[name].shape)} where {expected[name]} belongs). Use the checkpoint's own configuration."
        )
    values = {name: _as_float32(name, tensors.pop(name), source) for name in tuple(tensors)}
    module.load_state_dict(values, strict=len(expected) == len(state), assign=True)
    module.eval().requires_grad_(False)


def first_line(error: BaseException) -> str:
    """First line of an exception's message, for error messages of one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
