"""ROAR+: loss after retraining without the pixels or tokens that the map ranks highest."""

from __future__ import annotations

import copy
import hashlib
import warnings
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters.encoder import staged
from matex.adapters.model import Encoded, Model
from matex.checks import check
from matex.errors import InputError
from matex.forward_pass import embed
from matex.metrics.embedding import model_of
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need, check_percent

Phrase = tuple[int, ...]
SIDES = ("image", "text")
SMALL_LOSS = 0.1
"""Contrastive loss below which the relative rise says little: the right phrase has some 90 % of the probability
already, and a change of .01 in the loss is a change of 10 % or more in ROAR+."""


@METRICS("roar-plus")
@dataclass(frozen=True)
class RoarPlus:
    """Increase of the validation loss when the training images, or phrases, are degraded where the map is high.

    A copy of the model is trained twice with CLIP's contrastive loss, on the films as they are and on degraded ones,
    from the same weights, on the same films in the same order, and measured on the same clean films. One value per
    seed: `loss_original`, `loss_image`, `loss_text`, and `roar_image`, `roar_text` = 100 (loss - original) / original.
    A map that is constant removes nothing. NaN for text where the method leaves a phrase without scores. Warns where
    the clean loss is below SMALL_LOSS: the ratio divides by it, and noise in the loss is then magnified (two films to
    validate on gave a loss of .0055 and a ratio of -51 %).

    Args:
        seeds: number of repetitions, each with its own split and order of the films.
        epochs: over the training films.
        learning_rate: of AdamW.
        batch_size: films per step, at least; the others of a batch are each film's negatives.
        train_share: of the films; the rest is for validation. All samples of a patient, and all images rendered from
            one source film, are on one side.
        image_percentile: pixels above this percentile of their map get the mean of their channel in that image.
        text_percentile: tokens above this percentile of their scores are removed.
        removal: "delete" takes tokens out; "blank" puts `blank_id` in their place, "paper" token id 0.
        blank_id: neutral token for "blank"; CLIP has none, so the choice is yours.

    Source:
        CA-M2IB, section on ROAR+; METHODS 17.3. Optimiser, learning rate, epochs and batch size are not in the paper:
        our choice. Nothing is frozen. Films whose phrases are alike count as each other's negatives, as CLIP does, and
        so do several phrases of one film.
    """

    seeds: int = 5
    epochs: int = 2
    learning_rate: float = 1e-5
    batch_size: int = 32
    train_share: float = 0.8
    image_percentile: float = 75.0
    text_percentile: float = 50.0
    removal: Literal["delete", "blank", "paper"] = "delete"
    blank_id: int | None = None

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {
        "roar_image": "higher",
        "roar_text": "higher",
        "loss_original": "neither",
        "loss_image": "neither",
        "loss_text": "neither",
    }
    source: ClassVar[str] = "CA-M2IB, ROAR+"

    def __post_init__(self) -> None:
        for name in ("seeds", "epochs"):
            check(getattr(self, name) >= 1, name, "of 1 or more", getattr(self, name))
        check(self.batch_size >= 2, "batch_size", "of 2 or more", self.batch_size)
        check(0 < self.learning_rate < float("inf"), "learning_rate", "above 0", self.learning_rate)
        check(0 < self.train_share < 1, "train_share", "above 0 and below 1", self.train_share)
        for name in ("image_percentile", "text_percentile"):
            check_percent(getattr(self, name), name)
        check(self.removal in ("delete", "blank", "paper"), "removal", "among delete, blank, paper", self.removal)
        given = (self.removal == "blank") == (self.blank_id is not None)
        check(given, "blank_id", "with removal='blank' and only there", self.blank_id)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        model = model_of(cases)
        films = [case.cluster for case in cases]
        count = len(set(films))
        if not 2 <= round(self.train_share * count) <= count - 2:
            raise InputError(
                f"Expected at least two films to train on and two to validate on for roar-plus, got {count} films "
                f"in all with train_share {self.train_share}. Use more films; those of one patient and images rendered "
                "from one film count once."
            )
        images = torch.stack([case.pixels for case in cases])
        phrases = [case.token_ids for case in cases]
        degraded: dict[str, tuple[Tensor, list[Phrase]]] = {
            "image": (torch.stack([self._degrade_image(case) for case in cases]), phrases)
        }
        if all(case.token_scores is not None for case in cases):
            degraded["text"] = (images, [self._degrade_text(case) for case in cases])
        columns = {name: np.full(self.seeds, np.nan) for name in self.better}
        # The loss after training on clean films is the same for every method, so it is cached with the model.
        known = _ORIGINAL.setdefault(model, {})
        setting = (model.weights_sha256, self, tuple(films), tuple(phrases), _digest(images))
        for seed in range(self.seeds):
            if (setting, seed) not in known:
                known[setting, seed] = self._retrained(model, films, (images, phrases), (images, phrases), seed)
            clean = columns["loss_original"][seed] = known[setting, seed]
            for side, train in degraded.items():
                loss = self._retrained(model, films, train, (images, phrases), seed)
                columns[f"loss_{side}"][seed] = loss
                columns[f"roar_{side}"][seed] = 100 * (loss - clean) / clean if clean > 0 else np.nan
        if (smallest := float(columns["loss_original"].min())) < SMALL_LOSS:
            warnings.warn(
                f"The validation loss on clean films is {smallest:.4f}, below {SMALL_LOSS}: ROAR+ divides by it, so "
                "its percentages magnify noise. Validate on more films, and compare loss_image with loss_original.",
                stacklevel=2,
            )
        return columns

    def _degrade_image(self, case: Case) -> Tensor:
        raw = case.raw.double().numpy()
        gone = torch.from_numpy(raw > np.percentile(raw, self.image_percentile)).to(case.pixels.device)
        mean = case.pixels.mean(dim=(1, 2), keepdim=True)
        return torch.where(gone & (not case.constant), mean, case.pixels)

    def _degrade_text(self, case: Case) -> Phrase:
        scores = case.token_scores
        assert scores is not None
        gone = np.array(scores) > np.percentile(scores, self.text_percentile)
        filler = {"delete": (), "blank": (self.blank_id or 0,), "paper": (0,)}[self.removal]
        lost = iter(gone)
        parts = [
            filler if word and next(lost) else (token,)
            for token, word in zip(case.token_ids, case.content, strict=True)
        ]
        return tuple(token for part in parts for token in part)

    def _retrained(
        self,
        model: Model,
        films: Sequence[str],
        train: tuple[Tensor, Sequence[Phrase]],
        clean: tuple[Tensor, Sequence[Phrase]],
        seed: int,
    ) -> float:
        """Validation loss on clean films of a copy of the model trained on `train`."""
        generator = torch.Generator().manual_seed(seed)
        chosen, held_out = split(films, self.train_share, generator)
        with torch.inference_mode(False), torch.enable_grad():
            learner = Learner.of(model)
            optimiser = torch.optim.AdamW(learner.parameters(), lr=self.learning_rate)
            for _ in range(self.epochs):
                shuffled = chosen[torch.randperm(len(chosen), generator=generator)]
                for some in _in_batches(shuffled, self.batch_size):
                    optimiser.zero_grad()
                    learner.loss(*train, some).backward()
                    optimiser.step()
        with torch.inference_mode(False), torch.no_grad():
            parts = _in_batches(held_out, self.batch_size)
            losses = [float(learner.loss(*clean, some)) * len(some) for some in parts]
        return sum(losses) / len(held_out)


@dataclass(frozen=True, eq=False)
class Learner:
    """Trainable copy of a model, with its inverse temperature as a separate weight."""

    model: Model
    log_scale: nn.Parameter

    @classmethod
    def of(cls, model: Model) -> Learner:
        shared: dict[int, object] = {id(model.tokenizer): model.tokenizer}
        trained: Model = copy.deepcopy(model, shared)
        trained.module.requires_grad_(True)
        return cls(trained, nn.Parameter(torch.tensor(model.logit_scale, device=model.device).log()))

    def parameters(self) -> list[nn.Parameter]:
        """Every weight; the module's own temperature is not used and so never changes."""
        return [*self.model.module.parameters(), self.log_scale]

    def loss(self, images: Tensor, phrases: Sequence[Phrase], some: Tensor) -> Tensor:
        """CLIP's contrastive loss of a batch: each image finds its phrase and each phrase its image."""
        ids = self.model.batch([Encoded(phrases[int(i)], ()) for i in some])
        seen: list[Tensor] = []
        for encoder, inputs in ((self.model.image, images[some.to(images.device)]), (self.model.text, ids)):
            tower = staged(encoder)
            seen.append(embed(tower, tower.start(tower.entry(inputs), inputs)))
        logits = self.log_scale.exp() * seen[0] @ seen[1].T
        truth = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2


_ORIGINAL: weakref.WeakKeyDictionary[Model, dict[object, float]] = weakref.WeakKeyDictionary()


def split(films: Sequence[str], share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices of the training and of the validation cases, in random order of their films or patients.

    All cases of a film or patient are on one side of the split.
    """
    cases_of: dict[str, list[int]] = {}
    for i, film in enumerate(films):
        cases_of.setdefault(film, []).append(i)
    groups = list(cases_of.values())
    order = [groups[int(number)] for number in torch.randperm(len(groups), generator=generator)]
    count = round(share * len(groups))
    chosen, held_out = ([i for group in part for i in group] for part in (order[:count], order[count:]))
    return torch.tensor(chosen), torch.tensor(held_out)


def _digest(images: Tensor) -> str:
    """Hash of all pixels, since films may be prepared differently."""
    return hashlib.sha256(images.contiguous().cpu().view(torch.uint8).numpy().data).hexdigest()


def _in_batches(order: Tensor, size: int) -> list[Tensor]:
    """Split into batches of at least this size, if possible: a single film would have no negatives."""
    return list(order.tensor_split(max(1, len(order) // size)))
