"""The scope of "clear", "normal" and the like, which look forward or backward and cross no finding."""

from __future__ import annotations

from collections.abc import Iterable, Set

from matex.phrases import lexicon
from matex.phrases.conditions import leads
from matex.phrases.entities import Entities
from matex.phrases.terms import BREAKS, Terms


def reach_of_normal(found: Entities, i: int, marked: Set[int]) -> set[int]:
    """The terms that are called normal.

    "clear lungs" reaches forward, "the lungs are clear" backward, "as clear as the left" in both directions; none
    crosses into a part with a finding.
    """
    terms = found.terms
    if terms.has(i, "as normal"):
        reached = _until_finding(terms, i, terms.after(i)) | _until_finding(terms, i, terms.before(i))
    elif leads(found, i) and not _has_subject(found, i):
        reached = _until_finding(terms, i, terms.after(i))
    else:
        reached = _until_finding(terms, i, terms.before(i))
        if terms.has(i + 1, "preposition"):  # "markings are normal in both lungs", "the lungs are clear at the bases"
            reached |= _until_finding(terms, i, terms.after(i))
    reached |= _until_finding(terms, i, range(i + 1, _end_of_noun(terms, i)))
    if terms.has(i - 1, "colon"):  # "Lungs: normal markings"
        reached |= _until_finding(terms, i, terms.before(i - 1))
    return reached


def _until_finding(terms: Terms, i: int, positions: Iterable[int]) -> set[int]:
    """The positions up to where the statement ends, without the part of it that has a finding."""
    reached: set[int] = set()
    part: list[int] = []
    for k in positions:
        term = terms[k]
        if not terms.same_statement(k, i) or term.is_any("with", "not"):
            break
        if term.is_any("comma", "and", "colon"):
            reached.update(part)
            part = []
        elif _is_abnormal(terms, i, k):
            return reached
        part.append(k)
    return reached.union(part)


def _is_abnormal(terms: Terms, i: int, k: int) -> bool:
    term = terms[k]
    if term.is_any("more", "less normal", "beyond normal") or term.words in terms.anatomy.never_normal:
        return True  # "larger than normal, lungs clear"
    return "finding" in term.kinds and not _is_normal_noun(terms, i, k)


def _is_normal_noun(terms: Terms, i: int, k: int) -> bool:
    """ "normal lung markings" are no finding, and neither is a "previously enlarged" heart that is normal now."""
    if terms.word(k - 1) in lexicon.PREVIOUSLY:
        return True
    return terms.word(i) in lexicon.CALLED_NORMAL and terms.word(k) in lexicon.NORMAL_NOUNS


def _end_of_noun(terms: Terms, i: int) -> int:
    """End of a noun that the word right before it calls normal: "has normal vascular markings"."""
    if terms.word(i) in lexicon.CALLED_NORMAL:
        for k in terms.after(i):
            if terms.word(k) in lexicon.NORMAL_NOUNS:
                return k + 1
            if terms[k].is_any(*BREAKS):
                break
    return i + 1


def _has_subject(found: Entities, i: int) -> bool:
    """Whether "normal" has a subject: "heart is stable and normal"; "there is a normal heart" has none."""
    terms = found.terms
    for k in terms.before(i):
        if terms[k].is_any("comma", "boundary", "with", "colon") and k not in terms.joins:
            return False
        if terms[k].is_any("singular verb", "plural verb"):
            subject = found.within(j for j in range(k) if terms.same_statement(j, k))
            return any(entity.regions for entity in subject)
    return False
