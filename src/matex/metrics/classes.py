"""Class discrimination: how much the maps of different findings of one film are alike."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from matex.checks import check, check_once
from matex.metrics.embedding import model_of
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need
from matex.metrics.reexplain import explain_again
from matex.metrics.similarity import spearman
from matex.queries import Query

FIVE = ("atelectasis", "cardiomegaly", "consolidation", "pulmonary edema", "pleural effusion")
"""The five findings of MedCLIP's and CheXpert's zero-shot evaluation."""


@METRICS("class-discrimination")
@dataclass(frozen=True)
class ClassDiscrimination:
    """Mean rank correlation of the maps of several findings on the same film, pair by pair; low where they differ.

    `class_correlation` is of the raw maps, `class_correlation_abs` of their absolute values: signed maps of five
    findings may be unrelated while their absolute values are nearly one map, so both are given. NaN where a map is
    constant.

    Args:
        phrases: of the findings; none for the first phrase of each of the data set's classes, or five findings where it
            has none.
        batch_size: pairs explained at once.

    Source:
        Claim of embedding-space XAI that its maps tell findings apart; the paper shows pictures, this measures it.
    """

    phrases: tuple[str, ...] = ()
    batch_size: int = 16

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    explains_again: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {"class_correlation": "lower", "class_correlation_abs": "lower"}
    source: ClassVar[str] = "embedding-space XAI"

    def __post_init__(self) -> None:
        check(len(self.phrases) != 1, "phrases", "of two or more findings", self.phrases)
        check_once("one of phrases", self.phrases)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        columns = {name: np.full(len(cases), np.nan) for name in self.better}
        for number, case in enumerate(cases):
            phrases = self.phrases or tuple(texts[0] for texts in case.labels.values()) or FIVE
            same = [about(case, phrase) for phrase in phrases]
            pixels = torch.stack([case.pixels] * len(phrases))
            maps = explain_again(model_of(cases), same, pixels, self.batch_size).values
            pairs = list(itertools.combinations(range(len(phrases)), 2))
            first, second = ([pair[side] for pair in pairs] for side in (0, 1))
            for name, values in (("class_correlation", maps), ("class_correlation_abs", maps.abs())):
                columns[name][number] = float(spearman(values[first], values[second]).mean())
        return columns


def about(case: Case, phrase: str) -> Case:
    """The case with another phrase, which names no place."""
    query: Query = dataclasses.replace(case.explanation.query, text=phrase)
    explanation = dataclasses.replace(
        case.explanation, query=query, token_ids=case.model.encode(phrase).ids, regions=()
    )
    return dataclasses.replace(case, explanation=explanation)
