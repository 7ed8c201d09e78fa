"""Assignment of a section's measures to the parts of a report."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from matex.benchmark.report.section import Measure, Section, curve_of, stage_of


@dataclass(frozen=True)
class Curve:
    """Values along a share of pixels or tokens.

    Args:
        measures: one per point.
        percents: where the points lie.
    """

    name: str
    metric: str
    measures: tuple[Measure, ...] = field(repr=False)
    percents: tuple[int, ...] = ()


def curves(section: Section) -> list[Curve]:
    """Every column family with points, in the order of the metrics."""
    found: dict[tuple[str, str], dict[int, Measure]] = {}
    for measure in section.measures:
        if point := curve_of(measure.column):
            found.setdefault((measure.metric, point[0]), {})[point[1]] = measure
    return [
        Curve(name, metric, tuple(points[percent] for percent in sorted(points)), tuple(sorted(points)))
        for (metric, name), points in found.items()
    ]


def localisation_measures(section: Section) -> list[Measure]:
    """Measures of localisation on single findings."""
    return [
        measure
        for measure in section.measures
        if measure.localises
        and measure.name != "named-over-other"
        and measure.column != "outside_view"
        and not curve_of(measure.column)
    ]


def contrast_measures(section: Section) -> list[Measure]:
    """Measures on films with a finding that the phrase names and one that it does not."""
    found = [one for one in section.measures if one.name == "named-over-other" and one.column != "outside_view"]
    return [
        measure
        for measure in found
        if any(not np.isnan(section.values(entry.label, measure)).all() for entry in section.methods)
    ]


def plain_measures(section: Section) -> list[Measure]:
    """Measures that stand for themselves: no points of curves, stages, or agreements with another method."""
    return [
        measure
        for measure in section.measures
        if not curve_of(measure.column)
        and not stage_of(measure.column)
        and " with " not in measure.column
        and measure.column != "outside_view"
    ]
