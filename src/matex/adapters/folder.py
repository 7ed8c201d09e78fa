"""Hugging Face folders: location, JSON files, and selection of the weight files.

Contents that would change the model and are not supported (an adapter, a quantisation, custom code, a second set of
weights) are refused by name, never silently ignored.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from matex import checks
from matex.adapters.checkpoint import as_float32, read_tensors, regular
from matex.adapters.hub import fetch, weight_files
from matex.errors import CheckpointError, InputError, UnsupportedModel, shown

CONFIGS = ("config.json", "processor_config.json", "preprocessor_config.json", "open_clip_config.json")
TOKENIZERS = (
    *("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "spiece.model"),
    *("tokenizer_config.json", "special_tokens_map.json"),
)
# Sets of weights in the order in which transformers prefers them; an index names the files of a set.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
OPEN_CLIP_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_OTHER_FRAMEWORKS = {"tf_model.h5": "TensorFlow", "flax_model.msgpack": "Flax", "model.onnx": "ONNX"}
_ADAPTER = re.compile(
    r"(^|[^a-z])(adapters?|q?lora|loha|lokr|ia3|dora)([^a-z].*)?\.(json|safetensors|bin|pt|pth|ckpt)$", re.IGNORECASE
)
_TRAINING = re.compile(r"(optimizer|scheduler|scaler|rng_state|training_args|trainer_state)", re.IGNORECASE)
_TENSORS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Weights:
    """The weights of a folder.

    Args:
        tensors: by name, as stored; of a training framework's file also what lies next to them.
        notes: what else lies in the folder that a reader must know of.
    """

    tensors: dict[str, object]
    notes: tuple[str, ...]


def locate(
    source: str,
    cached_only: bool = False,
    weights: Sequence[str] = WEIGHTS,
    further: re.Pattern[str] | None = None,
) -> Path:
    """Locate the folder of a model: a local one, or that of a hub id in the hub's cache, downloaded where needed.

    Args:
        source: folder or hub id.
        cached_only: do not contact the hub.
        weights: names of sets of weights, the first of which is downloaded too; none for the tokenizer and the
            configuration alone.
        further: names of other files to download, of families that keep weights in several files.

    Raises:
        CheckpointError: no folder, and no hub id that can be had; one line after one attempt.
    """
    path = os.path.expanduser(source)
    if os.path.isdir(path):  # returns False, where pathlib raises, for names that no file system accepts
        return Path(path)

    def wanted(names: list[str]) -> list[str]:
        """Configurations, the tokenizer, one set of weights and what a family names besides."""
        # Adapters are downloaded too, so that `refuse_foreign` sees them next to the base weights.
        plain = [n for n in names if n in (*CONFIGS, *TOKENIZERS) or ("/" not in n and _ADAPTER.search(n))]
        others = [name for name in names if further and further.fullmatch(name)]
        return [*plain, *weight_files(names, weights), *others]

    return fetch(source, wanted, cached_only)


def read_json(folder: Path, file: str, own_code: bool = False) -> dict[str, object] | None:
    """Read a JSON file of a folder; None when it does not exist.

    Args:
        folder: of the model.
        file: its name there.
        own_code: accept a file that names code of the model's own, where the family is written out here. The code is
            not run either way.

    Raises:
        CheckpointError: no regular file, or a file that is no JSON object.
        UnsupportedModel: a file that names code to be run.
    """
    path = folder / file
    if not regular(path):
        return None
    try:
        content = checks.parse_json(checks.read_text(path, f"JSON in {file}"), f"{file} of {shown(str(folder))}")
        json.dumps(content, ensure_ascii=False).encode()
    except InputError as error:
        raise CheckpointError(str(error)) from None
    except UnicodeEncodeError:
        raise CheckpointError(
            f"Expected Unicode in {file} of {shown(str(folder))}, got halves of characters (lone surrogates). "
            "Save the file again with the library that wrote it."
        ) from None
    if content.get("auto_map") and not own_code:
        raise UnsupportedModel(
            f"Expected a model of the library's own code, but {file} of {shown(str(folder))} names code of its own "
            "(auto_map), which is not run. Convert the model to a plain CLIPModel."
        )
    return content


def refuse_foreign(folder: Path, config: Mapping[str, object] | None) -> None:
    """Refuse contents that would change the model and are not supported: adapters and quantised weights.

    Raises:
        CheckpointError: an adapter, alone or next to base weights.
        UnsupportedModel: weights that the configuration says are quantised.
    """
    adapters = [name for name in _names(folder) if _ADAPTER.search(name)]
    if adapters:
        context = "alone" if config is None else "next to the base weights"
        raise CheckpointError(
            f"Expected a complete model in {shown(str(folder))}, got the adapter (LoRA) file {adapters[0]!r} "
            f"{context}. Merge the adapter into its base model first (peft: merge_and_unload, save_pretrained), or "
            "move the file out of the folder to explain the base model."
        )
    for key in ("quantization_config", "compression_config"):
        if config is not None and config.get(key):
            raise UnsupportedModel(
                f"Expected full-precision weights in {shown(str(folder))}, got quantised ones ({key} in config.json). "
                "Load the checkpoint that they were quantised from."
            )


def read_weights(folder: Path, kinds: Sequence[str] = WEIGHTS) -> Weights:
    """Read the weights of a folder, preferring safetensors.

    Args:
        folder: of the model.
        kinds: names of sets of weights, in the order of preference.

    Raises:
        CheckpointError: no weights, missing shards, or several sets of weights that differ.
    """
    names = _names(folder)
    sets = [name for name in kinds if name in names]
    if not sets:
        raise CheckpointError(_no_weights(folder, names, kinds))
    files = {name: _files(folder, name) for name in sets}
    tensors = _read(folder, files[sets[0]])
    for other in sets[1:]:
        if not _same(tensors, _read(folder, files[other]), str(folder)):
            raise CheckpointError(
                f"Expected one set of weights in {shown(str(folder))}, got two that differ: {sets[0]} and {other}. "
                "Delete the one that is out of date."
            )
    read = {*sets, *(file for some in files.values() for file in some)}
    unread = [name for name in names if name.endswith(_TENSORS) and name not in read and not _TRAINING.search(name)]
    inside = [
        f"{entry.name}/{name}"
        for entry in sorted(folder.iterdir())
        if entry.is_dir()
        for name in _names(entry)
        if _ADAPTER.search(name)
    ]
    ignored = [*unread, *inside]
    more = f" and {len(ignored) - 3} more" if len(ignored) > 3 else ""
    note = f"the model's folder also holds {', '.join(ignored[:3])}{more}, not read: the weights are those of {sets[0]}"
    return Weights(tensors, (note,) if ignored else ())


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise CheckpointError(f"Could not read the folder {shown(str(folder))}: {error.strerror}.") from None


def _no_weights(folder: Path, names: list[str], kinds: Sequence[str]) -> str:
    files = " or ".join(name for name in kinds if not name.endswith(".json"))
    expected = f"Expected {files} in {shown(str(folder))}, got"
    foreign = [f"{name} ({framework})" for name, framework in _OTHER_FRAMEWORKS.items() if name in names]
    if foreign:
        return f"{expected} {', '.join(foreign)} alone. Save the model again with PyTorch as safetensors."
    if shards := [name for name in names if re.search(r"-\d+-of-\d+\.(safetensors|bin)$", name)]:
        return f"{expected} {shards[0]} without the index that names all its parts. Copy the checkpoint again."
    others = [name for name in names if name.endswith(_TENSORS)]
    return f"{expected} {', '.join(others[:3]) or 'no weights'}. Copy or download the checkpoint again."


def _files(folder: Path, name: str) -> list[str]:
    """List the files of a set of weights.

    Raises:
        CheckpointError: an index without files, with files outside the folder, or whose files are missing.
    """
    if not name.endswith(".index.json"):
        return [name]
    index = (read_json(folder, name) or {}).get("weight_map")
    files = sorted({str(file) for file in index.values()}) if checks.is_mapping(index) else []
    missing = [file for file in files if Path(file).name != file or not regular(folder / file)]
    if missing or not files:
        got = f"{shown(missing[0])} ({len(missing)} of {len(files)} missing)" if missing else "none"
        raise CheckpointError(
            f"Expected in {shown(str(folder))} the files that {name} names, got {got}. Copy the checkpoint again."
        )
    return files


def _read(folder: Path, files: list[str]) -> dict[str, object]:
    tensors: dict[str, object] = {}
    for file in files:
        shard = read_tensors(folder / file)
        if repeated := tensors.keys() & shard.keys():
            raise CheckpointError(f"Expected each weight once in {shown(str(folder))}, got {min(repeated)!r} twice.")
        tensors |= shard
    return tensors


def _same(first: Mapping[str, object], second: Mapping[str, object], source: str) -> bool:
    """Whether two sets of weights are the same up to the precision of the coarser one."""
    if first.keys() != second.keys():
        return False
    for name, one in first.items():
        other = second[name]
        if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
            return False
        pair = (as_float32({name: value}, source)[name] for value in (one, other))
        coarser = min((one.dtype, other.dtype), key=lambda dtype: dtype.itemsize)
        left, right = (value.to(coarser) for value in pair)
        if left.shape != right.shape or not torch.equal(left, right):
            return False
    return True
