"""Give every side word to the places and findings that it qualifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matex.phrases import lexicon
from matex.phrases.entities import Entities, Entity, SideWeights, side_weights
from matex.phrases.lone_sides import lone_side, named_after, named_before, own_places, set_contrast, set_standard
from matex.phrases.side_scopes import give, give_back, give_to_adjectives, has_usual_place, look_ahead, override_both
from matex.phrases.side_words import SideWord, find_side_words
from matex.phrases.terms import BREAKS


def assign_sides(found: Entities) -> set[int]:
    """Give the side words to their entities; a side with nothing to qualify becomes an entity itself.

    Every side word looks forward for its place, or backward when it follows it.

    Returns:
        the terms of entities that are only the standard of a comparison ("unlike the right"): these are denied.
    """
    all_words = find_side_words(found)
    words = [word for word in all_words if not word.contrasts]
    excepted = [(word, own_places(found, word)) for word in all_words if word.contrasts]
    denied: set[int] = set()
    waiting: SideWeights = {}
    start = 0
    for number, word in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else None
        stop = following.first if following else len(found.terms)
        if number and not waiting:
            start = words[number - 1].last
        if word.compares and override_both(found, word):
            continue
        if word.is_standard:
            if not (number and words[number - 1].compares):  # "worse on the left compared to the right"
                denied |= set_standard(found, word)
            continue
        waiting = _assign(found, word, _Neighbours(following, start, stop), waiting)
    for word, places in excepted:
        set_contrast(found, word, places)
    found.all.sort(key=lambda entity: entity.term)
    _pass_sides_on(found)
    return denied


@dataclass(frozen=True)
class _Neighbours:
    """Range of a side word: to `start` backward, to `stop`, where the next side word is, forward."""

    following: SideWord | None
    start: int
    stop: int


def _assign(found: Entities, word: SideWord, near: _Neighbours, waiting: SideWeights) -> SideWeights:
    """Give one side word to its entities.

    Args:
        waiting: sides before this one that wait for what it qualifies: "right and small left effusions".

    Returns:
        the sides that wait for the next side word.
    """
    terms = found.terms
    if waiting:
        word = replace(word, weights=waiting | word.weights)
    if give_to_adjectives(found, word) and not terms.has(word.last + 1, "level", "place", "several"):
        return {}
    ahead = [] if is_called_normal(found, word) else look_ahead(found, word, near.stop)
    if word.is_behind and give_back(found, word, near.start, findings=not _has_place_ahead(found, word, ahead)):
        return {}
    if terms.word(word.last) in lexicon.PAIRING and terms.has(word.last + 1, "side"):
        return {}
    if not ahead and near.following and _is_coordinated(found, word.last, near.following):
        return word.weights
    if ahead and (place := _continued_place(found, word, ahead)):
        found.add(lone_side(found, word, place))
    elif ahead:
        give(found, word, ahead, near.stop)
    elif not give_back(found, word, near.start, findings=not terms.has(word.last + 1, "normal")) and (
        not _is_of_something_else(found, word)
    ):
        referent = named_before(found, word)
        if referent is None and _refers_ahead(found, word, near.following):
            referent = named_after(found, word)
        found.add(lone_side(found, word, referent))
    return {}


def _has_place_ahead(found: Entities, word: SideWord, ahead: Sequence[Entity]) -> bool:
    """ "opacity on the right at the base"; in "opacity on the right, basal nodule" the base is that of the nodule."""
    if not any(entity.takes_side and not entity.is_weak for entity in ahead):
        return False
    return not (found.terms.is_parted(word.last, ahead[0].term) and any(entity.finding for entity in ahead))


def _continued_place(found: Entities, word: SideWord, ahead: Sequence[Entity]) -> Entity | None:
    """ "the right base is normal and the left is hazy": the left base is, not the left lung."""
    if found.terms.word(word.last + 1) not in lexicon.COPULAS:
        return None
    if any(entity.regions or has_usual_place(entity) for entity in ahead):
        return None
    place = named_before(found, word)
    is_other = place is not None and not place.finding and place.sides.keys().isdisjoint(word.weights)
    return place if is_other else None


def _refers_ahead(found: Entities, word: SideWord, following: SideWord | None) -> bool:
    """Whether a side that stands alone can be about what is named after it: "the left is stable, ..."."""
    if following is None:
        return False
    has_verb = found.terms.has(word.last + 1, "singular verb", "not behind")
    return following.is_standard or (has_verb and not is_called_normal(found, word))


def is_called_normal(found: Entities, word: SideWord) -> bool:
    """ "the right is clear, ...", "clear on the right, ...": what comes next belongs to another side."""
    terms = found.terms
    if terms.has(word.first - 2, "normal") and terms.word(word.first - 1) == "on" and terms.has(word.last + 1, *BREAKS):
        return True
    k = word.last + 1
    while terms.has(k, "singular verb", "plural verb") or terms.word(k) in lexicon.NEUTRAL:
        k += 1
    return k > word.last + 1 and terms.has(k, "normal")


def _is_of_something_else(found: Entities, word: SideWord) -> bool:
    """ "chest tube on the left", "bowel gas on the left": a device or other anatomy is the last noun before it."""
    for i in found.terms.before(word.first):
        if found.terms[i].is_any("device", "body"):
            return True
        if i in found.at or not found.terms.same_statement(i, word.first):
            return False
    return False


def _is_coordinated(found: Entities, i: int, following: SideWord) -> bool:
    """ "right and small left effusions": nothing but adjectives and a conjunction between two sides.

    In "no right and no left effusion" both are denied.
    """
    is_denied = found.terms.has(i - 1, "not")
    between = [term for term in found.terms.all[i + 1 : following.first] if not (is_denied and term.words == "no")]
    has_adjective = any(term.is_any("other", "status") for term in between)
    if has_adjective and not look_ahead(found, following, len(found.terms)):
        return False  # "right unchanged, left resolved": each describes its own side
    return (
        not following.is_standard
        and any(term.is_any("and", "or", "comma") for term in between)
        and all(term.is_any("and", "or", "comma", "other", "status") for term in between)
        and not any(term.words in lexicon.ONLY for term in between)
    )


def _pass_sides_on(found: Entities) -> None:
    """Pass a side from a whole to its part, and from a lung to a nearer place before it.

    "basal segment of the left lower lobe": the base is on the left. "apical nodule in the right lung": the lung gives
    way to the apex, which takes its side.
    """
    for entity in found.all:
        _pass_to_part(found, entity)
        if not (entity.is_weak and entity.sides):
            continue
        for other in found.within(found.terms.before(entity.term)):
            is_unsided = other.takes_side and not other.sides and other.is_nearer
            if (
                is_unsided
                and found.terms.same_statement(other.term, entity.term)
                and not _is_parted(found, other, entity)
            ):
                other.sides = dict(entity.sides)


def _is_parted(found: Entities, place: Entity, whole: Entity) -> bool:
    """Whether what stands between a place and the whole organ after it keeps the side of one from the other."""
    if not whole.anatomy.shares_side:
        return found.terms.is_parted(place.term, whole.term)
    between = found.terms.all[place.term : whole.term]
    return any("not" in term.kinds for term in between)


def _pass_to_part(found: Entities, whole: Entity) -> None:
    start = whole.term if whole.side_term is None else min(whole.term, whole.side_term)
    if found.terms.word(start - 1) not in ("of", "within"):
        return
    fixed: SideWeights = {side: 1.0 for _, key in whole.regions if key for side in side_weights(key)}
    for part in found.within((start - 2, start - 3)):
        if part.takes_side and not part.sides:
            part.sides = dict(whole.sides or fixed)
