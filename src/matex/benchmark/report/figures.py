"""The figures of a report: means with their controls, curves, the sanity check, distributions, agreement, ranks.

Many methods make unreadable line plots, so each gets a panel of its own with the others faint behind it.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matex.benchmark.report.measures import Curve
from matex.benchmark.report.panels import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    OCHRE,
    PANELS,
    PURPLE,
    SKY,
    SOFT,
    VERMILLION,
    WIDTH,
    Drawing,
    PanelFigure,
    clip,
    with_settings,
)
from matex.benchmark.report.rankings import Ranks
from matex.benchmark.report.section import Measure, Section, stage_of
from matex.benchmark.report.stats import EXCHANGED, SectionStats
from matex.benchmark.report.style import ARROWS, heading, style_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARED = (  # label, colour, dashes
    ("control: uniform", SOFT, (1, 2)),
    ("control: random", SOFT, (4, 2)),
    ("control: mirrored prior", PURPLE, (5, 2, 1, 2)),
    ("control: prior alone", PURPLE, (8, 2)),
)
_OWN = (  # kind, marker, colour
    ("random weights", "D", VERMILLION),
    ("exchanged side", "^", OCHRE),
    ("without its prior or gate", "s", GREEN),
)
_COMPONENTS = (GREEN, VERMILLION, PURPLE, OCHRE, SKY)
_SAMPLES = 300  # dots of one method in a distribution


@with_settings
def overview(stats: SectionStats, measures: Sequence[Measure], key: str, title: str) -> Drawing:
    """Means of methods and of their controls on one axis per measure."""
    methods = stats.best_first([entry.label for entry in stats.section.methods], measures[0])
    rows = math.ceil(len(measures) / PANELS)
    figure = PanelFigure(rows, min(len(measures), PANELS), 0.25 * len(methods) + 0.8, top=0.7)
    y = np.arange(len(methods))[::-1]
    intervals = False
    for axes, measure in zip(figure.axes, measures, strict=False):
        _draw_controls(axes, stats, measure, methods, y)
        intervals = _draw_means(axes, stats, measure, methods, y) or intervals
        axes.set_title(_heading(measure))
        axes.set_ylim(-0.7, len(methods) - 0.3)
        axes.set_yticks(y, [clip(method, 24) for method in methods] if axes in figure.first_column else [""] * len(y))
    figure.legend()
    alt = "; ".join(
        f"{heading(measure)}: " + ", ".join(f"{method} {_printed(stats, method, measure)}" for method in methods[:6])
        for measure in measures[:2]
    )
    caption = (
        f"Dots are means over samples{' with bootstrap intervals' if intervals else ''}. Vertical lines are controls "
        "that every method shares; diamonds are the same method on random weights, triangles the method for the phrase "
        "with left and right exchanged, squares the method without its prior or gate."
    )
    return figure.drawing(key, title, caption, alt)


def _draw_controls(
    axes: Axes, stats: SectionStats, measure: Measure, methods: Sequence[str], y: NDArray[np.intp]
) -> None:
    """Shared controls as vertical lines, those of a method as markers on its line."""
    scale = style_of(measure).scale
    for label, colour, dashes in _SHARED:
        mean = scale * stats.mean(label, measure)
        if math.isfinite(mean):
            axes.axvline(mean, color=colour, linewidth=1.4, dashes=dashes, label=label.removeprefix("control: "))
    for kind, marker, colour in _OWN:
        labels = [_own_control(stats.section, method, kind) for method in methods]
        means = [scale * stats.mean(label, measure) if label else math.nan for label in labels]
        axes.plot(means, y, marker, color=colour, markersize=5, markerfacecolor="white", label=kind)


def _draw_means(axes: Axes, stats: SectionStats, measure: Measure, methods: Sequence[str], y: NDArray[np.intp]) -> bool:
    """Means of the methods with their intervals; whether there are any intervals."""
    scale = style_of(measure).scale
    found = [stats.estimate(method, measure) for method in methods]
    means = scale * np.array([one.summary.mean if one else math.nan for one in found])
    ends = scale * np.array([(one.summary.low, one.summary.high) if one else (math.nan,) * 2 for one in found])
    intervals = bool(np.isfinite(ends).any())
    label = "method, 95 % interval" if intervals else "method"
    axes.errorbar(means, y, xerr=_bars(means, ends), fmt="o", color=BLUE, markersize=5, linewidth=1.8, label=label)
    return intervals


@with_settings
def curve_figure(
    stats: SectionStats, curves: Sequence[Curve], key: str, title: str, xlabel: str, ylabel: str, caption: str
) -> Drawing:
    """A panel for each method with up to two curves, those of the other methods faint and a random map's dotted."""
    section = stats.section
    methods = [entry.label for entry in section.methods if section.has(entry.label, curves[0].measures[0])]
    figure = PanelFigure(math.ceil(len(methods) / PANELS), min(PANELS, max(len(methods), 1)), 1.9, share=True)
    colours = (VERMILLION, BLUE) if len(curves) > 1 else (BLUE,)
    for axes, method in zip(figure.axes, methods, strict=False):
        for curve, colour in zip(curves, colours, strict=False):
            for other in methods:
                axes.plot(curve.percents, _means(stats, other, curve), color=FAINT, linewidth=0.7, zorder=1)
            _draw_control_curves(axes, stats, method, curve)
            _draw_curve(axes, stats, method, curve, colour, _curve_label(curve, curves))
        axes.set_title(clip(method, 30))
    figure.label(xlabel, ylabel)
    figure.legend()
    ends = [(f"{method}: {curve.name}", _means(stats, method, curve)) for method in methods for curve in curves]
    alt = "; ".join(f"{name} from {means[0]:.3g} to {means[-1]:.3g}" for name, means in ends)
    return figure.drawing(key, title, caption, alt)


def _draw_control_curves(axes: Axes, stats: SectionStats, method: str, curve: Curve) -> None:
    """Curves of the controls; only of a random map where the curve is not about localisation."""
    first = curve.measures[0]
    controls = {"control: random": ("random map", SOFT, ":")}
    if first.localises:
        controls["control: uniform"] = ("uniform map", SOFT, "--")
        controls["control: prior alone"] = ("prior alone", PURPLE, "--")
        if random := _own_control(stats.section, method, "random weights"):
            controls[random] = ("random weights", VERMILLION, ":")
    for label, (name, shade, style) in controls.items():
        if stats.section.has(label, first):
            axes.plot(curve.percents, _means(stats, label, curve), style, color=shade, linewidth=1.3, label=name)


def _draw_curve(axes: Axes, stats: SectionStats, method: str, curve: Curve, colour: str, label: str) -> None:
    """A method's curve with its 95 % band."""
    found = [stats.estimate(method, measure) for measure in curve.measures]
    low = [one.summary.low if one else math.nan for one in found]
    high = [one.summary.high if one else math.nan for one in found]
    axes.fill_between(curve.percents, low, high, color=colour, alpha=0.2, linewidth=0, zorder=2)
    axes.plot(curve.percents, _means(stats, method, curve), color=colour, linewidth=1.9, zorder=3, label=label)


@with_settings
def sanity_figure(stats: SectionStats, metric: str, key: str) -> Drawing | None:
    """Similarity of maps under weight randomisation from the output back."""
    section = stats.section
    found = [
        (measure, stage)
        for measure in section.measures
        if (stage := stage_of(measure.column)) and measure.metric == metric
    ]
    stages = sorted(dict.fromkeys(stage for _, (_, stage, _) in found), key=_depth)
    lines: dict[tuple[str, str], dict[str, Measure]] = {}
    for measure, (order, stage, name) in found:
        if name == "spearman" or name.endswith("/spearman"):
            lines.setdefault((order, name), {})[stage] = measure
    methods = [
        entry.label for entry in section.methods if any(section.has(entry.label, measure) for measure, _ in found)
    ]
    if not methods or not lines:
        return None
    figure = PanelFigure(math.ceil(len(methods) / PANELS), min(PANELS, len(methods)), 2.1, share=True, bottom=0.75)
    first_order = found[0][1][0]
    for axes, method in zip(figure.axes, methods, strict=False):
        axes.axhline(0, color=SOFT, linewidth=0.8)
        _draw_stages(axes, stats, method, stages, lines, first_order)
        axes.set_xticks(np.arange(len(stages)), [_short_stage(stage) for stage in stages], rotation=90, fontsize=7.5)
        axes.set_ylim(-0.55, 1.08)
        axes.set_title(clip(method, 30))
    figure.label("weights drawn anew, from the output back", "rank correlation")
    figure.legend()
    caption = (
        "Spearman’s correlation of the map with itself after the image tower’s weights are drawn anew (Adebayo et al., "
        "arXiv:1810.03292). A map of what the model learned falls to 0; a line that stays high comes from the "
        "input, the "
        "architecture or the words. Terms of a method are dashed: a spatial prior stays at 1 by construction."
    )
    alt = "; ".join(
        f"{method}: {stats.mean(method, list(lines[first_order, 'spearman'].values())[-1]):.2f} with everything "
        f"drawn anew"
        for method in methods
        if (first_order, "spearman") in lines
    )
    return figure.drawing(key, "Sanity check: randomised weights", caption, alt)


def _draw_stages(
    axes: Axes,
    stats: SectionStats,
    method: str,
    stages: Sequence[str],
    lines: Mapping[tuple[str, str], Mapping[str, Measure]],
    first_order: str,
) -> None:
    """A method's map, in blue, and its components, dashed, by the stage down to which weights are randomised."""
    components = sorted({name for _, name in lines if name != "spearman"})
    colour_of = {name: _COMPONENTS[index % len(_COMPONENTS)] for index, name in enumerate(components)}
    x = np.arange(len(stages))
    for (order, name), by_stage in lines.items():
        y = [stats.mean(method, by_stage[stage]) if stage in by_stage else math.nan for stage in stages]
        if np.isnan(y).all():
            continue
        if name == "spearman":
            labels = {"cascade": "map, drawn anew down to here", "independent": "map, this stage alone drawn anew"}
            style, label = "-" if order == "cascade" else ":", labels.get(order, order)
            axes.plot(x, y, style, color=BLUE, linewidth=2, marker="o", markersize=3, label=label)
        elif order == first_order:
            label = f"term: {name.removesuffix('/spearman')}"
            axes.plot(x, y, "--", color=colour_of[name], linewidth=1.3, label=label)


@with_settings
def distributions(stats: SectionStats, measures: Sequence[Measure], key: str) -> Drawing:
    """The samples behind the means: a box and every sample, with the method on random weights under it."""
    methods = stats.best_first([entry.label for entry in stats.section.methods], measures[0])
    figure = PanelFigure(1, len(measures), 0.42 * len(methods) + 0.6, top=0.55)
    rng = np.random.default_rng(0)
    for axes, measure in zip(figure.axes, measures, strict=False):
        for y, method in enumerate(reversed(methods)):
            _draw_samples(axes, printed_values(stats, method, measure), y + 0.16, BLUE, rng)
            if control := _own_control(stats.section, method, "random weights"):
                _draw_samples(axes, printed_values(stats, control, measure), y - 0.2, VERMILLION, rng)
        axes.set_title(_heading(measure))
        axes.set_ylim(-0.7, len(methods) - 0.3)
        names = [clip(method, 24) for method in reversed(methods)]
        axes.set_yticks(range(len(methods)), names if axes in figure.first_column else [""] * len(methods))
    axes = figure.axes[0]
    axes.plot([], [], "s", color=BLUE, label="method")
    axes.plot([], [], "s", color=VERMILLION, label="the same on random weights")
    figure.legend()
    caption = (
        f"Every dot is a sample (at most {_SAMPLES} are drawn), the bar spans the middle half, the line in it is the "
        "median. A mean that comes from a few samples shows here."
    )
    values = {method: printed_values(stats, method, measures[0]) for method in methods}
    alt = "; ".join(
        f"{method}: median {np.nanmedian(some):.3g}" for method, some in values.items() if not np.isnan(some).all()
    )
    return figure.drawing(key, "Distributions over samples", caption, alt)


def _draw_samples(axes: Axes, values: NDArray[np.float64], y: float, colour: str, rng: np.random.Generator) -> None:
    """Samples as dots around a height, with their quartiles."""
    values = values[~np.isnan(values)]
    if not len(values):
        return
    some = values if len(values) <= _SAMPLES else rng.choice(values, _SAMPLES, replace=False)
    jitter = y + rng.uniform(-0.11, 0.11, len(some))
    axes.plot(some, jitter, ".", color=colour, markersize=2.2, alpha=0.45, zorder=2, rasterized=True)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    axes.plot([low, high], [y, y], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt", zorder=3)
    axes.plot([middle, middle], [y - 0.15, y + 0.15], color=colour, linewidth=2, zorder=4)


@with_settings
def score_figure(sections: Sequence[Section], key: str) -> Drawing:
    """Histograms of the scores that are explained: cosine of image and phrase."""
    figure = PanelFigure(1, max(len(sections), 1), 2.2)
    for axes, section in zip(figure.axes, sections, strict=True):
        known = section.scores[~np.isnan(section.scores)]
        axes.hist(known, bins=min(40, max(5, len(known) // 5)), color=BLUE, alpha=0.85)
        axes.set_title(clip(f"{section.dataset}, {section.model}", 60))
    figure.label("cosine of image and phrase", "samples")
    alt = "; ".join(
        f"{section.dataset} with {section.model}: median {np.nanmedian(section.scores):.3f}" for section in sections
    )
    caption = (
        "The scores that are explained. Where the model gives a pair no score to speak of, there is little to explain."
    )
    return figure.drawing(key, "Scores of the model", caption, alt)


@with_settings
def agreement_figure(stats: SectionStats, metric: str, key: str) -> Drawing | None:
    """Mean rank correlation of every two methods' maps."""
    methods = [entry.label for entry in stats.section.methods]
    values = _agreements(stats, metric, methods)
    if np.isnan(values[~np.eye(len(methods), dtype=bool)]).all():
        return None
    width = min(WIDTH, 0.62 * len(methods) + 3.2)
    figure = PanelFigure(1, 1, 0.42 * len(methods) + 1.3, width=width, bottom=0.2)
    axes = figure.axes[0]
    axes.grid(visible=False)
    axes.imshow(values, cmap="RdBu", vmin=-1, vmax=1)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            text, colour = f"{value:.2f}".replace("-", "−"), "white" if abs(value) > 0.6 else INK
            axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_xticks(range(len(methods)), [clip(method, 20) for method in methods], rotation=40, ha="right")
    axes.set_yticks(range(len(methods)), [clip(method, 24) for method in methods])
    caption = "Spearman’s correlation of two methods’ maps of the same film and phrase, mean over samples."
    return figure.drawing(key, "Agreement between methods", caption, "A matrix of correlations, see report.csv.")


def _agreements(stats: SectionStats, metric: str, methods: Sequence[str]) -> NDArray[np.float64]:
    """[method, method], 1 on the diagonal, NaN where not measured."""
    known = {measure.column: measure for measure in stats.section.measures if measure.metric == metric}
    values = np.full((len(methods), len(methods)), np.nan)
    np.fill_diagonal(values, 1.0)
    for row, one in enumerate(methods):
        for column, other in enumerate(methods):
            if row != column and (measure := known.get(f"spearman with {other}")):
                values[row, column] = stats.mean(one, measure)
    return values


@with_settings
def rank_figure(ranks: Ranks, methods: Sequence[str], key: str, caption: str) -> Drawing:
    """Critical difference diagram: mean ranks, and a bar along every group of methods that do not differ."""
    order = [int(i) for i in np.argsort(ranks.means, kind="stable") if math.isfinite(ranks.means[i])]
    figure = PanelFigure(1, 1, 0.22 * len(order) + 0.9)
    axes = figure.axes[0]
    for line, i in enumerate(order):
        axes.plot(ranks.means[i], -line, "o", color=BLUE, markersize=6)
        axes.annotate(methods[i], (ranks.means[i], -line), (8, 0), textcoords="offset points", va="center")
    groups = [group for group in ranks.groups if len(group) > 1]
    edge = len(methods) + 0.5
    for number, group in enumerate(groups):
        ends = [-order.index(group[0]), -order.index(group[-1])]
        axes.plot([edge + 0.25 * number] * 2, ends, color=VERMILLION, linewidth=3, solid_capstyle="butt")
    axes.set_yticks([])
    axes.set_ylim(-len(order) + 0.3, 0.7)
    axes.set_xlim(0.5, edge + 0.25 * max(1, len(groups)))
    axes.set_xlabel("mean rank, 1 is best; a bar at the right spans methods that do not differ significantly")
    alt = "; ".join(f"{methods[i]} {ranks.means[i]:.2f}" for i in order)
    return figure.drawing(key, "Critical difference diagram", caption, alt)


def printed_values(stats: SectionStats, method: str, measure: Measure) -> NDArray[np.float64]:
    """A method's values, scaled as they are printed."""
    return style_of(measure).scale * stats.section.values(method, measure)


def _bars(means: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths of the bars on both sides, 0 where there is no interval, [2, method]."""
    lengths = np.stack([means - ends[:, 0], ends[:, 1] - means])
    return np.clip(np.nan_to_num(lengths), 0, None)


def _own_control(section: Section, method: str, kind: str) -> str | None:
    """Label of a method's control of this kind; any but the two that are named in labels: without its prior or gate."""
    named = ("(random weights)", EXCHANGED)
    for control in section.controls_of(method):
        suffix = next((one for one in named if control.label.endswith(one)), "")
        if suffix == (f"({kind})" if f"({kind})" in named else ""):
            return control.label
    return None


def _means(stats: SectionStats, method: str, curve: Curve) -> list[float]:
    return [stats.mean(method, measure) for measure in curve.measures]


def _curve_label(curve: Curve, curves: Sequence[Curve]) -> str:
    labels = {
        "deletion": "deletion",
        "insertion": "insertion",
        "morf": "most relevant first",
        "lerf": "least relevant first",
    }
    for piece, label in labels.items():
        if piece in curve.name:
            return label
    return curve.name.replace("_", " ") if len(curves) > 1 else "method"


def _depth(stage: str) -> tuple[int, int]:
    """Sorts stages from the output back."""
    if stage.startswith("block "):
        return (2, -int(stage.removeprefix("block ")))
    return ({"projection": 0, "norm": 1}.get(stage, 3), 0)


def _short_stage(stage: str) -> str:
    return stage.replace("projection", "proj.").replace("embeddings", "embed.")


def _printed(stats: SectionStats, method: str, measure: Measure) -> str:
    return style_of(measure).number(stats.mean(method, measure))


def _heading(measure: Measure) -> str:
    return textwrap.fill(f"{heading(measure)} {ARROWS[measure.better]}".strip(), 30)
