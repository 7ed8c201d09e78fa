"""SigLIP, SigLIP 2 at a fixed resolution and MedSigLIP: attention pooling, bidirectional text, a sigmoid per pair."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters.blocks import Blocks
from matex.adapters.checkpoint import scale_of, unwrap
from matex.adapters.clip import end_token, no_relu, pair
from matex.adapters.encoder import Attended, Readers, State, TokenAxis
from matex.adapters.inputs import Pixels, Words, patch_axis
from matex.adapters.library import DualConfig, MarkedSizes, Network, VisionSizes, build_as
from matex.adapters.model import Model, Similarity, Tokenizer
from matex.adapters.preprocessing import Preprocessing
from matex.errors import CheckpointError, UnsupportedModel, shown
from matex.geometry import Size

_UNSTATED_END = 49407  # default of transformers' SiglipTextConfig, CLIP's end token, which no SigLIP has
_NO_CLS = "a pooling head reads it with a query of its own, no token does"


@dataclass(frozen=True, eq=False)
class ImageTower(Pixels, Blocks):
    """SigLIP's vision transformer. The pooling head is the last block: its query is learned, its output one row."""

    embeddings: nn.Module = field(kw_only=True)
    final_norm: nn.LayerNorm = field(kw_only=True)
    head: nn.Module = field(kw_only=True)
    patch: Size = field(kw_only=True)
    size: Size = field(kw_only=True)
    modality: Literal["image"] = "image"

    @property
    def depth(self) -> int:
        return len(self.layers) + 1

    def axis(self, inputs: Tensor) -> TokenAxis:
        return patch_axis(inputs, self.patch)

    def start(self, entry: Tensor, inputs: Tensor) -> State:
        other = tuple(entry.shape[-2:]) != self.size
        return State(self.embeddings(entry, interpolate_pos_encoding=other), self.axis(entry))

    def readers(self, axis: TokenAxis) -> Readers:
        return Readers(None, own_query=True)

    def norm(self, layer: int, hidden: Tensor) -> Tensor:
        return self.final_norm(hidden) if self._is_head(layer) else super().norm(layer, hidden)

    def attend(
        self,
        layer: int,
        normed: Tensor,
        axis: TokenAxis,
        rows: Tensor | None = None,
        moving: Tensor | None = None,
    ) -> Attended:
        if not self._is_head(layer):
            return super().attend(layer, normed, axis, rows, moving)
        head: Network = self.head
        query = self._head_projection(0, head.probe.expand(len(normed), -1, -1))
        key, value = self._head_projection(1, normed), self._head_projection(2, normed)
        output = F.scaled_dot_product_attention(query, key, value, attn_mask=self.mask(layer, axis))
        return Attended(query, key, value, output.transpose(1, 2).flatten(2))

    def output_projection(self, layer: int, output: Tensor) -> Tensor:
        if not self._is_head(layer):
            return super().output_projection(layer, output)
        head: Network = self.head
        return head.attention.out_proj(output)

    def after_attention(self, layer: int, hidden: Tensor, output: Tensor) -> Tensor:
        if not self._is_head(layer):
            return super().after_attention(layer, hidden, output)
        head: Network = self.head
        pooled = self.output_projection(layer, output)
        return pooled + head.mlp(head.layernorm(pooled))

    def pool(self, state: State) -> Tensor:
        return state.hidden[:, 0]

    def project(self, tokens: Tensor) -> Tensor:
        """Output of the pooling head for each token alone: its value, without attention."""
        value = self._head_projection(2, self.final_norm(tokens)).transpose(-3, -2).flatten(-2)
        return self.after_attention(self.depth - 1, tokens, value)

    def stages(self) -> dict[str, list[nn.Parameter]]:
        return self.weights({"head": [self.head], "norm": [self.final_norm], "embeddings": [self.embeddings]})

    def _is_head(self, layer: int) -> bool:
        return layer == len(self.layers)

    def _head_projection(self, number: int, tokens: Tensor) -> Tensor:
        """Query (0), key (1) or value (2) of the head, [..., heads, token, head_dim]."""
        attention: Network = self.head
        attention = attention.attention
        weight, bias = attention.in_proj_weight.chunk(3)[number], attention.in_proj_bias.chunk(3)[number]
        return torch.unflatten(F.linear(tokens, weight, bias), -1, (attention.num_heads, -1)).transpose(-3, -2)


@dataclass(frozen=True, eq=False)
class TextTower(Words, Blocks):
    """SigLIP's text transformer: bidirectional, padded to its full length, read out at the last position.

    The padding is read like every other token, as in the training; it carries no words.
    """

    embeddings: nn.Module = field(kw_only=True)
    final_norm: nn.LayerNorm = field(kw_only=True)
    head: nn.Linear = field(kw_only=True)
    length: int = field(kw_only=True)
    special: tuple[int, ...] = field(kw_only=True)
    padding: int = field(kw_only=True)
    modality: Literal["text"] = "text"

    def entry(self, inputs: Tensor) -> Tensor:
        return self.embeddings(input_ids=inputs)

    def blank(self, inputs: Tensor) -> Tensor:
        embeddings: Network = self.embeddings
        return embeddings(inputs_embeds=torch.zeros_like(embeddings.token_embedding(inputs)))

    def axis(self, inputs: Tensor) -> TokenAxis:
        special = torch.tensor(self.special, device=inputs.device)
        return TokenAxis(torch.ones_like(inputs, dtype=torch.bool), ~torch.isin(inputs, special))

    def readers(self, axis: TokenAxis) -> Readers:
        items, tokens = axis.valid.shape
        return Readers(torch.full((items,), tokens - 1, device=axis.valid.device))

    def pool(self, state: State) -> Tensor:
        return self.project(state.hidden[:, 0])

    def project(self, tokens: Tensor) -> Tensor:
        return self.head(self.final_norm(tokens))

    def collate(self, rows: Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor([[*ids, *[self.padding] * (self.length - len(ids))] for ids in rows])

    def remove(self, inputs: Tensor, kept: Tensor) -> Tensor:
        left = super().remove(inputs, kept)
        return F.pad(left, (0, inputs.shape[1] - left.shape[1]), value=self.padding)

    def stages(self) -> dict[str, list[nn.Parameter]]:
        return self.weights({"head": [self.head], "norm": [self.final_norm], "embeddings": [self.embeddings]})


def adapt(
    module: Network,
    name: str,
    *,
    preprocessing: Preprocessing | None,
    tokenizer: Tokenizer | None,
    missing: Iterable[str] = (),
    notes: Iterable[str] = (),
    tower: type[ImageTower] = ImageTower,
) -> Model:
    """Wrap transformers' SiglipModel, or Siglip2Model with its own image tower, as a `Model` without changing it.

    Raises:
        UnsupportedModel: a vision tower without its pooling head.
        CheckpointError: a scale that is no finite number above 0, or a bias that is not finite.
    """
    vision, text = module.vision_model, module.text_model
    vision, text = getattr(vision, "vision_model", vision), getattr(text, "text_model", text)
    if not hasattr(vision, "head"):
        raise UnsupportedModel(f"Expected a SigLIP with its pooling head, got {name!r} without (vision_use_head).")
    sizes, words = module.config.vision_config, module.config.text_config
    patch = (sizes.patch_size,) * 2
    image = tower(
        layers=vision.encoder.layers,
        missing={**no_relu(sizes), "readout": _NO_CLS},
        causal=False,
        embeddings=vision.embeddings,
        final_norm=vision.post_layernorm,
        head=vision.head,
        patch=patch,
        size=trained_size(sizes),
    )
    special, padding = _special(words, tokenizer)
    phrase = TextTower(
        layers=text.encoder.layers,
        missing=no_relu(words),
        causal=False,
        embeddings=text.embeddings,
        final_norm=text.final_layer_norm,
        head=text.head,
        length=words.max_position_embeddings,
        special=special,
        padding=padding,
    )
    scale, bias = scale_of(module.logit_scale, name), float(module.logit_bias.detach())
    if not math.isfinite(bias):
        raise CheckpointError(f"Expected a finite logit_bias in {name!r}, got {bias:g}. Copy the checkpoint again.")
    return Model(
        name=name,
        module=module,
        encoders={"image": image, "text": phrase},
        patch=patch,
        preprocessing=preprocessing,
        tokenizer=tokenizer,
        context=words.max_position_embeddings,
        vocabulary=words.vocab_size,
        similarity=Similarity(scale, bias, "sigmoid"),
        missing=tuple(missing),
        notes=(*notes, *_case_note(tokenizer)),
    )


def trained_size(vision: VisionSizes) -> Size:
    """(height, width) that the position embeddings of a vision configuration cover, pixels."""
    if hasattr(vision, "image_size"):
        return pair(vision.image_size)
    side = math.isqrt(vision.num_patches) * vision.patch_size
    return side, side  # SigLIP 2 with images of any shape


def build(config: Mapping[str, object], tensors: Mapping[str, object], source: str) -> nn.Module:
    """Build transformers' SiglipModel with these weights.

    Raises:
        CheckpointError: weights that do not fit the configuration.
    """
    names = unwrap(tensors, "logit_bias", source)
    return build_as("SiglipModel", config, names, source)


def refuse_other_end(tokenizer: Tokenizer, config: DualConfig, source: str) -> None:
    """Raise when the tokenizer does not end phrases as the model was trained.

    Raises:
        CheckpointError: the tokenizer belongs to another model, or adds no end token.
    """
    encoded, text = tokenizer("a", return_offsets_mapping=True), config.text_config
    ids, spans = [int(number) for number in encoded["input_ids"]], encoded["offset_mapping"]
    if not ids or max(ids) >= text.vocab_size:
        return  # refused by `Model.encode`, which can name the phrase
    if spans[-1][1] > spans[-1][0] or text.eos_token_id not in (ids[-1], _UNSTATED_END):
        end = "the model's end token" if text.eos_token_id == _UNSTATED_END else f"id {text.eos_token_id}"
        raise CheckpointError(
            f"Expected a tokenizer that ends phrases with {end}, as {shown(source)} was trained, got one that ends "
            f"them with id {ids[-1]}. Give the model's own tokenizer."
        )


def _case_note(tokenizer: Tokenizer | None) -> tuple[str, ...]:
    """A remark on tokenizers in memory that leave the case to their caller, as Gemma's does."""
    if tokenizer is None or list(tokenizer("A")["input_ids"]) == list(tokenizer("a")["input_ids"]):
        return ()
    return ("the tokenizer distinguishes capital letters, while SigLIP was trained on texts in lower case",)


def _special(text: MarkedSizes, tokenizer: Tokenizer | None) -> tuple[tuple[int, ...], int]:
    """Ids of the tokens that are no words, and of the padding among them.

    The tokenizer's own, as transformers' processor pads; those of the configuration without a tokenizer. Published
    configurations state neither, and the class's defaults are CLIP's.
    """
    named: int | None = getattr(tokenizer, "pad_token_id", None)
    padding = int(text.pad_token_id if named is None else named)
    if tokenizer is None:
        ends = [text.bos_token_id, end_token(text)]
    else:
        encoded = tokenizer("a", return_offsets_mapping=True)
        pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        ends = [number for number, (start, end) in pairs if start == end]
    return tuple(sorted({int(number) for number in (padding, *ends) if number is not None})), padding
