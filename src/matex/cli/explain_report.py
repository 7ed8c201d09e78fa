"""matex explain --report: every sentence of a report on one film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matex.checks import MAX_REPORT, read_text
from matex.cli.options import FilmOptions, ModelOptions
from matex.cli.printing import on_terminal, print_explanations, print_notes
from matex.errors import InputError, shown

if TYPE_CHECKING:
    from matex import Explanation, Model
    from matex.phrases import Sentence
    from matex.render.report import Line


def explain_report(
    image: str,
    report: Path,
    out: Path,
    method: str,
    parameters: Mapping[str, Any],
    film: FilmOptions,
    model: ModelOptions,
    json: bool,
) -> None:
    """Explain every sentence that describes a finding and that the model can read; one page with all in order.

    Raises:
        InputError: a lung mask, a report without sentences, or none that the model can read.
    """
    import matex
    from matex.render.report import page
    from matex.render.save import save_run

    read = film.read(image)
    if film.lung_mask is not None:
        raise InputError("Expected --report without --lung-mask. Explain single phrases with the mask.")
    sentences = _sentences(report)
    loaded = model.load()
    lines = _lines(loaded, sentences, chest=film.domain == "chest")
    pairs = [(read, line.text) for line in lines if line.explanation is not None]
    explanations = matex.explain_batch(
        loaded, pairs, method, resize=film.resize, domain=film.domain, progress=on_terminal(), **parameters
    )
    by_name = {f"sentence-{number:02}": explanation for number, explanation in enumerate(explanations, start=1)}
    save_run(by_name, out, page(explanations, f"Report on {read.name}", lines=lines), progress=on_terminal())
    if json:
        print_explanations(explanations)
    else:
        _print_lines(lines, explanations, out)


def _sentences(path: Path) -> tuple[Sentence, ...]:
    """The sentences of a report."""
    from matex.phrases import sentences

    found = sentences(read_text(path, "a text file for --report", MAX_REPORT))
    if not found:
        raise InputError(f"Expected sentences in {shown(str(path))}, found none. Write the report as plain text.")
    return found


def _lines(model: Model, sentences: Sequence[Sentence], chest: bool) -> list[Line]:
    """Each sentence with its claim, and the number of its explanation or the reason why it gets none.

    Raises:
        InputError: sentences describe findings, but the model can read none of them.
    """
    from matex.phrases import claim, polarity
    from matex.render.report import Line

    lines: list[Line] = []
    explained = 0
    for sentence in sentences:
        text = sentence.text
        kind = claim(sentence) if chest else polarity(text)
        if kind == "no finding":
            lines.append(Line(text, kind, why="it describes no finding"))
            continue
        try:
            model.encode(text)
        except InputError as error:
            lines.append(Line(text, kind, why=str(error)))
        else:
            lines.append(Line(text, kind, explanation=explained))
            explained += 1
    unread = [line for line in lines if line.kind != "no finding"]
    if unread and not explained:
        raise InputError(f"Expected a sentence that the model can read, got none. The first: {unread[0].why}")
    return lines


def _print_lines(lines: Sequence[Line], explanations: Sequence[Explanation], out: Path) -> None:
    """Score, claim and text of each sentence, and the notes."""
    from matex.render.panel import format_score

    for line in lines:
        score = "-" if line.explanation is None else format_score(explanations[line.explanation].score)
        print(f"{score:>6}  {line.kind:10} {line.text}")
    without = sum(line.kind == "no finding" for line in lines)
    if without:
        print(f"\n{without} of {len(lines)} sentences describe no finding (technique, devices and the like): no map.")
    print_notes({f"“{explanation.text}”": explanation for explanation in explanations})
    folders = f"each explained sentence has a folder of its own in {out}" if explanations else "it shows no map"
    print(f"\nOpen {out / 'report.html'}; {folders}. Not for diagnosis.")
