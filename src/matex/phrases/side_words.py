"""The side words of a sentence: single sides, and comparisons of two sides ("right greater than left")."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from matex.phrases.entities import Entities, SideWeights, side_weights
from matex.phrases.mention import LESSER_SIDE_WEIGHT
from matex.phrases.terms import BREAKS, Term, Terms

_ADVERBS = frozenset(("bilaterally", "on each side"))
"""Sides that follow what they qualify."""
_OPPOSITE = {"right": "left", "left": "right"}
COMPARISON_REACH = 16
"""Two sides further apart than this are not compared with each other."""


@dataclass(frozen=True)
class SideWord:
    """A side, or two compared sides with their weights: terms first to last."""

    first: int
    last: int
    weights: SideWeights
    compares: bool = False
    is_behind: bool = False
    """Follows what it qualifies: "on the right", "bilaterally", "opacity right, ..."."""
    is_standard: bool = False
    """The standard of a comparison, or a side that has none: "unlike the right", "none on the right"."""
    contrasts: bool = False
    """Excepted from what is asserted of the other side: "but not on the right"."""


def is_adverb(word: str) -> bool:
    """Whether a side word follows what it qualifies: "opacity bilaterally"."""
    return word in _ADVERBS


def find_side_words(found: Entities) -> list[SideWord]:
    """Find the side words in order; "right greater than left" and "worse on the left" count as one."""
    sides = [i for i, term in enumerate(found.terms) if "side" in term.kinds and i not in found.used]
    words: list[SideWord] = []
    own_weight: dict[int, float] = {}
    position = 0
    while position < len(sides):
        i = sides[position]
        following = sides[position + 1] if position + 1 < len(sides) else None
        lesser = None if following is None else lesser_of(found.terms, i, following)
        position += 1
        if following is not None and lesser is not None:
            is_standard = found.terms.has(found.terms.skip(following - 1, -1, "preposition"), "than")
            weight = _lesser_weight(found.terms, range(i + 1, following) if is_standard else ())
            if not _has_own_place(found, i, following):
                weights = side_weights("both") | {found.terms[lesser].value: weight}
                words.append(SideWord(i, following, weights, True, _is_behind(found.terms, i)))
                position += 1
                continue
            own_weight[lesser] = weight
        elif i not in own_weight and (comparative := _comparative_before(found.terms, i)) is not None:
            weight = _lesser_weight(found.terms, (comparative,))
            weights = side_weights("both") | {_lesser_after(found.terms, comparative, i): weight}
            words.append(SideWord(comparative, i, weights, compares=True, is_behind=True))
            continue
        words.append(_single(found.terms, i, own_weight.get(i, 1.0)))
    return words


def _single(terms: Terms, i: int, weight: float) -> SideWord:
    return SideWord(
        i,
        i,
        dict.fromkeys(side_weights(terms[i].value), weight),
        is_behind=_is_behind(terms, i),
        is_standard=_is_standard(terms, i),
        contrasts=terms.has(terms.skip(i - 1, -1, "preposition"), "contrast"),
    )


def _is_behind(terms: Terms, i: int) -> bool:
    if terms.word(i - 1) == "on" or is_adverb(terms.word(i)):
        return True
    return terms.has(i - 1, "finding") and terms.has(i + 1, "comma", "boundary") and not terms.has(i + 2, "side")


def _is_standard(terms: Terms, i: int) -> bool:
    """ "unlike the right", "none in the right lung", "not right": no finding is asserted there."""
    k = i - 1
    while k >= max(0, i - 3) and terms.has(k, "preposition"):
        k -= 1
    if terms.has(k, "against"):
        return True
    is_less = any("less normal" in term.kinds for term in terms.all[max(0, k - 3) : k + 1])
    if is_less and (terms.word(k) in ("than", "as") or terms.has(k, "less normal")):
        return True  # "less clear than the right"
    ends = i + 1 == len(terms) or terms.has(i + 1, "comma", "boundary")
    return terms.has(k, "not") and ends and not terms.has(i + 2, "side")


# ------------------------------------------------------------------------------------------------------- comparisons


def lesser_of(terms: Terms, i: int, following: int) -> int | None:
    """The side term that has less, when the words between two sides compare them; None when they do not."""
    is_pair = {terms[i].value, terms[following].value} == {"right", "left"}
    if not is_pair or following - i > COMPARISON_REACH or not terms.same_statement(i, following):
        return None
    for k in range(i + 1, following):
        kinds = terms[k].kinds
        if "less normal" in kinds:
            return None
        if "more than" in kinds:
            return following
        if "less than" in kinds:
            return i
        if "than" in kinds:
            nearby = (*terms.all[max(i + 1, k - 3) : k], *terms.all[max(0, i - 3) : i])
            if any("more" in term.kinds for term in nearby):
                return following
            if any(_is_less(term) for term in nearby):
                return i
    return None


def _lesser_weight(terms: Terms, positions: Iterable[int]) -> float:
    """The weight of the side that has less; 0 when it is only clearer than the other one."""
    return 0.0 if any(terms.has(k, "more normal") for k in positions) else LESSER_SIDE_WEIGHT


def _is_less(term: Term) -> bool:
    return "less" in term.kinds or term.words == "lower"


def _has_own_place(found: Entities, i: int, following: int) -> bool:
    """ "right basilar greater than left basilar": each side has a place of its own."""
    if not any(k in found.at for k in range(i + 1, following)):
        return False
    for k in range(following + 1, len(found.terms)):
        if k in found.at:
            return True
        if found.terms[k].is_any(*BREAKS):
            return False
    return False


def _comparative_before(terms: Terms, i: int) -> int | None:
    """The comparative of "worse on the left", "larger on the right"."""
    if terms[i].value == "both" or terms.word(i - 1) not in ("on", "in", "at"):
        return None
    for k in range(i - 2, max(-1, i - 5), -1):
        if terms[k].is_any("more", "less"):
            return k
        if not terms[k].is_any("other", "status"):
            return None
    return None


def _lesser_after(terms: Terms, comparative: int, i: int) -> str:
    side = terms[i].value
    return _OPPOSITE[side] if "more" in terms[comparative].kinds else side
