"""Conditions under which a trigger opens a scope: most words always do, some depend on the words next to them."""

from __future__ import annotations

from collections.abc import Iterable

from matex.phrases import lexicon
from matex.phrases.entities import Entities
from matex.phrases.terms import BREAKS


def always(found: Entities, i: int) -> bool:
    return True


def denies_before(found: Entities, i: int) -> bool:
    """Whether a denial such as "has resolved" is about what is before it, as usual."""
    if is_of_earlier_film(found, i) or hides_place(found, i):
        return False
    return not denies_another_place(found, i) and not ("not" in found.terms[i].kinds and leads(found, i))


def denies_after(found: Entities, i: int) -> bool:
    """ "has cleared in the right base", "absent on the right", "resolved right effusion", "has cleared edema"."""
    terms = found.terms
    if is_of_earlier_film(found, i) or hides_place(found, i):
        return False
    if denies_another_place(found, i) or terms.has(i + 1, "preposition"):
        return True
    has_finding = any(terms.has(k, "finding") and terms.same_statement(k, i) for k in terms.before(i))
    return leads(found, i) and ("not" in terms[i].kinds or not has_finding)


def can_deny_subject(found: Entities, i: int) -> bool:
    """Whether places before it can be denied too: not by "rather than", which compares."""
    return "against" not in found.terms[i].kinds or found.terms.word(i) == "none"


def is_last_question_mark(found: Entities, i: int) -> bool:
    return found.terms.word(i) == "?" and i == len(found.terms) - 1


def ends_statement(found: Entities, i: int) -> bool:
    """Whether a comma or nothing more of its statement follows."""
    terms = found.terms
    return i + 1 == len(terms) or not terms.same_statement(i + 1, i) or terms.has(i + 1, "comma")


def is_verb_of_doubt(found: Entities, i: int) -> bool:
    """ "the heart may be enlarged", "is possibly enlarged"."""
    return found.terms.word(i - 1) in lexicon.COPULAS or found.terms.word(i) in lexicon.MODALS


def leads(found: Entities, i: int) -> bool:
    """Whether a word such as "resolved" precedes what it is about: "resolved right effusion"."""
    terms = found.terms
    if terms.word(i - 1) in lexicon.COPULAS:
        return False
    for k in terms.after(i):
        if terms.word(k) == "of" and terms.word(i) in lexicon.CALLED_NORMAL:
            continue  # "normal appearance of the hila"
        is_break = k not in terms.joins and terms[k].is_any("preposition", *BREAKS)
        if is_break or not terms.same_statement(k, i):
            return False
        if k in found.at or terms.has(k, "finding"):
            return True
    return False


def is_of_earlier_film(found: Entities, i: int) -> bool:
    """ "not seen on the prior exam": it is there now."""
    terms = found.terms
    named = i + 2 if terms.has(i + 1, "preposition") else i + 1
    is_unseen = terms.word(i).startswith(("not ", "absent", "is absent", "are absent"))
    return is_unseen and terms.word(named).startswith(lexicon.EARLIER)


def denies_another_place(found: Entities, i: int) -> bool:
    """ "present on the left and absent on the right": one finding, two verbs, each with a place of its own."""
    terms = found.terms
    k = i - 1
    while terms.word(k) in lexicon.COPULAS:
        k -= 1
    if not (terms.has(k, "and", "comma") and terms.has(i + 1, "preposition")):
        return False
    before = (j for j in terms.before(k) if terms.same_statement(j, i))
    return _names_side_or_place(found, before) and _names_side_or_place(found, terms.after(i))


def _names_side_or_place(found: Entities, positions: Iterable[int]) -> bool:
    return any(found.terms.has(k, "side") or any(entity.regions for entity in found.within((k,))) for k in positions)


def hides_place(found: Entities, i: int) -> bool:
    """ "the left heart border is not seen": obscured, where "the opacity is not seen" is absent.

    A device that is gone denies nothing of the place where it was: "the line over the left base is no longer present".
    """
    terms = found.terms
    has_place = has_device = False
    for k in terms.before(i):
        term = terms[k]
        if not terms.same_statement(k, i) or term.is_any("comma", "colon", "with"):
            break
        if "finding" in term.kinds or term.words in terms.anatomy.finding_places:
            return False
        has_device = has_device or "device" in term.kinds
        if "other" in term.kinds and not has_device and term.words not in lexicon.NEUTRAL:
            return False
        has_place = has_place or ("side" not in term.kinds and any(entity.regions for entity in found.within((k,))))
    return has_place and (has_device or terms.word(i) in lexicon.UNSEEN)
