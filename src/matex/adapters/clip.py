"""CLIP: the towers as chains of blocks, and loading from a Hugging Face hub id or folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from matex.adapters.blocks import Blocks
from matex.adapters.checkpoint import fit, scale_of, unwrap
from matex.adapters.encoder import Readers, State, TokenAxis
from matex.adapters.inputs import Pixels, Words, patch_axis
from matex.adapters.library import DualConfig, Network, TextSizes, VisionSizes
from matex.adapters.model import Model, Similarity, Tokenizer
from matex.adapters.network import Clip, ClipConfig
from matex.adapters.preprocessing import Preprocessing
from matex.errors import CheckpointError, InputError, UnsupportedModel, shown
from matex.geometry import Size


@dataclass(frozen=True, eq=False)
class _Tower(Blocks):
    """One row (CLS, the end token) through the final norm and the projection."""

    final_norm: nn.LayerNorm = field(kw_only=True)
    projection: nn.Module = field(kw_only=True)

    def pool(self, state: State) -> Tensor:
        return self.project(state.hidden[:, 0])

    def project(self, tokens: Tensor) -> Tensor:
        return self.projection(self.final_norm(tokens))

    def _stages(self, *embeddings: nn.Module) -> dict[str, list[nn.Parameter]]:
        return self.weights({"projection": [self.projection], "norm": [self.final_norm], "embeddings": embeddings})


@dataclass(frozen=True, eq=False)
class ImageTower(Pixels, _Tower):
    """CLIP's vision transformer: CLS token first, then the patches row by row."""

    embeddings: nn.Module = field(kw_only=True)
    pre_norm: nn.Module = field(kw_only=True)
    patch: Size = field(kw_only=True)
    size: Size = field(kw_only=True)
    modality: Literal["image"] = "image"

    def start(self, entry: Tensor, inputs: Tensor) -> State:
        # Inputs of another size than the checkpoint's own get interpolated position embeddings.
        other = tuple(entry.shape[-2:]) != self.size
        return State(self.pre_norm(self.embeddings(entry, interpolate_pos_encoding=other)), self.axis(entry))

    def axis(self, inputs: Tensor) -> TokenAxis:
        return patch_axis(inputs, self.patch, special=1)

    def readers(self, axis: TokenAxis) -> Readers:
        return Readers(torch.zeros(len(axis.valid), dtype=torch.long, device=axis.valid.device))

    def stages(self) -> dict[str, list[nn.Parameter]]:
        return self._stages(self.embeddings, self.pre_norm)


@dataclass(frozen=True, eq=False)
class TextTower(Words, _Tower):
    """CLIP's causal text transformer, read out at the first end token (the largest id where `end` is None)."""

    embeddings: nn.Module = field(kw_only=True)
    end: int | None = field(kw_only=True)
    modality: Literal["text"] = "text"

    def entry(self, inputs: Tensor) -> Tensor:
        return self.embeddings(input_ids=inputs)

    def blank(self, inputs: Tensor) -> Tensor:
        embeddings: Network = self.embeddings
        return embeddings(input_ids=inputs, inputs_embeds=torch.zeros_like(embeddings.token_embedding(inputs)))

    def axis(self, inputs: Tensor) -> TokenAxis:
        position = torch.arange(inputs.shape[1], device=inputs.device)
        readout = self._end(inputs)[:, None]
        return TokenAxis(position <= readout, (position > 0) & (position < readout))

    def _end(self, inputs: Tensor) -> Tensor:
        """Position of the end token, [phrase]."""
        if self.end is None:
            return inputs.argmax(dim=-1)
        ends = inputs == self.end
        if not bool(ends.any(dim=-1).all()):
            raise InputError(f"Expected the end token (id {self.end}) in every row of token_ids. Add it last.")
        return ends.int().argmax(dim=-1)

    def readers(self, axis: TokenAxis) -> Readers:
        return Readers(axis.valid.sum(dim=1) - 1)

    def collate(self, rows: Sequence[Sequence[int]]) -> Tensor:
        # Repeats the end token: attention is causal and the first end token is read, so that it has no effect.
        longest = max(len(ids) for ids in rows)
        return torch.tensor([[*ids, *[ids[-1]] * (longest - len(ids))] for ids in rows])

    def stages(self) -> dict[str, list[nn.Parameter]]:
        return self._stages(self.embeddings)


def adapt(
    module: Network,
    name: str,
    *,
    preprocessing: Preprocessing | None,
    tokenizer: Tokenizer | None,
    missing: Iterable[str] = (),
    record: dict[str, object] | None = None,
    notes: Iterable[str] = (),
) -> Model:
    """Wrap a CLIPModel, transformers' or `network.Clip`, as a `Model` without changing it.

    Raises:
        UnsupportedModel: not a CLIPModel, or one with other blocks than its configuration says.
        CheckpointError: a temperature that is no finite number above 0.
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
                f"in {name!r}. Reload the model from its checkpoint."
            )
    image, words = image_tower(vision, module.visual_projection), text_tower(text, module.text_projection)
    return Model(
        name=name,
        module=module,
        encoders={"image": image, "text": words},
        patch=image.patch,
        preprocessing=preprocessing,
        tokenizer=tokenizer,
        context=module.config.text_config.max_position_embeddings,
        vocabulary=module.config.text_config.vocab_size,
        similarity=Similarity(scale_of(module.logit_scale, name)),
        missing=tuple(missing),
        record=record or {},
        notes=tuple(notes),
    )


def image_tower(vision: Network, projection: nn.Module) -> ImageTower:
    """The image encoder of a vision transformer with the parts of transformers' CLIPVisionModel."""
    size, patch = pair(vision.config.image_size), pair(vision.config.patch_size)
    return ImageTower(
        layers=vision.encoder.layers,
        missing=no_relu(vision.config),
        causal=False,
        final_norm=vision.post_layernorm,
        projection=projection,
        embeddings=vision.embeddings,
        pre_norm=vision.pre_layrnorm,
        patch=patch,
        size=size,
    )


def text_tower(text: Network, projection: nn.Module, old_ends: bool = True) -> TextTower:
    """The text encoder of a transformer with the parts of transformers' CLIPTextModel.

    Args:
        text: the transformer.
        projection: to the joint space.
        old_ends: whether an end token of id 2 stands for the largest id, as in old configurations of CLIP.
    """
    end = end_token(text.config)
    return TextTower(
        layers=text.encoder.layers,
        missing=no_relu(text.config),
        causal=True,
        final_norm=text.final_layer_norm,
        projection=projection,
        embeddings=text.embeddings,
        end=None if old_ends and end == 2 else end,
    )


def end_token(config: TextSizes) -> int | None:
    """Id of the end token; of several in a configuration the first."""
    ends = config.eos_token_id
    return ends[0] if isinstance(ends, list) else ends


def no_relu(config: VisionSizes | TextSizes) -> dict[str, str]:
    """Requirements of methods that a tower does not meet: CLIP's towers meet all but, as a rule, ReLU activations."""
    activation = config.hidden_act
    return {} if activation == "relu" else {"relu": f"this tower's activation is {activation}"}


def pair(value: int | Sequence[int]) -> Size:
    """(height, width) of a configuration's number or pair of numbers."""
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def build(config: ClipConfig, tensors: dict[str, Tensor], source: str) -> Clip:
    """Build a float32 network with these weights, after checking that the file has weights for every block.

    Raises:
        CheckpointError: as `checkpoint.fit`, or another number of blocks than the configuration says.
    """
    for tower, sizes in (("vision_model", config.vision_config), ("text_model", config.text_config)):
        start = f"{tower}.encoder.layers."
        held = {name[len(start) :].split(".")[0] for name in tensors if name.startswith(start)}
        if len(held) != sizes.num_hidden_layers:
            raise CheckpointError(
                f"Expected the {sizes.num_hidden_layers} blocks of {tower} that the configuration of {shown(source)} "
                f"names, got weights of {len(held)}. Use a complete checkpoint and its own config.json."
            )
    with torch.device("meta"):
        module = Clip(config)
    fit(module, tensors, source)
    return module


def refuse_other_end(tokenizer: Tokenizer, config: DualConfig, source: str) -> None:
    """Raise when the tokenizer's end token is not the token that the text tower reads out.

    Raises:
        CheckpointError: the tokenizer belongs to another model.
    """
    ids = [int(number) for number in tokenizer("a")["input_ids"]]
    text = config.text_config
    end = end_token(text)
    if not ids or max(ids) >= text.vocab_size:
        return  # refused by `Model.encode`, which can name the phrase
    reads = max(ids) if end == 2 else end
    if ids[-1] != reads:
        raise CheckpointError(
            f"Expected a tokenizer that ends phrases with id {reads}, as the text tower of {shown(source)} reads them, "
            f"got one that ends them with {ids[-1]}. Give the model's own tokenizer."
        )


def from_folder(config: Mapping[str, object], tensors: Mapping[str, object], source: str) -> Clip:
    """Build CLIP from a config.json of model_type "clip" and the published weights.

    Raises:
        CheckpointError: weights that do not fit the configuration.
    """
    return build(ClipConfig.from_dict(config, source), published_names(tensors, source), source)


def published_names(tensors: Mapping[str, object], source: str) -> dict[str, Tensor]:
    """Rename weights to those of published files (`network.Clip`), without the position ids that old files carry.

    Some files repeat the first part of a name, as in "vision_model.vision_model.".
    """
    names = unwrap(tensors, "visual_projection.weight", source)
    return {
        re.sub(r"^(vision|text)_model\.\1_model\.", r"\1_model.", name): tensor
        for name, tensor in names.items()
        if not name.endswith("embeddings.position_ids")
    }
