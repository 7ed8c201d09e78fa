"""`associations`: words against regions over a data set, and their differences between groups of samples."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matex.adapters.model import Model
from matex.bias.observe import Observation, Values, observe
from matex.bias.regions import REGIONS
from matex.checks import as_path, count
from matex.datasets.sample import Sample, checked_samples
from matex.errors import InputError, MissingExtra
from matex.files import writing
from matex.geometry import Resize
from matex.metrics.statistics import FEWEST_CLUSTERS, holm, summarise, thirds
from matex.registry import Parameters
from matex.render.bias import MeanMap, page
from matex.results import DISCLAIMER
from matex.serialise import strict_json
from matex.spreadsheets import write_rows

RESAMPLES = 2000
LEVELS = 8  # whole numbers of more different values are cut into thirds; more words are refused


@dataclass(frozen=True)
class Association:
    """One word and one region over all pairs.

    Args:
        word, region: names.
        pairs: pairs with the word in which the region is known.
        clusters: of these.
        share: mean share of the word's absolute interactions in the region.
        even: mean share of the film in the region.
        excess: share minus even; low and high are its 95 % interval over clusters, NaN with fewer than ten.
        low, high: see excess.
    """

    word: str
    region: str
    pairs: int
    clusters: int
    share: float
    even: float
    excess: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """One word and one region in one group of samples against all others.

    Args:
        word, region, attribute, level: names.
        pairs, others: pairs in the group and outside of it.
        clusters, other_clusters: of these.
        share, other_share: mean share of the word's interactions in the region.
        difference: of the mean excess over an even map, clusters counted alike: that the region is larger in the films
            of the group does not count.
        low, high: its 95 % bootstrap interval; NaN, as p, where one side has fewer than ten clusters.
        p: two-sided Mann-Whitney test on the clusters' means.
        p_holm: with Holm's correction over all differences of the table.
    """

    word: str
    region: str
    attribute: str
    level: str
    pairs: int
    others: int
    clusters: int
    other_clusters: int
    share: float
    other_share: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float


@dataclass(frozen=True, eq=False)
class Associations:
    """Words against regions over a data set.

    Args:
        model: name.
        method: of the interactions, with its parameters.
        parameters: of the method.
        pairs: number of pairs.
        groups: number of pairs in each level of each attribute.
        overall: every word and region.
        differences: every word, region and group, the smallest p first.
        maps: mean map of each word in each group.
    """

    model: str
    method: str
    parameters: Parameters
    pairs: int
    groups: Mapping[str, Mapping[str, int]]
    overall: tuple[Association, ...]
    differences: tuple[Difference, ...]
    maps: tuple[MeanMap, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain values, without the maps."""
        return {
            "disclaimer": DISCLAIMER,
            "model": self.model,
            "method": self.method,
            "parameters": dict(self.parameters),
            "pairs": self.pairs,
            "groups": {name: dict(levels) for name, levels in self.groups.items()},
            "tests": sum(one.p == one.p for one in self.differences),
            "overall": [vars(one) for one in self.overall],
            "differences": [vars(one) for one in self.differences],
        }

    def save(self, folder: str | Path) -> Path:
        """Write bias.json, associations.csv, differences.csv and bias.html into the folder.

        Raises:
            InputError: a folder that cannot be made or written to.
        """
        target = as_path(folder, "a folder to write to")
        with writing(target) as temporary:
            (temporary / "bias.json").write_text(strict_json(self.to_dict()) + "\n", encoding="utf-8")
            write_rows(temporary / "associations.csv", Association, self.overall)
            write_rows(temporary / "differences.csv", Difference, self.differences)
            (temporary / "bias.html").write_text(page(self), encoding="utf-8")
        return target


def associations(
    model: Model,
    samples: Iterable[Sample],
    by: Sequence[str],
    method: str = "second-order",
    *,
    least: int = 10,
    resize: Resize = "model",
    progress: bool = False,
    **parameters: object,
) -> Associations:
    """Associations of words with regions of frontal chest films, and their differences between groups of films.

    Args:
        model: from `matex.load`; both encoders must give embeddings.
        samples: pairs with attributes, such as `open_dataset("nih", ...)` or a manifest with `attributes`.
        by: attributes to compare: names in `Sample.attributes`, or "view" and "markers", whether bright parts lie in
            the air around the body.
        method: of `matex.interactions`: "second-order", "ca-m2ib" (cross-attention), ...
        least: pairs that a word must occur in.
        resize: see `matex.explain`.
        progress: show a progress bar.
        **parameters: of the method.

    Raises:
        InputError: an attribute that no sample has, one of too many values, no word in `least` pairs, or a pair that
            cannot be explained.
        MissingExtra: scipy is not installed.
    """
    count(least, "least", 1)
    rows = list(observe(model, list(checked_samples(samples)), method, progress, {"resize": resize, **parameters}))
    if not rows:
        raise InputError("Expected pairs of an image and a phrase, got none.")
    levels = {name: levels_of([row.attributes.get(name) for row in rows], name) for name in dict.fromkeys(by)}
    words = [word for word in dict.fromkeys(row.word for row in rows) if sum(r.word == word for r in rows) >= least]
    if not words:
        raise InputError(f"Expected words in {least} or more pairs, got none. Lower least (--least), or add pairs.")
    found = {word: np.array([row.word == word for row in rows]) for word in words}
    differences = [
        _difference(_of(rows, mask), chosen[mask], known[mask], (word, name, level), region)
        for word, mask in found.items()
        for name, (known, of_level) in levels.items()
        for level, chosen in _compared(of_level)
        for region in range(len(REGIONS))
        if REGIONS[region] != name  # films without markers differ in that region by definition
    ]
    corrected = holm([one.p for one in differences])
    differences = [replace(one, p_holm=float(p)) for one, p in zip(differences, corrected, strict=True)]
    differences.sort(key=lambda one: (np.isnan(one.p), one.p, -abs(np.nan_to_num(one.difference))))
    return Associations(
        model.name,
        method,
        parameters,
        len({id(row.attributes) for row in rows}),
        {name: _counts(rows, of_level) for name, (_, of_level) in levels.items()},
        tuple(
            _association(_of(rows, mask), word, region)
            for word, mask in found.items()
            for region in range(len(REGIONS))
        ),
        tuple(differences),
        tuple(
            MeanMap(word, name, level, int((mask & chosen).sum()), _mean_map(rows, mask & chosen))
            for word, mask in found.items()
            for name, (_, of_level) in levels.items()
            for level, chosen in of_level.items()
            if (mask & chosen).any()
        ),
    )


def levels_of(values: Sequence[object], name: str) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.bool_]]]:
    """Masks of the known values and of each level; numbers of more than `LEVELS` values as thirds.

    Raises:
        InputError: an attribute without two levels, or words of too many.
    """
    known = np.array([value is not None and value != "" for value in values])
    different = sorted({str(value) for value, there in zip(values, known, strict=True) if there})
    if len(different) < 2:
        got = "none" if not different else f"{different[0]!r} alone"
        raise InputError(f"Expected an attribute {name!r} of two or more values, got {got}. Check --by and the table.")
    if len(different) <= LEVELS:
        return known, {level: known & np.array([str(value) == level for value in values]) for level in different}
    try:
        numbers = np.array([float(str(value)) if there else np.nan for value, there in zip(values, known, strict=True)])
    except ValueError:
        raise InputError(
            f"Expected an attribute {name!r} of numbers or of at most {LEVELS} values, got {len(different)}. Group "
            "them."
        ) from None
    return known, thirds(numbers)


def _compared(levels: Mapping[str, NDArray[np.bool_]]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Levels against the rest; of two only the first, since the second is its mirror image."""
    return list(levels.items())[: 1 if len(levels) == 2 else None]


def _association(rows: Sequence[Observation], word: str, region: int) -> Association:
    shares, even = _columns(rows, region)
    excess = summarise(shares - even, [row.cluster for row in rows])
    there = ~np.isnan(shares - even)
    return Association(
        word=word,
        region=REGIONS[region],
        pairs=excess.defined,
        clusters=excess.clusters,
        share=_mean(shares[there]),
        even=_mean(even[there]),
        excess=excess.mean,
        low=excess.low,
        high=excess.high,
    )


def _difference(
    rows: Sequence[Observation],
    chosen: NDArray[np.bool_],
    known: NDArray[np.bool_],
    names: tuple[str, str, str],
    region: int,
) -> Difference:
    """One word, attribute and level by their names, in one region."""
    shares, even = _columns(rows, region)
    excess = shares - even
    clusters = np.array([row.cluster for row in rows])
    inside, outside = (known & side & ~np.isnan(excess) for side in (chosen, ~chosen))
    one, other = (_cluster_means(excess[side], clusters[side]) for side in (inside, outside))
    low, high, p = _compare(one, other)
    word, attribute, level = names
    return Difference(
        word=word,
        region=REGIONS[region],
        attribute=attribute,
        level=level,
        pairs=int(inside.sum()),
        others=int(outside.sum()),
        clusters=len(one),
        other_clusters=len(other),
        share=_mean(shares[inside]),
        other_share=_mean(shares[outside]),
        difference=_mean(one) - _mean(other),
        low=low,
        high=high,
        p=p,
        p_holm=float("nan"),
    )


def _columns(rows: Sequence[Observation], region: int) -> tuple[Values, Values]:
    """Shares of the interactions and of the film in a region, [row]."""
    return np.array([row.shares[region] for row in rows]), np.array([row.even[region] for row in rows])


def _mean(values: Values) -> float:
    """NaN of no values."""
    return float(values.mean()) if len(values) else float("nan")


def _cluster_means(values: Values, clusters: NDArray[np.str_]) -> Values:
    return np.array([values[clusters == one].mean() for one in dict.fromkeys(clusters.tolist())])


def _compare(one: Values, other: Values) -> tuple[float, float, float]:
    """95 % bootstrap interval of the difference of two means, and p of the Mann-Whitney test.

    Raises:
        MissingExtra: scipy is not installed.
    """
    if min(len(one), len(other)) < FEWEST_CLUSTERS:
        return float("nan"), float("nan"), float("nan")
    try:
        stats: object = importlib.import_module("scipy.stats")
    except ImportError:
        raise MissingExtra("Comparing groups needs scipy: pip install 'matex[benchmark]'") from None
    random = np.random.default_rng(0)
    means = [some[random.integers(0, len(some), (RESAMPLES, len(some)))].mean(axis=1) for some in (one, other)]
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    return float(low), float(high), float(stats.mannwhitneyu(one, other).pvalue)


def _counts(rows: Sequence[Observation], levels: Mapping[str, NDArray[np.bool_]]) -> dict[str, int]:
    """Number of pairs in each level."""
    return {level: len({id(one.attributes) for one in _of(rows, chosen)}) for level, chosen in levels.items()}


def _mean_map(rows: Sequence[Observation], chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.mean([one.map for one in _of(rows, chosen)], axis=0)


def _of(rows: Sequence[Observation], chosen: NDArray[np.bool_]) -> list[Observation]:
    return [row for row, one in zip(rows, chosen.tolist(), strict=True) if one]
