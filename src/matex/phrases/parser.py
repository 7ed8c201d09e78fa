"""Read the regions of a phrase: a deterministic rule parser in passes over the terms of each sentence.

terms -> statements -> entities -> sides -> scopes -> mentions: each pass is a module. docs/anatomy.md lists the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matex.phrases.anatomy import CHEST, Anatomy
from matex.phrases.entities import Entities, Entity, SideWeights, find_entities, side_weights
from matex.phrases.mention import UNCERTAIN_WEIGHT, Mention, Side
from matex.phrases.scopes import Scopes, find_scopes
from matex.phrases.sentence import Sentence, sentences
from matex.phrases.sides import assign_sides
from matex.phrases.statements import split_statements
from matex.phrases.terms import REACH, Terms, find_terms

_SIDES: tuple[Side, ...] = ("right", "left")


@dataclass(frozen=True, eq=False)
class ParsedSentence:
    """Parsed content of one sentence."""

    sentence: Sentence
    entities: Entities
    scopes: Scopes

    @property
    def terms(self) -> Terms:
        return self.entities.terms


def read(sentence: Sentence, anatomy: Anatomy = CHEST) -> ParsedSentence:
    """Run all passes over one sentence."""
    terms = split_statements(find_terms(sentence.text, sentence.start, anatomy))
    entities = find_entities(terms)
    negated = assign_sides(entities)
    return ParsedSentence(sentence, entities, find_scopes(entities, negated))


def parse(text: str, anatomy: Anatomy = CHEST) -> tuple[Mention, ...]:
    """Read the regions of a phrase or of several sentences, in the order in which they are named.

    A phrase with two sides yields one mention per side. Nothing is guessed from a finding alone: only a finding whose
    side is given has a usual place (docs/anatomy.md lists every rule).

    Args:
        text: the phrase.
        anatomy: regions and words of the image that it is about (`matex.domains`).

    Examples:
        >>> [(mention.side, mention.region, mention.weight) for mention in parse("possible right upper lobe nodule")]
        [('right', 'upper lobe', 0.5)]
    """
    return tuple(mention for sentence in sentences(text) for mention in _mentions(read(sentence, anatomy)))


def _mentions(reading: ParsedSentence) -> list[Mention]:
    found = [
        _mention(reading, entity, region, side, weight)
        for entity in reading.entities.all
        if not _gives_way(reading, entity)
        for region, side, weight in _regions(reading.terms, entity)
    ]
    return sorted(found, key=lambda mention: mention.start)


def _mention(reading: ParsedSentence, entity: Entity, region: str, side: Side | None, weight: float) -> Mention:
    start, end = _span(reading, entity)
    offset = reading.sentence.start
    negated, uncertain, historical = reading.scopes.flags(entity)
    normal = negated and entity.term in reading.scopes.terms["normal"]
    if weight == 0 and not historical:  # the clearer side of a comparison
        negated, uncertain = True, False
    if negated or historical:
        weight = 0.0
    elif uncertain:
        weight *= UNCERTAIN_WEIGHT
    text = reading.sentence.text[start - offset : end - offset]
    return Mention(text, start, end, region, side, negated, uncertain, historical, weight, normal)


def _regions(terms: Terms, entity: Entity) -> Iterator[tuple[str, Side | None, float]]:
    """Every region and side of an entity with its weight, before negation and doubt."""
    for region, fixed in _places(terms, entity):
        sides = _sides_of(entity, fixed) if terms.anatomy.is_sided(region) else {}
        for side in _SIDES:
            if side in sides:
                yield region, side, sides[side]
        if not sides:
            yield region, None, 1.0


def _places(terms: Terms, entity: Entity) -> Sequence[tuple[str, str | None]]:
    """The regions of a place, or the usual ones of a finding whose side is known."""
    if entity.finding is None:
        return entity.regions
    if not entity.sides or terms.word(entity.term) in terms.anatomy.placeless:
        return ()
    return [(region, None) for region in terms.anatomy.usual(entity.finding)]


def _sides_of(entity: Entity, fixed: str | None) -> SideWeights:
    if fixed:
        return side_weights(fixed)
    if not entity.sides and entity.usual_side:
        return side_weights(entity.usual_side)
    return entity.sides


def _span(reading: ParsedSentence, entity: Entity) -> tuple[int, int]:
    """From the side word to the place when only adjectives are between them, else the place alone."""
    terms = reading.terms
    first, last = entity.term, max(entity.term, entity.last)
    if entity.side_term is not None:
        low, high = min(first, entity.side_term), max(last, entity.side_term)
        between = (k for k in range(low, high + 1) if not first <= k <= last and k != entity.side_term)
        if not any(k in reading.entities.at or terms[k].is_any("comma", "and", "or", "with") for k in between):
            first, last = low, high
    return terms[first].start, terms[last].end


# --------------------------------------------------------------------------------------- places that add nothing


def _gives_way(reading: ParsedSentence, entity: Entity) -> bool:
    """Whether a nearer place repeats a whole lung, "pleural", "peripheral" or "central" more exactly."""
    if reading.terms.anatomy.shares_side and not entity.sides and _is_named_with_side(reading, entity):
        return True
    if not entity.is_weak:
        return False
    if _is_heading(reading.entities, entity):
        return True
    around = range(entity.term - REACH, entity.term + REACH)
    return any(_repeats(reading, entity, other) for other in reading.entities.within(around))


def _is_named_with_side(reading: ParsedSentence, entity: Entity) -> bool:
    """Whether another word names the same regions with a side: "extra-axial haematoma of the left convexity"."""
    flags = reading.scopes.flags(entity)
    return any(
        other.sides and other.regions == entity.regions and reading.scopes.flags(other) == flags
        for other in reading.entities.all
    )


def _is_heading(found: Entities, entity: Entity) -> bool:
    """ "Lungs: opacity in the left base"."""
    end = max(entity.term, entity.last) + 1
    return found.terms.has(end, "colon") and any(
        other.sides or other.takes_side for other in found.within(range(end, end + REACH))
    )


def _repeats(reading: ParsedSentence, entity: Entity, other: Entity) -> bool:
    """Whether a nearer place has the same side and the same assertion."""
    terms = reading.terms
    if other.is_weak or not other.is_nearer or not terms.same_statement(other.term, entity.term):
        return False
    if reading.scopes.flags(other) != reading.scopes.flags(entity) or _is_listed_with(terms, entity, other):
        return False
    if entity.sides and set(entity.sides) == set(other.sides):
        return True
    low, high = sorted((entity.term, other.term))
    is_parted = any(terms[k].is_any("comma", "and", "or") for k in range(low, high))
    return not is_parted and (not entity.sides or not other.sides)


def _is_listed_with(terms: Terms, entity: Entity, other: Entity) -> bool:
    """ "right lung and right hilum", "left lung, left base": two nouns of one list, each named in its own right."""
    if terms.word(entity.term) not in terms.anatomy.whole_places:
        return False
    low, high = sorted((max(entity.term, entity.last), other.term))
    between = range(low + 1, high)
    if not all(
        terms.has(k, "and", "or", "comma", "side", "other", "status", "preposition", "place", "weak", "level", "head")
        for k in between
    ):
        return False
    has_comma = any(terms.has(k, "comma") for k in between) and terms.has(high - 1, "side")
    has_comma = has_comma and not terms.anatomy.shares_side
    return has_comma or any(terms.has(k, "and", "or") for k in between)
