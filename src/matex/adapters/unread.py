"""Detection of words that a model cannot have understood, from the tokens its tokenizer returns.

A language model reads tokens. A word that reaches it as an unknown token, not at all, or as a handful of fragments that
are shared with thousands of other words carries no meaning that training could have attached to it. The map that the
phrase gets looks as confident as any other, so the words are named.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from importlib.resources import files

FRAGMENTS = 3
"""A word in fewer tokens than this was merged often enough in the tokenizer's training to be known."""
LETTERS = 2.0
"""Below this many letters per token a word is spelt out, whatever it is."""
LETTERS_FOREIGN = 3.0
"""Up to this many letters per token a word that is no English word of radiology is taken to be in fragments."""


def unread_words(
    text: str, ids: Sequence[int], spans: Sequence[tuple[int, int]], unknown: int | None
) -> tuple[tuple[str, str], ...]:
    """Words of the phrase that the model cannot have understood, each with the reason.

    A word is reported when (1) one of its characters is in no token, (2) one of its tokens is the unknown token, (3) it
    has more tokens than letters, so that letters are cut into bytes, (4) it is in three tokens or more with fewer than
    two letters each, or (5) it is in three tokens or more with at most three letters each and is not among the English
    words of radiology reports that ship with the package. Numbers and symbols are judged by (1) to (3); punctuation is
    not judged.

    Args:
        text: the phrase.
        ids: of its tokens.
        spans: first and one past the last character of each token; equal for special tokens.
        unknown: id of the tokenizer's unknown token; None where it has none.

    Returns:
        (word, reason) in reading order, each word once.
    """
    pieces = [(number, a, b) for number, (a, b) in zip(ids, spans, strict=True) if b > a]
    unread: dict[str, str] = {}
    for start, end in _words(text):
        inside = [(number, a, b) for number, a, b in pieces if a < end and b > start]
        reason = _reason(text[start:end], start, inside, unknown)
        if reason:
            unread.setdefault(text[start:end], reason)
    return tuple(unread.items())


def describe(words: Sequence[tuple[str, str]]) -> str:
    """Word the note of an explanation about words that the model cannot have understood."""
    listed = ", ".join(f"{word!r} ({reason})" for word, reason in words[:8])
    more = f" and {len(words) - 8} more" if len(words) > 8 else ""
    return f"words that the model cannot have understood: {listed}{more}"


def _reason(word: str, start: int, inside: Sequence[tuple[int, int, int]], unknown: int | None) -> str | None:
    visible = [at for at, letter in enumerate(word, start) if unicodedata.category(letter)[0] != "M"]
    if any(not any(a <= at < b for _, a, b in inside) for at in visible):
        return "left out by the tokenizer"
    if unknown is not None and any(number == unknown for number, _, _ in inside):
        return "unknown to the tokenizer"
    tokens, letters = len(inside), len(visible)
    if tokens > letters:
        return f"in {tokens} pieces, letters cut into bytes"
    if tokens < FRAGMENTS or not word[0].isalpha():
        return None
    each = letters / tokens
    if each < LETTERS or (each <= LETTERS_FOREIGN and word.lower() not in english_words()):
        return f"in {tokens} pieces"
    return None


def _words(text: str) -> Iterator[tuple[int, int]]:
    """Spans of runs of letters, digits or symbols beyond ASCII, each with its combining marks."""
    start, kind = 0, ""
    for at, letter in enumerate(text):
        category = unicodedata.category(letter)
        here = category[0] if category[0] in "LN" or (category[0] == "S" and ord(letter) > 127) else ""
        if category in ("Mn", "Mc", "Me", "Cf") and kind:
            here = kind  # accents, vowel signs, joiners
        if here != kind:
            if kind:
                yield start, at
            start, kind = at, here
    if kind:
        yield start, len(text)


@functools.cache
def english_words() -> frozenset[str]:
    """English words of radiology reports, in lower case."""
    return frozenset(files("matex.adapters").joinpath("english_words.txt").read_text(encoding="utf-8").split())
