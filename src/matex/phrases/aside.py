"""Side words that are no side of the chest: those of other anatomy, devices, positions and directions."""

from __future__ import annotations

import re

from matex.phrases import lexicon
from matex.phrases.terms import REACH, Terms
from matex.phrases.vocabulary import Kind

_PLURAL = re.compile(r"(?<![is])s$|ae$")
_DIRECTION_REACH = 8
"""A side further away from "shifted" is where something else extends to."""
_BEFORE_BODY: tuple[Kind, ...] = ("other", "status")
_BEFORE_DEVICE: tuple[Kind, ...] = ("other", "status", "level", "place", "weak", "head")
"""What can be between a side word and the noun that owns it."""


def set_aside(terms: Terms) -> set[int]:
    """The terms that belong to another noun and name no region and no side: "left" in "left ventricle"."""
    used: set[int] = set()
    direction = -REACH
    for i, term in enumerate(terms):
        if "direction" in term.kinds:
            direction = i
        if term.words in lexicon.PAIRING and _pairs_findings(terms, i, lexicon.PAIRING[term.words]):
            used.add(i)
        if "owns side" in term.kinds:
            used |= _sides_owned(terms, i, ())
        elif term.is_any("body", "position"):
            used |= {i} | _sides_owned(terms, i, _BEFORE_BODY)
        elif "device" in term.kinds:
            used |= {i} | _sides_owned(terms, i, _BEFORE_DEVICE)
        elif "side" in term.kinds and _is_direction(terms, i, direction):
            used.add(i)
    return used


def _pairs_findings(terms: Terms, i: int, conjunction: Kind) -> bool:
    """ "either pneumonia or atelectasis", "both a mass and an effusion": no sides; "both effusions" are two sides."""
    for k in terms.after(i):
        if conjunction in terms[k].kinds:
            return terms.has(k - 1, "finding") and not _PLURAL.search(terms.word(k - 1))
        if not terms[k].is_any("finding", "other", "status"):
            return False
    return False


def _is_direction(terms: Terms, i: int, direction: int) -> bool:
    """ "shifted to the right", "shift left", "left shift": the side is where something moved to, not where it is."""
    if i - direction < _DIRECTION_REACH and terms.word(i - 1) in ("to", "toward", "towards"):
        return True
    if terms.word(i + 1) in lexicon.SHIFTS:
        return True
    has_noun = terms.has(i + 1, "level", "head", "place", "weak", "several", "finding", "other", "status")
    return direction == i - 1 and not has_noun


def _sides_owned(terms: Terms, i: int, skipped: tuple[Kind, ...]) -> set[int]:
    """The side words before noun i, with the words between them; without a side, a place right before the noun."""
    back = terms.skip(i - 1, -1, *skipped)
    if terms.has_object(back, i):
        return set()
    if not terms.has(back, "side"):
        return {i - 1} if skipped and terms.has(i - 1, "place", "weak", "head") else set()  # "apical chest tube"
    owned = set(range(back, i))
    while terms.has(back - 1, "and", "or") and terms.has(back - 2, "side"):
        back -= 2
        owned.add(back)
    return owned
