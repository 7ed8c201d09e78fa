"""The lexicon and a domain's words as a dictionary of phrases, with the kinds of term that each phrase can be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Literal

from matex.phrases import lexicon
from matex.phrases.anatomy import Anatomy

Kind = Literal[
    "side", "level", "head", "place", "weak", "several", "finding",  # what a phrase is about
    "owns side", "device", "body", "position", "direction",  # what owns the sides next to it
    "not", "not behind", "free of", "normal", "as normal", "less normal", "more normal", "beyond normal",  # triggers
    "uncertain", "uncertain behind", "historical", "surgery", "against", "contrast",
    "ignored",  # pseudo-triggers: they contain a trigger and assert nothing
    "boundary", "with", "comma", "colon", "and", "or",  # where scopes end
    "preposition", "singular verb", "plural verb", "status", "more", "less", "more than", "less than", "than",
    "out of view", "other",
]  # fmt: skip
"""What a term can be in a sentence; a term may be of several kinds."""

Kinds = frozenset[Kind]
Entry = tuple[Kinds, str]
"""The kinds of a phrase, and the region, side, level or finding that it names ("" for all other kinds)."""

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^\w\s]|_")
PUNCTUATION: dict[str, Kinds] = {
    ",": frozenset({"comma"}),
    "(": frozenset({"comma"}),
    ")": frozenset({"comma"}),
    "—": frozenset({"comma"}),
    "–": frozenset({"comma"}),
    ";": frozenset({"boundary"}),
    ":": frozenset({"colon"}),
    "/": frozenset({"and"}),
    "&": frozenset({"and"}),
    "+": frozenset({"and"}),
    ">": frozenset({"more than"}),
    "<": frozenset({"less than"}),
    "?": frozenset({"uncertain"}),
}

_PHRASES: tuple[tuple[Kind, Iterable[str]], ...] = (
    ("device", lexicon.DEVICES),
    ("position", lexicon.POSITIONS),
    ("ignored", lexicon.NOT_A_SIDE),
    ("direction", lexicon.DIRECTIONS),
    ("not", lexicon.NEGATIONS),
    ("not behind", lexicon.NEGATIONS_BEHIND),
    ("ignored", lexicon.NOT_NEGATIONS),
    ("out of view", lexicon.OUT_OF_VIEW),
    ("free of", lexicon.FREE_OF),
    ("normal", lexicon.NORMALS),
    ("normal", lexicon.AS_NORMAL),
    ("as normal", lexicon.AS_NORMAL),
    ("less normal", lexicon.LESS_NORMAL),
    ("ignored", lexicon.BEYOND_NORMAL),
    ("beyond normal", lexicon.BEYOND_NORMAL),
    ("uncertain", lexicon.UNCERTAIN),
    ("ignored", lexicon.CERTAIN_ALL_THE_SAME),
    ("uncertain behind", lexicon.UNCERTAIN_BEHIND),
    ("historical", lexicon.HISTORICAL),
    ("ignored", lexicon.NOT_HISTORICAL),
    ("surgery", lexicon.SURGERY),
    ("more", lexicon.MORE),
    ("less", lexicon.LESS),
    ("more normal", lexicon.MORE_NORMAL),
    ("than", ("than",)),
    ("boundary", lexicon.BOUNDARIES),
    ("with", lexicon.WITHS),
    ("preposition", lexicon.PREPOSITIONS),
    ("singular verb", lexicon.SINGULAR_VERBS),
    ("plural verb", lexicon.PLURAL_VERBS),
    ("status", lexicon.STATUS),
    ("and", ("and", "as well as")),
    ("or", ("or", "nor", "versus", "vs")),
    ("against", lexicon.AGAINST),
)


def _entries(anatomy: Anatomy) -> Iterator[tuple[Kind, str, str]]:
    """(kind, value, phrase) of every entry of the lexicon and of a domain."""
    names: tuple[tuple[Kind, lexicon.Table], ...] = (
        ("side", lexicon.SIDES),
        ("level", anatomy.levels),
        ("head", anatomy.heads),
        ("place", anatomy.places),
        ("weak", anatomy.weak_places),
        ("finding", anatomy.findings),
    )
    for kind, table in names:
        for value, phrases in table.items():
            for phrase in phrases:
                yield kind, value, phrase
    for phrase in anatomy.several_places:
        yield "several", phrase, phrase
    phrases_of: tuple[tuple[Kind, Iterable[str]], ...] = (("owns side", anatomy.owns_side), ("body", anatomy.body))
    for kind, phrases in (*phrases_of, *_PHRASES):
        for phrase in phrases:
            yield kind, "", phrase


@cache
def phrases_by_first_word(anatomy: Anatomy) -> dict[str, list[tuple[int, dict[tuple[str, ...], Entry]]]]:
    """First word -> (length, the phrases of that length that start with it), longest first."""
    kinds: dict[tuple[str, ...], set[Kind]] = {}
    values: dict[tuple[str, ...], str] = {}
    for kind, value, phrase in _entries(anatomy):
        words = tuple(word for word in WORD.findall(phrase) if word != "-" and word not in lexicon.ARTICLES)
        kinds.setdefault(words, set()).add(kind)
        if value:
            values[words] = value
    table: dict[str, dict[int, dict[tuple[str, ...], Entry]]] = {}
    for words, found in kinds.items():
        of_length = table.setdefault(words[0], {}).setdefault(len(words), {})
        of_length[words] = (frozenset(found), values.get(words, ""))
    return {first: sorted(lengths.items(), reverse=True) for first, lengths in table.items()}
