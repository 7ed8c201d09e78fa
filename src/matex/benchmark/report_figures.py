"""The figures of a report, as SVG: means with their controls, curves, the sanity check, distributions (extra `plots`).

Many methods make unreadable line plots, so each gets a panel of its own with the others faint behind it.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matex.benchmark.rankings import Ranks
from matex.benchmark.report_run import Measure, Section, stage_of
from matex.benchmark.report_tables import ARROWS, EXCHANGED, Curve, Numbers, heading, style_of
from matex.errors import MissingExtra

# Okabe and Ito's colours, which colour-blind readers can tell apart, the lighter ones darkened for thin lines.
INK, SOFT, FAINT = "#1b2026", "#57616d", "#c3cad2"
BLUE, VERMILLION, GREEN, PURPLE, OCHRE, SKY = "#0072b2", "#c44e00", "#00795a", "#a3528a", "#a87400", "#2a7fb8"
WIDTH = 11.5  # inches
PANELS = 4  # side by side

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "matex",  # the same bytes for the same numbers
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": "#e6e9ed",
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.color": INK,
}


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Args:
        key: unique in the report.
        title: heading.
        svg: bytes.
        caption: what is drawn.
        told: the same in words for those who cannot see it.
        narrow: shown at its own size instead of the page's width.
    """

    key: str
    title: str
    svg: bytes
    caption: str
    told: str
    narrow: bool = False


def overview(numbers: Numbers, measures: Sequence[Measure], key: str, title: str) -> Drawing:
    """Means of methods and of their controls on one axis per measure."""
    section = numbers.section
    methods = _best_first([entry.label for entry in section.methods], numbers, measures[0])
    shared = (
        ("control: uniform", SOFT, (1, 2)),
        ("control: random", SOFT, (4, 2)),
        ("control: mirrored prior", PURPLE, (5, 2, 1, 2)),
        ("control: prior alone", PURPLE, (8, 2)),
    )
    rows = math.ceil(len(measures) / PANELS)
    columns = min(len(measures), PANELS)
    figure = _Figure(rows, columns, 0.25 * len(methods) + 0.8, top=0.7)
    y = np.arange(len(methods))[::-1]
    intervals = False
    for axes, measure in zip(figure.axes, measures, strict=False):
        scale = style_of(measure).scale
        for label, colour, dashes in shared:
            mean = scale * numbers.mean(label, measure)
            if math.isfinite(mean):
                axes.axvline(mean, color=colour, linewidth=1.4, dashes=dashes, label=label.removeprefix("control: "))
        own = (
            ("random weights", "D", VERMILLION),
            ("exchanged side", "^", OCHRE),
            ("without its prior or gate", "s", GREEN),
        )
        for told, marker, colour in own:
            of = [_own_control(section, method, told) for method in methods]
            means = [scale * numbers.mean(label, measure) if label else math.nan for label in of]
            axes.plot(means, y, marker, color=colour, markersize=5, markerfacecolor="white", label=told)
        found = [numbers.of(method, measure) for method in methods]
        means = scale * np.array([one.summary.mean if one else math.nan for one in found])
        ends = scale * np.array([(one.summary.low, one.summary.high) if one else (math.nan,) * 2 for one in found])
        intervals = intervals or bool(np.isfinite(ends).any())
        label = "method, 95 % interval" if np.isfinite(ends).any() else "method"
        axes.errorbar(means, y, xerr=_bars(means, ends), fmt="o", color=BLUE, markersize=5, linewidth=1.8, label=label)
        axes.set_title(_heading(measure))
        axes.set_ylim(-0.7, len(methods) - 0.3)
        axes.set_yticks(y, [_clip(method, 24) for method in methods] if axes in figure.first_column else [""] * len(y))
    figure.legend()
    told = "; ".join(
        f"{heading(measure)}: " + ", ".join(f"{method} {_told(numbers, method, measure)}" for method in methods[:6])
        for measure in measures[:2]
    )
    caption = (
        f"Dots are means over samples{' with bootstrap intervals' if intervals else ''}. Vertical lines are controls "
        "that every method shares; diamonds are the same method on random weights, triangles the method for the phrase "
        "with left and right exchanged, squares the method without its prior or gate."
    )
    return figure.drawing(key, title, caption, told)


def curve_figure(
    numbers: Numbers, curves: Sequence[Curve], key: str, title: str, xlabel: str, ylabel: str, caption: str
) -> Drawing:
    """A panel for each method with up to two curves, those of the other methods faint and a random map's dotted."""
    section = numbers.section
    methods = [entry.label for entry in section.methods if section.has(entry.label, curves[0].measures[0])]
    figure = _Figure(math.ceil(len(methods) / PANELS), min(PANELS, max(len(methods), 1)), 1.9, share=True)
    colours = (VERMILLION, BLUE) if len(curves) > 1 else (BLUE,)
    shared = {"control: random": (SOFT, ":"), "control: uniform": (SOFT, "--"), "control: prior alone": (PURPLE, "--")}
    if not curves[0].measures[0].localises:
        del shared["control: uniform"], shared["control: prior alone"]
    for axes, method in zip(figure.axes, methods, strict=False):
        for curve, colour in zip(curves, colours, strict=False):
            for other in methods:
                axes.plot(curve.percents, _means(numbers, other, curve), color=FAINT, linewidth=0.7, zorder=1)
            controls = dict(shared)
            if curve.measures[0].localises and (random := _own_control(section, method, "random weights")):
                controls[random] = (VERMILLION, ":")
            for label, (shade, style) in controls.items():
                if section.has(label, curve.measures[0]):
                    told = "random weights" if label not in shared else label.removeprefix("control: ") + " map"
                    told = told.replace("alone map", "alone")
                    axes.plot(
                        curve.percents, _means(numbers, label, curve), style, color=shade, linewidth=1.3, label=told
                    )
            found = [numbers.of(method, measure) for measure in curve.measures]
            low = [one.summary.low if one else math.nan for one in found]
            high = [one.summary.high if one else math.nan for one in found]
            axes.fill_between(curve.percents, low, high, color=colour, alpha=0.2, linewidth=0, zorder=2)
            label = _curve_label(curve, curves)
            axes.plot(
                curve.percents, _means(numbers, method, curve), color=colour, linewidth=1.9, zorder=3, label=label
            )
        axes.set_title(_clip(method, 30))
    figure.label(xlabel, ylabel)
    figure.legend()
    ends = {
        (method, curve.name): (_means(numbers, method, curve)[0], _means(numbers, method, curve)[-1])
        for method in methods
        for curve in curves
    }
    told = "; ".join(f"{method}: {name} from {low:.3g} to {high:.3g}" for (method, name), (low, high) in ends.items())
    return figure.drawing(key, title, caption, told)


def sanity_figure(numbers: Numbers, metric: str, key: str) -> Drawing | None:
    """How alike maps stay while the weights are drawn anew from the output back."""
    section = numbers.section
    found = [
        (measure, stage)
        for measure in section.measures
        if (stage := stage_of(measure.column)) and measure.metric == metric
    ]
    stages = list(dict.fromkeys(stage for _, (_, stage, _) in found))
    orders = list(dict.fromkeys(order for _, (order, _, _) in found))
    stages = sorted(stages, key=_depth)
    lines: dict[tuple[str, str], dict[str, Measure]] = {}
    for measure, (order, stage, name) in found:
        if name == "spearman" or name.endswith("/spearman"):
            lines.setdefault((order, name), {})[stage] = measure
    methods = [
        entry.label for entry in section.methods if any(section.has(entry.label, measure) for measure, _ in found)
    ]
    if not methods or not lines:
        return None
    figure = _Figure(math.ceil(len(methods) / PANELS), min(PANELS, len(methods)), 2.1, share=True, bottom=0.75)
    component_colours = (GREEN, VERMILLION, PURPLE, OCHRE, SKY)
    components = sorted({name for _, name in lines if name != "spearman"})
    colour_of = {name: component_colours[at % len(component_colours)] for at, name in enumerate(components)}
    x = np.arange(len(stages))
    for axes, method in zip(figure.axes, methods, strict=False):
        axes.axhline(0, color=SOFT, linewidth=0.8)
        for (order, name), by_stage in lines.items():
            y = [numbers.mean(method, by_stage[stage]) if stage in by_stage else math.nan for stage in stages]
            if np.isnan(y).all():
                continue
            if name == "spearman":
                told = {"cascade": "map, drawn anew down to here", "independent": "map, this stage alone drawn anew"}
                style = "-" if order == "cascade" else ":"
                axes.plot(x, y, style, color=BLUE, linewidth=2, marker="o", markersize=3, label=told.get(order, order))
            elif order == orders[0]:
                told_component = f"term: {name.removesuffix('/spearman')}"
                axes.plot(x, y, "--", color=colour_of[name], linewidth=1.3, label=told_component)
        axes.set_xticks(x, [_short_stage(stage) for stage in stages], rotation=90, fontsize=7.5)
        axes.set_ylim(-0.55, 1.08)
        axes.set_title(_clip(method, 30))
    figure.label("weights drawn anew, from the output back", "rank correlation")
    figure.legend()
    caption = (
        "Spearman’s correlation of the map with itself after the image tower’s weights are drawn anew (Adebayo et al., "
        "arXiv:1810.03292). A map of what the model learned falls to 0; a line that stays high comes from the "
        "input, the "
        "architecture or the words. Terms of a method are dashed: a spatial prior stays at 1 by construction."
    )
    told_all = "; ".join(
        f"{method}: {numbers.mean(method, list(lines[orders[0], 'spearman'].values())[-1]):.2f} with everything "
        f"drawn anew"
        for method in methods
        if (orders[0], "spearman") in lines
    )
    return figure.drawing(key, "Sanity check: randomised weights", caption, told_all)


def distributions(numbers: Numbers, measures: Sequence[Measure], key: str) -> Drawing:
    """The samples behind the means: a box and every sample, with the method on random weights under it."""
    section = numbers.section
    methods = _best_first([entry.label for entry in section.methods], numbers, measures[0])
    figure = _Figure(1, len(measures), 0.42 * len(methods) + 0.6, top=0.55)
    random = np.random.default_rng(0)
    for axes, measure in zip(figure.axes, measures, strict=False):
        scale = style_of(measure).scale
        for at, method in enumerate(reversed(methods)):
            pairs = ((method, 0.16, BLUE), (_own_control(section, method, "random weights"), -0.2, VERMILLION))
            for label, shift, colour in pairs:
                values = scale * section.values(label, measure) if label else np.empty(0)
                values = values[~np.isnan(values)]
                if not len(values):
                    continue
                some = values if len(values) <= 300 else random.choice(values, 300, replace=False)
                jitter = at + shift + random.uniform(-0.11, 0.11, len(some))
                axes.plot(some, jitter, ".", color=colour, markersize=2.2, alpha=0.45, zorder=2, rasterized=True)
                _box(axes, values, at + shift, colour)
        axes.set_title(_heading(measure))
        axes.set_ylim(-0.7, len(methods) - 0.3)
        names = [_clip(method, 24) for method in reversed(methods)]
        axes.set_yticks(range(len(methods)), names if axes in figure.first_column else [""] * len(methods))
    axes = figure.axes[0]
    axes.plot([], [], "s", color=BLUE, label="method")
    axes.plot([], [], "s", color=VERMILLION, label="the same on random weights")
    figure.legend()
    caption = (
        "Every dot is a sample (at most 300 are drawn), the bar spans the middle half, the line in it is the median. "
        "A mean that comes from a few samples shows here."
    )
    told = "; ".join(
        f"{method}: median {np.nanmedian(scale_of(numbers, method, measures[0])):.3g}"
        for method in methods
        if not np.isnan(scale_of(numbers, method, measures[0])).all()
    )
    return figure.drawing(key, "Distributions over samples", caption, told)


def score_figure(sections: Sequence[Section], key: str) -> Drawing:
    """What the models said before anything was explained: cosine of image and phrase."""
    figure = _Figure(1, max(len(sections), 1), 2.2)
    for axes, section in zip(figure.axes, sections, strict=True):
        known = section.scores[~np.isnan(section.scores)]
        axes.hist(known, bins=min(40, max(5, len(known) // 5)), color=BLUE, alpha=0.85)
        axes.set_title(_clip(f"{section.dataset}, {section.model}", 60))
    figure.label("cosine of image and phrase", "samples")
    told = "; ".join(
        f"{section.dataset} with {section.model}: median {np.nanmedian(section.scores):.3f}" for section in sections
    )
    caption = (
        "The scores that are explained. Where the model gives a pair no score to speak of, there is little to explain."
    )
    return figure.drawing(key, "Scores of the model", caption, told)


def agreement_figure(numbers: Numbers, metric: str, key: str) -> Drawing | None:
    """Mean rank correlation of every two methods' maps."""
    section = numbers.section
    methods = [entry.label for entry in section.methods]
    known = {measure.column: measure for measure in section.measures if measure.metric == metric}
    values = np.full((len(methods), len(methods)), np.nan)
    for row, one in enumerate(methods):
        values[row, row] = 1.0
        for column, other in enumerate(methods):
            if measure := known.get(f"spearman with {other}"):
                values[row, column] = values[row, column] if row == column else numbers.mean(one, measure)
    if np.isnan(values[~np.eye(len(methods), dtype=bool)]).all():
        return None
    figure = _Figure(1, 1, 0.42 * len(methods) + 1.3, width=min(WIDTH, 0.62 * len(methods) + 3.2), bottom=0.2)
    axes = figure.axes[0]
    axes.grid(visible=False)
    axes.imshow(values, cmap="RdBu", vmin=-1, vmax=1)
    for row in range(len(methods)):
        for column in range(len(methods)):
            if np.isfinite(values[row, column]):
                dark = abs(values[row, column]) > 0.6
                axes.text(
                    column,
                    row,
                    f"{values[row, column]:.2f}".replace("-", "−"),
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color="white" if dark else INK,
                )
    axes.set_xticks(range(len(methods)), [_clip(method, 20) for method in methods], rotation=40, ha="right")
    axes.set_yticks(range(len(methods)), [_clip(method, 24) for method in methods])
    caption = "Spearman’s correlation of two methods’ maps of the same film and phrase, mean over samples."
    return figure.drawing(key, "Agreement between methods", caption, "A matrix of correlations, see report.csv.")


def scale_of(numbers: Numbers, method: str, measure: Measure) -> NDArray[np.float64]:
    """A method's values as they are printed."""
    return style_of(measure).scale * numbers.section.values(method, measure)


class _Figure:
    """Panels of one size with one legend above them."""

    def __init__(
        self,
        rows: int,
        columns: int,
        height: float,
        *,
        width: float = WIDTH,
        share: bool = False,
        top: float = 0.5,
        bottom: float = 0.45,
    ) -> None:
        try:
            import matplotlib
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingExtra("The report's figures need matplotlib: pip install matex[plots]") from error
        self._context = matplotlib.rc_context(SETTINGS)
        self._context.__enter__()
        self.figure = Figure(figsize=(width, rows * height + top + bottom), layout="constrained")
        made = self.figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
        self.axes: list[Any] = list(made.flat)
        self.first_column: list[Any] = list(made[:, 0])
        self._columns = columns
        self._narrow = width < WIDTH

    def label(self, x: str, y: str) -> None:
        self.figure.supxlabel(x, fontsize=9.5)
        self.figure.supylabel(y, fontsize=9.5)

    def legend(self) -> None:
        """One entry per label, of whatever panels have it."""
        handles: dict[str, Any] = {}
        for axes in self.axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        self.figure.legend(
            list(handles.values()), list(handles), loc="outside upper center", ncols=min(len(handles), 5)
        )

    def drawing(self, key: str, title: str, caption: str, told: str) -> Drawing:
        for axes in self.axes:
            if not axes.has_data():
                axes.set_visible(False)
        for above, below in zip(self.axes, self.axes[self._columns :], strict=False):
            if not below.get_visible():  # shared labels would have stood there
                above.tick_params(labelbottom=True)
        stream = io.BytesIO()
        self.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, dpi=120)
        self._context.__exit__(None, None, None)
        return Drawing(key, title, stream.getvalue(), caption, told, self._narrow)


def _box(axes: Any, values: NDArray[np.float64], y: float, colour: str) -> None:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    axes.plot([low, high], [y, y], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt", zorder=3)
    axes.plot([middle, middle], [y - 0.15, y + 0.15], color=colour, linewidth=2, zorder=4)


def _bars(means: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths of the bars on both sides, 0 where there is no interval, [2, method]."""
    apart = np.stack([means - ends[:, 0], ends[:, 1] - means])
    return np.clip(np.nan_to_num(apart), 0, None)


def _own_control(section: Section, method: str, kind: str) -> str | None:
    """Label of a method's control of this kind; any but the two that are named in labels: without its prior or gate."""
    named = ("(random weights)", EXCHANGED)
    for control in section.controls_of(method):
        suffix = next((one for one in named if control.label.endswith(one)), "")
        if suffix == (f"({kind})" if f"({kind})" in named else ""):
            return control.label
    return None


def rank_figure(ranks: Ranks, methods: Sequence[str], key: str, caption: str) -> Drawing:
    """Critical difference diagram: mean ranks, and a bar along every group of methods that do not differ."""
    order = [int(i) for i in np.argsort(ranks.means, kind="stable") if math.isfinite(ranks.means[i])]
    figure = _Figure(1, 1, 0.22 * len(order) + 0.9)
    axes = figure.axes[0]
    for line, i in enumerate(order):
        axes.plot(ranks.means[i], -line, "o", color=BLUE, markersize=6)
        axes.annotate(methods[i], (ranks.means[i], -line), (8, 0), textcoords="offset points", va="center")
    shown = [group for group in ranks.groups if len(group) > 1]
    edge = len(methods) + 0.5
    for number, group in enumerate(shown):
        ends = [-order.index(group[0]), -order.index(group[-1])]
        axes.plot([edge + 0.25 * number] * 2, ends, color=VERMILLION, linewidth=3, solid_capstyle="butt")
    axes.set_yticks([])
    axes.set_ylim(-len(order) + 0.3, 0.7)
    axes.set_xlim(0.5, edge + 0.25 * max(1, len(shown)))
    axes.set_xlabel("mean rank, 1 is best; a bar at the right spans methods that do not differ significantly")
    told = "; ".join(f"{methods[i]} {ranks.means[i]:.2f}" for i in order)
    return figure.drawing(key, "Critical difference diagram", caption, told)


def _best_first(methods: Sequence[str], numbers: Numbers, measure: Measure) -> list[str]:
    sign = 1 if measure.better == "lower" else -1
    means = {method: sign * numbers.mean(method, measure) for method in methods}
    return sorted(methods, key=lambda method: (math.isnan(means[method]), means[method]))


def _means(numbers: Numbers, method: str, curve: Curve) -> list[float]:
    return [numbers.mean(method, measure) for measure in curve.measures]


def _curve_label(curve: Curve, curves: Sequence[Curve]) -> str:
    name = curve.name
    for piece, told in (
        ("deletion", "deletion"),
        ("insertion", "insertion"),
        ("morf", "most relevant first"),
        ("lerf", "least relevant first"),
    ):
        if piece in name:
            return told
    return name.replace("_", " ") if len(curves) > 1 else "method"


def _depth(stage: str) -> tuple[int, int]:
    """Sorts stages from the output back."""
    if stage.startswith("block "):
        return (2, -int(stage.removeprefix("block ")))
    return ({"projection": 0, "norm": 1}.get(stage, 3), 0)


def _short_stage(stage: str) -> str:
    return stage.replace("projection", "proj.").replace("embeddings", "embed.")


def _told(numbers: Numbers, method: str, measure: Measure) -> str:
    return style_of(measure).number(numbers.mean(method, measure))


def _heading(measure: Measure) -> str:
    return textwrap.fill(f"{heading(measure)} {ARROWS[measure.better]}".strip(), 30)


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
