"""Sentences on what the tables of localisation show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from matex.benchmark.report.section import Measure, count_units
from matex.benchmark.report.stats import SectionStats, compare_all
from matex.benchmark.report.style import heading, style_of
from matex.metrics.statistics import FEWEST_CLUSTERS

HEADLINES = ("pointing", "energy", "named_above_other", "energy_share")
"""Columns on which the report has a sentence."""


def verdicts(stats: SectionStats, measure: Measure) -> Iterator[str]:
    """Sentences on the best mean, methods without significant difference from it, and those that beat their controls.

    Yields:
        One sentence, or none where no method has a value and a control.
    """
    labels = [entry.label for entry in stats.section.methods]
    ranked = [label for label in stats.best_first(labels, measure) if not math.isnan(stats.mean(label, measure))]
    known = [label for label in labels if label in ranked]
    controls = {label: control for label in known if (control := stats.best_control(label, measure)) is not None}
    if not controls:
        return
    top = ranked[0]
    equal = [
        label for label in known if np.isclose(stats.mean(label, measure), stats.mean(top, measure), rtol=1e-9, atol=0)
    ]
    sentence = _best_mean(stats, measure, top, equal, controls[top])
    estimate = stats.estimate(top, measure)
    assert estimate is not None
    if estimate.summary.clusters < FEWEST_CLUSTERS:
        units = count_units(stats.section.clusters)
        yield f"{sentence} {units} are too few to tell methods from each other or from controls."
        return
    others = [label for label in known if label != top]
    yield sentence + _against_others(stats, measure, top, equal, others) + _against_controls(stats, measure, controls)


def _best_mean(stats: SectionStats, measure: Measure, top: str, equal: Sequence[str], control: str) -> str:
    style = style_of(measure)
    estimate = stats.estimate(top, measure)
    assert estimate is not None
    interval = style.interval(estimate.summary.low, estimate.summary.high)
    best = f"{style.number(stats.mean(top, measure))} {interval}".rstrip()
    value = f"{control.removeprefix('control: ')} with {style.number(stats.mean(control, measure))}"
    if len(equal) > 1:
        together = f"{', '.join(equal[:-1])} and {equal[-1]} share the best mean"
        return f"{heading(measure)}: {together}, {best}; the best control of {top} is {value}."
    return f"{heading(measure)}: {top} has the best mean, {best}; the best of its controls is {value}."


def _against_others(
    stats: SectionStats, measure: Measure, top: str, equal: Sequence[str], others: Sequence[str]
) -> str:
    """Sentence on the methods without significant difference from the best."""
    rivals = compare_all(stats, [(top, label, measure) for label in others], by="mean")
    ties = [label for label in others if rivals[top, label, measure].favours == "" and label not in equal]
    if ties:
        best = "it" if len(equal) == 1 else top
        return f" No significant difference from {best} (p of 0.05 or more after Holm): {', '.join(ties)}."
    if len(equal) > 1:
        apart = [label for label in others if label not in equal]
        return " They are ahead of every other method (p < 0.05 after Holm)." if apart else ""
    return " It is ahead of every other method (p < 0.05 after Holm)." if others else ""


def _against_controls(stats: SectionStats, measure: Measure, controls: Mapping[str, str]) -> str:
    """Sentence on the number of methods that beat the best of their controls, and those that do not."""
    differences = compare_all(stats, [(label, control, measure) for label, control in controls.items()], by="mean")
    favoured = {first: difference.favours for (first, _, _), difference in differences.items()}
    behind = [label for label in controls if favoured.get(label) == "second"]
    even = [label for label in controls if favoured.get(label) == ""]
    ahead = len(controls) - len(behind) - len(even)
    sentence = f" {ahead} of {len(controls)} methods beat the best of their controls (p < 0.05 after Holm)."
    if even:
        sentence += f" No significant difference from their controls: {', '.join(even)}."
    if behind:
        sentence += f" Behind their controls: {', '.join(behind)}."
    return sentence
