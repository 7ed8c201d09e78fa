"""Agreement between readers, of each reader with themselves, and ratings by method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from matex.checks import as_path
from matex.files import replacing
from matex.metrics.statistics import PairedComparison, Summary, compare_paired, holm, summarise
from matex.reader_study.agreement import (
    Agreement,
    Values,
    Weights,
    intraclass_correlation,
    krippendorff_alpha,
    weighted_kappa,
    with_interval,
)
from matex.reader_study.answers import Key, Ratings, read_answers, read_key
from matex.serialise import strict_json


@dataclass(frozen=True, eq=False)
class QuestionAnalysis:
    """Statistics of one question.

    Args:
        question: text.
        kappa: weighted kappa of each two readers, by "linear" and "quadratic" and then "1, 2" and so on.
        icc: "ICC(2,1)" and "ICC(3,1)" over the items that all readers rated.
        alpha: Krippendorff's alpha, ordinal, over the items that two or more readers rated.
        intra: quadratic kappa of each reader's first and repeated ratings, by reader.
        methods: mean rating of each method's maps, readers averaged, over clusters.
        differences: of each two methods on the same pairs, p-values of the signed-rank test with Holm's correction.
    """

    question: str
    kappa: Mapping[str, Mapping[str, Agreement]]
    icc: Mapping[str, Agreement]
    alpha: Agreement
    intra: Mapping[str, Agreement]
    methods: Mapping[str, Summary]
    differences: Mapping[str, PairedComparison]


@dataclass(frozen=True, eq=False)
class Analysis:
    """Agreement of the readers of a study.

    Args:
        readers: numbers of those who answered.
        items: number of maps.
        questions: statistics of each question.
    """

    readers: tuple[int, ...]
    items: int
    questions: tuple[QuestionAnalysis, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return {
            "readers": list(self.readers),
            "items": self.items,
            "questions": [
                {
                    "question": one.question,
                    "kappa": {
                        weights: {pair: found._asdict() for pair, found in pairs.items()}
                        for weights, pairs in one.kappa.items()
                    },
                    "icc": {name: found._asdict() for name, found in one.icc.items()},
                    "alpha": one.alpha._asdict(),
                    "intra": {reader: found._asdict() for reader, found in one.intra.items()},
                    "methods": {method: vars(found) for method, found in one.methods.items()},
                    "differences": {pair: vars(found) for pair, found in one.differences.items()},
                }
                for one in self.questions
            ],
        }

    def save(self, path: str | Path) -> Path:
        """Write the statistics as JSON."""
        with replacing(target := as_path(path, "a file")) as temporary:
            temporary.write_text(strict_json(self.to_dict()) + "\n", encoding="utf-8")
        return target


def analyse(answers: Sequence[str | Path], key: str | Path) -> Analysis:
    """Agreement and ratings of a study.

    Args:
        answers: files that the readers' pages saved, one for each reader.
        key: of the study.

    Raises:
        InputError: files that are no answers to this study, see `read_answers`.
        MissingExtra: scipy is not installed.
    """
    known = read_key(as_path(key, "the key of a study"))
    readers, ratings = read_answers([as_path(path, "a file of answers") for path in answers], known)
    questions = [
        _question(question, one, readers, known) for question, one in zip(known.questions, ratings, strict=True)
    ]
    return Analysis(tuple(readers), len(known.items), tuple(questions))


def _question(question: str, ratings: Ratings, readers: Sequence[int], key: Key) -> QuestionAnalysis:
    complete = ratings.first[~np.isnan(ratings.first).any(axis=1)]
    found = intraclass_correlation(complete)
    methods = {name: _of_method(ratings.first, key, name) for name in dict.fromkeys(_methods(key))}
    clusters = {name: [one["cluster"] for one in key.items if one["method"] == name] for name in methods}
    return QuestionAnalysis(
        question,
        {
            weights: {
                f"{readers[one]}, {readers[other]}": _kappa(ratings.first[:, [one, other]], weights)
                for one, other in combinations(range(len(readers)), 2)
            }
            for weights in ("linear", "quadratic")
        },
        {"ICC(2,1)": found.agreement, "ICC(3,1)": found.consistency},
        with_interval(krippendorff_alpha, ratings.first[(~np.isnan(ratings.first)).sum(axis=1) >= 2]),
        {
            str(reader): _kappa(np.stack([ratings.first[:, column], ratings.second[:, column]], axis=1), "quadratic")
            for column, reader in enumerate(readers)
        },
        {name: summarise(values, clusters[name]) for name, values in methods.items()},
        _differences(methods, clusters),
    )


def _kappa(pair: Values, weights: Weights) -> Agreement:
    """Kappa of the cases with both ratings, [case, 2]."""
    both = pair[~np.isnan(pair).any(axis=1)]
    return with_interval(lambda some: weighted_kappa(some[:, 0], some[:, 1], weights), both)


def _methods(key: Key) -> Iterator[str]:
    return (one["method"] for one in key.items)


def _of_method(first: Values, key: Key, method: str) -> Values:
    """Mean rating over readers of each map of a method, in the order of the pairs; NaN without a rating."""
    rows = first[[name == method for name in _methods(key)]]
    rated = ~np.isnan(rows)
    sums = np.where(rated, rows, 0.0).sum(axis=1)
    return np.where(rated.any(axis=1), sums / np.maximum(rated.sum(axis=1), 1), np.nan)


def _differences(methods: Mapping[str, Values], clusters: Mapping[str, Sequence[str]]) -> dict[str, PairedComparison]:
    """First minus second of each two methods; items of a method are in the order of the pairs."""
    pairs = list(combinations(methods, 2))
    found = [compare_paired(methods[one], methods[other], clusters[one]) for one, other in pairs]
    corrected = holm([one.p_wilcoxon for one in found])
    return {
        f"{one} - {other}": replace(comparison, p_wilcoxon=float(p))
        for (one, other), comparison, p in zip(pairs, found, corrected, strict=True)
    }
