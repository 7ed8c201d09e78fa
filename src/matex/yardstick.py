"""Reference scores of other phrases: a cosine of 0.02 is neither high nor low by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matex.adapters.model import Encoded, Model
from matex.domains import anatomy_of, is_anatomical
from matex.errors import InputError
from matex.explained_score import phrase_scores
from matex.phrases import polarity
from matex.phrases.anatomy import CHEST
from matex.phrases.paraphrases import within_sentence
from matex.phrases.swap_sides import other_side
from matex.prompts import CHEST14
from matex.results import Scored, Yardstick

if TYPE_CHECKING:
    from matex.queries import Query

UNRELATED = "the weather is fine today"
UNRELATED_WITHOUT_ANATOMY = "frontal chest radiograph"
"""Phrases about something else than the image: than a medical one, and than any other."""
FINDINGS = tuple(prompts[0] for prompts in CHEST14.values())
"""Zero-shot phrases of the fourteen chest findings, one each."""


def yardstick(model: Model, query: Query) -> Yardstick:
    """Score a phrase, its mirror image, its denial, an unrelated phrase, no words, and the chest findings.

    One pass of the image and one batch of phrases.

    Args:
        model: whose scores these are.
        query: a film and a phrase.
    """
    text = query.text
    phrases = [one for one in compared_phrases(text, query.domain) if is_readable(model, one[1])]
    encoded = [model.encode(phrase) for _, phrase in phrases]
    if is_readable(model, "lung") and (empty := no_words(model)) is not None:
        phrases.append(("no words", ""))
        encoded.append(empty)
    findings = [one for one in FINDINGS if one != text and is_readable(model, one)] if query.domain == "chest" else []
    scores = [float(one) for one in phrase_scores(model, query, [*encoded, *map(model.encode, findings)])]
    own, of_findings = scores[0], scores[len(phrases) :]
    rows = tuple(
        Scored(kind, phrase, score, model.similarity.probability(score))
        for (kind, phrase), score in zip(phrases, scores, strict=False)
    )
    if not findings:
        return Yardstick(rows)
    highest = max(zip(of_findings, findings, strict=True))
    rank = 1 + sum(score > own for score in of_findings)
    return Yardstick(rows, rank, 1 + len(findings), Scored("highest finding", highest[1], highest[0]))


def compared_phrases(text: str, domain: str) -> list[tuple[str, str]]:
    """(kind, phrase) of the phrase itself, with the other side, denied or affirmed, and an unrelated one."""
    phrases = [("this phrase", text)]
    anatomy = anatomy_of(domain)
    if anatomy is not None and (other := other_side(text, anatomy)) is not None:
        phrases.append(("other side", other))
    if (opposite := opposite_claim(text, domain)) is not None:
        phrases.append(opposite)
    return [*phrases, ("unrelated", unrelated_phrase(domain))]


def unrelated_phrase(domain: str) -> str:
    """A phrase about something else than the images of a domain."""
    return UNRELATED if is_anatomical(domain) else UNRELATED_WITHOUT_ANATOMY


def opposite_claim(text: str, domain: str = "chest") -> tuple[str, str] | None:
    """("denied" or "affirmed", phrase) of the opposite claim; None for a denial that does not begin with "no"."""
    is_positive = polarity(text, anatomy_of(domain) or CHEST) == "positive"
    opposite = ("denied", denied(text)) if is_positive else ("affirmed", affirmed(text))
    return None if opposite[1] == text else opposite


def is_readable(model: Model, phrase: str) -> bool:
    """Whether a model takes a phrase: a denial may be too long for its context, and a tokenizer may lack a word."""
    try:
        model.encode(phrase)
    except InputError:
        return False
    return True


def denied(text: str) -> str:
    """The phrase with its finding denied."""
    return f"no {within_sentence(text)}"


def affirmed(text: str) -> str:
    """A denied phrase without its "no"; other phrases as they are."""
    return text[3:] if text[:3].lower() == "no " else text


def no_words(model: Model) -> Encoded | None:
    """A phrase without words: the special tokens alone; None for a tokenizer that adds none."""
    ids = model.encode("lung").ids
    special = set(model.tokenizer.all_special_ids) if model.tokenizer is not None else set[int]()
    return Encoded((ids[0], ids[-1]), ((0, 0), (0, 0)), ()) if {ids[0], ids[-1]} <= special else None
