"""`matex report`: a run folder as report.html, report.tex and report.csv, laid out like the papers' tables.

Every table of places holds its controls and is refused without them; every published number is quoted beside ours with
what is known to be wrong with it, and never as something to be reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from matex.benchmark.published import TABLES
from matex.benchmark.report_figures import (
    Drawing,
    agreement_figure,
    curve_figure,
    distributions,
    overview,
    sanity_figure,
    score_figure,
)
from matex.benchmark.report_files import as_csv, as_latex
from matex.benchmark.report_models import models_part
from matex.benchmark.report_page import Block, Part, page, strips
from matex.benchmark.report_pictures import Films, Maps, cases, degradation, extremes, removal, typical
from matex.benchmark.report_run import Measure, Run, Section, count_units, read_run, stage_of
from matex.benchmark.report_tables import (
    PAIRWISE,
    Curve,
    Numbers,
    Table,
    against_controls,
    attributes,
    breakdown,
    curves,
    heading,
    localisation,
    measured_table,
    pairwise,
    paper_table,
    places,
    plain_measures,
    prior_question,
    style_of,
    tested,
    two_findings,
)
from matex.errors import InputError, shortened, shown
from matex.metrics.statistics import FEWEST_CLUSTERS
from matex.render.files import writing

FILES = ("report.html", "report.tex", "report.csv")
SHOWN = ("mmel", "matex", "ca-m2ib", "grad-eclip")  # whose removal and degradation are drawn, of those in the run
STRIPS = 2
FEW = 30  # patients or films below which the page warns
_LEFT_OUT = ("top5", "top10", "ir5", "tr5")  # curves that repeat what the one beside them shows


def write_report(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    partial: bool = False,
    roots: Mapping[str, Path] | None = None,
    progress: bool = False,
) -> Path:
    """Write report.html, report.tex and report.csv about a run.

    Args:
        folder: that `matex benchmark` wrote.
        out: folder to write to; the run's own when None.
        partial: report what there is of a run that was stopped or whose shards were not merged.
        roots: folders of data sets by their labels, to show films; a run does not record where its data lie.
        progress: show a bar.

    Returns:
        The HTML file.

    Raises:
        InputError: no run folder, an unfinished run without `partial`, or controls that are missing.
        ImportError: a package of the extras `benchmark` or `plots` is missing.
    """
    try:
        return _write_report(folder, out, partial, roots or {}, progress)
    except _DAMAGE as error:
        if type(error).__module__.startswith("matex."):
            raise
        # Types of columns and records are checked when they are read; what else a hand may have changed shows here.
        raise InputError(
            f"Expected the run folder {shown(str(folder))} as matex benchmark wrote it, got one that cannot be "
            f"reported: {type(error).__name__}: {shortened(str(error))}. Copy the whole folder, or run it again."
        ) from error


_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def _write_report(
    folder: str | Path, out: str | Path | None, partial: bool, roots: Mapping[str, Path], progress: bool
) -> Path:
    run = read_run(folder, partial)
    target = Path(out) if out is not None else run.store.path
    title = f"Benchmark {run.store.path.resolve().name}"
    built = [_Builder(run, section) for section in run.sections]
    films = Films(run, roots, {(one.section.dataset, one.section.model): one.wanted() for one in built})
    parts = [one.part(films) for one in tqdm(built, desc="report", disable=not progress)]
    tables = [(one.title, one.tables) for one in built]
    if several := models_part(run):
        part, made = several
        parts.insert(0, part)
        tables.insert(0, (part.title, made))
    with writing(target) as temporary:
        html = page(run, title, parts, [score_figure(run.sections, "score-histograms")] if run.sections else [])
        (temporary / FILES[0]).write_text(html, encoding="utf-8")
        (temporary / FILES[1]).write_text(as_latex(tables, title), encoding="utf-8")
        (temporary / FILES[2]).write_text(as_csv(tables), encoding="utf-8")
    return target / FILES[0]


class _Builder:
    """Puts together what is said about one data set and model."""

    def __init__(self, run: Run, section: Section) -> None:
        self.run = run
        self.section = section
        self.numbers = Numbers(section)
        self.title = f"{section.model} on {section.dataset}"
        self.key = f"s{run.sections.index(section) + 1}"
        self.tables: list[Table] = []
        self.places = places(section)
        self.pairs = two_findings(section)
        self.plain = plain_measures(section)

    @property
    def main(self) -> Measure | None:
        """What cases are ranked by: where the map points if that is known, else the first measure of single maps."""
        ranked = [*(m for m in (*self.places, *self.pairs) if m.name == "energy" or m.column == "energy_share")]
        ranked += [*self.places, *self.pairs, *(m for m in self.plain if not m.whole and m.better != "neither")]
        return ranked[0] if ranked else None

    def wanted(self) -> dict[str, int]:
        """Samples whose films are shown, and their numbers in the data set."""
        if self.main is None:
            return {}
        numbers: set[int] = set()
        for entry in self.section.methods:
            best, worst = extremes(self.section, entry.label, self.main)
            middle = typical(self.section, entry.label, self.main)
            numbers |= {*best, *worst, *([] if middle is None else [middle])}
        rows = [self.section.samples[number] for number in sorted(numbers)]
        return {str(row["sample"]): int(row["number"]) for row in rows}

    def part(self, films: Films) -> Part:
        blocks = [
            block
            for block in (
                self._localisation(),
                self._two_findings(),
                *self._papers(),
                self._curves(),
                self._sanity(),
                self._other(),
                self._distributions(),
                self._pairwise(),
                self._cases(films),
                self._degradation(films),
            )
            if block is not None
        ]
        section = self.section
        clusters = len(set(section.clusters))
        units = count_units(section.clusters)
        facts = (
            f"{len(section.samples)} samples, {section.images} images of {units}; {len(section.methods)} methods and "
            f"{len(section.entries) - len(section.methods)} controls."
        )
        if not section.recorded:
            facts += (
                " This run was recorded without patients and source films, so that every image counts as a film of "
                "its own: intervals and tests are too narrow where images share them. Run it again."
            )
        if clusters < FEWEST_CLUSTERS:
            facts += (
                f" With {units} there are no intervals and no tests: what holds on them need not hold on others, "
                "however many images are rendered from them."
            )
        elif clusters < FEW:
            facts += f" So few ({units}) show large differences at best: intervals and tests are rough."
        return Part(self.title, facts, tuple(self._shown()), tuple(blocks))

    def _kept(self, table: Table) -> Table:
        """The table, which goes into the LaTeX and CSV files too."""
        self.tables.append(table)
        return table

    def _localisation(self) -> Block | None:
        if not self.places:
            return None
        key = f"{self.key}-places"
        parts: list[Table | Drawing | str] = [
            overview(self.numbers, self.places, f"{key}-overview", "Where the maps point, beside their controls"),
            self._kept(
                localisation(
                    self.numbers,
                    self.places,
                    f"{key}-table",
                    "Localisation",
                    "Under every method stand its own controls: the same architecture with random weights and, where "
                    "it has one, the method without its prior or gate. At the end stand the controls that all methods "
                    "share: what a uniform map, noise, the prior without any model, and the prior with sides exchanged "
                    "score on the same films.",
                )
            ),
            self._kept(against_controls(self.numbers, self.places, f"{key}-against")),
        ]
        if question := prior_question(self.numbers, self.places, f"{key}-prior"):
            parts.append(self._kept(question))
        folded = tuple(
            self._breakdowns([m for m in self.places if m.name in ("pointing", "energy")][:3] or self.places[:1])
        )
        return Block(key, "Localisation", tuple(parts), folded)

    def _two_findings(self) -> Block | None:
        if not self.pairs:
            return None
        key = f"{self.key}-two"
        upward = [m for m in self.pairs if m.better == "higher"]  # a map that points nowhere is best at not pointing
        lead = (
            "Films with two findings of which the phrase names one. A map of whatever is odd in a film marks "
            "both alike; "
            "only a map of the phrase prefers the named one. Chance is 50 % for the comparison of means, and "
            "the share of "
            "the areas for energy."
        )
        parts = (
            overview(self.numbers, self.pairs, f"{key}-overview", "The named finding against the other"),
            self._kept(localisation(self.numbers, self.pairs, f"{key}-table", "Named against other finding")),
            self._kept(against_controls(self.numbers, upward, f"{key}-against")),
            *([self._kept(question)] if (question := prior_question(self.numbers, upward, f"{key}-prior")) else []),
        )
        chosen = [m for m in self.pairs if m.column in ("named_above_other", "energy_share")]
        return Block(key, "Two findings", parts, tuple(self._breakdowns(chosen)), lead)

    def _breakdowns(self, measures: Sequence[Measure]) -> Iterator[Table]:
        for name, levels in attributes(self.section).items():
            for measure in measures:
                key = f"{self.key}-{measure.metric}-{measure.column}-by-{name}".replace(" ", "-")
                yield self._kept(breakdown(self.numbers, measure, name, levels, key))

    def _papers(self) -> Iterator[Block | None]:
        made = [(one, paper_table(self.numbers, one, f"{self.key}-{one.key}")) for one in TABLES]
        tables = tuple(self._kept(table) for _, table in made if table is not None)
        absent = [f"{one.paper} table {one.number}" for one, table in made if table is None]
        if tables:
            lead = (
                "Numbers of this run in the layout of the papers’ tables, with what the papers print. Model and data "
                "differ, so a quoted number is no target, and no difference to it means anything."
            )
            if absent:
                lead += f" This run measured nothing of {', '.join(absent)}."
            yield Block(f"{self.key}-papers", "As in the papers", tables, (), lead)

    def _curves(self) -> Block | None:
        groups: dict[tuple[str, str], list[Curve]] = {}
        for curve in curves(self.section):
            if any(piece in curve.name.split("_") for piece in _LEFT_OUT):
                continue
            name = curve.name
            for piece in ("deletion", "insertion", "morf", "lerf"):
                name = name.replace(piece, "*")
            groups.setdefault((curve.metric, name), []).append(curve)
        parts = tuple(
            curve_figure(
                self.numbers,
                some,
                f"{self.key}-curve-{number}",
                _curve_title(some[0], name),
                *_curve_axes(some[0], name),
                "Each panel is a method: its mean with a 95 % band in colour, the other methods grey.",
            )
            for number, ((_, name), some) in enumerate(groups.items(), start=1)
        )
        return Block(f"{self.key}-curves", "Curves", parts) if parts else None

    def _sanity(self) -> Block | None:
        metrics = dict.fromkeys(m.metric for m in self.section.measures if stage_of(m.column))
        parts: list[Table | Drawing | str] = []
        for metric in metrics:
            key = f"{self.key}-sanity-{metric}"
            if drawing := sanity_figure(self.numbers, metric, key):
                parts.append(drawing)
            columns = [m for m in self.plain if m.metric == metric]
            if columns:
                title = "Likeness of the map to itself with all weights drawn anew"
                lead = "Low is necessary and not enough: a map of noise is unlike itself too."
                parts.append(self._kept(measured_table(self.numbers, columns, f"{key}-table", title, lead)))
        return Block(f"{self.key}-sanity", "Sanity check", tuple(parts)) if parts else None

    def _other(self) -> Block | None:
        """Measures that no other block has shown, a table for each metric."""
        parts: list[Table | Drawing | str] = []
        metrics = dict.fromkeys(m.metric for m in self.plain if not m.localises)
        for metric in metrics:
            columns = [m for m in self.plain if m.metric == metric]
            if any(stage_of(m.column) for m in self.section.measures if m.metric == metric):
                continue
            key = f"{self.key}-other-{metric}"
            parts.append(self._kept(measured_table(self.numbers, columns, key, _title(metric))))
        for metric in dict.fromkeys(m.metric for m in self.section.measures if " with " in m.column):
            if drawing := agreement_figure(self.numbers, metric, f"{self.key}-agreement-{metric}"):
                parts.append(drawing)
        return Block(f"{self.key}-other", "Every other measure", tuple(parts)) if parts else None

    def _distributions(self) -> Block | None:
        every = dict.fromkeys((*self.places, *self.pairs, *self.plain))  # the last holds the first two again
        wanted = [m for m in every if not m.whole and m.better != "neither" and self._defined(m)]
        preferred = [m for m in wanted if m.column in ("energy", "energy_share", "iou", "drop", "deletion_auc")]
        chosen = (preferred or wanted)[:3]
        if not chosen:
            return None
        drawing = distributions(self.numbers, chosen, f"{self.key}-distribution")
        return Block(f"{self.key}-distributions", "Distributions", (drawing,))

    def _defined(self, measure: Measure) -> bool:
        """Whether any method has a value of this measure on these samples."""
        return any(np.isfinite(self.numbers.mean(entry.label, measure)) for entry in self.section.methods)

    def _pairwise(self) -> Block | None:
        columns = (
            "pointing",
            "energy",
            "iou",
            "named_above_other",
            "energy_share",
            "drop",
            "deletion_auc",
            "insertion_auc",
        )
        comparable = [m for m in self.section.measures if not m.whole and m.better != "neither"]
        chosen = [m for m in comparable if m.column in columns and self._defined(m)]
        if not chosen or not 1 < len(self.section.methods) <= PAIRWISE:
            return None
        folded = tuple(self._kept(pairwise(self.numbers, m, f"{self.key}-pairs-{m.metric}-{m.column}")) for m in chosen)
        lead = "Paired comparisons of every two methods on the same samples, one table for each measure."
        return Block(f"{self.key}-pairs", "Methods against each other", (), folded, lead)

    def _cases(self, films: Films) -> Block | None:
        if self.main is None:
            return None
        maps = Maps(self.run, self.section)
        made = ""
        for entry in self.section.methods:
            found = cases(self.section, entry, self.main, maps, films)
            if found:
                made += f"<h3>{escape(entry.label)}</h3>{strips(found, paired=True)}"
        if not made:
            return None
        lead = (
            f"For every method the films with the highest and the lowest {heading(self.main)}; ties in the "
            f"order of the "
            "samples’ names, one sample per film. Nothing was chosen by hand. Light blue: what the phrase names; pink: "
            "another finding that it does not name. " + self._without_films(films)
        )
        return Block(f"{self.key}-cases", "Best and worst cases", (made,), (), lead.strip())

    def _degradation(self, films: Films) -> Block | None:
        if self.main is None or self._without_films(films):
            return None
        maps, main = Maps(self.run, self.section), self.main
        by_name = {entry.name: entry for entry in reversed(self.section.methods)}
        chosen = [by_name[name] for name in SHOWN if name in by_name][:STRIPS] or list(self.section.methods[:STRIPS])
        removed = [one for entry in chosen if (one := removal(self.section, entry, main, maps, films))]
        degraded = [one for entry in chosen if (one := degradation(self.section, entry, main, maps, films))]
        removal_told = (
            "The highest pixels of the map become grey, a few percent at a time. The film is the one in the middle of "
            "the method’s values, not one that was chosen."
        )
        degradation_told = (
            "Confidence drop and increase keep what is salient: the film times its map, the phrase with its lower half "
            "blanked (▁). ROAR+ takes away what is salient before it trains again: the highest quarter of the pixels "
            "becomes the film’s mean, the upper half of the words is blanked."
        )
        parts = (
            f'<h3>Progressive removal, as in MMEL’s figure 5</h3><p class="explained">{removal_told}</p>'
            + strips(removed, paired=False),
            f'<h3>Degradation, as in CA-M2IB’s figure 3</h3><p class="explained">{degradation_told}</p>'
            + strips(degraded, paired=False),
        )
        return Block(f"{self.key}-degradation", "Removal and degradation", parts) if removed or degraded else None

    def _without_films(self, films: Films) -> str:
        reason = films.reasons.get(self.section.dataset)
        return f"The films could not be opened, so maps are shown alone: {reason}" if reason else ""

    def _shown(self) -> Iterator[str]:
        """What the tables of places show, in sentences."""
        for measure in [m for m in (*self.places, *self.pairs) if m.column in _HEADLINES]:
            yield from _verdict(self.numbers, measure)


_HEADLINES = ("pointing", "energy", "named_above_other", "energy_share")


def _verdict(numbers: Numbers, measure: Measure) -> Iterator[str]:
    """Which methods have the best mean, which are not told apart from it, and which beat their best control."""
    labels = [entry.label for entry in numbers.section.methods]
    means = {label: numbers.mean(label, measure) for label in labels}
    known = [label for label in labels if not np.isnan(means[label])]
    pairs = {label: control for label in known if (control := numbers.best_control(label, measure)) is not None}
    if not pairs:
        return
    sign = -1 if measure.better == "lower" else 1
    style = style_of(measure)
    top = max(known, key=lambda label: sign * means[label])
    summary = numbers.of(top, measure)
    assert summary is not None
    best = f"{style.number(means[top])} {style.interval(summary.summary.low, summary.summary.high)}".rstrip()
    equal = [label for label in known if np.isclose(means[label], means[top], rtol=1e-9, atol=0)]
    control = f"{pairs[top].removeprefix('control: ')} with {style.number(numbers.mean(pairs[top], measure))}"
    if len(equal) > 1:
        together = f"{', '.join(equal[:-1])} and {equal[-1]} share the best mean"
        sentence = f"{heading(measure)}: {together}, {best}; the best control of {top} is {control}."
    else:
        sentence = f"{heading(measure)}: {top} has the best mean, {best}; the best of its controls is {control}."
    if summary.summary.clusters < FEWEST_CLUSTERS:
        units = count_units(numbers.section.clusters)
        yield f"{sentence} {units[:1].upper()}{units[1:]} are too few to tell methods from each other or from controls."
        return
    others = [label for label in known if label != top]
    rivals = tested(numbers, [(top, label, measure) for label in others], by="mean")
    ties = [label for label in others if rivals[top, label, measure].favours == "" and label not in equal]
    if ties:
        best_of = "it" if len(equal) == 1 else top
        sentence += f" Not told apart from {best_of} (p of 0.05 or more after Holm): {', '.join(ties)}."
    elif len(equal) > 1:
        apart = [label for label in others if label not in equal]
        sentence += " They are ahead of every other method (p < 0.05 after Holm)." if apart else ""
    elif others:
        sentence += " It is ahead of every other method (p < 0.05 after Holm)."
    found = tested(numbers, [(label, control, measure) for label, control in pairs.items()], by="mean")
    verdicts = {key[0]: compared.favours for key, compared in found.items()}
    beaten = [label for label in pairs if verdicts.get(label) == "second"]
    even = [label for label in pairs if verdicts.get(label) == ""]
    ahead = len(pairs) - len(beaten) - len(even)
    sentence += f" {ahead} of {len(pairs)} methods beat the best of their controls (p < 0.05 after Holm)."
    if even:
        sentence += f" Not told apart from their controls: {', '.join(even)}."
    if beaten:
        sentence += f" Behind their controls: {', '.join(beaten)}."
    yield sentence


_CURVES: Mapping[str, tuple[str, str]] = {  # title and what is on the vertical axis
    "*": ("Deletion and insertion: score of the phrase", "cosine"),
    "*_top1": ("Deletion and insertion: class found first", "share of films"),
    "script_*_top1": (
        "Deletion and insertion by the published script’s points: class found first",
        "share of films",
    ),
    "rise_*": ("Deletion and insertion as RISE has them: score", "cosine"),
    "rise_*_probability": ("Deletion and insertion as RISE has them: probability of the class", "probability"),
    "*_ir1": ("Words removed and added: phrases that find their image first", "share of phrases"),
    "*_tr1": ("Words removed and added: images that find a phrase of theirs first", "share of images"),
    "road_*": ("ROAD: score as pixels are removed", "cosine"),
    "iou": ("IoU by threshold", "IoU, %"),
}


def _curve_title(curve: Curve, name: str) -> str:
    title = _CURVES[name][0] if name in _CURVES else name
    known = name in _CURVES and curve.metric == curve.measures[0].name
    return title if known else f"{title} ({curve.metric})"


def _curve_axes(curve: Curve, name: str) -> tuple[str, str]:
    """Labels of the horizontal and the vertical axis."""
    along = "percent of the pixels"
    if curve.measures[0].name == "retrieval":
        along = "percent of the words"
    elif name == "iou":
        along = "threshold, percent of the way to the maximum"
    return along, _CURVES[name][1] if name in _CURVES else ""


def _title(metric: str) -> str:
    known = {
        "confidence-image": "Confidence: only what is salient in the image is kept",
        "confidence-text": "Confidence: only what is salient in the phrase is kept",
        "deletion-insertion": "Deletion and insertion, areas under the curves",
        "retrieval": "Retrieval as words are removed and added, areas under the curves",
        "roar-plus": "ROAR+: loss after training again without what is salient",
        "road": "ROAD",
        "infidelity": "Infidelity",
        "sensitivity-max": "Maximum sensitivity",
        "stability": "Stability under changes that mean nothing",
    }
    return known.get(metric, metric)
