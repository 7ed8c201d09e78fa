"""BERT block by block, with transformers' names of weights and without its import.

Shared by the families whose text encoder is a BERT (MedCLIP, BioViL, GLoRIA, CXR-CLIP, ConVIRT). `BertEncoder` runs
`Bert` as well as transformers' BertModel, since both hold the same submodules. Nothing is hooked. A block attends to
every token of the phrase, in both directions, and to no padding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters.encoder import Attended, Readers, State, TokenAxis, single_row
from matex.adapters.inputs import Words
from matex.adapters.library import Network
from matex.adapters.network import bounded, empty_embedding
from matex.errors import CheckpointError, UnsupportedModel, shown

_FIXED: Mapping[str, object] = {"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}


def runs_as_bert(config: Mapping[str, object]) -> bool:
    """Whether `BertEncoder` computes what a BERT of this configuration (a config.json) does."""
    return all(config.get(key, value) == value for key, value in _FIXED.items())


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT; names are those of transformers' BertConfig, defaults those of Bio_ClinicalBERT.

    Args:
        vocab_size: number of token ids; 28996 is the cased vocabulary of BERT-base.
        max_position_embeddings: longest phrase, special tokens included.
        layer_norm_eps: of every layer norm.
    """

    vocab_size: int = bounded(28996, 1, 1 << 24)
    hidden_size: int = bounded(768, 1, 1 << 16)
    num_hidden_layers: int = bounded(12, 1, 1000)
    num_attention_heads: int = bounded(12, 1, 1 << 12)
    intermediate_size: int = bounded(3072, 1, 1 << 18)
    max_position_embeddings: int = bounded(512, 1, 1 << 16)
    type_vocab_size: int = bounded(2, 1, 1 << 10)
    layer_norm_eps: float = 1e-12

    @classmethod
    def from_dict(cls, content: Mapping[str, object], source: str) -> BertConfig:
        """Read a config.json of a BERT encoder with absolute positions and GELU.

        Args:
            content: of the file; entries that do not change the encoder are left unread.
            source: named in refusals.

        Raises:
            CheckpointError: a value that no BERT can have, by its key.
            UnsupportedModel: a decoder, other position embeddings, or another activation.
        """
        for key, value in _FIXED.items():
            if (found := content.get(key, value)) != value:
                raise UnsupportedModel(f"Expected {key} {value!r} in {shown(source)}, got {shown(found)}.")
        values: dict[str, Any] = {}
        for item in dataclasses.fields(cls):
            value = values[item.name] = content.get(item.name, item.default)
            limits = item.metadata.get("range")
            kinds, (low, high) = (int, limits) if limits else ((int, float), (0, 0.1))
            if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
                raise CheckpointError(
                    f"Expected {item.name} in {shown(source)} to be a number from {low} to {high}, got {shown(value)}."
                )
        config = cls(**values)
        if config.hidden_size % config.num_attention_heads:
            raise CheckpointError(
                f"Expected num_attention_heads in {shown(source)} to divide hidden_size {config.hidden_size}, got "
                f"{config.num_attention_heads}."
            )
        return config


class Embeddings(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        dim = config.hidden_size
        self.word_embeddings = empty_embedding(config.vocab_size, dim)
        self.position_embeddings = empty_embedding(config.max_position_embeddings, dim)
        self.token_type_embeddings = empty_embedding(config.type_vocab_size, dim)
        self.LayerNorm = nn.LayerNorm(dim, eps=config.layer_norm_eps)


class SelfAttention(nn.Module):
    """Projections of multi-head attention."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.num_attention_heads = config.num_attention_heads
        self.query, self.key, self.value = (nn.Linear(config.hidden_size, config.hidden_size) for _ in range(3))


class Residual(nn.Module):
    """A projection back to the residual stream and the norm that follows the addition."""

    def __init__(self, width: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(width, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)


class AttentionHalf(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = Residual(config.hidden_size, config)


class Intermediate(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)


class Block(nn.Module):
    """One post-norm transformer block."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = AttentionHalf(config)
        self.intermediate = Intermediate(config)
        self.output = Residual(config.intermediate_size, config)


class Encoder(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))


class Pooler(nn.Module):
    """In published weights; no family here reads it."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)


class Bert(nn.Module):
    """A BERT without a forward pass of its own: `BertEncoder` runs it.

    Args:
        config: its sizes.
        pooler: whether the weights hold the dense layer over CLS that BERT's next-sentence task trained.
    """

    def __init__(self, config: BertConfig, pooler: bool = True) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        if pooler:
            self.pooler = Pooler(config)


GELU: Mapping[str, str] = {"relu": "this tower's activation is gelu"}


@dataclass(frozen=True, eq=False)
class BertEncoder(Words):
    """A BERT as a chain of post-norm blocks, and how its embedding is read.

    Args:
        bert: a `Bert`, or transformers' BertModel.
        head: from the pooled token to the joint space.
        read: the token that is pooled: "first" is CLS, "last" SEP, "mean" the mean over the phrase, both included.
        padding: id of the padding token, which the tokenizer adds behind a phrase.
        taps: blocks whose outputs are averaged with the last one's before pooling.
        pools_padding: average over padding too, so that the embedding of a phrase depends on the longest one of its
            batch, as MedCLIP's published code does.
    """

    bert: Network
    head: nn.Module
    read: Literal["first", "last", "mean"]
    padding: int = 0
    taps: tuple[int, ...] = ()
    pools_padding: bool = False
    missing: Mapping[str, str] = field(default_factory=lambda: GELU)
    modality: Literal["text"] = "text"

    @property
    def _blocks(self) -> Network:
        encoder = self.bert.encoder
        return encoder.layer if hasattr(encoder, "layer") else encoder.layers  # as releases of transformers name them

    @property
    def depth(self) -> int:
        return len(self._blocks)

    def axis(self, inputs: Tensor) -> TokenAxis:
        valid = inputs != self.padding
        position, last = torch.arange(inputs.shape[1], device=inputs.device), valid.sum(dim=1, keepdim=True) - 1
        return TokenAxis(valid, (position > 0) & (position < last))

    def collate(self, rows: Sequence[Sequence[int]]) -> Tensor:
        longest = max(len(ids) for ids in rows)
        return torch.tensor([[*ids, *[self.padding] * (longest - len(ids))] for ids in rows])

    def entry(self, inputs: Tensor) -> Tensor:
        return self._embed(self.bert.embeddings.word_embeddings(inputs))

    def blank(self, inputs: Tensor) -> Tensor:
        return self._embed(torch.zeros_like(self.bert.embeddings.word_embeddings(inputs)))

    def _embed(self, words: Tensor) -> Tensor:
        """Rows of the vocabulary [item, token, dim] with positions and the first segment, normed."""
        parts = self.bert.embeddings
        positions = parts.position_embeddings.weight[: words.shape[1]]
        # In transformers' order of additions, so that float32 sums round alike.
        return parts.LayerNorm(words + parts.token_type_embeddings.weight[0] + positions)

    def readers(self, axis: TokenAxis) -> Readers:
        if self.read == "mean":
            return Readers(None)
        last = axis.valid.sum(dim=1) - 1
        return Readers(last if self.read == "last" else torch.zeros_like(last))

    def norm(self, layer: int, hidden: Tensor) -> Tensor:
        return hidden  # norms follow the residual additions

    def mask(self, layer: int, axis: TokenAxis, rows: Tensor | None = None) -> Tensor | None:
        return axis.valid[:, None, None, :] if axis.padded else None

    def attend(
        self,
        layer: int,
        normed: Tensor,
        axis: TokenAxis,
        rows: Tensor | None = None,
        moving: Tensor | None = None,
    ) -> Attended:
        half = self._blocks[layer].attention.self
        queries = normed if rows is None else single_row(normed, rows)
        query, key, value = (
            projection(tokens).unflatten(-1, (half.num_attention_heads, -1)).transpose(1, 2)
            for projection, tokens in ((half.query, queries), (half.key, normed), (half.value, normed))
        )
        output = F.scaled_dot_product_attention(query, key, value, attn_mask=self.mask(layer, axis))
        return Attended(query, key, value, output.transpose(1, 2).flatten(2))

    def output_projection(self, layer: int, output: Tensor) -> Tensor:
        return self._blocks[layer].attention.output.dense(output)

    def after_attention(self, layer: int, hidden: Tensor, output: Tensor) -> Tensor:
        block = self._blocks[layer]
        attended = block.attention.output.LayerNorm(self.output_projection(layer, output) + hidden)
        inner = F.gelu(block.intermediate.dense(attended))
        return block.output.LayerNorm(block.output.dense(inner) + attended)

    def stage(self, layer: int, state: State) -> State:
        output = self.attend(layer, state.hidden, state.axis).output
        return state.followed_by(self.after_attention(layer, state.hidden, output), layer in self.taps)

    def pool(self, state: State) -> Tensor:
        tokens = state.read
        if self.read != "mean":
            return self.head(tokens[:, 0])  # the last block keeps this row alone
        weights = (torch.ones_like(state.axis.valid) if self.pools_padding else state.axis.valid).to(tokens)[..., None]
        return self.head((tokens * weights).sum(dim=1) / weights.sum(dim=1))

    def project(self, tokens: Tensor) -> Tensor:
        return self.head(tokens)

    def stages(self) -> dict[str, list[nn.Parameter]]:
        blocks = {f"block {layer}": self._blocks[layer] for layer in reversed(range(self.depth))}
        parts: dict[str, nn.Module] = {"projection": self.head, **blocks, "embeddings": self.bert.embeddings}
        return {name: list(part.parameters()) for name, part in parts.items() if any(True for _ in part.parameters())}
