"""`compare_models`: two models on the same pairs, such as one before and after debiasing."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from matex.adapters.model import Model
from matex.checks import as_path, count
from matex.corpus import explain_each
from matex.datasets.sample import Sample, checked_samples
from matex.files import writing
from matex.geometry import Resize
from matex.metrics.reexplain import rank_correlation
from matex.metrics.similarity import overlap, spearman
from matex.metrics.statistics import compare_paired, holm
from matex.pair_stream import Pair
from matex.queries import Domain
from matex.render.model_comparison import SideBySide, page, side_by_side
from matex.render.overlay import at_size, fit
from matex.results import DISCLAIMER, Explanation, SaliencyMap
from matex.serialise import strict_json
from matex.spreadsheets import write_rows
from matex.trust.validation import Validation, score_samples

SIDE = 112  # longer side at which maps of different grids are compared, pixels


@dataclass(frozen=True)
class PairChange:
    """One pair by both models.

    Args:
        id: of the sample.
        text: the phrase.
        group: of the sample, such as its finding.
        score_first, score_second: scores of the pair. Cosines of different models have different ranges.
        rank_first, rank_second: of the phrase among all phrases of the table on this image, 1 the highest.
        map_correlation: rank correlation of both signed maps where both models saw the image, -1 to 1; NaN where one
            is constant.
        map_overlap: share of the highest tenth of one map in that of the other; .1 by chance; NaN likewise.
        word_correlation: rank correlation of the word scores; NaN for fewer than three words or a method without them.
    """

    id: str
    text: str
    group: str
    score_first: float
    score_second: float
    rank_first: int
    rank_second: int
    map_correlation: float
    map_overlap: float
    word_correlation: float


@dataclass(frozen=True)
class PhraseChange:
    """Change of one phrase over its pairs; differences are second minus first.

    Args:
        text: the phrase; "all pairs" for the whole table.
        pairs: number of pairs.
        score_change: mean difference of the scores.
        low, high: its 95 % interval over clusters; NaN with fewer than ten clusters.
        p: of the signed-rank test, Holm's correction over the phrases; NaN likewise.
        rank_change: mean difference of the ranks; negative where the second model ranks the phrase higher.
        gained: pairs whose phrase became the highest of its image.
        lost: pairs whose phrase no longer is.
        map_correlation: mean over the pairs where it is defined.
    """

    text: str
    pairs: int
    score_change: float
    low: float
    high: float
    p: float
    rank_change: float
    gained: int
    lost: int
    map_correlation: float


@dataclass(frozen=True, eq=False)
class ModelComparison:
    """Two models on the same pairs.

    Args:
        first, second: names of the models.
        method: whose maps are compared, and its parameters.
        pairs: in the order of the table.
        phrases: all pairs together, then each phrase, the largest change of scores first.
        shown: the pairs with the least agreement, drawn.
    """

    first: str
    second: str
    method: str
    parameters: dict[str, object]
    pairs: tuple[PairChange, ...]
    phrases: tuple[PhraseChange, ...]
    shown: tuple[SideBySide, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain values, without the pictures."""
        return {
            "disclaimer": DISCLAIMER,
            "models": [self.first, self.second],
            "method": self.method,
            "parameters": self.parameters,
            "phrases": [vars(one) for one in self.phrases],
            "pairs": [vars(one) for one in self.pairs],
        }

    def save(self, folder: str | Path) -> Path:
        """Write comparison.json, pairs.csv, phrases.csv and comparison.html into the folder.

        Raises:
            InputError: a folder that cannot be made or written to.
        """
        target = as_path(folder, "a folder to write to")
        with writing(target) as temporary:
            (temporary / "comparison.json").write_text(strict_json(self.to_dict()) + "\n", encoding="utf-8")
            write_rows(temporary / "pairs.csv", PairChange, self.pairs)
            write_rows(temporary / "phrases.csv", PhraseChange, self.phrases)
            (temporary / "comparison.html").write_text(page(self), encoding="utf-8")
        return target


def compare_models(
    first: Model,
    second: Model,
    samples: Iterable[Sample],
    method: str = "matex",
    *,
    shown: int = 12,
    resize: Resize = "model",
    domain: Domain = "chest",
    progress: bool = False,
    **parameters: Any,
) -> ModelComparison:
    """Scores, ranks, maps and word scores of two models on the same pairs.

    Args:
        first: such as a model before debiasing.
        second: such as the same model after it.
        samples: pairs, such as `matex.datasets.open_dataset("manifest", root="pairs.csv")`.
        method: whose maps are compared; both models must serve it.
        shown: pairs to draw, those whose maps agree least.
        resize, domain: see `matex.explain`.
        progress: show progress bars.
        **parameters: of the method.

    Raises:
        InputError: fewer than two images or phrases, or a pair that cannot be explained.
        UnknownName, UnsupportedModel: see `matex.explain`.
    """
    count(shown, "shown", 0, 1000)
    listed = list(checked_samples(samples))
    scored = [score_samples(model, listed, resize=resize, progress=progress) for model in (first, second)]
    images = _numbers(listed)
    pairs: list[PairChange] = []
    clusters: list[str] = []
    drawn: list[tuple[float, int, SideBySide]] = []
    streams = [
        explain_each(
            model,
            [Pair(one.image, one.text, one.view) for one in listed],
            method,
            progress=progress and number == 0,
            resize=resize,
            domain=domain,
            **parameters,
        )
        for number, model in enumerate((first, second))
    ]
    for number, (one, other) in enumerate(zip(*streams, strict=True)):
        assert isinstance(one, Explanation)
        assert isinstance(other, Explanation)
        ranks = [_rank(found, images[number], listed[number].text) for found in scored]
        clusters.append(listed[number].unit(one.film))
        pairs.append(_pair_change(listed[number], one, other, ranks))
        agreement = pairs[-1].map_correlation
        if shown and np.isfinite(agreement):
            entry = (-agreement, -number, side_by_side(one, other, agreement))
            (heapq.heappush if len(drawn) < shown else heapq.heappushpop)(drawn, entry)
    return ModelComparison(
        first.name,
        second.name,
        method,
        parameters,
        tuple(pairs),
        tuple(_phrase_changes(pairs, clusters)),
        tuple(one for *_, one in sorted(drawn, key=lambda entry: entry[:2], reverse=True)),
    )


def map_agreement(first: SaliencyMap, second: SaliencyMap) -> tuple[float, float]:
    """Rank correlation and overlap of the highest tenths of two maps of one film, which may have different grids.

    Both are interpolated to the film at `SIDE` pixels and compared where both models saw it; NaN where one is constant.
    """
    size = fit(first.placement.original, SIDE, SIDE)
    values = np.stack([at_size(one.grid, one.placement, size) for one in (first, second)])
    seen = np.isfinite(values).all(axis=0)
    if not seen.any():
        return float("nan"), float("nan")
    one, other = torch.from_numpy(values[:, seen])[:, None, None]
    return float(spearman(one, other)), float(overlap(one, other))


def _pair_change(sample: Sample, first: Explanation, second: Explanation, ranks: Sequence[int]) -> PairChange:
    correlation, shared = map_agreement(first.image, second.image)
    scores = [[score for _, score in one.words] for one in (first, second)]
    words = rank_correlation(*scores) if len(scores[0]) == len(scores[1]) else float("nan")
    return PairChange(
        sample.id,
        sample.text,
        sample.group,
        first.score,
        second.score,
        *ranks,
        map_correlation=correlation,
        map_overlap=shared,
        word_correlation=words,
    )


def _numbers(samples: Sequence[Sample]) -> list[int]:
    """Number of each sample's image among the different images, as `score_samples` counts them."""
    known: dict[object, int] = {}
    keys = (one.image if isinstance(one.image, Path) else one.image.sha256 for one in samples)
    return [known.setdefault(key, len(known)) for key in keys]


def _rank(found: Validation, image: int, text: str) -> int:
    """Rank of a phrase among all phrases on an image, 1 the highest."""
    row = found.scores[image]
    return 1 + int((row > row[found.phrases.index(text)]).sum())


def _phrase_changes(pairs: Sequence[PairChange], clusters: Sequence[str]) -> list[PhraseChange]:
    """All pairs together, then each phrase by the size of its change."""
    rows = {text: [number for number, one in enumerate(pairs) if one.text == text] for text in {p.text for p in pairs}}
    changes = [
        _phrase_change(text, [pairs[i] for i in some], [clusters[i] for i in some]) for text, some in rows.items()
    ]
    corrected = holm([one.p for one in changes])
    changes = [dataclasses.replace(one, p=float(p)) for one, p in zip(changes, corrected, strict=True)]
    changes.sort(key=lambda one: (-abs(one.score_change), one.text))
    return [_phrase_change("all pairs", pairs, clusters), *changes]


def _phrase_change(text: str, pairs: Sequence[PairChange], clusters: Sequence[str]) -> PhraseChange:
    found = compare_paired([one.score_second for one in pairs], [one.score_first for one in pairs], clusters)
    agreement = np.array([one.map_correlation for one in pairs])
    return PhraseChange(
        text,
        len(pairs),
        found.difference,
        found.low,
        found.high,
        found.p_wilcoxon,
        float(np.mean([one.rank_second - one.rank_first for one in pairs])),
        sum(one.rank_first > 1 and one.rank_second == 1 for one in pairs),
        sum(one.rank_first == 1 and one.rank_second > 1 for one in pairs),
        float(agreement[np.isfinite(agreement)].mean()) if np.isfinite(agreement).any() else float("nan"),
    )
