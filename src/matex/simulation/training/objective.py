"""Losses of the bundled model, as plain functions of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from matex.simulation.phrases import Claim, ClaimedSentence, evidence, holds
from matex.simulation.training.pool import SLOTS, Place, TrainingFilm


class Truth:
    """Truth of sentences about films, computed once for each pair of claim and film content."""

    def __init__(self) -> None:
        self._known: dict[tuple[Claim, tuple[Place, ...], bool], tuple[float, tuple[bool, ...]]] = {}

    def _claim(self, claim: Claim, film: TrainingFilm) -> tuple[float, tuple[bool, ...]]:
        key = (claim, film.places, film.complete)
        if key not in self._known:
            true = holds((claim,), film.places, film.complete)
            self._known[key] = (np.nan if true is None else float(true), evidence((claim,), film.places))
        return self._known[key]

    def tables(
        self, films: Sequence[TrainingFilm], sentences: Sequence[ClaimedSentence]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Truth and evidence for every film and sentence.

        Returns:
            truth: float32 [film, sentence]; 1, 0, or NaN where it cannot be known.
            meant: float32 [film, sentence, slot]; 1 for the findings a sentence speaks of.
        """
        claims = list(dict.fromkeys(claim for sentence in sentences for claim in sentence.claims))
        position = {claim: index for index, claim in enumerate(claims)}
        true = np.empty((len(films), len(claims)), np.float32)
        meant = np.zeros((len(films), len(claims), SLOTS), np.float32)
        kinds: dict[tuple[tuple[Place, ...], bool], int] = {}
        for row, film in enumerate(films):
            first = kinds.setdefault((film.places, film.complete), row)
            if first != row:
                true[row], meant[row] = true[first], meant[first]
                continue
            for claim, column in position.items():
                true[row, column], evident = self._claim(claim, film)
                meant[row, column, : len(evident)] = evident[:SLOTS]
        columns = [[position[claim] for claim in sentence.claims] for sentence in sentences]
        # A sentence is false when any claim is, unknown when any is unknown, else true.
        value = np.stack([np.where((true[:, c] == 0).any(1), 0, true[:, c].min(1)) for c in columns], axis=1)
        return value.astype(np.float32), np.stack([meant[:, c].max(1) for c in columns], axis=1)


def contrastive(similarity: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Contrastive loss of every true pair against the false ones of its row; other pairs are ignored.

    Args:
        similarity: scaled similarities [row, column].
        truth: [row, column]; 1 true, 0 false, NaN unknown.
        weights: how much a true column counts within its row [column].

    Source:
        InfoNCE with several positives, each contrasted alone ("Supervised Contrastive Learning",
        arXiv:2004.11362, eq. 2), the other positives left out of the denominator.
    """
    false = similarity.masked_fill(truth != 0, -torch.inf).logsumexp(dim=1, keepdim=True)
    share = (truth == 1).float() * weights
    total = share.sum(dim=1, keepdim=True)
    usable = (total > 0) & torch.isfinite(false)
    share = torch.where(usable, share / total.clamp(min=1e-6), torch.zeros_like(share))
    loss = F.softplus(torch.where(usable, false, torch.zeros_like(false)) - similarity)
    return (share * loss).sum() / usable.sum().clamp(min=1)


def sigmoid(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Sigmoid loss of every pair of film and sentence; unknown pairs are ignored.

    Args:
        logits: [image, text].
        truth: [image, text]; 1 true, 0 false, NaN unknown.
        weights: how much a true sentence counts [text].

    Returns:
        Mean over the true pairs plus mean over the false ones. In the published sum over all pairs, of which a film has
        a few true ones among some hundred, the false ones dominate: the gradient's norm was 12 where this form's is 1,
        and clipping left the auxiliary readout a twelfth of its step. The readout's loss without its fading weight at
        step 900 was 1.40 with the sum and 1.36 in this form.

    Source:
        "Sigmoid Loss for Language Image Pre-Training", arXiv:2303.15343, eq. 1, balanced.
    """
    loss = F.binary_cross_entropy_with_logits(logits, torch.nan_to_num(truth), reduction="none")
    true, false = (truth == 1) * weights, (truth == 0).float()
    shares = [kind / kind.sum().clamp(min=1e-6) for kind in (true, false)]
    return (loss * (shares[0] + shares[1])).sum()


def local(similarity: Tensor, coverage: Tensor, meant: Tensor, usable: Tensor) -> Tensor:
    """Localisation loss: cross-entropy of each phrase's patches against the findings that it mentions.

    Args:
        similarity: scaled similarities of patches and phrases [image, phrase, patch].
        coverage: share of each patch that a finding covers [image, slot, patch].
        meant: 1 for the findings that a phrase speaks of [image, phrase, slot].
        usable: pairs whose answer is known [image, phrase], bool.
    """
    target = torch.einsum("ips,isn->ipn", meant, coverage).clamp(max=1)
    loss = F.binary_cross_entropy_with_logits(similarity, target, reduction="none")
    there = usable & (meant.sum(dim=-1) > 0)
    absent = usable & ~there
    shown = loss * torch.where(target > 0.3, 3.0, 1.0)
    return _mean(shown.mean(dim=-1), there) + 0.5 * _mean(loss.mean(dim=-1), absent)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp(min=1)


def balanced(logits: Tensor, target: Tensor, weight: float) -> Tensor:
    """Binary cross-entropy in which ones count `weight` times as much as zeros; NaN in the target does not count."""
    known = ~torch.isnan(target)
    loss = F.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(target), pos_weight=logits.new_full((), weight), reduction="none"
    )
    return _mean(loss, known)


def named(similarity: Tensor, coverage: Tensor, meant: Tensor) -> Tensor:
    """Naming loss: cross-entropy over the canonical phrases at each covered patch.

    Args:
        similarity: scaled similarities of patches and canonical phrases [image, patch, phrase].
        coverage: share of each patch that a finding covers [image, slot, patch].
        meant: 1 for the finding that a phrase names [image, phrase, slot].
    """
    amount, slot = coverage.max(dim=1)
    phrases = meant.max(dim=1)  # per slot: is it named at all, and by which phrase
    image, patch = ((amount > 0.4) & (phrases.values.gather(1, slot) > 0)).nonzero(as_tuple=True)
    target = phrases.indices[image, slot[image, patch]]
    # Every finding counts the same, however many patches it covers.
    share = 1 / (amount > 0.4).sum(dim=1).clamp(min=1)[image].float()
    loss = F.cross_entropy(similarity[image, patch], target, reduction="none")
    return (loss * share).sum() / share.sum().clamp(min=1e-6)


def guide(attention: Tensor, covered: Tensor) -> Tensor:
    """Attention guidance: negative logarithm of the readout's share of attention on the findings.

    Args:
        attention: of the readout to the patches [image, block, patch].
        covered: share of each patch that any finding covers [image, patch]; images without findings do not count.
    """
    inside = (covered > 0.3).float()
    inside = torch.where(inside.sum(dim=1, keepdim=True) > 0, inside, covered)
    shown = covered.amax(dim=1) > 0.1
    share = torch.einsum("ibp,ip->ib", attention, inside).clamp(1e-4, 1)
    return -(share.log().mean(dim=1) * shown).sum() / shown.sum().clamp(min=1)
