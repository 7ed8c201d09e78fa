"""Sides that qualify nothing next to them: "the left has resolved", "unlike the right", "but not on the left"."""

from __future__ import annotations

from collections.abc import Sequence

from matex.phrases.entities import Entities, Entity
from matex.phrases.side_scopes import give, has_usual_place
from matex.phrases.side_words import SideWord


def lone_side(found: Entities, word: SideWord, repeated: Entity | None) -> Entity:
    """Entity of a side alone, in "the left is sharp": it repeats another one, else it is the whole organ."""
    anatomy = found.terms.anatomy
    whole = ((anatomy.whole, None),) if anatomy.whole else ()
    lone = Entity(word.first, anatomy, whole, is_weak=True, last=word.last, sides=word.weights)
    if repeated is not None and not found.terms.has(word.last + 1, "normal"):
        lone.regions = _regions_on(repeated, word)
        lone.is_weak, lone.repeats = repeated.is_weak, repeated
    return lone


def named_before(found: Entities, word: SideWord) -> Entity | None:
    """Referent of a side that stands alone: the last sided place or effusion before it."""
    before = list(found.within(found.terms.before(word.first)))
    last = next((e for e in before if e.is_sided or (has_usual_place(e) and e.sides)), None)
    return last or next((e for e in before if has_usual_place(e)), None)


def named_after(found: Entities, word: SideWord) -> Entity | None:
    """Referent when none is before it: "the left is stable, the right effusion larger"."""
    after = found.within(found.terms.after(word.last))
    return next((e for e in after if e.is_sided or has_usual_place(e)), None)


def _regions_on(entity: Entity, word: SideWord) -> tuple[tuple[str, str | None], ...]:
    """The regions of an entity on another side; the whole organ where it has none of them."""
    anatomy = entity.anatomy
    regions = [region for region, _ in entity.regions] or anatomy.usual(entity.finding)
    there = [region for region in regions if anatomy.only_side(region) in (None, *word.weights)]
    return tuple((region, None) for region in there or anatomy.usual(None))


def set_standard(found: Entities, word: SideWord) -> set[int]:
    """Give the standard of a comparison its place: the one right after it, else the last one named, else the next.

    Returns:
        the terms of these places: no finding is asserted there.
    """
    ahead = _unsided_after(found, word)
    if ahead:
        give(found, word, ahead, ahead[-1].term)
        return {entity.term for entity in ahead}
    lone = lone_side(found, word, named_before(found, word) or named_after(found, word))
    found.add(lone)
    return {lone.term}


def _unsided_after(found: Entities, word: SideWord) -> list[Entity]:
    entities: list[Entity] = []
    for i in found.terms.after(word.last):
        if found.terms.has(i, "side", "comma", "with", "boundary", "singular verb", "plural verb"):
            break
        entities += [entity for entity in found.at.get(i, ()) if not entity.sides]
    return entities


def own_places(found: Entities, word: SideWord) -> list[Entity]:
    """Give a side after "but not" its own place: "the lungs are clear but not the left base".

    In "the left but not the right base" the place is that of both sides.
    """
    is_shared = found.terms.has(word.first - 3, "side")
    places = [] if is_shared else _unsided_after(found, word)
    for entity in places:
        entity.sides, entity.side_term = dict(word.weights), word.first
    return places


def set_contrast(found: Entities, word: SideWord, places: Sequence[Entity]) -> None:
    """ "but not on the right": the opposite of what is asserted of the nearest entity on the other side.

    Args:
        places: those of the side itself; without any it is a side alone.
    """
    terms = found.terms
    before = list(found.within(terms.before(word.first)))
    around = [*before, *found.within(terms.after(word.first))]
    opposite = [entity for entity in around if entity.sides and not set(entity.sides) & set(word.weights)]
    unsided = [entity for entity in before if not entity.sides]
    nearest = min(opposite or unsided, key=lambda entity: abs(entity.term - word.first), default=None)
    if nearest is None:
        return
    if not places:
        lone = Entity(word.first, terms.anatomy, _regions_on(nearest, word), sides=word.weights)
        found.add(lone)
        places = [lone]
    for entity in places:
        entity.repeats, entity.contrasts = nearest, True
