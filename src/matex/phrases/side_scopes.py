"""Places and findings that a side word qualifies: those after it, those before it, or those on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matex.phrases import lexicon
from matex.phrases.entities import Entities, Entity
from matex.phrases.mention import LESSER_SIDE_WEIGHT
from matex.phrases.side_words import SideWord
from matex.phrases.terms import BREAKS, REACH


def look_ahead(found: Entities, word: SideWord, stop: int) -> list[Entity]:
    """The entities of the first part after the side word that has any, up to the next side word."""
    entities: list[Entity] = []
    for i in range(word.first, min(stop, word.last + REACH)):
        if not found.terms.same_statement(i, word.first) or (entities and found.terms.has(i, *BREAKS, "not")):
            break
        if word.is_behind and found.terms.has(i, "and", "with"):
            break
        entities += [entity for entity in found.at.get(i, ()) if not entity.sides]
    return entities


def give(found: Entities, word: SideWord, ahead: Sequence[Entity], stop: int) -> None:
    """Give the side to places before findings; later places of the same statement inherit it."""
    for entity in _qualified(found, ahead):
        entity.sides = dict(word.weights)
        entity.side_term = word.first
    _inherit(found, word, ahead[-1].term, stop)


def _qualified(found: Entities, ahead: Sequence[Entity]) -> list[Entity]:
    """Entities after a side word that it qualifies."""
    places = _strongest(entity for entity in ahead if entity.takes_side)
    usual = next((entity for entity in ahead if has_usual_place(entity)), None)
    if usual is not None:
        places = [entity for entity in places if entity.regions[0][0] != "pleura"]
    if places:
        if usual and usual.term < places[0].term and places[0].regions[0][0] in lexicon.FISSURES:
            return [usual, *places]  # "effusion tracking into the fissure" is in both
        return places
    if ahead[0].regions and not ahead[0].takes_side:  # "right mediastinal mass": the side says no more
        return []
    if usual is not None:
        return _joined(found, usual, found.within(found.terms.after(usual.term)))
    return [entity for entity in ahead if entity.finding][:1]


def _strongest(places: Iterable[Entity]) -> list[Entity]:
    """The places that give way to none, else all of them."""
    all_places = list(places)
    return [place for place in all_places if not place.is_weak] or all_places


def has_usual_place(entity: Entity) -> bool:
    """Whether an entity is a finding such as an effusion, whose place its side alone determines."""
    return entity.finding in entity.anatomy.usual_places


def _inherit(found: Entities, word: SideWord, after: int, stop: int) -> None:
    if word.compares:
        return
    terms = found.terms
    for i in range(after, min(stop, after + REACH)):
        if not terms.same_statement(i, word.last) or (len(word.weights) == 2 and terms.has(i, "with")):
            return
        for entity in found.at.get(i, ()):
            is_own = not entity.is_weak or (terms.has(i - 1, "and", "or") and i - 2 in found.at)
            if entity.takes_side and is_own and not entity.sides and not entity.usual_side:
                entity.sides = dict(word.weights)


def _joined(found: Entities, finding: Entity, others: Iterable[Entity]) -> list[Entity]:
    """Findings with a usual place that "and" or "or" joins share a side: "left effusion and pneumothorax"."""
    joined = [finding]
    if not has_usual_place(finding):
        return joined
    for other in others:
        low, high = sorted((finding.term, other.term))
        between = found.terms.all[low + 1 : high]
        if (
            has_usual_place(other)
            and any(term.is_any("and", "or") for term in between)
            and all(term.is_any("and", "or", "other", "status") for term in between)
        ):
            joined.append(other)
    return joined


# ---------------------------------------------------------------------------------------------------------- backward


def give_to_adjectives(found: Entities, word: SideWord) -> bool:
    """ "basal left effusion": the places that are adjectives before the side; whether there are any."""
    places = [] if word.compares else found.adjectives_before(word.first)
    for entity in places:
        entity.sides, entity.side_term = dict(word.weights), word.first
    return bool(places)


def give_back(found: Entities, word: SideWord, start: int, findings: bool) -> bool:
    """Give the side to the places before it that have none, else to the nearest finding; whether there is any."""
    end = found.terms.skip(word.first, -1, "side", "preposition")
    before = [
        entity
        for entity in found.within(range(max(start, word.first - REACH), word.first))
        if found.terms.same_statement(entity.term, word.first) and not entity.sides
        if not (entity.usual_side and found.terms.is_parted(entity.term, end))
    ]
    places = _strongest(entity for entity in before if entity.takes_side)
    if findings and (not places or _follows_effusion(found, word)):
        nearest = next((entity for entity in reversed(before) if entity.finding), None)
        if nearest and not places and _has_midline_place(found, nearest, word):
            return True  # "mediastinal mass on the right": the side says no more
        if nearest and word.compares and _has_sided_place(found, nearest):
            return False  # "right base opacity, worse on the left": the bases are compared
        if nearest and not _has_device_between(found, nearest.term, word.first):
            places = _joined(found, nearest, before)
    for entity in places:
        entity.sides = dict(word.weights)
        entity.side_term = word.last
    return bool(places)


def _has_device_between(found: Entities, i: int, k: int) -> bool:
    return any(term.is_any("device", "body") for term in found.terms.all[i + 1 : k])


def _has_midline_place(found: Entities, finding: Entity, word: SideWord) -> bool:
    """Whether the finding is one of a midline place: "abdominal gas on the left", "mass in the mediastinum"."""
    k = found.terms.skip(finding.term - 1, -1, "other", "status", "finding", "singular verb", "plural verb")
    near = found.within([k, *range(finding.term, word.first)])
    return any(entity.regions and not entity.is_sided for entity in near)


def _has_sided_place(found: Entities, finding: Entity) -> bool:
    """Whether a place with a side is right before a finding: "right base opacity"."""
    k = found.terms.skip(finding.term - 1, -1, "other", "status", "finding", "head")
    return any(entity.takes_side and entity.sides for entity in found.at.get(k, ()))


def _follows_effusion(found: Entities, word: SideWord) -> bool:
    """Whether the side is that of a finding right before it which has a usual place, and not of earlier places.

    "opacity at the bases, effusion on the left".
    """
    terms = found.terms
    k = terms.skip(word.first - 1, -1, "preposition", "other", "status")
    is_effusion = any(has_usual_place(entity) for entity in found.at.get(k, ()))
    return is_effusion and terms.has(terms.skip(k, -1, "finding", "other", "status", "not", "or"), "comma")


def override_both(found: Entities, word: SideWord) -> bool:
    """ "bilateral effusions, right greater than left": the weights go to what is on both sides already."""
    weights = {side: weight or LESSER_SIDE_WEIGHT for side, weight in word.weights.items()}  # the clearer one has some
    named = [entity.regions for entity in found.within(range(word.first, word.last)) if entity.regions]
    both = [
        entity
        for entity in found.within(found.terms.before(word.first))
        if set(entity.sides) == {"right", "left"} or any(side == "both" for _, side in entity.regions)
        if not named or entity.regions in named
    ]
    for entity in both:
        entity.regions = tuple((region, None) for region, _ in entity.regions)
        entity.sides = dict(weights)
    return bool(both)
