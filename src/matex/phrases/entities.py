"""Entities: the places and findings of a sentence, before their sides are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from matex.phrases import lexicon
from matex.phrases.anatomy import Anatomy
from matex.phrases.aside import set_aside
from matex.phrases.terms import NEAR, Terms

SideWeights = dict[str, float]
"""Side -> weight."""


def side_weights(side: str) -> SideWeights:
    """Weight 1 for "right" or "left", or for both of them."""
    return {"right": 1.0, "left": 1.0} if side == "both" else {side: 1.0}


@dataclass(eq=False, slots=True)
class Entity:
    """A place, or a finding (which has no region of its own), that can have a side."""

    term: int
    anatomy: Anatomy
    regions: tuple[tuple[str, str | None], ...] = ()
    """(region, the side that the word itself fixes)."""
    finding: str | None = None
    """A key of `Anatomy.findings`."""
    is_weak: bool = False
    """Gives way to a nearer place."""
    usual_side: str | None = None
    """The side of the word when no side word qualifies it."""
    last: int = -1
    """The last of its terms, when there are several."""
    repeats: Entity | None = None
    """What a side that stands alone refers to: "the left has resolved"."""
    contrasts: bool = False
    """Its assertion is the opposite of that of what it repeats: "but not the right"."""
    sides: SideWeights = field(default_factory=dict[str, float])
    """Filled in by the pass over sides."""
    side_term: int | None = None

    @property
    def takes_side(self) -> bool:
        """Whether a side word can qualify it."""
        return any(self.anatomy.is_sided(region) and side is None for region, side in self.regions)

    @property
    def is_sided(self) -> bool:
        return any(self.anatomy.is_sided(region) for region, _ in self.regions)

    @property
    def is_nearer(self) -> bool:
        """Whether it is more exact than a whole lung."""
        return any(self.anatomy.is_sided(region) and region not in self.anatomy.outside for region, _ in self.regions)


@dataclass(eq=False, slots=True)
class Entities:
    """The entities of one sentence, by the terms that name them."""

    terms: Terms
    used: set[int]
    """Side words and places that belong to something else: a device, other anatomy, a direction, another place."""
    all: list[Entity]
    at: dict[int, list[Entity]]
    elsewhere: list[Entity]
    """Findings of anatomy outside the atlas; they have no region."""

    def add(self, entity: Entity) -> None:
        self.all.append(entity)
        self.at.setdefault(entity.term, []).append(entity)

    def within(self, positions: Iterable[int]) -> Iterator[Entity]:
        """The entities at these terms, in this order."""
        for i in positions:
            yield from self.at.get(i, ())

    def is_free_side(self, i: int) -> bool:
        """Whether term i is a side word that belongs to nothing yet."""
        return self.terms.has(i, "side") and i not in self.used

    def give_sides(self, entities: Iterable[Entity], sides: Sequence[int]) -> None:
        """Give the side words at these terms to entities, for good."""
        self.used.update(sides)
        for entity in entities:
            for side in sides:
                entity.sides |= side_weights(self.terms[side].value)
                entity.side_term = side

    def adjectives_before(self, side: int) -> list[Entity]:
        """The places that are adjectives right before their side, in "basal left lung": those without another side."""
        found: list[Entity] = []
        k = side - 1
        while k > side - NEAR and self.terms.word(k) in self.terms.anatomy.place_adjectives:
            if self.terms.has(k - 1, "side"):
                break
            found += [entity for entity in self.within((k,)) if entity.takes_side]
            k -= 2 if self.terms.has(k - 1, "and", "or") else len(self.terms)
        return found


def find_entities(terms: Terms) -> Entities:
    """Find the places and findings of a sentence.

    Levels wait for the noun that they belong to: in "right upper and middle lobe" both are lobes.
    """
    found = Entities(terms, set_aside(terms), all=[], at={}, elsewhere=[])
    levels: list[int] = []
    for i, term in enumerate(terms):
        if i in found.used:
            levels = []
        elif "level" in term.kinds and not terms.word(i + 1).startswith("than"):
            levels.append(i)
        elif "head" in term.kinds:
            if levels:
                _join_levels(found, levels, i)
            else:
                _read_lung(found, i)
            levels = []
        elif term.is_any("place", "weak", "several"):
            levels = []
            found.add(_place(terms, i))
        elif "finding" in term.kinds:
            _add_finding(found, i, levels)
            levels = []
        elif not (term.is_any("and", "or", "comma", "side", "other", "status") or term.words == "to"):
            _read_bare_levels(found, levels)
            levels = []
    _read_bare_levels(found, levels)
    return found


def _place(terms: Terms, i: int) -> Entity:
    term, anatomy = terms[i], terms.anatomy
    regions = anatomy.several_places.get(term.value, ((term.value, None),))
    return Entity(
        i,
        anatomy,
        tuple((region, anatomy.only_side(region) or side) for region, side in regions),
        is_weak="weak" in term.kinds,
        usual_side=anatomy.usual_sides.get(term.value),
    )


def _add_finding(found: Entities, i: int, levels: Sequence[int]) -> None:
    terms = found.terms
    entity = Entity(i, terms.anatomy, finding=terms[i].value)
    if _is_of_other_anatomy(terms, i):
        found.elsewhere.append(entity)
        found.used.update(_sides_before(found, terms.skip(i - 1, -1, "other", "status", "level", "finding") + 1))
    else:
        _read_bare_levels(found, levels)
        found.add(entity)


def _is_of_other_anatomy(terms: Terms, i: int) -> bool:
    """Whether the finding is one of anatomy that has no region: "wrist fracture", "left stone in the kidney"."""
    if terms.has(terms.skip(i - 1, -1, "other", "status", "finding"), "body"):
        return True
    noun = terms.skip(i + 2, 1, "other", "status", "side")
    return terms.word(i + 1) in lexicon.INSIDE and terms.has(noun, "body") and not terms.has_object(i + 2, noun)


_LOBES = {"upper": ("upper lobe",), "mid": ("middle lobe",), "lower": ("lower lobe",)}
_TWO_THIRDS = {"upper": ("upper zone", "mid zone"), "mid": ("mid zone",), "lower": ("mid zone", "lower zone")}
_ZONES = {"upper": ("upper zone",), "mid": ("mid zone",), "lower": ("lower zone",)}
_REGIONS_OF_LEVELS = {"lobe": _LOBES, "thirds": _TWO_THIRDS, "zone": _ZONES, "lung": _ZONES}
"""Key of lexicon.HEADS -> level -> regions."""


def _join_levels(found: Entities, levels: Sequence[int], head: int) -> None:
    """ "right upper and middle lobe", "mid to lower left lung", where the side is between the levels and the head.

    In "right upper and lower left lung" each level has the side next to it.
    """
    terms = found.terms
    regions = _REGIONS_OF_LEVELS[terms[head].value]
    shared = head - 1 if found.is_free_side(head - 1) else None
    for i in levels:
        own = None if terms.has(i - 1, "side") else shared
        if found.is_free_side(i + 1):
            own = i + 1
        for region in regions[terms[i].value]:
            entity = Entity(
                i,
                terms.anatomy,
                ((region, terms.anatomy.only_side(region)),),
                last=head if i == levels[-1] else -1,
            )
            if own is not None:
                found.give_sides([entity], [own])
            found.add(entity)


def _read_bare_levels(found: Entities, levels: Iterable[int]) -> None:
    """ "right lower opacity": without a head, a level right after a side is a zone."""
    for i in levels:
        if found.is_free_side(i - 1):
            found.add(Entity(i, found.terms.anatomy, ((f"{found.terms[i].value} zone", None),)))


def _read_lung(found: Entities, i: int) -> None:
    """A whole lung, unless it only qualifies its base or zone: "base of the left lung", "lung upper zone"."""
    terms = found.terms
    sides = _sides_before(found, i)
    is_part = _is_part_of(found, sides[0] if sides else i)
    if terms[i].value != "lung" and terms[i].words not in lexicon.WHOLE_LUNG and not is_part:
        return
    if sides and (places := found.adjectives_before(sides[0])):  # "apical and basal left lung"
        found.give_sides(places, sides)
    elif is_part:
        _give_sides_of_whole(found, sides)
    elif not terms.has(i + 1, "level"):
        found.add(Entity(i, terms.anatomy, (("lung", None),), is_weak=True))


def _is_part_of(found: Entities, start: int) -> bool:
    """Whether "of the (left) lung", whose side or noun is at `start`, follows a place directly."""
    if found.terms.word(start - 1) not in ("of", "in", "within") or not found.all:
        return False
    place = found.all[-1]
    return place.is_sided and max(place.term, place.last) == start - 2


def _give_sides_of_whole(found: Entities, sides: Sequence[int]) -> None:
    """ "upper and lower zones of the left lung": its sides go to all of them that have none."""
    for entity in reversed(found.all):
        if entity.finding or entity.sides or found.terms.has(entity.term - 1, "side"):
            break
        found.give_sides([entity], sides)


def _sides_before(found: Entities, i: int) -> list[int]:
    """The side words right before a term, in order: "left", "right and left"."""
    sides: list[int] = []
    k = i - 1
    while k > i - NEAR and found.is_free_side(k):
        sides.insert(0, k)
        k -= 2 if found.terms.has(k - 1, "and", "or") else len(found.terms)
    return sides
