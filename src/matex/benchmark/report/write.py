"""`matex report`: a run folder as report.html, report.tex and report.csv, laid out like the papers' tables.

Every table of localisation holds its controls and is refused without them; published numbers are quoted with their
known errors next to ours, and never as a target.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tqdm.auto import tqdm

from matex.benchmark.report.cases import CaseFilms
from matex.benchmark.report.contents import SectionReport
from matex.benchmark.report.figures import score_figure
from matex.benchmark.report.html import page
from matex.benchmark.report.latex_csv import as_csv, as_latex
from matex.benchmark.report.load import read_run
from matex.benchmark.report.models import models_part
from matex.benchmark.report.repetitions import Repetitions
from matex.checks import as_path
from matex.errors import InputError, shortened, shown
from matex.files import writing

FILES = ("report.html", "report.tex", "report.csv")


def write_report(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    partial: bool = False,
    roots: Mapping[str, Path] | None = None,
    repetitions: Repetitions | None = None,
    progress: bool = False,
) -> Path:
    """Write report.html, report.tex and report.csv about a run.

    Args:
        folder: that `matex benchmark` wrote.
        out: folder to write to; the run's own when None.
        partial: report what there is of a run that was stopped or whose shards were not merged.
        roots: folders of data sets by their labels, to show films; a run does not record where its data lie.
        repetitions: random subsets of the samples for a further table, as CA-M2IB repeats its metrics.
        progress: show a bar.

    Returns:
        The HTML file.

    Raises:
        InputError: no run folder, an unfinished run without `partial`, or controls that are missing.
        ImportError: a package of the extras `benchmark` or `plots` is missing.
    """
    try:
        return _write_report(folder, out, partial, roots or {}, repetitions, progress)
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
    folder: str | Path,
    out: str | Path | None,
    partial: bool,
    roots: Mapping[str, Path],
    repetitions: Repetitions | None,
    progress: bool,
) -> Path:
    run = read_run(folder, partial)
    target = as_path(out, "a folder") if out is not None else run.store.path
    title = f"Benchmark {run.store.path.resolve().name}"
    built = [SectionReport(run, section, repetitions) for section in run.sections]
    films = CaseFilms(run, roots, {(one.section.dataset, one.section.model): one.shown_samples() for one in built})
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
