"""An information bottleneck behind one block: the share of each token that must pass for the embeddings to agree.

M2IB and CA-M2IB share everything but what the noisy embedding is to agree with. Only the blocks behind the bottleneck
are run, for all noisy copies of all pairs side by side.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.attribution.shared.batching import batches
from matex.checks import check, check_seed
from matex.errors import InputError
from matex.trace import Trace

_OPEN = 5.0  # where alpha starts: sigmoid(5) = 0.993 of every element gets through


def information(alpha: Tensor, hidden: Tensor, sigma: float = 1.0) -> Tensor:
    """KL(N(lambda h, sigma^2 (1 - lambda)^2) || N(0, 1)) per element in nats, lambda = sigmoid(alpha).

    Written with log(1 - lambda) = log sigmoid(-alpha), so that it stays finite however open the bottleneck is.
    """
    mean, log_deviation = torch.sigmoid(alpha) * hidden, F.logsigmoid(-alpha) + math.log(sigma)
    return 0.5 * (mean.square() + (2 * log_deviation).exp() - 2 * log_deviation - 1)


def noisy(alpha: Tensor, hidden: Tensor, noise: Tensor, sigma: float = 1.0) -> Tensor:
    """Noisy hidden states: lambda h + sigma (1 - lambda) noise."""
    return torch.sigmoid(alpha) * hidden + sigma * torch.sigmoid(-alpha) * noise


def noise_steps(
    seeds: Sequence[int], lengths: Sequence[int], samples: int, dim: int, dtype: torch.dtype
) -> Iterator[Tensor]:
    """Standard normal noise for step after step, zero behind the end of a row, [row, sample, token, dim], on the CPU.

    Each row has the random stream of its seed as if it were alone: after `torch.manual_seed(seed)` one draw of
    [sample, token, dim] per step. Rows of one seed and one length therefore get the same noise.
    """
    streams = {key: torch.Generator().manual_seed(key[0]) for key in zip(seeds, lengths, strict=True)}
    longest = max(lengths)
    while True:
        drawn = {
            (seed, length): F.pad(
                torch.empty(samples, length, dim, dtype=dtype).normal_(generator=stream), (0, 0, 0, longest - length)
            )
            for (seed, length), stream in streams.items()
        }
        yield torch.stack([drawn[key] for key in zip(seeds, lengths, strict=True)])


class Adam:
    """arXiv:1412.6980 in place, with its usual constants.

    torch.optim's imports its compiler when it is first used, which took 7.5 s where this was written.
    """

    def __init__(self, parameter: Tensor, learning_rate: float) -> None:
        self._parameter, self._learning_rate, self._step = parameter, learning_rate, 0
        self._first, self._second = torch.zeros_like(parameter), torch.zeros_like(parameter)

    def __call__(self, gradient: Tensor) -> None:
        self._step += 1
        self._first.lerp_(gradient, 0.1)
        self._second.lerp_(gradient.square(), 0.001)
        spread = (self._second / (1 - 0.999**self._step)).sqrt().add_(1e-8)
        with torch.no_grad():
            self._parameter.addcdiv_(self._first, spread, value=-self._learning_rate / (1 - 0.9**self._step))


@dataclass(frozen=True, eq=False)
class Aim:
    """Target of the noisy embeddings of some rows.

    Args:
        target: what each of the noisy embeddings is drawn to, [row, sample, joint], from these embeddings and the
            noisy latents [row, sample, token, dim] behind them.
        moves: whether that depends on the embedding.
        weight: of the agreement in the objective; gamma.
        learned: parameters with the row first that are optimised as well.
        learning_rate: theirs.
        latent: what passes the bottleneck in place of the block's output, [row, token, dim]; None for that output.
    """

    target: Callable[[Tensor, Tensor], Tensor]
    moves: bool = True
    weight: float = 1.0
    learned: tuple[Tensor, ...] = ()
    learning_rate: float = 0.0
    latent: Tensor | None = None


@dataclass(frozen=True, eq=False)
class BottleneckResult:
    """Result of the optimisation.

    Args:
        information: nats per token that get through, mean over the seeds, [pair, token].
        spread: standard deviation over the seeds, [pair, token]; NaN for a single seed.
        target_cosine: cosine of what the embedding was drawn to and the other side's embedding, in the last step, mean
            over copies and seeds, [pair]; 1 when the aim is that embedding itself.
        gate: lambda of the last forward, [pair, seed, token, dim]: the share of each element that gets through.
    """

    information: Tensor
    spread: Tensor
    target_cosine: Tensor
    gate: Tensor


@dataclass(frozen=True)
class Bottleneck(ABC):
    """Base of M2IB and CA-M2IB.

    Args:
        layer: number of the block whose output passes the bottleneck, from 0; None for the reference's 9 of 12 blocks,
            at the same relative depth in other towers.
        beta: weight of the compression, a mean over samples, tokens and channels.
        steps: of the optimiser.
        samples: noisy copies per step.
        learning_rate: of the bottleneck's Adam.
        seed: of the noise.
        n: how many seeds, from `seed` on, are averaged.
        sigma: standard deviation of the noise in a closed bottleneck; 1 is the standard normal of the compression.
        batch_size: noisy copies run at once; fewer when memory runs out.
        progress: show a bar, of optimised maps: one per pair and seed.
    """

    layer: int | None = None
    beta: float = 0.1
    steps: int = 10
    samples: int = 10
    learning_rate: float = 1.0
    seed: int = 0
    n: int = 1
    sigma: float = 1.0
    batch_size: int = 80
    progress: bool = False

    def __post_init__(self) -> None:
        check(self.layer is None or self.layer >= 0, "layer", "of 0 or more", self.layer)
        check(self.beta >= 0, "beta", "of 0 or more", self.beta)
        check(self.learning_rate > 0, "learning_rate", "above 0", self.learning_rate)
        check(self.sigma > 0, "sigma", "above 0", self.sigma)
        for name in ("steps", "samples", "n", "batch_size"):
            check(getattr(self, name) >= 1, name, "of 1 or more", getattr(self, name))
        check_seed(self.seed)

    @abstractmethod
    def aim(self, trace: Trace, pairs: Tensor, seeds: Sequence[int]) -> Aim:
        """Target of the embeddings of these rows, each of a pair and a seed, [row]."""

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def __call__(self, trace: Trace) -> Tensor:
        return trace.to_grid(self.squeeze(trace).information, self.squeezed_layer(trace) + 1)

    def squeeze(self, trace: Trace) -> BottleneckResult:
        """Optimise the bottleneck of every pair, once per trace."""
        return trace.memo(("squeeze", self), lambda: self._squeeze(trace))

    def report(self, trace: Trace) -> list[dict[str, float | None]]:
        """Measurements of the optimisation, per pair.

        Returns:
            `target_cosine`: of what the embedding was drawn to and the other side's embedding. `seed_spread`: largest
            standard deviation over the seeds among content tokens, in parts of the map's range there; None for a
            single seed or a constant map.
        """
        found = self.squeeze(trace)
        rows: list[dict[str, float | None]] = []
        for pair, content in enumerate(trace.axis_at(self.squeezed_layer(trace) + 1).content):
            values, spread = found.information[pair, content], found.spread[pair, content]
            known = self.n > 1 and len(values) > 0 and bool(values.max() > values.min())
            share = float(spread.max() / (values.max() - values.min())) if known else None
            rows.append({"target_cosine": float(found.target_cosine[pair]), "seed_spread": share})
        return rows

    def squeezed_layer(self, trace: Trace) -> int:
        """The block whose output passes the bottleneck.

        Raises:
            InputError: no such block, or none follows it, so that nothing but the token that is read would reach the
                score.
        """
        depth, last = trace.depth, trace.last_squeezed
        layer = max(0, min(round(depth * 10 / 12) - 1, last)) if self.layer is None else self.layer
        if not 0 <= layer <= last:
            why = ", since one block must follow the bottleneck" if last < depth - 1 else ""
            raise InputError(
                f"Expected a layer from 0 to {last} on this tower of {depth} blocks{why}, got {layer}. Choose another "
                "layer."
            )
        return layer

    def _squeeze(self, trace: Trace) -> BottleneckResult:
        behind = self.squeezed_layer(trace)
        with torch.inference_mode(False):
            pair = torch.arange(len(trace.item), device=trace.item.device).repeat_interleave(self.n)
        seeds = [self.seed + i for i in range(self.n)] * len(trace.item)

        def run(start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
            return self._optimise(trace, behind + 1, pair[start:stop], seeds[start:stop])

        with torch.inference_mode(False):
            at_once = max(1, self.batch_size // self.samples)
            done = list(batches(run, len(pair), at_once, self.progress))
        tokens = trace.axis_at(behind + 1).valid.shape[1]
        information = self._by_pair([F.pad(row, (0, tokens - row.shape[1])) for row, _, _ in done])
        cosine = self._by_pair([cosine for _, cosine, _ in done])
        gate = self._by_pair([F.pad(gate, (0, 0, 0, tokens - gate.shape[1])) for _, _, gate in done])
        spread = information.std(dim=1) if self.n > 1 else torch.full_like(information[:, 0], torch.nan)
        return BottleneckResult(information.mean(dim=1), spread, cosine.mean(dim=1), gate)

    def _by_pair(self, parts: Sequence[Tensor]) -> Tensor:
        """Rows of all batches by pair and seed, [pair, seed, ...]."""
        return torch.unflatten(torch.cat(list(parts)), 0, (-1, self.n))

    def _optimise(self, trace: Trace, layer: int, pairs: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Nats per token [row, token] of the last forward, cosine of attended and given target [row], and the gate."""
        given = trace.target[pairs][:, None]
        # Padding is not seen, compressed or given noise.
        state = trace.state(layer).select(pairs)
        lengths = cast(list[int], state.axis.valid.sum(dim=1).tolist())
        each = torch.arange(len(pairs), device=pairs.device).repeat_interleave(self.samples)
        state = state.select(slice(None), max(lengths))
        copied = state.select(each)
        with torch.enable_grad():
            aim = self.aim(trace, pairs, seeds)
        entering = state.hidden if aim.latent is None else aim.latent[:, : max(lengths)].to(state.hidden)
        hidden = entering.to(torch.promote_types(entering.dtype, torch.float32))
        real = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).to(hidden)
        parts = real / (real.sum(dim=1, keepdim=True) * hidden.shape[2])  # weights of a mean over tokens and channels
        noise = noise_steps(seeds, lengths, self.samples, hidden.shape[2], hidden.dtype)

        def agreement(aim: Aim, alpha: Tensor) -> tuple[Tensor, Tensor]:
            copies = noisy(alpha[:, None], hidden[:, None], next(noise).to(hidden), self.sigma).to(entering.dtype)
            embedding = trace.embed_state(layer, copied.with_hidden(copies.flatten(0, 1)))
            embedding = torch.unflatten(embedding, 0, (-1, self.samples))
            target = aim.target(embedding, copies)
            return F.cosine_similarity(embedding, target, dim=-1, eps=1e-6).mean(dim=1), target

        with torch.enable_grad():
            alpha = torch.full_like(hidden, _OPEN).requires_grad_()
            parameters = [alpha, *aim.learned]
            updates = [Adam(alpha, self.learning_rate), *(Adam(part, aim.learning_rate) for part in aim.learned)]
            for _ in range(self.steps - 1):
                compression = (information(alpha, hidden, self.sigma).sum(dim=2) * parts).sum(dim=1)
                fit, _ = agreement(aim, alpha)
                loss = (self.beta * compression - aim.weight * fit).sum()
                gradients = torch.autograd.grad(loss, parameters)
                for update, gradient in zip(updates, gradients, strict=True):
                    update(gradient)
        # The map is of the last forward, before its update: that update and what leads to it are never needed.
        with torch.no_grad():
            cosine = torch.ones_like(real[:, 0])
            if aim.moves:
                cosine = F.cosine_similarity(agreement(aim, alpha)[1], given, dim=-1).mean(dim=1)
            return information(alpha, hidden, self.sigma).sum(dim=2) * real, cosine, torch.sigmoid(alpha)
