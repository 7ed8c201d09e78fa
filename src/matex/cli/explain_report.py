"""matex explain --report: every sentence of a report on one film."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matex.checks import MAX_REPORT, read_text
from matex.cli.option_groups import FilmOptions, ModelOptions
from matex.cli.printing import on_terminal, print_explanations, print_notes
from matex.registry import Parameters

if TYPE_CHECKING:
    from matex.reports import ReportSentence


def explain_report(
    image: str,
    report: Path,
    out: Path,
    method: str,
    parameters: Parameters,
    film: FilmOptions,
    model: ModelOptions,
    json: bool,
) -> None:
    """Explain the sentences of a report; one page shows all of them in order.

    Raises:
        InputError: a report without sentences, or none that the model can read.
    """
    import matex
    from matex.render.report import Line, page
    from matex.render.save import save_run

    read = film.read(image)
    mask = film.read_mask(read)
    options: Parameters = {"progress": on_terminal(), **parameters}  # -p progress=... overrides
    sentences = matex.explain_report(
        model.load(),
        read,
        read_text(report, "a text file for --report", MAX_REPORT),
        method,
        resize=film.resize,
        domain=film.domain,
        lung_mask=mask,
        **options,
    )
    explanations = [sentence.explanation for sentence in sentences if sentence.explanation is not None]
    number = {id(explanation): index for index, explanation in enumerate(explanations)}
    lines = [
        Line(sentence.text, sentence.claim, number.get(id(sentence.explanation)), sentence.reason)
        for sentence in sentences
    ]
    by_name = {f"sentence-{index:02}": explanation for index, explanation in enumerate(explanations, start=1)}
    save_run(by_name, out, page(explanations, f"Report on {read.name}", lines=lines), progress=on_terminal())
    if json:
        print_explanations(explanations)
    else:
        _print_sentences(sentences, out)


def _print_sentences(sentences: Sequence[ReportSentence], out: Path) -> None:
    """Score, claim and text of each sentence, and the notes."""
    from matex.render.panel import format_score

    explanations = {f"“{one.text}”": one.explanation for one in sentences if one.explanation is not None}
    for sentence in sentences:
        score = "-" if sentence.explanation is None else format_score(sentence.explanation.score)
        print(f"{score:>6}  {sentence.claim:10} {sentence.text}")
    without = sum(sentence.claim == "no finding" for sentence in sentences)
    if without:
        print(
            f"\n{without} of {len(sentences)} sentences describe no finding (technique, devices and the like): no map."
        )
    print_notes(explanations)
    folders = f"each explained sentence has a folder of its own in {out}" if explanations else "it shows no map"
    print(f"\nOpen {out / 'report.html'}; {folders}. Not for diagnosis.")
