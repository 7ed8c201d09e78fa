"""Split a report into sentences with their place in the text and their section."""

from __future__ import annotations

import re
from dataclasses import dataclass

from matex.phrases.sections import has_no_findings, sections

_ABBREVIATION = re.compile(
    r"dr|mrs?|ms|prof|st|rt|lt|bilat|vs|approx|e\.g|i\.e|etc|cf|fig|incl|resp|[ap]\.m|ca|[a-kmnp-qs-z]"
)
_LIST_MARKER = re.compile(r"[ \t]*(?:\(?\d{1,2}[.)](?=\s)|[-*•·–](?=\s))[ \t]*")
_BLANK = re.compile(r"\s+")
_BREAK = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)|\n")
_CONTEXT_BEFORE = 20  # characters that decide whether a full stop ends a sentence
_CONTEXT_AFTER = 40


@dataclass(frozen=True)
class Sentence:
    """A sentence of a report: text == report[start:end]."""

    text: str
    start: int
    end: int
    section: str = ""
    """The section that contains it (`sections.NAMES`); empty before the first heading.

    A section without findings (INDICATION, TECHNIQUE) covers only its first line: many reports continue with the
    findings without another heading."""


def sentences(text: str) -> tuple[Sentence, ...]:
    """Split a report into sentences; headings (FINDINGS:) and list numbers are part of no sentence.

    A full stop ends a sentence unless it belongs to a number (2.5 cm) or an abbreviation (Dr., Lt.). A line break ends
    one unless the next line continues in lower case.

    Examples:
        >>> [sentence.text for sentence in sentences("FINDINGS: 2.5 cm nodule, seen by Dr. Smith. No effusion.")]
        ['2.5 cm nodule, seen by Dr. Smith.', 'No effusion.']
    """
    found: list[Sentence] = []
    for section in sections(text):
        start = _skip_markers(text, section.start, section.end)
        covered = section.end
        if has_no_findings(section.name) and "\n" in text[start:covered]:
            covered = text.index("\n", start)
        for stop in [*_BREAK.finditer(text, start, section.end), None]:
            if stop is not None and (stop.start() < start or not _ends_sentence(text, start, stop)):
                continue
            end = section.end if stop is None else stop.end()
            _append(found, text, start, end, section.name if start < covered else "")
            start = section.end if stop is None else _skip_markers(text, stop.end(), section.end)
    return tuple(found)


def _skip_markers(text: str, start: int, stop: int) -> int:
    while match := _LIST_MARKER.match(text, start, stop) or _BLANK.match(text, start, stop):
        start = match.end()
    return start


def _ends_sentence(text: str, start: int, stop: re.Match[str]) -> bool:
    after = text[stop.end() : stop.end() + _CONTEXT_AFTER].lstrip(" \t")
    if stop.group() == "\n":
        return not after[:1].islower()
    before = text[max(start, stop.start() - _CONTEXT_BEFORE) : stop.start()]
    if stop.group() != ".":
        is_prefix = before[-1:].isspace() and after[:1].isalnum()  # "? nodule", "opacity, ? artifact"
        return not is_prefix and any(character.isalnum() for character in before)
    words = before.split()
    return not (words and _ABBREVIATION.fullmatch(words[-1].lstrip("(").lower()))


def _append(found: list[Sentence], text: str, start: int, end: int, section: str) -> None:
    words = text[start:end].rstrip()
    if any(character.isalnum() for character in words):
        found.append(Sentence(words, start, start + len(words), section))
