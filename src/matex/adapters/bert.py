"""BERT block by block, with transformers' names of weights and without its import.

Shared by the families whose text encoder is a BERT (MedCLIP, BioViL, GLoRIA, CXR-CLIP, ConVIRT). The functions take
`Bert` as well as transformers' BertModel, since both hold the same submodules. Nothing is hooked. A block attends over
every position that the padding mask leaves open, in both directions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.errors import CheckpointError, UnsupportedModel, shown


def _whole(default: int, high: int) -> Any:
    return field(default=default, metadata={"high": high})


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT; names are those of transformers' BertConfig, defaults those of Bio_ClinicalBERT.

    Args:
        vocab_size: number of token ids; 28996 is the cased vocabulary of BERT-base.
        max_position_embeddings: longest phrase, special tokens included.
        layer_norm_eps: of every layer norm.
    """

    vocab_size: int = _whole(28996, 1 << 24)
    hidden_size: int = _whole(768, 1 << 16)
    num_hidden_layers: int = _whole(12, 1000)
    num_attention_heads: int = _whole(12, 1 << 12)
    intermediate_size: int = _whole(3072, 1 << 18)
    max_position_embeddings: int = _whole(512, 1 << 16)
    type_vocab_size: int = _whole(2, 1 << 10)
    layer_norm_eps: float = 1e-12

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], source: str) -> BertConfig:
        """Read a config.json of a BERT encoder with absolute positions and GELU.

        Args:
            content: of the file; entries that do not change the encoder are left unread.
            source: named in refusals.

        Raises:
            CheckpointError: a value that no BERT can have, by its key.
            UnsupportedModel: a decoder, other position embeddings, or another activation.
        """
        fixed = {"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
        for key, value in fixed.items():
            if (found := content.get(key, value)) != value:
                raise UnsupportedModel(f"Expected {key} {value!r} in {shown(source)}, got {shown(found)}.")
        values: dict[str, Any] = {}
        for item in dataclasses.fields(cls):
            value = values[item.name] = content.get(item.name, item.default)
            high = item.metadata.get("high")
            kinds, low, high = (int, 1, high) if high else ((int, float), 0, 0.1)
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


def _embedding(rows: int, dim: int) -> nn.Embedding:
    """An embedding without initial values, which would import torch's compiler on the meta device (1.3 s)."""
    return nn.Embedding.from_pretrained(torch.empty(rows, dim), freeze=False)


class Embeddings(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        dim = config.hidden_size
        self.word_embeddings = _embedding(config.vocab_size, dim)
        self.position_embeddings = _embedding(config.max_position_embeddings, dim)
        self.token_type_embeddings = _embedding(config.type_vocab_size, dim)
        self.LayerNorm = nn.LayerNorm(dim, eps=config.layer_norm_eps)


class SelfAttention(nn.Module):
    """Projections of multi-head attention; `attend` computes the attention itself."""

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
    """A BERT encoder; run it with the functions of this file.

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


class Attention(NamedTuple):
    """The attention half of one block."""

    query: Tensor  # [item, heads, query, head_dim]
    key: Tensor  # [item, heads, key, head_dim]
    value: Tensor  # [item, heads, key, head_dim]
    output: Tensor  # [item, query, dim]: heads concatenated, before the output projection
    mask: Tensor  # bool [item, query, key]; False where a query may not attend


def depth(bert: Any) -> int:
    """Number of blocks."""
    return len(bert.encoder.layer)


def word_embeddings(bert: Any, token_ids: Tensor) -> Tensor:
    """Token ids [item, token] to rows of the vocabulary [item, token, dim], where gradients of words are taken."""
    return bert.embeddings.word_embeddings(token_ids)


def embed(bert: Any, words: Tensor) -> Tensor:
    """Word embeddings [item, token, dim] with positions and the first segment, normed: the first block's input."""
    parts = bert.embeddings
    positions = parts.position_embeddings.weight[: words.shape[1]]
    # In transformers' order of additions, so that float32 sums round alike.
    return parts.LayerNorm(words + parts.token_type_embeddings.weight[0] + positions)


def padding_mask(valid: Tensor, rows: Tensor | None = None) -> Tensor:
    """Which keys each query attends to: all that are valid, whatever the query.

    Args:
        valid: bool [item, token]; False for padding.
        rows: [item, query]; the query rows, all tokens otherwise.

    Returns:
        bool [item, query, key]. Rows of padding attend to the phrase too, as BERT's do.
    """
    return valid.bool()[:, None, :].expand(-1, valid.shape[1] if rows is None else rows.shape[1], -1)


def attend(bert: Any, layer: int, hidden: Tensor, valid: Tensor, rows: Tensor | None = None) -> Attention:
    """Attention of block `layer` over its input.

    Args:
        hidden: the block's input [item, token, dim].
        valid: bool [item, token]; False for padding.
        rows: [item, query]; compute these query rows only.
    """
    half = bert.encoder.layer[layer].attention.self
    queries = hidden if rows is None else take(hidden, rows)
    query, key, value = (
        projection(tokens).unflatten(-1, (half.num_attention_heads, -1)).transpose(1, 2)
        for projection, tokens in ((half.query, queries), (half.key, hidden), (half.value, hidden))
    )
    mask = padding_mask(valid, rows)
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None])
    return Attention(query, key, value, output.transpose(1, 2).flatten(2), mask)


def output_projection(bert: Any, layer: int, output: Tensor) -> Tensor:
    """The output projection of block `layer` over its concatenated heads, [item, query, dim]."""
    return bert.encoder.layer[layer].attention.output.dense(output)


def after_attention(bert: Any, layer: int, hidden: Tensor, output: Tensor) -> Tensor:
    """The rest of block `layer`: both residual additions with their norms and the feed-forward part.

    Args:
        hidden: the rows of the block's input that `output` belongs to, [item, query, dim].
        output: the attention output [item, query, dim].
    """
    block = bert.encoder.layer[layer]
    attended = block.attention.output.LayerNorm(output_projection(bert, layer, output) + hidden)
    inner = F.gelu(block.intermediate.dense(attended))
    return block.output.LayerNorm(block.output.dense(inner) + attended)


def stage(bert: Any, layer: int, hidden: Tensor, valid: Tensor) -> Tensor:
    """The whole of block `layer`, [item, token, dim] to the same."""
    return after_attention(bert, layer, hidden, attend(bert, layer, hidden, valid).output)


def hidden_states(bert: Any, token_ids: Tensor, valid: Tensor) -> list[Tensor]:
    """The first block's input and every block's output, each [item, token, dim]."""
    states = [embed(bert, word_embeddings(bert, token_ids))]
    for layer in range(depth(bert)):
        states.append(stage(bert, layer, states[-1], valid))
    return states


def take(hidden: Tensor, rows: Tensor) -> Tensor:
    """Rows rows[item] [item, query] of hidden states [item, token, dim], [item, query, dim]."""
    return hidden.gather(1, rows[..., None].expand(-1, -1, hidden.shape[-1]))


def mean_over(hidden: Tensor, valid: Tensor | None) -> Tensor:
    """Mean over the valid tokens, or over all where `valid` is None: [item, token, dim] to [item, dim]."""
    if valid is None:
        return hidden.mean(dim=1)
    weights = valid.to(hidden)[..., None]
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
