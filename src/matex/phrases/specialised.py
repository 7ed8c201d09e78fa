"""Words that specialists use, apart from those that the lexicon shares with everyday English."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

from matex.phrases import lexicon

_EVERYDAY = """
a abdomen abnormal absence absent air airspace airway angle angles arch arteries artery balloon base
bases body blunted border borders both cancer central centrally change changes chest clip clips collapse
collapsed densities density device devices disease drain drains each either elevated elevation enlarged
enlargement failure feeding field fields fluid foreign fracture fractured fractures free fullness gas
generator glass ground half hand hardware haze haziness hazy heart in infection inserted internal joint
jugular junction knob knuckle lead leads left line lines loss lower lowermost lung lungs main major
margin markings mass masses mid middle monitor nerve no oblique obscured of on out pacemaker pacemakers
part parts peripheral peripherally periphery pneumonia portion portions port ports process prominence
prominent pump recess recesses region regions rib ribs right scar scars scarring screw screws segment
segments shadow shadowing sheath shift shifted shoulder shoulders side sided sides size space spaces
spinal spine stem stripe surface swan the thickened thickening third thirds tube tubes tumor tumour two
upper uppermost visible volume volumes wall white widened widening window wire wires zone zones
"""
EVERYDAY = frozenset(_EVERYDAY.split())
"""Words of the lexicon that a layperson knows."""

Vocabulary = Literal["specialised", "common"]


@cache
def specialised_words() -> frozenset[str]:
    """Words of findings, places and devices in the lexicon that are not `EVERYDAY`."""
    tables = (lexicon.FINDINGS, lexicon.PLACES, lexicon.WEAK_PLACES, lexicon.HEADS)
    phrases = [phrase for table in tables for some in table.values() for phrase in some]
    return frozenset(re.findall(r"[a-z]+", " ".join([*phrases, *lexicon.DEVICES]).lower())) - EVERYDAY


def vocabulary_of(word: str) -> Vocabulary:
    """Whether a word is one of specialists.

    Examples:
        >>> vocabulary_of("Atelectasis"), vocabulary_of("lung")
        ('specialised', 'common')
    """
    parts = re.findall(r"[a-z]+", word.lower())
    return "specialised" if any(part in specialised_words() for part in parts) else "common"


def phrase_vocabulary(text: str) -> Vocabulary:
    """Whether a phrase has a word of specialists.

    Examples:
        >>> phrase_vocabulary("costophrenic angle"), phrase_vocabulary("large heart")
        ('specialised', 'common')
    """
    return vocabulary_of(text)
