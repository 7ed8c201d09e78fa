"""Hugging Face CLIPModel: the towers as chains of blocks, and loading from a hub id, a folder or an object."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters.model import MODELS, Attended, CheckpointError, Model, Tokenizer, UnsupportedModel
from matex.adapters.preprocessing import Preprocessing
from matex.geometry import Size
from matex.images import InputError


@dataclass(frozen=True, eq=False)
class _Blocks:
    """What both towers share: the pre-norm transformer blocks of transformers' CLIPEncoder."""

    layers: nn.ModuleList
    final_norm: nn.LayerNorm
    projection: nn.Linear
    causal: bool
    lacks: Mapping[str, str]

    @property
    def depth(self) -> int:
        return len(self.layers)

    def norm(self, layer: int, hidden: Tensor) -> Tensor:
        block: Any = self.layers[layer]
        return block.layer_norm1(hidden)

    def attend(self, layer: int, hidden: Tensor, rows: Tensor | None = None) -> Attended:
        return self.attend_normed(layer, self.norm(layer, hidden), rows)

    def attend_normed(self, layer: int, normed: Tensor, rows: Tensor | None = None) -> Attended:
        block: Any = self.layers[layer]
        attention = block.self_attn
        asked = normed if rows is None else _take(normed, rows)
        heads = attention.num_heads
        query, key, value = (
            projection(x).unflatten(-1, (heads, -1)).transpose(1, 2)
            for projection, x in (
                (attention.q_proj, asked),
                (attention.k_proj, normed),
                (attention.v_proj, normed),
            )
        )
        # One row attends to nothing behind it: the mask leaves out the tokens behind the row.
        mask = None
        if self.causal and rows is not None:
            mask = torch.arange(normed.shape[1], device=rows.device) <= rows[:, None]
            mask = mask[:, None, None, :]
        output = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=self.causal and rows is None, scale=attention.scale
        )
        return Attended(query, key, value, output.transpose(1, 2).flatten(2))

    def mix(self, layer: int, output: Tensor) -> Tensor:
        block: Any = self.layers[layer]
        return block.self_attn.out_proj(output)

    def finish(self, layer: int, hidden: Tensor, output: Tensor) -> Tensor:
        block: Any = self.layers[layer]
        hidden = hidden + self.mix(layer, output)
        return hidden + block.mlp(block.layer_norm2(hidden))

    def project(self, readout: Tensor) -> Tensor:
        return self.projection(self.final_norm(readout))

    def _stages(self, *embeddings: nn.Module) -> dict[str, list[nn.Parameter]]:
        blocks = {f"block {layer}": [self.layers[layer]] for layer in reversed(range(self.depth))}
        parts = {"projection": [self.projection], "norm": [self.final_norm], **blocks, "embeddings": embeddings}
        return {name: [weight for part in some for weight in part.parameters()] for name, some in parts.items()}


@dataclass(frozen=True, eq=False)
class ImageTower(_Blocks):
    """CLS token first, then the patches row by row."""

    embeddings: nn.Module
    pre_norm: nn.LayerNorm
    patch: Size
    size: Size
    kind: Literal["image"] = "image"

    def embed(self, inputs: Tensor) -> Tensor:
        # Another size than the checkpoint's own is read with interpolated position embeddings.
        other = tuple(inputs.shape[-2:]) != self.size
        return self.pre_norm(self.embeddings(inputs, interpolate_pos_encoding=other))

    def blank(self, inputs: Tensor) -> Tensor:
        return self.embed(torch.zeros_like(inputs))

    def readout(self, inputs: Tensor) -> Tensor:
        return torch.zeros(len(inputs), dtype=torch.long, device=inputs.device)

    def content(self, inputs: Tensor) -> Tensor:
        rows, columns = self.grid(inputs)
        patches = torch.ones(len(inputs), 1 + rows * columns, dtype=torch.bool, device=inputs.device)
        patches[:, 0] = False
        return patches

    def grid(self, inputs: Tensor) -> Size:
        height, width = inputs.shape[-2:]
        return (height // self.patch[0], width // self.patch[1])

    def stages(self) -> dict[str, list[nn.Parameter]]:
        return self._stages(self.embeddings, self.pre_norm)


@dataclass(frozen=True, eq=False)
class TextTower(_Blocks):
    """Causal; the first end token is the readout (the largest id in checkpoints with the old end id 2)."""

    embeddings: nn.Module
    end: int
    kind: Literal["text"] = "text"

    def embed(self, inputs: Tensor) -> Tensor:
        return self.embeddings(input_ids=inputs)

    def blank(self, inputs: Tensor) -> Tensor:
        embeddings: Any = self.embeddings
        return embeddings(input_ids=inputs, inputs_embeds=torch.zeros_like(embeddings.token_embedding(inputs)))

    def readout(self, inputs: Tensor) -> Tensor:
        if self.end == 2:
            return inputs.argmax(dim=-1)
        ends = inputs == self.end
        if not bool(ends.any(dim=-1).all()):
            raise InputError(f"Expected the end token (id {self.end}) in every row of token_ids. Add it last.")
        return ends.int().argmax(dim=-1)

    def content(self, inputs: Tensor) -> Tensor:
        position = torch.arange(inputs.shape[1], device=inputs.device)
        return (position > 0) & (position < self.readout(inputs)[:, None])

    def grid(self, inputs: Tensor) -> None:
        return None

    def stages(self) -> dict[str, list[nn.Parameter]]:
        return self._stages(self.embeddings)


def _take(hidden: Tensor, rows: Tensor) -> Tensor:
    """Row rows[i] of item i, [batch, 1, dim]."""
    return hidden[torch.arange(len(rows), device=rows.device), rows][:, None]


def adapt(
    module: Any,
    name: str,
    *,
    preprocessing: Preprocessing | None,
    tokenizer: Tokenizer | None,
    missing: Iterable[str] = (),
    record: dict[str, Any] | None = None,
) -> Model:
    """See a transformers CLIPModel as a `Model`; nothing of it is changed.

    Raises:
        UnsupportedModel: not a CLIPModel, or one with other blocks than its configuration says.
    """
    if not (hasattr(module, "vision_model") and hasattr(module, "text_model") and hasattr(module, "visual_projection")):
        raise UnsupportedModel(
            f"Expected a transformers CLIPModel, got {type(module).__name__}. Other families are not supported yet."
        )
    vision, text = module.vision_model, module.text_model
    vision, text = getattr(vision, "vision_model", vision), getattr(text, "text_model", text)
    for part, config in ((vision, module.config.vision_config), (text, module.config.text_config)):
        if len(part.encoder.layers) != config.num_hidden_layers:
            raise UnsupportedModel(
                f"Expected {config.num_hidden_layers} blocks as the configuration says, got {len(part.encoder.layers)} "
                f"in {name!r}. Load the model again from its checkpoint."
            )
    config = module.config.vision_config
    size, patch = _pair(config.image_size), _pair(config.patch_size)
    image = ImageTower(
        layers=vision.encoder.layers,
        final_norm=vision.post_layernorm,
        projection=module.visual_projection,
        causal=False,
        lacks=_lacks(vision),
        embeddings=vision.embeddings,
        pre_norm=vision.pre_layrnorm,
        patch=patch,
        size=size,
    )
    end = module.config.text_config.eos_token_id
    words = TextTower(
        layers=text.encoder.layers,
        final_norm=text.final_layer_norm,
        projection=module.text_projection,
        causal=True,
        lacks=_lacks(text),
        embeddings=text.embeddings,
        end=end[0] if isinstance(end, list) else end,
    )
    return Model(
        name=name,
        module=module,
        image=image,
        text=words,
        patch=patch,
        preprocessing=preprocessing,
        tokenizer=tokenizer,
        context=module.config.text_config.max_position_embeddings,
        vocabulary=module.config.text_config.vocab_size,
        logit_scale=float(module.logit_scale.detach().exp()),
        missing=tuple(missing),
        record=record or {},
    )


def _lacks(part: Any) -> dict[str, str]:
    """What one of CLIP's towers has not; everything that methods may need is there but, as a rule, a ReLU."""
    activation: str = part.config.hidden_act
    return {} if activation == "relu" else {"relu": f"this tower's activation is {activation}"}


def _pair(value: Any) -> Size:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


@MODELS("hf:")
def load_hf(source: str, *, name: str | None = None, preset: str | None = None, tokenizer: str | None = None) -> Model:
    """A CLIPModel from a Hugging Face hub id or a local folder, weights in safetensors or loaded with weights_only.

    Args:
        source: hub id or folder with config.json and the weights.
        name: shown in outputs; the source otherwise.
        preset: not used by this family.
        tokenizer: folder or hub id to take the tokenizer from, when the checkpoint has none.

    Raises:
        CheckpointError: not found, broken, or weights that miss or add names.
        UnsupportedModel: another architecture than CLIP.
    """
    from transformers import CLIPConfig, CLIPModel

    if preset is not None:
        raise InputError(f"Expected no preset with hf: models, got {preset!r}. Presets belong to openai: files.")
    path = Path(source).expanduser()
    where: str | Path = path if path.is_dir() else source
    if path.is_file():
        raise CheckpointError(
            f"Expected a folder or a hub id after hf:, got the file {source!r}. OpenAI-format files load with openai:."
        )
    config = _json(where, "config.json")
    if config is None:
        raise CheckpointError(
            f"Expected a folder with config.json or a reachable hub id, found neither for {source!r}. "
            "Check the name, or download the model and give its folder."
        )
    if config.get("model_type") != "clip":
        raise UnsupportedModel(
            f"Expected a checkpoint of model_type 'clip', got {config.get('model_type')!r} in {source!r}. "
            "Supported: CLIP checkpoints (hf:) and OpenAI-format state dicts (openai:)."
        )
    try:
        loaded: Any = CLIPModel.from_pretrained(
            where,
            config=CLIPConfig.from_dict(config),
            output_loading_info=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # refused below, by their names
        )
        module, report = loaded
    except Exception as error:
        raise CheckpointError(_not_loaded(source, error)) from error
    refuse_incomplete(source, report["missing_keys"], report["unexpected_keys"])
    if report["mismatched_keys"]:
        name, stored, expected = min(report["mismatched_keys"])
        raise CheckpointError(
            f"Expected weights that fit config.json in {source!r}, got {len(report['mismatched_keys'])} of another "
            f"shape ({name}: {tuple(stored)} where {tuple(expected)} belongs). Use the checkpoint's own config.json."
        )
    module.eval().requires_grad_(False)
    missing: list[str] = []
    preprocessor = _json(where, "preprocessor_config.json")
    preprocessing = None
    if preprocessor is None:
        missing.append("it has no preprocessing (preprocessor_config.json)")
    else:
        preprocessing = Preprocessing.from_processor(preprocessor, _pair(module.config.vision_config.image_size))
    words = given_tokenizer(tokenizer) if tokenizer else load_tokenizer(where)
    if words is None:
        missing.append("it has no tokenizer (tokenizer.json, or vocab.json and merges.txt)")
    return adapt(module, name or f"hf:{source}", preprocessing=preprocessing, tokenizer=words, missing=missing)


def _not_loaded(source: str, error: Exception) -> str:
    """Why weights could not be read, and what to do."""
    if "weights_only" in str(error) or "Weights only" in str(error):
        got = "a pickle with other things than tensors, which is not opened since it could run code"
        return f"Expected CLIP weights in {source!r}, got {got}. Save them again as safetensors."
    return f"Expected CLIP weights in {source!r}, got: {_first_line(error)}. Copy or download the checkpoint again."


def given_tokenizer(source: str) -> Tokenizer:
    """The tokenizer that the caller named.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(source).expanduser()
    found = load_tokenizer(path if path.is_dir() else source)
    if found is None:
        raise CheckpointError(
            f"Expected a folder or hub id with a tokenizer (vocab.json and merges.txt), found none in {source!r}."
        )
    return found


def describe_tokenizer(source: str) -> dict[str, str | None]:
    """What a record says of a tokenizer that was given: the hub id, or a folder's name and checksum, never its path."""
    path = Path(source).expanduser()
    if not path.is_dir():
        return {"source": source, "sha256": None}
    digest = hashlib.sha256()
    for name in ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        if (path / name).is_file():
            digest.update(name.encode() + (path / name).read_bytes())
    return {"source": path.resolve().name, "sha256": digest.hexdigest()}


def refuse_incomplete(source: str, missing: Iterable[str], unexpected: Iterable[str]) -> None:
    """Raise when weights lack names or bring foreign ones.

    Raises:
        CheckpointError: with the first few names of each kind.
    """
    faults = [
        f"{len(names)} {kind} ({', '.join(sorted(names)[:3])}{', ...' if len(names) > 3 else ''})"
        for kind, names in (("missing", list(missing)), ("unexpected", list(unexpected)))
        if names
    ]
    if faults:
        raise CheckpointError(
            f"Expected all weights of a CLIP model and no others in {source!r}, got {' and '.join(faults)}. "
            "Use a complete checkpoint of this architecture."
        )


def load_tokenizer(source: str | Path, cached_only: bool = False) -> Tokenizer | None:
    """The fast tokenizer of a folder or hub id (from its cache alone, if asked); None when there is none.

    Raises:
        CheckpointError: tokenizer files that cannot be read.
    """
    from transformers import AutoTokenizer

    if isinstance(source, Path) and not any((source / f).exists() for f in ("tokenizer.json", "vocab.json")):
        return None
    try:
        return AutoTokenizer.from_pretrained(source, use_fast=True, local_files_only=cached_only)
    except OSError as error:
        if isinstance(source, Path):
            raise CheckpointError(f"Expected a tokenizer in {str(source)!r}, got: {_first_line(error)}") from error
        return None
    except Exception as error:
        raise CheckpointError(f"Expected a tokenizer in {str(source)!r}, got: {_first_line(error)}") from error


def _json(source: str | Path, file: str) -> dict[str, Any] | None:
    """A JSON file of a folder or a hub repository; None when there is none.

    Raises:
        CheckpointError: a file that is no JSON object.
    """
    from transformers.utils.hub import cached_file

    found = source / file if isinstance(source, Path) else None
    if found is None:
        try:
            cached = cached_file(source, file)
        except OSError:
            return None
        found = Path(cached) if cached else None
    if found is None or not found.is_file():
        return None
    try:
        content = json.loads(found.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
    except ValueError as error:
        raise CheckpointError(f"Expected JSON in {file} of {str(source)!r}, got: {_first_line(error)}") from error
    return content


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
