"""What each word of a phrase does: it names a finding or a place, or fills the sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matex.phrases.anatomy import CHEST, Anatomy
from matex.phrases.parser import parse
from matex.phrases.terms import find_terms

Role = Literal["finding", "place", "filler"]


def word_roles(text: str, spans: Sequence[tuple[int, int]], anatomy: Anatomy = CHEST) -> tuple[Role, ...]:
    """The role of each word; places are those that the parser reads, findings those of its lexicon.

    Args:
        text: the phrase.
        spans: (start, end) of each word.
        anatomy: of the image.

    Examples:
        >>> from matex.phrases.word_roles import word_roles
        >>> word_roles("nodule at the left apex", [(0, 6), (7, 9), (10, 13), (14, 18), (19, 23)])
        ('finding', 'filler', 'filler', 'place', 'place')
    """
    places = [(mention.start, mention.end) for mention in parse(text, anatomy)]
    findings = [(term.start, term.end) for term in find_terms(text, 0, anatomy) if term.is_any("finding")]

    def role(start: int, end: int) -> Role:
        if any(a < end and start < b for a, b in findings):
            return "finding"
        return "place" if any(a < end and start < b for a, b in places) else "filler"

    return tuple(role(*span) for span in spans)
