"""Explanations as the page takes them: scores, words and places, and maps as raw values."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from matex.adapters.model import WORD
from matex.audit_results import Audit
from matex.domains import anatomy_of, read_places
from matex.explained_score import ScoreArguments
from matex.geometry import Box
from matex.interaction import Interactions
from matex.phrases import Claim, Mention, claim, sentences
from matex.phrases.anatomy import CHEST
from matex.render.colormap import ColourScale
from matex.render.film_data import GridData, grid_data, map_data
from matex.render.panel import Layer, describe_mention, layers
from matex.render.report import final_layer
from matex.results import KEPT, Explanation
from matex.serialise import Json, plain


@dataclass(frozen=True, eq=False)
class Explained:
    """An explanation that the server keeps.

    Args:
        film: identifier of its film.
        model: name of the model.
        explanation: with its maps.
        attention: for methods whose flow the browser weighs itself, the readout token's head-mean attention to the
            patches in each block, [block, rows, columns]; None for others.
        score: arguments of `ExplainedScore`; none for the phrase's own score.
    """

    film: str
    model: str
    explanation: Explanation
    attention: NDArray[np.float32] | None = None
    score: ScoreArguments = field(default_factory=ScoreArguments)

    @property
    def bytes(self) -> int:
        """Memory that it may come to hold: its film, and two maps in original pixels once they were read."""
        film = self.explanation.film
        pixels = math.prod(film.size)
        return film.pixels.nbytes + (8 * pixels if pixels <= KEPT else 0)


class MentionData(TypedDict):
    """A mention of a place, with its characters in the phrase."""

    start: int
    end: int
    region: str
    side: str
    assertion: str
    weight: float
    kind: Literal["normal", "off", "on"]


class SentenceData(TypedDict):
    """A sentence and what it claims."""

    text: str
    start: int
    claim: Claim


class ReadingData(TypedDict):
    """A phrase or report as it is read."""

    sentences: list[SentenceData]
    mentions: list[MentionData]


class BlocksData(GridData):
    """Rows of attention of several blocks, one below the other."""

    blocks: int


class LiveData(TypedDict):
    """What the page needs to fuse MATEX itself."""

    gradient: GridData
    consistency: GridData
    prior: GridData | None
    attention: BlocksData


def explanation_data(key: str, explained: Explained) -> dict[str, Json]:
    """One explanation with its maps."""
    explanation = explained.explanation
    image = explanation.image
    return plain(
        {
            "id": key,
            "film": explained.film,
            "model": explained.model,
            "text": explanation.text,
            "method": explanation.method,
            "parameters": explanation.parameters,
            "resize": explanation.query.resize,
            "lung_mask": explanation.query.lung_mask is not None,
            "score": explanation.score,
            "score_kind": explanation.score_kind,
            "other_score": explanation.query.objective is not None,
            "probability": explanation.probability,
            "seconds": explanation.computation.seconds,
            "degenerate": image.degenerate,
            "notes": explanation.notes,
            "words": explanation.words or [(match.group(), None) for match in WORD.finditer(explanation.text)],
            "mentions": mentions_data(explanation.regions),
            "map": map_data(final_layer(explanation), image.placement),
            "layers": [
                {"term": term, **map_data(layer, image.placement)}
                for term, layer in zip_longest(explanation.components, layers(explanation))
            ],
            "weights": explanation.weights,
            "live": _live(explained),
        }
    )


def _live(explained: Explained) -> LiveData | None:
    """Values for fusing MATEX in the browser: terms that do not depend on its weights, rows per block, the prior.

    The prior of eq. 5 is M = 1 + (strength - 1) n; n is sent, so that the strength can change.
    """
    explanation, attention = explained.explanation, explained.attention
    if attention is None or explanation.prior is None:
        return None
    strength = float(explanation.parameters["prior_strength"])
    known = strength > 1
    unit = (explanation.prior - 1) / (strength - 1) if known else np.zeros_like(explanation.prior)
    blocks, rows, columns = attention.shape
    return {
        "gradient": grid_data(explanation.components["gradient"]),
        "consistency": grid_data(explanation.components["consistency"]),
        "prior": grid_data(unit) if known else None,
        "attention": {**grid_data(attention.reshape(blocks * rows, columns)), "blocks": blocks},
    }


def words_data(key: str, found: Interactions) -> dict[str, Json]:
    """The maps of single words, on one scale."""
    scale = ColourScale.of(found.values)
    return plain(
        {
            "id": key,
            "method": found.method,
            "report": found.report,
            "words": [
                map_data(Layer(word, f"the map of {word}", grid, scale), found.placement)
                for word, grid in zip(found.words, found.values, strict=True)
            ],
        }
    )


def support_data(found: Interactions, box: Box) -> dict[str, Json]:
    """Words that a box supports, and the share of the film that it covers.

    Args:
        found: maps of the words.
        box: fractions of the film as it lies.
    """
    height, width = found.placement.original
    x0, y0, x1, y1 = box
    rows = found.support((x0 * width, y0 * height, x1 * width, y1 * height))
    return plain({"area": (x1 - x0) * (y1 - y0), "words": [row._asdict() for row in rows]})


def mentions_data(mentions: tuple[Mention, ...]) -> list[MentionData]:
    """Mentions found by the parser, with their characters in the phrase."""
    found: list[MentionData] = []
    for mention in mentions:
        region, side, assertion = describe_mention(mention)
        found.append(
            {
                "start": mention.start,
                "end": mention.end,
                "region": region,
                "side": side,
                "assertion": assertion,
                "weight": mention.weight,
                "kind": "normal" if mention.normal else "off" if mention.weight == 0 else "on",
            }
        )
    return found


def reading_data(text: str, domain: str = "chest") -> ReadingData:
    """A phrase or report as it is read in a domain, without any model: sentences with their claims, and its places."""
    anatomy = anatomy_of(domain) or CHEST
    return {
        "sentences": [
            {"text": sentence.text, "start": sentence.start, "claim": claim(sentence, anatomy)}
            for sentence in sentences(text)
        ],
        "mentions": mentions_data(read_places(text, domain)),
    }


def audit_data(audit: Audit) -> dict[str, Json]:
    """An audit: verdict, checks with their numbers, and the maps of the controls."""
    placement = audit.explanation.image.placement
    return plain(
        {
            "verdict": audit.verdict,
            "summary": audit.summary,
            "checks": [{"name": name, **dataclasses.asdict(check)} for name, check in audit.checks.items()],
            "controls": [
                {
                    "name": name,
                    "title": control.title,
                    "text": control.text,
                    "score": control.score,
                    "likeness": control.likeness,
                    "stays": control.stays,
                    "reference": control.reference,
                    "map": map_data(
                        Layer(control.title, control.text, control.image.grid, ColourScale(*control.image.range)),
                        placement,
                    ),
                }
                for name, control in audit.controls.items()
            ],
        }
    )
