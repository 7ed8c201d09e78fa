"""The side words of a sentence: single sides, and comparisons of two sides ("right greater than left")."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from matex.phrases.entities import Entities, SideWeights, side_weights
from matex.phrases.mention import LESSER_SIDE_WEIGHT
from matex.phrases.terms import BREAKS, Terms

_ADVERBS = frozenset(("bilaterally", "on each side"))
"""Sides that follow what they qualify."""
_OPPOSITE = {"right": "left", "left": "right"}


@dataclass(frozen=True)
class SideWord:
    """A side, or two compared sides with their weights: terms first to last."""

    first: int
    last: int
    weights: SideWeights
    is_behind: bool
    """Follows what it qualifies: "on the right", "bilaterally", "opacity right, ..."."""
    compares: bool = False
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
            side, weight = lesser
            if not _has_own_place(found, i, following):
                weights = side_weights("both") | {found.terms[side].value: weight}
                words.append(SideWord(i, following, weights, _is_behind(found.terms, i), compares=True))
                position += 1
                continue
            own_weight[side] = weight
        elif i not in own_weight and (comparative := _comparative_before(found.terms, i)) is not None:
            weights = side_weights("both") | _lesser_after(found.terms, comparative, i)
            words.append(SideWord(comparative, i, weights, is_behind=True, compares=True))
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
    follows_finding = terms.has(terms.skip(i, -1, "side", "comma"), "finding")
    return follows_finding and terms.has(i + 1, "comma") and not _is_listed(terms, i + 2)


def _is_listed(terms: Terms, i: int) -> bool:
    """Whether term i is a side for what stands before it: "opacity right, left", not "opacity right, left effusion"."""
    if not terms.has(i, "side"):
        return False
    part = takewhile(lambda k: not terms.has(k, *BREAKS), terms.after(i))
    return not any(terms.has(k, "finding", "normal") for k in part)


def _is_standard(terms: Terms, i: int) -> bool:
    """ "unlike the right", "none in the right lung", "not right": no finding is asserted there."""
    k = terms.skip(i - 1, -1, "preposition")
    if terms.has(k, "against"):
        return True
    if terms.has(k, "than") or any(terms.word(j) == "as" for j in range(k, i)):  # "less clear than the right"
        return any("less normal" in terms[j].kinds for j in terms.before(i))
    return terms.has(k, "not") and (i + 1 == len(terms) or terms.has(i + 1, "comma"))


# ------------------------------------------------------------------------------------------------------- comparisons


def lesser_of(terms: Terms, i: int, following: int) -> tuple[int, float] | None:
    """The side term that has less, with its weight, when the words between two sides compare them; None otherwise."""
    if {terms[i].value, terms[following].value} != {"right", "left"}:
        return None
    for k in range(i, following):
        if terms.has(k, "than", "more than", "less than") and not terms.is_parted(k, following):
            return _lesser_by(terms, k, i, following)
    return None


def _lesser_by(terms: Terms, than: int, i: int, following: int) -> tuple[int, float] | None:
    """By ">" or "<", or the nearest comparative before "than": "larger effusion on the right than on the left"."""
    for k in (than, *terms.before(than)):
        if terms.has(k, "more", "more than"):
            return following, LESSER_SIDE_WEIGHT
        if terms.has(k, "less", "less than"):
            return i, _weight_of_less(terms, k)
    return (i, LESSER_SIDE_WEIGHT) if terms.word(than - 1) == "lower" else None


def _weight_of_less(terms: Terms, comparative: int) -> float:
    """The weight of the side that has less; 0 when it is only clearer than the other one."""
    return 0.0 if terms.has(comparative, "more normal", "less normal") else LESSER_SIDE_WEIGHT


def _has_own_place(found: Entities, i: int, following: int) -> bool:
    """ "right basilar greater than left basilar": each side has a place of its own."""
    if not any(k in found.at for k in range(i + 1, following)):
        return False
    after = found.terms.after(following)
    return next((k for k in after if k in found.at or found.terms[k].is_any(*BREAKS)), None) in found.at


def _comparative_before(terms: Terms, i: int) -> int | None:
    """The comparative of "worse on the left", "larger on the right"."""
    if terms[i].value == "both" or terms.word(i - 1) not in ("on", "in", "at"):
        return None
    k = terms.skip(i - 2, -1, "other", "status")
    is_comparison = terms.has(k, "more", "less", "less normal") and not _is_opposite_denied(terms, i)
    return k if is_comparison else None


def _is_opposite_denied(terms: Terms, i: int) -> bool:
    """ "right effusion resolved, worse on the left": worse than before, not than the right."""
    opposite = (k for k, term in enumerate(terms) if term.value == _OPPOSITE[terms[i].value])
    return any(terms.has(j, "not", "not behind", "normal", "free of") for k in opposite for j in _part_around(terms, k))


def _part_around(terms: Terms, i: int) -> list[int]:
    """The positions around i up to the nearest comma, conjunction or boundary."""
    return [
        k
        for positions in (terms.before(i), terms.after(i))
        for k in takewhile(lambda k: not terms.has(k, *BREAKS), positions)
    ]


def _lesser_after(terms: Terms, comparative: int, i: int) -> SideWeights:
    side = terms[i].value
    lesser = _OPPOSITE[side] if terms.has(comparative, "more", "less normal") else side
    return {lesser: _weight_of_less(terms, comparative)}
