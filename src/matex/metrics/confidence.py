"""Confidence drop and increase: change of the score when only the salient part of the input remains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matex.adapters.encoder import Staged, State, TokenAxis, staged
from matex.adapters.model import Model
from matex.attribution.shared.batching import batches
from matex.checks import check
from matex.errors import InputError
from matex.forward_pass import embed
from matex.metrics.embedding import cosine, embed_images, model_of, paired_scores
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need, faded


def confidence(before: NDArray[np.float64], after: NDArray[np.float64]) -> Columns:
    """Drop and increase of scores, one value per case.

    Args:
        before: cosine of the original input.
        after: cosine of the masked input; NaN where undefined.

    Returns:
        `drop`: 100 max(0, before - after), hundredths of cosine. `drop_relative`: the same in percent of the score,
        NaN where that is not above 0. `increase`: 100 where the score rose, else 0.

    Source:
        CA-M2IB eq. 13 and 14; the relative form is Grad-CAM++'s, arXiv:1710.11063, section 4.1.
    """
    lost = np.where(np.isnan(after), np.nan, np.maximum(0.0, before - after))
    relative = np.divide(100 * lost, before, out=np.full_like(lost, np.nan), where=before > 0)
    increase = np.where(np.isnan(after), np.nan, 100.0 * (after > before))
    return {"drop": 100 * lost, "drop_relative": relative, "increase": increase}


@METRICS("confidence-image")
@dataclass(frozen=True)
class ConfidenceImage:
    """Drop of the score when the image is multiplied, in normalised space, by its own map scaled to [0, 1].

    Pixels at which the map is 0 become the mean colour, and places of a sound silent. A constant map above 0 keeps
    everything; any other constant map is undefined. Diffuse maps are rewarded: read the drop together with `mass`, the
    mean of the mask.

    Args:
        mode: "keep" what is salient, as the formula does; or "remove" it, which multiplies by one minus the map and
            has columns of its own, since there a large drop is good.
        batch_size: images run at once.

    Source:
        CA-M2IB eq. 13 and 14, METHODS 17.1. Prose in MATEX and CA-M2IB describes removal; the formula keeps.
    """

    mode: Literal["keep", "remove"] = "keep"
    batch_size: int = 64

    on_sounds: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    better: ClassVar[Mapping[str, Direction]] = {
        "drop": "lower",
        "drop_relative": "lower",
        "increase": "higher",
        "removed_drop": "higher",
        "removed_drop_relative": "higher",
        "removed_increase": "lower",
        "mass": "neither",
    }
    source: ClassVar[str] = "CA-M2IB eq. 13, 14"

    def __post_init__(self) -> None:
        check(self.mode in ("keep", "remove"), "mode", "'keep' or 'remove'", self.mode)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        mass = np.array([float("nan") if (mask := soft_mask(c)) is None else float(mask.mean()) for c in cases])
        defined = [case for case, value in zip(cases, mass, strict=True) if not math.isnan(value)]
        before, after = np.full(len(cases), np.nan), np.full(len(cases), np.nan)
        if defined:
            at = ~np.isnan(mass)
            before[at], after[at] = self._scores(model_of(cases), defined)
        prefix = "" if self.mode == "keep" else "removed_"
        return {**{prefix + name: values for name, values in confidence(before, after).items()}, "mass": mass}

    def _scores(self, model: Model, cases: Sequence[Case]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Cosines of the original and of the masked images; both run in the same batches, so that equal pixels have
        equal scores."""

        def masked(i: int) -> Tensor:
            mask = soft_mask(cases[i])
            assert mask is not None
            mask = mask.to(cases[i].pixels)
            return faded(cases[i], mask if self.mode == "keep" else 1 - mask)

        phrases = [case.token_ids for case in cases]
        before = paired_scores(model, len(cases), lambda i: cases[i].pixels, phrases, self.batch_size)
        return before, paired_scores(model, len(cases), masked, phrases, self.batch_size)


@METRICS("confidence-text")
@dataclass(frozen=True)
class ConfidenceText:
    """Drop of the score when only the highest-scored tokens of the phrase remain.

    Args:
        removal: "delete" takes the others out, the phrase becomes shorter; "blank" puts `blank_id` in their place;
            "paper" puts token id 0 there; in all three the begin and end tokens stay and ceil(fraction n) of n tokens
            are kept, ties in reading order. "reference" does what M2IB's eval.py does: begin and end tokens are taken
            off both phrases, the scores above the percentile are kept, the other ids become 0, and the model pools
            where transformers does when there is no end token: at the first token, or at the largest id in checkpoints
            with the old end id 2. For comparison with numbers of that script only.
        fraction: of the tokens to keep.
        blank_id: neutral token for "blank"; CLIP has none, so the choice is yours.
        batch_size: phrases run at once.

    Source:
        CA-M2IB section on Confidence Drop for text, METHODS 17.2; M2IB's scripts/eval.py for "reference".
    """

    removal: Literal["delete", "blank", "paper", "reference"] = "delete"
    fraction: float = 0.5
    blank_id: int | None = None
    batch_size: int = 64

    on_sounds: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text",)
    dataset_level: ClassVar[bool] = False
    better: ClassVar[Mapping[str, Direction]] = {
        "drop": "lower",
        "drop_relative": "lower",
        "increase": "higher",
        "kept": "neither",
    }
    source: ClassVar[str] = "CA-M2IB eq. 13, 14"

    def __post_init__(self) -> None:
        known = ("delete", "blank", "paper", "reference")
        check(self.removal in known, "removal", f"among {', '.join(known)}", self.removal)
        check(0 <= self.fraction <= 1, "fraction", "in [0, 1]", self.fraction)
        check(
            (self.removal == "blank") == (self.blank_id is not None), "blank_id", "with removal='blank'", self.blank_id
        )
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        before, after = np.full(len(cases), np.nan), np.full(len(cases), np.nan)
        shares = np.full(len(cases), np.nan)
        at = [i for i, case in enumerate(cases) if case.token_scores is not None]
        if at:
            some = [cases[i] for i in at]
            masks = [self._mask(case.token_scores or ()) for case in some]
            shares[at] = [float(np.mean(mask)) for mask in masks]
            before[at], after[at] = self._scores(model_of(cases), some, masks)
        return {**confidence(before, after), "kept": shares}

    def _mask(self, scores: Sequence[float]) -> NDArray[np.bool_]:
        """Mask of the tokens to keep, bool [token]."""
        if self.removal == "reference":
            values = np.array(scores, dtype=np.float32)
            return values > np.percentile(values, 100 * (1 - self.fraction))
        keep = np.zeros(len(scores), dtype=bool)
        keep[highest_first(scores)[: math.ceil(self.fraction * len(scores) - 1e-9)]] = True
        return keep

    def _scores(
        self, model: Model, cases: Sequence[Case], masks: Sequence[NDArray[np.bool_]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        def image(i: int) -> Tensor:
            return cases[i].pixels

        if self.removal == "reference":
            return self._reference_scores(model, cases, masks)
        phrases = [case.token_ids for case in cases]
        masked = [self._masked(case, keep) for case, keep in zip(cases, masks, strict=True)]
        before, after = (paired_scores(model, len(cases), image, some, self.batch_size) for some in (phrases, masked))
        return before, after

    def _reference_scores(
        self, model: Model, cases: Sequence[Case], masks: Sequence[NDArray[np.bool_]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As the reference code scores: phrases without begin and end tokens, removed tokens as id 0."""
        if not all(all(case.content[1:-1]) and not case.content[0] and not case.content[-1] for case in cases):
            raise InputError(
                "Expected a model whose phrases have one begin and one end token for removal='reference', which is "
                "CLIP's, got another. Use removal='delete'."
            )
        images = embed_images(model, len(cases), lambda i: cases[i].pixels, self.batch_size)
        phrases = [case.token_ids[1:-1] for case in cases]
        masked = [
            [i * int(k) for i, k in zip(ids, keep, strict=True)] for ids, keep in zip(phrases, masks, strict=True)
        ]
        texts = [_embed_endless(model, some, self.batch_size) for some in (phrases, masked)]
        return cosine(images, texts[0]), cosine(images, texts[1])

    def _masked(self, case: Case, keep: NDArray[np.bool_]) -> list[int]:
        """Token ids of a phrase without its masked tokens; special tokens stay."""
        filler = {"delete": None, "blank": self.blank_id, "paper": 0}[self.removal]
        special = {i for i, word in zip(case.token_ids, case.content, strict=True) if not word}
        if filler is not None and filler in special:
            raise InputError(
                f"Expected a filler other than a special token, such as the end token, which would cut the phrase off, "
                f"got id {filler}. "
                "Use removal='delete', or 'blank' with another blank_id."
            )
        kept = iter(keep)
        tokens = [i if not word or next(kept) else filler for i, word in zip(case.token_ids, case.content, strict=True)]
        return [i for i in tokens if i is not None]


def soft_mask(case: Case) -> Tensor | None:
    """The map as a mask in [0, 1] at the model's resolution [height, width]; None where it is undefined.

    A constant map above 0 is a mask of ones: everything is equally salient.
    """
    if not bool(case.raw.isfinite().all()):
        return None
    if not case.constant:
        return case.heat
    return torch.ones_like(case.raw) if float(case.raw.max()) > 0 else None


def highest_first(scores: Sequence[float]) -> NDArray[np.intp]:
    """Positions by decreasing score, equal scores in reading order."""
    return np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")


def _embed_endless(model: Model, phrases: Sequence[Sequence[int]], batch_size: int) -> Tensor:
    """Embeddings of token ids without begin and end tokens, pooled where transformers pools them, [phrase, joint]."""
    longest = max(len(phrase) for phrase in phrases)
    ids = torch.tensor([[*phrase, *[0] * (longest - len(phrase))] for phrase in phrases], device=model.device)

    def run(start: int, stop: int) -> Tensor:
        rows = ids[start:stop]
        with torch.inference_mode(False), torch.no_grad():
            tower = staged(model.text)
            return embed(tower, State(tower.entry(rows), _endless_axis(tower, rows)))

    return torch.cat(list(batches(run, len(ids), batch_size)))


def _endless_axis(tower: Staged, ids: Tensor) -> TokenAxis:
    """Tokens up to the position at which transformers pools phrases [phrase, token] without an end token."""
    try:
        return tower.axis(ids)  # the largest id, in checkpoints with the old end id
    except InputError:
        first = torch.zeros_like(ids, dtype=torch.bool)
        first[:, 0] = True  # argmax over "is the end token": all False
        return TokenAxis(first, first)
