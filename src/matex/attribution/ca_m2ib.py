"""CA-M2IB: an information bottleneck whose target is the other side's tokens, by cross-attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.attribution.shared.bottleneck import Aim, Bottleneck
from matex.checks import check
from matex.errors import InputError
from matex.protocols import METHODS
from matex.trace import Trace


def attention_weights(query: Tensor, key: Tensor, counts: Tensor, scale: float | None = None) -> Tensor:
    """The softmax of eq. 4: how much each query attends to each token of the other side.

    Args:
        query: [row, sample, joint].
        key: [row, token, joint].
        counts: which tokens there are, bool [row, token].
        scale: of the cosine of query and key; None for the paper's dot product over sqrt(joint).

    Returns:
        [row, sample, token]; rows sum to 1.
    """
    if scale is None:
        logits = query @ key.mT / query.shape[-1] ** 0.5
    else:
        logits = scale * F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).mT
    return logits.masked_fill(~counts[:, None], -torch.inf).softmax(dim=-1)


def cross_attention(
    query: Tensor, tokens: Tensor, counts: Tensor, maps: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Eq. 4: the other side's tokens, averaged by how much each embedding attends to them.

    Args:
        query: [row, sample, joint].
        tokens: keys and values, [row, token, joint].
        counts: which tokens there are, bool [row, token].
        maps: matrices of query, key and value, [row, 3, joint, joint]; None for the identity.
        scale: of the cosine of query and key; None for the paper's dot product over sqrt(joint).

    Returns:
        [row, sample, joint].
    """
    key, value = tokens, tokens
    if maps is not None:
        query, key, value = (x @ maps[:, i].mT for i, x in enumerate((query, key, value)))
    return attention_weights(query, key, counts, scale) @ value


def attention_maps(kind: Literal["random", "learned"], seed: int, joint: int) -> Tensor:
    """Matrices of query, key and value at the start, [3, joint, joint] in float64 on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "random":
        empty = torch.empty(joint, joint, dtype=torch.float64)
        return torch.stack([torch.nn.init.orthogonal_(empty.clone(), generator=generator) for _ in range(3)])
    noise = torch.randn(3, joint, joint, generator=generator, dtype=torch.float64)
    return torch.eye(joint, dtype=torch.float64) + 1e-3 * noise


def width_map(seed: int, joint: int, dim: int) -> Tensor:
    """A seeded orthogonal map between a block's width and the joint space, [joint, dim] in float64 on the CPU.

    Of more dimensions to fewer; the paper prints products of the two spaces and no map between them.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.init.orthogonal_(torch.empty(joint, dim, dtype=torch.float64), generator=generator)


@METHODS("ca-m2ib")
@dataclass(frozen=True)
class CaM2IB(Bottleneck):
    """M2IB drawn to the words or patches the noisy embedding attends to, instead of the whole embedding.

    Args:
        gamma: weight of the agreement.
        attention: "identity" has no parameters; "random" three seeded orthogonal matrices; "learned" optimises them
            from the identity on, with the bottleneck. Learned attention is degenerate: its values can turn any token
            onto the embedding, so that they agree without evidence.
        logits: "clip" is the model's own scale times the cosine; "paper" divides a dot product of unit vectors by
            sqrt(joint), which is so small that every token gets nearly the same weight.
        attention_learning_rate: of learned attention; the bottleneck's own would destroy it in one step.
        query: "embedding" asks with the noisy embedding; "latent" is eq. 4 as printed, Q(Z): every content token of the
            noisy latent asks, brought to the joint space by a seeded orthogonal map, and the answers are averaged.
        latent: "block" squeezes the block's own output; "attended" is eq. 5 as printed, f(E~): the block's tokens, each
            replaced by what it attends to among the other side's, brought back by the same map at its own length.
        readout_key: count the other side's readout token among its tokens; None counts EOS and leaves CLS out.
        For the others see `Bottleneck`.

    Source:
        "Multi-Modal Information Bottleneck Attribution with Cross-Attention Guidance", eq. 4-11, in our reading
        (METHODS 4.2), since its public code lacks the method. What passes the bottleneck is the block's output, as
        in M2IB, since the joint space's vector of eq. 5 is no input of a block. Queries, keys and values are unit norm
        before their matrices; no gradient flows through the other tower. "clip" is a deviation from eq. 4.
    """

    gamma: float = 1.0
    attention: Literal["identity", "random", "learned"] = "identity"
    logits: Literal["clip", "paper"] = "clip"
    attention_learning_rate: float = 1e-3
    query: Literal["embedding", "latent"] = "embedding"
    latent: Literal["block", "attended"] = "block"
    readout_key: bool | None = None

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("gradient", "features")
    other_needs: ClassVar[tuple[str, ...]] = ("joint tokens",)
    passes: ClassVar[str] = (
        "1 forward, then 10 forwards and 9 backwards of 10 copies through the blocks behind the bottleneck"
    )
    source: ClassVar[str] = "CA-M2IB, eq. 4-11, in our reading"
    equation: ClassVar[str] = (
        "as `m2ib` with T replaced by softmax(Q(e) K(E)^T) V(E), E the other side's tokens in the joint space"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "The public repository lacks the method. Our reading.",
        "Eq. 4 asks with what passed the bottleneck and eq. 5 feeds the answer into a block, although one has the "
        "block's width and the other the joint space's. Here the embedding asks, and the block's own output passes, "
        "as in M2IB; query='latent' and latent='attended' are the printed forms with a random map between the spaces.",
        "The objective that is printed first penalises information about the other side's input; taken for a misprint, "
        "as eq. 3 and 7 have the side's own.",
        "Its dot products of unit vectors over sqrt(d) make attention uniform. logits='clip' takes the "
        "model's own scale; 'paper' is as printed.",
        "Learned attention can turn any token onto the embedding, agreement without evidence. The default has "
        "no parameters; the record says how far the target moved.",
    )
    draws: ClassVar[str] = (
        "the noise of every step, the matrices of attention='random' and 'learned', and the map of the printed forms"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.gamma >= 0, "gamma", "of 0 or more", self.gamma)
        check(self.attention_learning_rate > 0, "attention_learning_rate", "above 0", self.attention_learning_rate)

    def aim(self, trace: Trace, pairs: Tensor, seeds: Sequence[int]) -> Aim:
        ends = trace.grid is not None and trace.target_grid is None  # the other side is text, its readout token EOS
        tokens, counts = trace.memo(("tokens", self.readout_key), lambda: self._tokens(trace, ends))
        tokens, counts = tokens[pairs], counts[pairs]
        scale = trace.logit_scale if self.logits == "clip" else None
        maps: Tensor | None = None
        learned: tuple[Tensor, ...] = ()
        if self.attention != "identity":
            start = {seed: attention_maps(self.attention, seed, tokens.shape[-1]) for seed in set(seeds)}
            maps = torch.stack([start[seed] for seed in seeds]).to(tokens)
            learned = (maps.requires_grad_(),) if self.attention == "learned" else ()

        def attend(query: Tensor) -> Tensor:
            return cross_attention(query, tokens, counts, maps, scale)

        aim = Aim(
            lambda embedding, _: attend(embedding),
            weight=self.gamma,
            learned=learned,
            learning_rate=self.attention_learning_rate,
        )
        if self.query == "embedding" and self.latent == "block":
            return aim
        state = trace.state(self.squeezed_layer(trace) + 1).select(pairs)
        lift = torch.stack([width_map(seed, tokens.shape[-1], state.hidden.shape[-1]) for seed in seeds]).to(tokens)

        def attend_from_latent(_: Tensor, noised: Tensor) -> Tensor:
            queries = F.normalize(torch.einsum("rstd,rjd->rstj", noised.to(lift), lift), dim=-1)
            answers = torch.unflatten(attend(queries.flatten(1, 2)), 1, queries.shape[1:3])
            share = state.axis.content[:, : noised.shape[2]].to(answers)
            return torch.einsum("rstj,rt->rsj", answers, share / share.sum(dim=1, keepdim=True))

        latent: Tensor | None = None
        if self.latent == "attended":
            with torch.no_grad():
                own = state.hidden.to(lift)
                answers = attend(F.normalize(own @ lift.mT, dim=-1))
                length = cast(Tensor, torch.linalg.vector_norm(own, dim=-1, keepdim=True))
                latent = F.normalize(answers @ lift, dim=-1) * length
        return replace(aim, target=attend_from_latent if self.query == "latent" else aim.target, latent=latent)

    def _tokens(self, trace: Trace, ends: bool) -> tuple[Tensor, Tensor]:
        tokens, counts = trace.target_tokens(readout=ends if self.readout_key is None else self.readout_key)
        if not counts.any(dim=1).all():
            raise InputError(
                "Expected words or patches to attend to, got none. Use a longer phrase or readout_key=True."
            )
        return tokens, counts
