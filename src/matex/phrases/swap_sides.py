"""Exchange left and right in a phrase, for the controls of laterality."""

from __future__ import annotations

import re

from matex.phrases.anatomy import CHEST, Anatomy
from matex.phrases.mention import Mention
from matex.phrases.parser import parse

_PAIRS = (("left", "right"), ("lt", "rt"), ("lul", "rul"), ("lll", "rll"), ("l", "r"))
_OTHER = {word: other for pair in _PAIRS for word, other in (pair, pair[::-1])}
# Single letters only as capitals: "R effusion", not the r of a list.
_WORD = re.compile(r"\b(?:(?i:left|right|lt|rt|lul|rul|lll|rll)|[LR])\b")


def other_side(text: str, anatomy: Anatomy = CHEST) -> str | None:
    """Exchange left and right in a phrase.

    Returns:
        None when the phrase names no place with a side, names the same places on both sides, or does not read as its
        mirror image afterwards ("right middle lobe": there is no left one).
    """
    swapped = _WORD.sub(_exchange, text)
    before, after = parse(text, anatomy), parse(swapped, anatomy)
    if _places(before) == _places(after) or _places(before) != _mirrored(_places(after)):
        return None
    return swapped


def _exchange(match: re.Match[str]) -> str:
    word = match.group()
    other = _OTHER[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


Places = set[tuple[str, str | None, float]]


def _places(mentions: tuple[Mention, ...]) -> Places:
    return {(mention.region, mention.side, mention.weight) for mention in mentions}


def _mirrored(places: Places) -> Places:
    sides = {"left": "right", "right": "left", None: None}
    return {(region, sides[side], weight) for region, side, weight in places}
