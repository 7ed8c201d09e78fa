"""Model folders and OpenAI's state dicts: numbers, tokenizer, processor, weights, damaged files."""

from __future__ import annotations

import functools
import gzip
import io
import json
import os
import pickle
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from transformers import CLIPConfig, CLIPModel

import matex
from matex.adapters.openai import tokenizer_from_merges
from tests.fuzz.hostile import damaged, json_bytes, number
from tests.fuzz.runner import CANARY, Case, Wrong, generator
from tests.openai_format import state_dict

NAME = "models"
MUTATED = (
    "config.json, tokenizer and processor JSON, weights (NaN, shapes, dtypes, missing, extra, bytes), OpenAI .pt "
    "files, pickles that carry code"
)
PHRASE = "opacity in the left lung"
FILM = (np.add.outer(3 * np.arange(40), 2 * np.arange(50)) % 251).astype(np.uint8)
JSON = ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "special_tokens_map.json")

PROCESSOR = {
    "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": 32}, "resample": 3,
    "do_center_crop": True, "crop_size": {"height": 32, "width": 32}, "do_rescale": True, "rescale_factor": 1 / 255,
    "do_normalize": True, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28], "do_convert_rgb": True,
}  # fmt: skip


class Payload:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (CANARY,)


@functools.cache
def module() -> CLIPModel:
    torch.manual_seed(4)
    shared = {"intermediate_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2}
    config = CLIPConfig(
        projection_dim=12,
        vision_config={"hidden_size": 16, "image_size": 32, "patch_size": 8, **shared},
        text_config={
            "hidden_size": 20, "max_position_embeddings": 40, "vocab_size": 519, "bos_token_id": 517,
            "eos_token_id": 518, "pad_token_id": 518, **shared,
        },
    )  # fmt: skip
    network = CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@functools.cache
def files() -> dict[str, bytes]:
    """A complete small model folder, file by file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "merges.gz").write_bytes(gzip.compress(b"#version: 0.2\no p\nop a\nl u\nn g</w>\nlu ng</w>\n"))
        tokenizer = tokenizer_from_merges(folder / "merges.gz")
        (folder / "merges.gz").unlink()
        tokenizer.save_pretrained(folder)
        (folder / "config.json").write_text(module().config.to_json_string(use_diff=False))
        (folder / "model.safetensors").write_bytes(save({**module().state_dict()}, {"format": "pt"}))
        (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def hostile_weights(weights: dict[str, Any], rng: random.Random) -> tuple[dict[str, Any], str]:
    weights = dict(weights)
    name = rng.choice(sorted(weights))
    tensor = weights[name]
    kind = rng.choice(("not finite", "shape", "dtype", "missing", "extra", "renamed", "huge", "transposed", "empty"))
    if kind == "not finite":
        tensor = tensor.clone(memory_format=torch.contiguous_format)
        tensor.view(-1)[rng.randrange(tensor.numel())] = rng.choice((float("nan"), float("inf"), -float("inf")))
    elif kind == "shape":
        tensor = torch.cat([tensor.reshape(-1), tensor.reshape(-1)[:1]])
    elif kind == "dtype":
        tensor = tensor.to(rng.choice((torch.int64, torch.bool, torch.float16, torch.float64, torch.uint8)))
    elif kind == "huge":
        tensor = tensor * rng.choice((1e20, 1e38, -1e30))
    elif kind == "transposed":
        tensor = tensor.T.contiguous() if tensor.ndim == 2 else tensor.reshape(1, *tensor.shape)
    elif kind == "empty":
        tensor = tensor[:0] if tensor.ndim else torch.zeros(0)
    weights[name] = tensor
    if kind in ("missing", "renamed"):
        del weights[name]
    if kind in ("extra", "renamed"):
        weights[rng.choice(("lora_A.weight", f"{name}.0", "x" * 500, f"base_model.{name}", ""))] = tensor.clone()
    return weights, f"{name} {kind}"


def hostile_folder(rng: random.Random) -> tuple[dict[str, bytes], str]:
    content, notes = dict(files()), []
    for _ in range(rng.choice((1, 1, 2))):
        kind = rng.choice(("json", "json", "json", "number", "weights", "weights", "bytes", "missing", "pickle"))
        if kind == "json":
            name = rng.choice([name for name in JSON if name in content])
            content[name], place = json_bytes(json.loads(files()[name]), rng)
            notes.append(f"{name} {place}")
        elif kind == "number":  # of the keys that shape the network, where a mistake costs most
            config = json.loads(files()["config.json"])
            section = rng.choice(("vision_config", "text_config"))
            key = rng.choice([key for key, value in config[section].items() if isinstance(value, int | float)])
            config[section][key] = number(rng)
            content["config.json"] = json.dumps(config).encode()
            notes.append(f"config.json {section}/{key} {config[section][key]!r}"[:120])
        elif kind == "weights":
            weights, place = hostile_weights(load(files()["model.safetensors"]), rng)
            content["model.safetensors"] = save(weights)
            notes.append(place)
        elif kind == "bytes":
            name = rng.choice(sorted(files()))
            content[name], damage = damaged(files()[name], rng)
            notes.append(f"{name} {damage}")
        elif kind == "missing":
            name = rng.choice(sorted(files()))
            content.pop(name, None)
            notes.append(f"{name} missing")
        else:
            content.pop("model.safetensors", None)
            content["pytorch_model.bin"] = rng.choice((pickle.dumps(Payload()), torch_bytes({"a": Payload()})))
            notes.append("pickle with code")
    return content, ", ".join(notes)


def torch_bytes(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def hostile_pt(rng: random.Random) -> tuple[bytes, str]:
    weights = state_dict(module())
    kind = rng.choice(("weights", "weights", "bytes", "wrapped", "code", "whole"))
    if kind == "weights":
        weights, place = hostile_weights(weights, rng)
        return torch_bytes(weights), place
    if kind == "bytes":
        return damaged(torch_bytes(weights), rng)
    if kind == "wrapped":
        key = rng.choice(("state_dict", "model", "module", "x", 0))
        return torch_bytes(rng.choice(({key: weights}, [weights], {key: weights, "epoch": 3}))), f"wrapped {key}"
    if kind == "code":
        return torch_bytes({**weights, "visual.proj": Payload()}), "pickle with code"
    return torch_bytes(weights), "nothing"


def check(name: str, **options: Any) -> str:
    model = matex.load(name, **options)
    explanation = matex.explain(model, FILM, PHRASE, "rollout")
    if np.isnan(explanation.score) and any("score is undefined" in note for note in explanation.notes):
        return "loaded, score undefined by a note"  # finite weights that overflow
    if not np.isfinite(explanation.score) or not -1.001 <= explanation.score <= 1.001:
        raise Wrong(f"score {explanation.score}")
    if not np.isfinite(explanation.image.grid).all():
        raise Wrong("a map that is not finite")
    return "loaded, finite score"


def cases(seed: int, count: int) -> Iterator[Case]:
    files()
    for index in range(count):
        rng = generator(NAME, seed, index)
        if rng.random() < 0.75:
            content, damage = hostile_folder(rng)

            def run(folder: Path, content=content) -> str:
                for name, data in content.items():
                    (folder / name).write_bytes(data)
                return check(f"hf:{folder}")
        else:
            data, damage = hostile_pt(rng)
            heads = rng.choice(((2, 2), (2, 2), None, (3, 2), (1, 10**9)))

            def run(folder: Path, data=data, heads=heads) -> str:
                (folder / "tokenizer").mkdir()
                for name in ("tokenizer.json", "tokenizer_config.json"):
                    if name in files():
                        (folder / "tokenizer" / name).write_bytes(files()[name])
                (folder / "clip.pt").write_bytes(data)
                options = {"preset": "clip", "heads": heads, "tokenizer": str(folder / "tokenizer")}
                return check(f"openai:{folder / 'clip.pt'}", **options)

        yield Case(f"{NAME} --seed {seed} {index}: {damage}"[:400], run)
