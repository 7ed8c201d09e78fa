"""The terms of a sentence: phrases of the lexicon and unknown words, with their kinds and their place in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from matex.phrases import lexicon
from matex.phrases.anatomy import CHEST, Anatomy
from matex.phrases.vocabulary import PUNCTUATION, WORD, Entry, Kind, Kinds, phrases_by_first_word

REACH = 60
"""No term acts on another one further than this many terms away."""
NEAR = 16
"""Nor does a term look for its own noun or adjectives further than this."""
BREAKS: tuple[Kind, ...] = ("comma", "and", "or", "with", "boundary", "colon")
"""Where the parts of a sentence meet."""

_OTHER: Kinds = frozenset({"other"})
_SIDE_LETTERS = {"r": "right", "l": "left"}
_SKIPPED = frozenset(("-", ".", "‐", "‑", '"')) | lexicon.ARTICLES


class Term(NamedTuple):
    """A phrase of the lexicon, or one unknown word: report[start:end]."""

    kinds: Kinds
    words: str
    """Lower case, without articles and hyphens."""
    value: str
    """The region, side, level or finding that it names; "" for all other kinds."""
    start: int
    end: int

    def is_any(self, *kinds: Kind) -> bool:
        return not self.kinds.isdisjoint(kinds)


@dataclass(frozen=True, eq=False, slots=True)
class Terms:
    """The terms of one sentence in order, and the statements that they form. Each pass returns a new one."""

    all: tuple[Term, ...]
    anatomy: Anatomy
    """The domain whose regions the terms name."""
    joins: frozenset[int] = frozenset()
    """Commas and conjunctions between adjectives of one noun: no statement and no scope ends at them."""
    statement: tuple[int, ...] = ()
    """The number of the statement that each term is in."""

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, i: int) -> Term:
        return self.all[i]

    def __iter__(self) -> Iterator[Term]:
        return iter(self.all)

    def word(self, i: int) -> str:
        """The words of term i; "" outside the sentence."""
        return self.all[i].words if 0 <= i < len(self.all) else ""

    def has(self, i: int, *kinds: Kind) -> bool:
        """Whether term i exists and is of one of these kinds."""
        return 0 <= i < len(self.all) and not self.all[i].kinds.isdisjoint(kinds)

    def skip(self, i: int, step: int, *kinds: Kind) -> int:
        """The first position from i on, forward (1) or backward (-1), that is of none of these kinds."""
        k = i
        while abs(k - i) < NEAR and self.has(k, *kinds):
            k += step
        return k

    def after(self, i: int, reach: int = REACH) -> range:
        """The positions after i, fewer than `reach` terms away."""
        return range(i + 1, min(len(self.all), i + reach))

    def before(self, i: int, reach: int = REACH) -> range:
        """The positions before i, nearest first, fewer than `reach` terms away."""
        return range(i - 1, max(-1, i - reach), -1)

    def same_statement(self, i: int, k: int) -> bool:
        return self.statement[i] == self.statement[k]

    def is_parted(self, start: int, stop: int) -> bool:
        """Whether a comma, conjunction or boundary is in [start, stop)."""
        return any(term.is_any(*BREAKS) for term in self.all[start:stop])

    def has_object(self, start: int, stop: int) -> bool:
        """Whether a participle is in [start, stop), whose object follows: "on the right obscuring the liver"."""
        return self.word(start - 1) == "on" and any(term.words.endswith("ing") for term in self.all[start:stop])

    def is_modifier(self, i: int) -> bool:
        """Whether a term is an adjective, by its kind, by the lexicon, or by its ending."""
        if not 0 <= i < len(self.all):
            return False
        term = self.all[i]
        if term.is_any("status", "side", "level") or term.words in lexicon.MODIFIERS:
            return True
        known = term.words in lexicon.NO_MODIFIERS or "other" not in term.kinds
        return not known and term.words.endswith(lexicon.MODIFIER_ENDINGS)

    def with_kinds(self, kinds: Mapping[int, Kinds]) -> Terms:
        """The same terms, some of them of other kinds, which name nothing; statements are found after this."""
        if not kinds:
            return self
        changed = (term._replace(kinds=kinds[i], value="") if i in kinds else term for i, term in enumerate(self.all))
        return Terms(tuple(changed), self.anatomy)


def find_terms(text: str, offset: int, anatomy: Anatomy = CHEST) -> Terms:
    """Find the terms of a sentence, the longest phrase of the lexicon first; articles and hyphens are skipped.

    Args:
        text: one sentence.
        offset: where it begins in its report; the places of the terms are those in the report.
        anatomy: of the image that the sentence is about.
    """
    terms = _look_up(text, offset, anatomy)
    for reread in (_read_central_as_normal, _read_contrasts, _read_no_change):
        terms = terms.with_kinds(reread(terms))
    return terms


def _look_up(text: str, offset: int, anatomy: Anatomy) -> Terms:
    tokens: list[re.Match[str]] = []
    lowered: list[str] = []
    for match in WORD.finditer(text):
        word = match.group().lower()
        if word not in _SKIPPED:
            tokens.append(match)
            lowered.append(word.replace("’", "'"))
    words, phrases = tuple(lowered), phrases_by_first_word(anatomy)
    found: list[Term] = []
    i = 0
    while i < len(words):
        for size, of_size in phrases.get(words[i], ()):
            entry = of_size.get(words[i : i + size])
            if entry is not None:
                break
        else:
            size, entry = 1, _unlisted(tokens[i], words, i)
        kinds, value = entry
        if words[i] == "may" and _is_date(words, i):
            kinds = _OTHER
        start, end = tokens[i].start(), tokens[i + size - 1].end()
        found.append(Term(kinds, " ".join(words[i : i + size]), value, offset + start, offset + end))
        i += size
    return Terms(tuple(found), anatomy)


def _unlisted(token: re.Match[str], words: Sequence[str], i: int) -> Entry:
    """The kinds of a word that is in no list: a side letter, punctuation, or unknown."""
    if words[i] in _SIDE_LETTERS and _is_side_letter(token, words, i):
        return frozenset({"side"}), _SIDE_LETTERS[words[i]]
    return PUNCTUATION.get(words[i], _OTHER), ""


def _is_date(words: Sequence[str], i: int) -> bool:
    """Whether a month is next to a number: "12 May", "May 2019"."""
    return any(word.isdigit() for word in words[max(0, i - 1) : i + 2])


def _is_side_letter(token: re.Match[str], words: Sequence[str], i: int) -> bool:
    """R or L alone, in capitals or next to > and <; not litres ("5 L") and not vertebrae ("L1", "L spine")."""
    neighbours = (*words[max(0, i - 1) : i], *words[i + 1 : i + 2])
    if any(word[:1].isdigit() or word == "spine" for word in neighbours):
        return False
    return token.group().isupper() or any(word in (">", "<") for word in neighbours)


# ----------------------------------------------------------------------- terms whose kind depends on their neighbours


def _read_central_as_normal(terms: Terms) -> dict[int, Kinds]:
    """ "the trachea is central" and "trachea central": nothing is displaced."""
    changed: dict[int, Kinds] = {}
    for i, term in enumerate(terms):
        if term.words in lexicon.CENTRAL and not terms.has(i + 1, "finding"):
            k = i - 1
            while terms.word(k) in lexicon.COPULAS or terms.word(k) in lexicon.NEUTRAL:
                k -= 1
            if k >= 0 and terms[k].value in lexicon.CENTRED_PLACES:
                changed[i] = frozenset({"normal"})
    return changed


def _read_contrasts(terms: Terms) -> dict[int, Kinds]:
    """ "the left, but not the right, effusion has resolved": what holds for one side does not for the other."""
    changed: dict[int, Kinds] = {}
    for i, term in enumerate(terms):
        has_not = term.words in ("but", "and") and terms.word(i + 1) == "not"
        if has_not and terms.has(terms.skip(i + 2, 1, "preposition"), "side"):
            changed[i], changed[i + 1] = _OTHER, frozenset({"contrast"})
    return changed


def _read_no_change(terms: Terms) -> dict[int, Kinds]:
    """ "without significant, interval change in the left effusion": the effusion is there."""
    changed: dict[int, Kinds] = {}
    for i, term in enumerate(terms):
        if "not" in term.kinds:
            k = i + 1
            while terms.word(k) in lexicon.DEGREES or terms.has(k, "comma", "or"):
                k += 1
            if terms.word(k) in lexicon.CHANGES:
                changed[i] = frozenset({"ignored"})
    return changed
