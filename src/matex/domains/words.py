"""The words of a pack as an Anatomy for the parser; general words of findings are shared with the chest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from matex.phrases import lexicon
from matex.phrases.anatomy import CHEST, Anatomy, Places
from matex.phrases.lexicon import Table
from matex.phrases.vocabulary import WORD, phrases_by_first_word

PLACE_SIDES = ("right", "left", "both")


@dataclass(frozen=True)
class RegionWords:
    """Words of one region of a pack.

    Args:
        words: that name it.
        findings: that name it and are findings at the same time ("hydrocephalus").
        sided: it exists on the patient's right and left.
        only: the one side on which it exists; None for both.
        weak: it gives way to a nearer place in the same part of a sentence ("breast").
    """

    words: tuple[str, ...]
    findings: tuple[str, ...] = ()
    sided: bool = True
    only: str | None = None
    weak: bool = False


@dataclass(frozen=True)
class UsualPlace:
    """Words of a finding, and the regions where it lies when the phrase gives its side and no place."""

    words: tuple[str, ...]
    regions: tuple[str, ...]


def word_key(phrase: str) -> str:
    """A phrase as the parser compares it: lower case, without hyphens and articles."""
    return " ".join(word for word in WORD.findall(phrase.lower()) if word != "-" and word not in lexicon.ARTICLES)


@cache
def grammar_words() -> frozenset[str]:
    """The words that the parser knows in every domain: sides, negations, devices, verbs ..."""
    nothing = Anatomy(frozenset(), {}, {}, {}, {}, ())
    tables = phrases_by_first_word(nothing).values()
    return frozenset(" ".join(words) for lengths in tables for _, phrases in lengths for words in phrases)


def split_place(place: str) -> tuple[str, str | None]:
    """(region, side) of "left kidney", "both frontal lobe", "pons"."""
    first, _, rest = place.partition(" ")
    return (rest, first) if first in PLACE_SIDES and rest else (place, None)


def build_anatomy(
    regions: Mapping[str, RegionWords],
    whole: str | None,
    several: Mapping[str, Sequence[str]],
    findings: Sequence[str],
    usual: Mapping[str, UsualPlace],
    body: Sequence[str],
) -> Anatomy:
    """The Anatomy of a pack.

    Args:
        regions: their words.
        whole: the sided region of a side without any place.
        several: words that fix a side or name several regions -> places ("bifrontal" -> "both frontal lobe").
        findings: further words of findings.
        usual: findings with a usual place, by name.
        body: further anatomy outside the regions.
    """
    named = [word for region in regions.values() for word in (*region.words, *region.findings)]
    used = {word_key(word) for word in (*named, *several, *(word for one in usual.values() for word in one.words))}
    nouns = (word for region in regions.values() if region.weak for word in region.words if not _is_adjective(word))
    finding_words = frozenset(word_key(word) for region in regions.values() for word in region.findings)
    return Anatomy(
        midline=frozenset(name for name, region in regions.items() if not region.sided),
        one_sided={name: region.only for name, region in regions.items() if region.only},
        places={name: (*one.words, *one.findings) for name, one in regions.items() if not one.weak},
        weak_places={name: (*one.words, *one.findings) for name, one in regions.items() if one.weak},
        findings=_findings(findings, usual, used),
        body=_unused((*body, *_CHEST_BODY), used | {word_key(word) for word in findings}),
        whole=whole,
        several_places={word_key(word): _places(places) for word, places in several.items()},
        usual_places={kind: one.regions for kind, one in usual.items()},
        placeless=frozenset(("hernia", "free air")),
        place_adjectives=frozenset(word_key(word) for word in named if _is_adjective(word)),
        whole_places=frozenset(word_key(word) for word in nouns),
        finding_places=finding_words,
        never_normal=finding_words,
        shares_side=True,
    )


_OF_THE_LUNG = (
    *(word for word in lexicon.FINDINGS["effusion"] if not word.startswith("effusion")),
    *lexicon.FINDINGS["pneumothorax"],
    "pneumonia", "pneumonias", "pneumonitis", "atelectasis", "atelectases", "emphysema", "bronchiectasis",
    "tuberculosis", "tb", "airspace disease", "air space disease", "air bronchogram", "air bronchograms",
    "pneumonectomy", "pneumonectomies", "interstitial markings", "absent lung markings", "no lung markings",
    "kerley lines", "kerley b lines",
)  # fmt: skip
"""Findings of the lungs and pleura alone."""
_CHEST_BODY = (
    *lexicon.OTHER_BODY,
    *(word for words in CHEST.places.values() for word in words),
    *(word for word in CHEST.weak_places["pleura"]),
    *lexicon.HEADS["lung"],
    *(word for word in lexicon.HEADS["lobe"] if word not in lexicon.SURGERY),
    *_OF_THE_LUNG,
)
"""Anatomy of the chest: in another domain its sides and findings lie elsewhere."""


def _findings(further: Sequence[str], usual: Mapping[str, UsualPlace], used: set[str]) -> Table:
    common = (word for words in lexicon.FINDINGS.values() for word in words if word not in _OF_THE_LUNG)
    table = {kind: one.words for kind, one in usual.items()}
    return {**table, "other": _unused((*further, *common), used)}


def _unused(words: Iterable[str], used: set[str]) -> tuple[str, ...]:
    return tuple(word for word in dict.fromkeys(words) if word_key(word) not in used)


def _places(places: Sequence[str]) -> Places:
    return tuple(split_place(place) for place in places)


def _is_adjective(word: str) -> bool:
    """Whether a place is an adjective by its ending, so that it may stand before its side."""
    return word.endswith(lexicon.MODIFIER_ENDINGS) and word_key(word) not in lexicon.NO_MODIFIERS
