"""Output of the commands about explanations: numbers, words, notes, JSON."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matex import Explanation


def print_summary(explanation: Explanation) -> None:
    """Score, words, places and notes of one explanation."""
    from matex.render.panel import format_score, format_word_scores, places

    print(f"score    {format_score(explanation.score)} ({explanation.score_meaning}), method {explanation.method}")
    if explanation.confidence is not None:
        print(f"         {explanation.confidence.summary}")
        if not explanation.confidence.abstain:  # an abstention is among the notes
            print(f"         {explanation.confidence.decision}")
    if explanation.yardstick is not None:
        own = explanation.query.objective is not None  # the score above is then not the phrase's own
        for one in explanation.yardstick.rows[0 if own else 1 :]:
            print(f"         {format_score(one.score)} {one.kind}" + (f": {one.text}" if one.text else ""))
        if explanation.yardstick.placed:
            print(f"         {explanation.yardstick.placed}")
    if explanation.words:
        scores = format_word_scores([score for _, score in explanation.words])
        pairs = zip(explanation.words, scores, strict=True)
        print("words    " + ", ".join(f"{word} {score}" for (word, _), score in pairs))
    for words, *place in places(explanation.regions):
        print(f"place    {words!r}: {', '.join(place[:-1])}")
    for note in explanation.notes:
        print(f"note     {note}")


def print_notes(explanations: Mapping[str, Explanation]) -> None:
    """Each note once: those of all explanations alone, others with the names of the explanations that have them."""
    names_of: dict[str, list[str]] = {}
    for name, explanation in explanations.items():
        for note in explanation.notes:
            names_of.setdefault(note, []).append(name)
    for note, names in names_of.items():
        print(f"note     {note}" if len(names) == len(explanations) else f"note     {', '.join(names)}: {note}")


def print_explanations(explanations: Explanation | Sequence[Explanation]) -> None:
    """The record of one explanation, or the list of those of several, as JSON."""
    from matex.serialise import to_dict

    many = isinstance(explanations, Sequence)
    print_json([to_dict(one) for one in explanations] if many else to_dict(explanations))


def print_json(values: object) -> None:
    """JSON on stdout; the lists need nothing more than the standard library for it."""
    from matex.serialise import strict_json

    print(strict_json(values))


def on_terminal() -> bool:
    """Whether stderr is a terminal: progress bars are shown there and nowhere else."""
    return sys.stderr.isatty()


def defined(value: float, form: str) -> str:
    """A number in a format such as ".2f"; NaN as a word."""
    return "undefined" if value != value else format(value, form)


def interval(low: float, high: float, form: str) -> str:
    """The ends of a confidence interval in a format; NaN as words."""
    return "no interval" if low != low else f"{low:{form}} to {high:{form}}"


def indented(text: str, by: int = 4) -> str:
    """Text filled to 110 columns behind a margin."""
    space = " " * by
    return textwrap.fill(text, 110, initial_indent=space, subsequent_indent=space, break_on_hyphens=False)
