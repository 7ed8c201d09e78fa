"""The scopes of negation, normality, doubt and history: which terms each trigger of a sentence reaches."""

from __future__ import annotations

from dataclasses import dataclass

from matex.phrases.entities import Entities, Entity, side_weights
from matex.phrases.triggers import State, triggers_of


@dataclass(frozen=True, slots=True)
class Scopes:
    """The terms in each state."""

    terms: dict[State, set[int]]

    def is_absent(self, entity: Entity) -> bool:
        return entity.term in self.terms["negated"] or entity.term in self.terms["normal"]

    def flags(self, entity: Entity) -> tuple[bool, bool, bool]:
        """(negated, uncertain, historical), at most one of them True."""
        historical = entity.term in self.terms["historical"]
        negated = not historical and self.is_absent(entity)
        return negated, not negated and not historical and entity.term in self.terms["uncertain"], historical


def find_scopes(found: Entities, negated: set[int]) -> Scopes:
    """Apply the triggers of a sentence in order.

    Args:
        found: the entities with their sides; those of a side that has resolved are taken from what it repeats.
        negated: terms that are negated already.
    """
    scopes = Scopes({"negated": set(negated), "normal": set(), "uncertain": set(), "historical": set()})
    for i, term in enumerate(found.terms):
        for trigger in triggers_of(term.kinds):
            if trigger.when(found, i):
                marked = scopes.terms[trigger.state]
                marked.update(trigger.reach(found, i, marked))
    _correct_repeated(found, scopes)
    return scopes


def _correct_repeated(found: Entities, scopes: Scopes) -> None:
    """ "bilateral effusions; the left has resolved": only the right one is there."""
    for entity in found.all:
        before = entity.repeats
        if before is None:
            continue
        if entity.contrasts:
            scopes.terms["normal"].discard(entity.term)
            if scopes.is_absent(before):
                scopes.terms["negated"].discard(entity.term)
            else:
                scopes.terms["negated"].add(entity.term)
        elif scopes.is_absent(entity) and not scopes.is_absent(before):
            _take_sides_away(before, entity)


def _take_sides_away(before: Entity, entity: Entity) -> None:
    if any(side == "both" for _, side in before.regions):
        before.regions = tuple((region, None) for region, _ in before.regions)
        before.sides = side_weights("both")
    if len(before.sides) == 2:
        before.sides = {side: weight for side, weight in before.sides.items() if side not in entity.sides}
