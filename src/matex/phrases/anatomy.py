"""The regions of one kind of image and the words for them; the words of grammar, sides and assertion are shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from matex.phrases import lexicon
from matex.phrases.lexicon import Table
from matex.phrases.regions import EXTRAPULMONARY, MIDLINE, ONE_SIDED

Places = tuple[tuple[str, str | None], ...]
"""Regions with the side that a word fixes, None for none."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What the passes of the parser know of a domain. Region names are those of its atlas."""

    midline: frozenset[str]
    """Regions without sides; every other region has a right and a left one, or is in `one_sided`."""
    one_sided: Mapping[str, str]
    """Region -> the one side on which it exists."""
    places: Table
    """Region -> its words."""
    weak_places: Table
    """Region -> words that give way to a nearer place in the same part of a sentence."""
    findings: Table
    """Kind of finding -> its words; those without a usual place are "other"."""
    body: tuple[str, ...]
    """Anatomy outside the regions: it takes the side word before it and names no region."""
    whole: str | None = None
    """The sided region of a side that is given without any place; None where there is none."""
    outside: frozenset[str] = frozenset()
    """Sided regions that are not part of `whole`."""
    several_places: Mapping[str, Places] = field(default_factory=dict[str, Places])
    """Words that fix their side or name more than one region -> (region, side)."""
    usual_sides: Mapping[str, str] = field(default_factory=dict[str, str])
    """The side of a word of `several_places` without a side word."""
    usual_places: Table = field(default_factory=dict[str, tuple[str, ...]])
    """Kind of finding -> regions where it lies when the phrase gives its side and no place."""
    placeless: frozenset[str] = frozenset()
    """Findings whose side says nothing about `whole`: they have the place that is named with them, or none."""
    place_adjectives: frozenset[str] = frozenset()
    """Words of places that may stand before their side: "apical left lung"."""
    whole_places: frozenset[str] = frozenset()
    """Words of weak places that are nouns: joined to another place by "and" they are named in their own right."""
    finding_places: frozenset[str] = frozenset()
    """Words of places that are findings too: "cardiomegaly without edema" keeps them."""
    never_normal: frozenset[str] = frozenset()
    """Those of them that are abnormal by their word."""
    owns_side: frozenset[str] = frozenset()
    """A side word right before these is part of the name ("left ventricle")."""
    shares_side: bool = False
    """A whole organ gives its side also across commas and "and": "upper inner quadrant, left breast"."""
    levels: Table = field(default_factory=dict[str, tuple[str, ...]])
    heads: Table = field(default_factory=dict[str, tuple[str, ...]])
    """See `lexicon.LEVELS` and `lexicon.HEADS`; only the chest composes its zones and lobes from them."""

    def is_sided(self, region: str) -> bool:
        """Whether a region exists on the patient's right or left."""
        return region not in self.midline

    def only_side(self, region: str) -> str | None:
        """The one side on which a region exists; None if it exists on both, or has no side."""
        return self.one_sided.get(region)

    def usual(self, finding: str | None) -> tuple[str, ...]:
        """Regions of a kind of finding whose side is known."""
        if finding is not None and finding in self.usual_places:
            return self.usual_places[finding]
        return (self.whole,) if self.whole else ()


CHEST = Anatomy(
    midline=MIDLINE,
    one_sided=ONE_SIDED,
    places=lexicon.PLACES,
    weak_places=lexicon.WEAK_PLACES,
    findings=lexicon.FINDINGS,
    body=lexicon.OTHER_BODY,
    whole="lung",
    outside=EXTRAPULMONARY,
    several_places=lexicon.SEVERAL_PLACES,
    usual_sides=lexicon.USUAL_SIDES,
    usual_places=lexicon.USUAL_PLACES,
    placeless=lexicon.NEVER_IN_A_LUNG,
    place_adjectives=lexicon.PLACE_ADJECTIVES,
    whole_places=lexicon.WHOLE_PLACES,
    finding_places=lexicon.FINDING_PLACES,
    never_normal=lexicon.NEVER_NORMAL,
    owns_side=lexicon.OWNS_SIDE,
    levels=lexicon.LEVELS,
    heads=lexicon.HEADS,
)
"""The frontal chest film. Its words stay in code: the lists of the lexicon are built from products of lists, which a
file of data cannot hold without repeating each entry."""
