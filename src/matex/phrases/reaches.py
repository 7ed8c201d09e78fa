"""Scope of a trigger: forward, backward, or to the subject of its verb."""

from __future__ import annotations

from collections.abc import Iterable, Set

from matex.phrases import lexicon
from matex.phrases.entities import Entities
from matex.phrases.terms import REACH, Terms
from matex.phrases.vocabulary import Kind


def sentence(found: Entities, i: int, marked: Set[int]) -> Iterable[int]:
    """All terms."""
    return range(len(found.terms))


# ----------------------------------------------------------------------------------------------------------- forward


def forward(found: Entities, i: int, marked: Set[int]) -> list[int]:
    """To the end of the statement, "with", or a comma that continues no list (with "or", "nor", "and")."""
    return _forward(found.terms, i, crosses_lists=True)


def forward_of_denial(found: Entities, i: int, marked: Set[int]) -> list[int]:
    """As `forward`, without the places where a device is denied: "no line over the left base" says nothing of it."""
    terms = found.terms
    reached = forward(found, i, marked)
    if any(terms.has(k, "device") for k in reached) and not any(_may_be_finding(terms, k) for k in reached):
        return [k for k in reached if k not in found.at]
    return reached


def _may_be_finding(terms: Terms, k: int) -> bool:
    is_unknown = terms.has(k, "other") and terms.word(k) not in lexicon.DEVICE_WORDS
    return is_unknown or terms.has(k, "finding") or terms.word(k) in terms.anatomy.finding_places


def forward_without_lists(found: Entities, i: int, marked: Set[int]) -> list[int]:
    """To the end of the statement, "with", or a comma: "status post lobectomy, effusion, or ..."."""
    return _forward(found.terms, i, crosses_lists=False)


def _forward(terms: Terms, i: int, crosses_lists: bool) -> list[int]:
    reached: list[int] = []
    for k in terms.after(i):
        if not terms.same_statement(k, i) or "with" in terms[k].kinds:
            break
        if k not in terms.joins and _ends_scope(terms, k, crosses_lists):
            break
        reached.append(k)
    if terms.has(i - 1, "colon"):
        reached += _heading(terms, i, any(terms.has(k, "finding") for k in reached))
    return reached


def _heading(terms: Terms, i: int, denies_finding: bool) -> list[int]:
    """ "Lungs: no consolidation", "Effusion: none"; not the effusion of "effusion, left base: no consolidation"."""
    reached: list[int] = []
    part: list[int] = []
    for k in terms.before(i - 1):
        if not terms.same_statement(k, i):
            break
        if denies_finding and terms.has(k, "finding"):
            return reached
        if terms.has(k, "comma"):
            reached, part = reached + part, []
        part.append(k)
    return reached + part


def _ends_scope(terms: Terms, k: int, crosses_lists: bool) -> bool:
    """Whether a comma or "and" ends a forward scope."""
    if "comma" in terms[k].kinds:
        return not (crosses_lists and (_continues_list(terms, k) or _only_place(terms, k)))
    return "and" in terms[k].kinds and terms.has(k + 1, "status", "not") and not _continues_list(terms, k)


def _continues_list(terms: Terms, comma: int) -> bool:
    """Whether an "or" follows in the same statement: "no effusion, consolidation, or pneumothorax"."""
    for k in terms.after(comma):
        if not terms.same_statement(k, comma) or terms.has(k, "with", "not"):
            return False
        if terms.has(k, "or"):
            return True
    return False


def _only_place(terms: Terms, comma: int) -> bool:
    """Whether nothing but a place follows to the end of the statement: "suspected mass, left lung"."""
    k = terms.skip(comma + 1, 1, "side", "level", "head", "place", "several", "weak", "preposition")
    return k == len(terms) or not terms.same_statement(k, comma)


# ---------------------------------------------------------------------------------------------------------- backward


def backward_over_findings(found: Entities, i: int, marked: Set[int]) -> list[int]:
    """To the start of the statement; beyond a comma only while it has reached no entity."""
    return _backward(found, i, stops=(), parts=("comma",))


def backward_to_noun(found: Entities, i: int, marked: Set[int]) -> list[int]:
    """Itself, and back to a preposition or "no"; beyond a comma or "and" only while it has reached no entity."""
    return [i, *_backward(found, i, stops=("preposition", "not"), parts=("comma", "and"))]


def _backward(found: Entities, i: int, stops: tuple[Kind, ...], parts: tuple[Kind, ...]) -> list[int]:
    terms = found.terms
    reached: list[int] = []
    has_entity = False
    for k in terms.before(i):
        if not terms.same_statement(k, i) or terms[k].is_any("with", *stops):
            break
        if has_entity and terms[k].is_any(*parts):
            break
        has_entity = has_entity or k in found.at
        reached.append(k)
    return reached


# ----------------------------------------------------------------------------------------------------------- subject


def subject_without_findings(found: Entities, i: int, marked: Set[int]) -> list[int]:
    """ "the right lung shows no opacity": the places right before a denial, when nothing else is asserted of them.

    A finding, a device, or an unknown word before "without" may be what is seen there: then nothing is denied.
    """
    terms = found.terms
    if not (terms.word(i) == "none" or _denies_finding(terms, i, marked)):
        return []
    end = _end_of_subject(terms, i)
    has_verb = terms.has(end + 1, "singular verb", "plural verb")
    reached: list[int] = []
    has_place = is_joined = False
    for k in range(end, max(-1, end - REACH), -1):
        if not terms.same_statement(k, i) or _begins_subject(terms, k, has_place, is_joined):
            break
        if _says_something_else(terms, k, has_place and has_verb):
            return []
        if not (has_place or k in found.at or _can_follow_place(terms, k)):
            return []
        is_joined = is_joined or terms.has(k, "and", "or")
        has_place = has_place or k in found.at
        reached.append(k)
    return reached


def _denies_finding(terms: Terms, i: int, marked: Set[int]) -> bool:
    """Whether a finding is among the terms that a denial reaches."""
    for k in terms.after(i):
        if k not in marked:
            return False
        if "finding" in terms[k].kinds:
            return True
    return False


def _end_of_subject(terms: Terms, i: int) -> int:
    """The last term before the verb of a denial, or before "with no", which is "without"."""
    k = i - 1
    while terms.has(k, "singular verb", "plural verb") or terms.word(k) in lexicon.NEUTRAL:
        k -= 1
    return k - 1 if k == i - 1 and terms.has(k, "with") else k


def _begins_subject(terms: Terms, k: int, has_place: bool, is_joined: bool) -> bool:
    """Whether the subject of a denial lies after this term: "opacity, right lung without effusion"."""
    ends = terms[k].is_any("with", "singular verb", "plural verb") or ("comma" in terms[k].kinds and not is_joined)
    return has_place and ends


def _says_something_else(terms: Terms, k: int, is_subject_of_verb: bool) -> bool:
    """Whether a term may be what is seen in the place: a finding, a device, an unknown word."""
    term = terms[k]
    if term.is_any("device", "finding") or term.words in terms.anatomy.finding_places:
        return True
    is_unknown = "other" in term.kinds and term.words not in lexicon.NEUTRAL
    return is_unknown and (not is_subject_of_verb or terms.has(k + 1, "preposition"))


def _can_follow_place(terms: Terms, k: int) -> bool:
    """Whether words can be between a place and its denial; a comma in "in the right lung, there is no opacity"."""
    first = terms.skip(terms.statement.index(terms.statement[k]), 1, "boundary")
    allows_comma = terms.has(first, "preposition")
    return terms[k].is_any("head", "side", "preposition") or (allows_comma and terms.has(k, "comma"))


def doubted_subject(found: Entities, i: int, marked: Set[int]) -> list[int]:
    """ "the heart may be enlarged": the places before the verb, when no finding is among them."""
    terms = found.terms
    reached: list[int] = []
    for k in terms.before(i):
        if not terms.same_statement(k, i) or terms[k].is_any("with", "comma"):
            break
        if terms[k].is_any("finding", "device") or terms.word(k) in terms.anatomy.finding_places:
            return []
        reached.append(k)
    return reached
