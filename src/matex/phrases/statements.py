"""Statements: the parts of a sentence that no scope of a negation crosses."""

from __future__ import annotations

from matex.phrases import lexicon
from matex.phrases.terms import BREAKS, NEAR, Terms
from matex.phrases.vocabulary import Kind

_CONTENT: tuple[Kind, ...] = ("finding", "not", "not behind", "normal", "free of", "singular verb", "plural verb")
"""A statement with none of these is not complete: a comma or "and" does not end it."""


def split_statements(terms: Terms) -> Terms:
    """Find the joins of a sentence and number its statements.

    A statement ends at "but", "except", a semicolon, and where a new subject has a verb of its own.
    """
    joins = _find_joins(terms)
    numbers: list[int] = []
    current, has_content = 0, False
    for i, term in enumerate(terms):
        parts = term.is_any("comma", "and") and i not in joins
        if "boundary" in term.kinds or (parts and has_content and _opens_statement(terms, i)):
            current, has_content = current + 1, False
        numbers.append(current)
        has_content = has_content or term.is_any(*_CONTENT)
    return Terms(terms.all, terms.anatomy, joins, tuple(numbers))


def _find_joins(terms: Terms) -> frozenset[int]:
    """Commas between adjectives of one noun: "no new, large left effusion"."""
    joins: set[int] = set()
    for i, term in enumerate(terms):
        if "comma" in term.kinds and _can_join(terms, i) and (_splits_trigger(terms, i) or _is_join(terms, i, joins)):
            joins.add(i)
    return frozenset(joins)


def _can_join(terms: Terms, i: int) -> bool:
    """Whether this comma can be between two adjectives: not after "on the right", nor before "only"."""
    is_after_place = terms.has(i - 1, "side") and terms.has(i - 2, "preposition")
    return not is_after_place and terms.word(i + 1) not in lexicon.ONLY


def _splits_trigger(terms: Terms, i: int) -> bool:
    """ "no new, large effusion": the lexicon has "no new" as one phrase."""
    return terms.has(i - 1, "not") and terms.word(i - 1).endswith(lexicon.TRIGGER_ENDS)


def _is_join(terms: Terms, i: int, joins: set[int]) -> bool:
    """Whether only adjectives are before this comma, back to where their noun phrase opens."""
    if not terms.is_modifier(i - 1):
        return False
    k = i - 2
    while k > i - NEAR and (terms.is_modifier(k) or k in joins or terms.has(k, "and", "or")):
        k -= 1
    if terms.has(k, "singular verb", "plural verb"):
        return terms.word(k) not in lexicon.COPULAS  # a verb with an object
    return terms.has(k, "not", "uncertain", "historical", "free of", "preposition", "with")


def _opens_statement(terms: Terms, i: int) -> bool:
    """Whether the words after this comma or "and" are a subject with a verb of its own.

    A plural verb counts only right after a comma: "A and B are clear" is about both.
    """
    has_subject = False
    for k in terms.after(i):
        term = terms[k]
        number = _number_of_verb(terms, k)
        if number == "singular":
            return has_subject or term.words.startswith("there") or _parts_sides(terms, i)
        if number == "plural":
            return (has_subject and terms.has(i, "comma")) or _parts_sides(terms, i)
        if "not behind" in term.kinds and has_subject:  # "right effusion larger and left resolved"
            return terms.has(i - 1, "status", "more", "less", "singular verb")
        if term.is_any(*BREAKS):
            return False
        has_subject = True
    return False


def _parts_sides(terms: Terms, i: int) -> bool:
    """ "has resolved on the left and is larger on the right": each verb has a side of its own."""
    end = terms.skip(i + 2, 1, "more", "less", "status", "preposition")
    return terms.has(i - 1, "side") and terms.has(end, "side")


def _number_of_verb(terms: Terms, k: int) -> str | None:
    """ "singular" or "plural" for a verb, also for that of a denial such as "has resolved"; None for other terms."""
    term = terms[k]
    denies = "not behind" in term.kinds
    if "singular verb" in term.kinds or (denies and term.words.startswith(("is ", "has ", "was ", "had "))):
        return "singular"
    if "plural verb" in term.kinds or (denies and term.words.startswith(("are ", "have ", "were "))):
        return "plural"
    return None
