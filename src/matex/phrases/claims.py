"""Claims of sentences: a finding, its absence, normality, doubt, or nothing about the patient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Literal

from matex.phrases import lexicon
from matex.phrases.anatomy import CHEST, Anatomy
from matex.phrases.entities import Entity
from matex.phrases.parser import ParsedSentence, read
from matex.phrases.sections import has_no_findings
from matex.phrases.sentence import Sentence, sentences
from matex.phrases.terms import BREAKS, Terms
from matex.phrases.vocabulary import Kind

Polarity = Literal["positive", "negated", "normal", "uncertain"]
Claim = Literal["positive", "negated", "normal", "uncertain", "no finding"]

_BY_STRENGTH: tuple[Polarity, ...] = ("positive", "uncertain", "normal", "negated")
_POLARITY_OF_KIND: tuple[tuple[Kind, Polarity], ...] = (
    ("normal", "normal"),
    ("not", "negated"),
    ("uncertain", "uncertain"),
)
_NOT_ABOUT_THE_PATIENT = lexicon.TECHNIQUE_WORDS | lexicon.DEVICE_WORDS | lexicon.MESSAGE_WORDS


def polarity(text: str, anatomy: Anatomy = CHEST) -> Polarity:
    """Whether a sentence asserts a finding, denies it, calls it possible, or calls the anatomy normal.

    Something certain outweighs something possible, that outweighs something normal, and that something absent. A
    sentence about none of these counts as positive.

    Examples:
        >>> polarity("No effusion."), polarity("No effusion, possible left basal opacity.")
        ('negated', 'uncertain')
    """
    return _strongest(read(sentence, anatomy) for sentence in sentences(text))


def claim(sentence: str | Sentence, anatomy: Anatomy = CHEST) -> Claim:
    """Claim of a sentence about the patient: its `polarity`, or "no finding" when it describes none.

    Sentences about technique, comparison, devices and recommendations describe no finding, and neither do those of a
    section such as INDICATION, also where the heading is part of the text ("Comparison: none."). A sentence that the
    rules cannot place counts as one that describes something.

    Examples:
        >>> claim("PA and lateral views of the chest."), claim("ET tube in situ, left effusion.")
        ('no finding', 'positive')
    """
    if isinstance(sentence, Sentence):
        return "no finding" if has_no_findings(sentence.section) else claim(sentence.text, anatomy)
    parts = sentences(sentence)
    readings = [read(part, anatomy) for part in parts if not has_no_findings(part.section)]
    return "no finding" if parts and not any(map(_describes_finding, readings)) else _strongest(readings)


# ---------------------------------------------------------------------------------------------------------- polarity


def _strongest(readings: Iterable[ParsedSentence]) -> Polarity:
    found = {state for reading in readings for state in _states(reading)}
    for state in _BY_STRENGTH:
        if state in found:
            return state
    return "positive"


def _states(reading: ParsedSentence) -> set[Polarity]:
    """The polarity of each entity of a sentence; of its words, when it has no entity."""
    terms = reading.terms
    found: set[Polarity] = set()
    is_vague = False
    device_places = _device_places(reading)
    for entity in [*reading.entities.all, *reading.entities.elsewhere]:
        state = None if entity.term in device_places else _state(reading, entity)
        if state == "positive" and not entity.sides and terms.word(entity.term) in lexicon.DESCRIPTORS:
            is_vague = True
        elif state is not None:
            found.add(state)
    if is_vague:  # "opacity, likely atelectasis" without a place claims the atelectasis
        is_doubted = any("uncertain" in term.kinds for term in terms)
        found.add("uncertain" if is_doubted else "positive")
    if found:
        return found
    return {state for term in terms for kind, state in _POLARITY_OF_KIND if kind in term.kinds}


def _state(reading: ParsedSentence, entity: Entity) -> Polarity | None:
    """The polarity of one entity; None for what is of the past."""
    negated, uncertain, historical = reading.scopes.flags(entity)
    if negated:
        return "normal" if entity.term in reading.scopes.terms["normal"] else "negated"
    if uncertain:
        return "uncertain"
    return None if historical else "positive"


def _device_places(reading: ParsedSentence) -> set[int]:
    """The terms that name only where a device lies: "IJ line at the cavoatrial junction"."""
    places: set[int] = set()
    if not any(_is_device(reading.terms, k) for k in range(len(reading.terms))):
        return places
    for part in _parts(reading.terms):
        denial = next((j for j, k in enumerate(part) if reading.terms.has(k, "not")), len(part))
        for half in (part[:denial], part[denial:]):  # "line over the heart without ...", "no line over the heart"
            entities = list(reading.entities.within(half))
            if not entities or any(entity.finding for entity in entities):
                continue
            if _is_device_part(reading.terms, half, entities[0].term):
                places.update(entity.term for entity in entities)
    return places


def _is_device_part(terms: Terms, part: Sequence[int], place: int) -> bool:
    return any(_is_device(terms, k) for k in part if k < place) or _continues_device(terms, part)


# ----------------------------------------------------------------------------------- sentences that describe nothing


def _describes_finding(reading: ParsedSentence) -> bool:
    """Whether the sentence describes a finding, or its absence, and not only devices, technique and the like.

    In doubt it does: an unknown word may be a finding, and so may a place that no device was brought to.
    """
    terms, entities = reading.terms, reading.entities
    if entities.elsewhere or any(entity.finding for entity in entities.all):
        return True
    if not any(_is_aside(terms, k) for k in range(len(terms))):
        return True
    is_message = any(_has_word(terms, k, lexicon.MESSAGE_WORDS) for k in range(len(terms)))
    return any(
        _names_place(reading, part) or _denies_or_normal(terms, part) or (not is_message and _has_unknown(terms, part))
        for part in _parts(terms)
    )


def _parts(terms: Terms) -> Iterator[list[int]]:
    """The sentence cut at commas and conjunctions."""
    part: list[int] = []
    for k, term in enumerate(terms):
        if term.is_any(*BREAKS) and k not in terms.joins:
            yield part
            part = []
        else:
            part.append(k)
    yield part


def _names_place(reading: ParsedSentence, part: Sequence[int]) -> bool:
    """Whether this part of the sentence names a place, and not only where a device lies."""
    terms = reading.terms
    place = next((entity.term for entity in reading.entities.within(part) if entity.regions), None)
    if place is None or any(terms.has(k, "out of view") for k in part):
        return False
    return not _is_device_part(terms, part, place)


def _denies_or_normal(terms: Terms, part: Sequence[int]) -> bool:
    """ "no complication after line placement", "normal portable radiograph"; not "tube in normal position".

    A denial with no noun after it is about what is before it: "prior films: none", "line not seen".
    """
    k = next((k for k in part if terms.has(k, "normal", "not", "not behind")), None)
    if k is None:
        return False
    if terms.has(k, "not"):
        noun = next((i for i in terms.after(k) if _is_aside(terms, i) or not terms.is_modifier(i)), None)
        if noun is None:
            return not any(_is_aside(terms, i) for i in range(k))
        return not (_is_aside(terms, noun) or any(_is_device(terms, i) for i in range(k)))
    return not any(_is_device(terms, i) or terms.word(i) in lexicon.QUALITIES_OF_TECHNIQUE for i in part)


def _has_unknown(terms: Terms, part: Sequence[int]) -> bool:
    """Whether a noun belongs to no device or technique ("pacemaker and bronchiolitis"), or something is shown.

    Words after the device that is shown are its own: "film shows the tube tip in good position".
    """
    verb = next((k for k in part if terms.word(k) in lexicon.REPORTING_VERBS), None)
    if verb is None:
        return not any(_is_aside(terms, k) for k in part) and any(_is_unknown_noun(terms, k) for k in part)
    shown = takewhile(lambda k: not _is_device(terms, k), (k for k in part if k > verb))
    return any(_is_unknown_noun(terms, k) and not _is_aside(terms, k + 1) for k in shown)


def _is_unknown_noun(terms: Terms, k: int) -> bool:
    is_word = terms.has(k, "other") and len(terms.word(k)) > 3 and terms.word(k).isalpha()
    return is_word and not terms.is_modifier(k) and not _is_aside(terms, k)


def _is_aside(terms: Terms, k: int) -> bool:
    """Whether a term is about devices, technique, or messages between readers."""
    return terms.has(k, "device", "position", "out of view") or _has_word(terms, k, _NOT_ABOUT_THE_PATIENT)


def _is_device(terms: Terms, k: int) -> bool:
    return terms.has(k, "device") or _has_word(terms, k, lexicon.DEVICE_WORDS)


def _has_word(terms: Terms, k: int, words: frozenset[str]) -> bool:
    return any(word in words for word in terms.word(k).split())


def _continues_device(terms: Terms, part: Sequence[int]) -> bool:
    """ "leads in the right atrium and right ventricle": nothing but a place after a device."""
    only_place = all(terms.has(k, "place", "several", "weak", "side", "level", "head", "preposition") for k in part)
    return only_place and any(_is_device(terms, k) for k in range(part[0]))
