"""The contents of a report on one data set and model: which tables and figures, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matex.benchmark.report.blocks import Block, Part, StripGroup
from matex.benchmark.report.cases import CaseFilms, CaseMaps, cases, degradation, extremes, removal, typical
from matex.benchmark.report.figures import agreement_figure, curve_figure, distributions, overview, sanity_figure
from matex.benchmark.report.measures import (
    Curve,
    contrast_measures,
    curves,
    localisation_measures,
    plain_measures,
)
from matex.benchmark.report.panels import Drawing
from matex.benchmark.report.paper_tables import paper_table
from matex.benchmark.report.papers import TABLES
from matex.benchmark.report.repetitions import Repetitions, repetition_table
from matex.benchmark.report.section import Measure, Run, Section, count_units, stage_of
from matex.benchmark.report.stats import SectionStats, subgroups
from matex.benchmark.report.style import heading
from matex.benchmark.report.table import Table
from matex.benchmark.report.tables import (
    PAIRWISE,
    against_controls,
    breakdown,
    localisation,
    measured_table,
    pairwise,
    prior_question,
)
from matex.benchmark.report.verdicts import HEADLINES, verdicts
from matex.metrics.statistics import FEWEST_CLUSTERS

SHOWN = ("mmel", "matex", "ca-m2ib", "grad-eclip")  # whose removal and degradation are drawn, of those in the run
STRIPS = 2
FEW = 30  # patients or films below which the page warns
DISTRIBUTIONS = ("energy", "energy_share", "iou", "drop", "deletion_auc")  # preferred columns
COMPARED = (
    *("pointing", "energy", "iou", "named_above_other", "energy_share"),
    *("drop", "deletion_auc", "insertion_auc"),
)
"""Columns by which every two methods are compared."""
_REDUNDANT = ("top5", "top10", "ir5", "tr5")  # curves that repeat what another shows


class SectionReport:
    """The contents of a report on one data set and model.

    Args:
        run: that the section belongs to.
        section: to report.
        repetitions: random subsets of the samples to repeat the means on; None for none.
    """

    def __init__(self, run: Run, section: Section, repetitions: Repetitions | None = None) -> None:
        self.run = run
        self.repetitions = repetitions
        self.section = section
        self.stats = SectionStats(section)
        self.title = f"{section.model} on {section.dataset}"
        self.key = f"s{run.sections.index(section) + 1}"
        self.tables: list[Table] = []
        self.localisation = localisation_measures(section)
        self.contrast = contrast_measures(section)
        self.plain = plain_measures(section)

    @property
    def main(self) -> Measure | None:
        """Measure that ranks the cases: localisation if the truth is known, else the first metric of single maps."""
        places = (*self.localisation, *self.contrast)
        ranked = [m for m in places if m.name == "energy" or m.column == "energy_share"]
        ranked += [*places, *(m for m in self.plain if not m.dataset_level and m.better != "neither")]
        return ranked[0] if ranked else None

    def shown_samples(self) -> dict[str, int]:
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

    def part(self, films: CaseFilms) -> Part:
        """All blocks in order; their tables are appended to `tables`."""
        blocks = (
            self._localisation(),
            self._contrast(),
            *self._papers(),
            self._repeated(),
            self._curves(),
            self._sanity(),
            self._other(),
            self._distributions(),
            self._pairwise(),
            self._cases(films),
            self._degradation(films),
        )
        findings = tuple(self._findings())
        return Part(self.title, self._facts(), findings, tuple(block for block in blocks if block is not None))

    def _facts(self) -> str:
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
        return facts

    def _export(self, table: Table) -> Table:
        """The table, which goes into the LaTeX and CSV files too."""
        self.tables.append(table)
        return table

    def _localisation(self) -> Block | None:
        if not self.localisation:
            return None
        key = f"{self.key}-places"
        lead = (
            "Under every method stand its own controls: the same architecture with random weights and, where "
            "it has one, the method without its prior or gate. At the end stand the controls that all methods "
            "share: what a uniform map, noise, the prior without any model, and the prior with sides exchanged "
            "score on the same films."
        )
        parts: list[Table | Drawing] = [
            overview(self.stats, self.localisation, f"{key}-overview", "Localisation of the maps, with their controls"),
            self._export(localisation(self.stats, self.localisation, f"{key}-table", "Localisation", lead)),
            self._export(against_controls(self.stats, self.localisation, f"{key}-against")),
        ]
        if question := prior_question(self.stats, self.localisation, f"{key}-prior"):
            parts.append(self._export(question))
        broken_down = [m for m in self.localisation if m.name in ("pointing", "energy")][:3] or self.localisation[:1]
        return Block(key, "Localisation", tuple(parts), tuple(self._breakdowns(broken_down)))

    def _contrast(self) -> Block | None:
        if not self.contrast:
            return None
        key = f"{self.key}-two"
        upward = [m for m in self.contrast if m.better == "higher"]  # a map that points nowhere is best at not pointing
        lead = (
            "Films with two findings of which the phrase names one. A map of whatever is odd in a film marks "
            "both alike; "
            "only a map of the phrase prefers the named one. Chance is 50 % for the comparison of means, and "
            "the share of "
            "the areas for energy."
        )
        parts: list[Table | Drawing] = [
            overview(self.stats, self.contrast, f"{key}-overview", "The named finding against the other"),
            self._export(localisation(self.stats, self.contrast, f"{key}-table", "Named against other finding")),
            self._export(against_controls(self.stats, upward, f"{key}-against")),
        ]
        if question := prior_question(self.stats, upward, f"{key}-prior"):
            parts.append(self._export(question))
        broken_down = [m for m in self.contrast if m.column in ("named_above_other", "energy_share")]
        return Block(key, "Two findings", tuple(parts), tuple(self._breakdowns(broken_down)), lead)

    def _breakdowns(self, measures: Sequence[Measure]) -> Iterator[Table]:
        for name, levels in subgroups(self.section).items():
            for measure in measures:
                key = f"{self.key}-{measure.metric}-{measure.column}-by-{name}".replace(" ", "-")
                yield self._export(breakdown(self.stats, measure, name, levels, key))

    def _papers(self) -> Iterator[Block | None]:
        found = [(paper, paper_table(self.stats, paper, f"{self.key}-{paper.key}")) for paper in TABLES]
        tables = tuple(self._export(table) for _, table in found if table is not None)
        absent = [f"{paper.paper} table {paper.number}" for paper, table in found if table is None]
        if tables:
            lead = (
                "Numbers of this run in the layout of the papers’ tables, with what the papers print. Model and data "
                "differ, so a quoted number is no target, and no difference to it means anything."
            )
            if absent:
                lead += f" This run measured nothing of {', '.join(absent)}."
            yield Block(f"{self.key}-papers", "As in the papers", tables, (), lead)

    def _repeated(self) -> Block | None:
        if self.repetitions is None:
            return None
        key = f"{self.key}-repetitions"
        measures = [*self.localisation, *self.contrast, *self.plain]
        table = repetition_table(self.stats, measures, self.repetitions, f"{key}-subsets")
        return None if table is None else Block(key, "Repetitions", (self._export(table),))

    def _curves(self) -> Block | None:
        groups: dict[tuple[str, str], list[Curve]] = {}
        for curve in curves(self.section):
            if any(piece in curve.name.split("_") for piece in _REDUNDANT):
                continue
            name = curve.name
            for piece in ("deletion", "insertion", "morf", "lerf"):
                name = name.replace(piece, "*")
            groups.setdefault((curve.metric, name), []).append(curve)
        parts = tuple(
            curve_figure(
                self.stats,
                group,
                f"{self.key}-curve-{number}",
                curve_title(group[0], name),
                *curve_axes(group[0], name),
                "Each panel is a method: its mean with a 95 % band in colour, the other methods grey.",
            )
            for number, ((_, name), group) in enumerate(groups.items(), start=1)
        )
        return Block(f"{self.key}-curves", "Curves", parts) if parts else None

    def _sanity(self) -> Block | None:
        metrics = dict.fromkeys(m.metric for m in self.section.measures if stage_of(m.column))
        parts: list[Table | Drawing] = []
        for metric in metrics:
            key = f"{self.key}-sanity-{metric}"
            if drawing := sanity_figure(self.stats, metric, key):
                parts.append(drawing)
            columns = [m for m in self.plain if m.metric == metric]
            if columns:
                title = "Likeness of the map to itself with all weights drawn anew"
                lead = "Low is necessary and not enough: a map of noise is unlike itself too."
                parts.append(self._export(measured_table(self.stats, columns, f"{key}-table", title, lead)))
        return Block(f"{self.key}-sanity", "Sanity check", tuple(parts)) if parts else None

    def _other(self) -> Block | None:
        """Measures that no other block shows, a table for each metric."""
        parts: list[Table | Drawing] = []
        metrics = dict.fromkeys(m.metric for m in self.plain if not m.localises)
        for metric in metrics:
            columns = [m for m in self.plain if m.metric == metric]
            if any(stage_of(m.column) for m in self.section.measures if m.metric == metric):
                continue
            key = f"{self.key}-other-{metric}"
            parts.append(self._export(measured_table(self.stats, columns, key, _TITLES.get(metric, metric))))
        for metric in dict.fromkeys(m.metric for m in self.section.measures if " with " in m.column):
            if drawing := agreement_figure(self.stats, metric, f"{self.key}-agreement-{metric}"):
                parts.append(drawing)
        return Block(f"{self.key}-other", "Every other measure", tuple(parts)) if parts else None

    def _distributions(self) -> Block | None:
        every = dict.fromkeys((*self.localisation, *self.contrast, *self.plain))  # the last holds the first two too
        candidates = [m for m in every if not m.dataset_level and m.better != "neither" and self.stats.is_defined(m)]
        preferred = [m for m in candidates if m.column in DISTRIBUTIONS]
        chosen = (preferred or candidates)[:3]
        if not chosen:
            return None
        drawing = distributions(self.stats, chosen, f"{self.key}-distribution")
        return Block(f"{self.key}-distributions", "Distributions", (drawing,))

    def _pairwise(self) -> Block | None:
        comparable = [m for m in self.section.measures if not m.dataset_level and m.better != "neither"]
        chosen = [m for m in comparable if m.column in COMPARED and self.stats.is_defined(m)]
        if not chosen or not 1 < len(self.section.methods) <= PAIRWISE:
            return None
        folded = tuple(self._export(pairwise(self.stats, m, f"{self.key}-pairs-{m.metric}-{m.column}")) for m in chosen)
        lead = "Paired comparisons of every two methods on the same samples, one table for each measure."
        return Block(f"{self.key}-pairs", "Methods against each other", (), folded, lead)

    def _cases(self, films: CaseFilms) -> Block | None:
        if self.main is None:
            return None
        maps = CaseMaps(self.run, self.section)
        groups = [
            StripGroup(entry.label, strips, paired=True)
            for entry in self.section.methods
            if (strips := tuple(cases(self.section, entry, self.main, maps, films)))
        ]
        if not groups:
            return None
        lead = (
            f"For every method the films with the highest and the lowest {heading(self.main)}; ties in the "
            f"order of the "
            "samples’ names, one sample per film. Nothing was chosen by hand. Light blue: what the phrase names; pink: "
            "another finding that it does not name. " + self._without_films(films)
        )
        return Block(f"{self.key}-cases", "Best and worst cases", tuple(groups), (), lead.strip())

    def _degradation(self, films: CaseFilms) -> Block | None:
        if self.main is None or self._without_films(films):
            return None
        maps, main = CaseMaps(self.run, self.section), self.main
        by_name = {entry.name: entry for entry in reversed(self.section.methods)}
        chosen = [by_name[name] for name in SHOWN if name in by_name][:STRIPS] or list(self.section.methods[:STRIPS])
        removed = [one for entry in chosen if (one := removal(self.section, entry, main, maps, films))]
        degraded = [one for entry in chosen if (one := degradation(self.section, entry, main, maps, films))]
        parts = (
            StripGroup(
                "Progressive removal, as in MMEL’s figure 5",
                tuple(removed),
                "The highest pixels of the map become grey, a few percent at a time. The film is the one in the middle "
                "of the method’s values, not one that was chosen.",
            ),
            StripGroup(
                "Degradation, as in CA-M2IB’s figure 3",
                tuple(degraded),
                "Confidence drop and increase keep what is salient: the film times its map, the phrase with its lower "
                "half blanked (▁). ROAR+ takes away what is salient before it trains again: the highest quarter of the "
                "pixels becomes the film’s mean, the upper half of the words is blanked.",
            ),
        )
        return Block(f"{self.key}-degradation", "Removal and degradation", parts) if removed or degraded else None

    def _without_films(self, films: CaseFilms) -> str:
        reason = films.reasons.get((self.section.dataset, self.section.model))
        return f"The films could not be opened, so maps are shown alone: {reason}" if reason else ""

    def _findings(self) -> Iterator[str]:
        """Sentences on the tables of localisation."""
        for measure in (*self.localisation, *self.contrast):
            if measure.column in HEADLINES:
                yield from verdicts(self.stats, measure)


_CURVES: Mapping[str, tuple[str, str]] = {  # title, and label of the vertical axis
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
_TITLES: Mapping[str, str] = {  # of the tables of metrics that no other block shows
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


def curve_title(curve: Curve, name: str) -> str:
    """Title of a figure of curves; `name` has * for the direction, such as "*_top1"."""
    title = _CURVES[name][0] if name in _CURVES else name
    known = name in _CURVES and curve.metric == curve.measures[0].name
    return title if known else f"{title} ({curve.metric})"


def curve_axes(curve: Curve, name: str) -> tuple[str, str]:
    """Labels of the horizontal and the vertical axis."""
    along = "percent of the pixels"
    if curve.measures[0].name == "retrieval":
        along = "percent of the words"
    elif name == "iou":
        along = "threshold, percent of the way to the maximum"
    return along, _CURVES[name][1] if name in _CURVES else ""
