"""Notes for the reader of an explanation, one line each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from matex.dicom.header_notes import OTHER_MODALITY, OTHER_PART
from matex.domains import Pack, find_pack
from matex.geometry import Placement
from matex.images import Film
from matex.objectives import ClassScore, Contrast
from matex.results import SaliencyMap, Token

_INCOMPLETE = 0.05  # relative completeness error from which an explanation carries a note
_UNSEEN = 0.005  # share of the film from which a reader must know that the model did not see it


def film_notes(film: Film, placement: Placement, domain: str, read_notes: Sequence[str], score: float) -> list[str]:
    """Notes on what the model was given: unseen margins, what reading film and phrase said, orientation.

    Args:
        film: as read.
        placement: of the model's pixels in the film.
        domain: see `matex.domains`.
        read_notes: of the model and of the phrase as the model reads it.
        score: NaN where the model's embeddings are not finite.
    """
    notes = [note for note in (unseen_note(placement),) if note]
    pack = find_pack(domain)
    notes += [*(note for note in film.notes if pack is None or not _expects_chest(note)), *read_notes]
    if not math.isfinite(score):
        notes.append("the score is undefined: the model's embeddings are not finite, check its weights")
    assumed = not (film.oriented or film.mirrored)
    if domain == "chest" and film.view is None and assumed:
        notes.append("view and orientation unknown: taken as a frontal film in standard display")
    if pack is not None:
        notes += _pack_notes(pack, film, assumed)
    return notes


def _expects_chest(note: str) -> bool:
    """Whether a note of the file says only that it is no chest film."""
    return note == OTHER_PART or note.endswith(OTHER_MODALITY)


def _pack_notes(pack: Pack, film: Film, assumed: bool) -> list[str]:
    """Notes on what a data pack assumes of a film."""
    view = pack.view(film.view)
    if view is None:
        return [f"domain {pack.name}: view unknown, so no place is known. State one of {', '.join(pack.views)} as view"]
    notes = [f"view unknown: taken as {view.name}"] if film.view is None else []
    if assumed and pack.orientation == "assumed":
        notes.append(f"orientation unknown: taken as standard display, {pack.display}")
    return notes


def term_notes(components: Mapping[str, NDArray[np.float32]]) -> list[str]:
    """Notes on terms of a map that tell no place from another."""
    return [f"term {term!r} is constant" for term, grid in components.items() if np.ptp(grid) == 0]


def objective_notes(objective: Contrast | ClassScore | None, method: str, fused: bool, blind: bool) -> list[str]:
    """Notes on how a method explains a score of several phrases; none for the score of one.

    Args:
        objective: the score.
        method: its name.
        fused: whether it adds up terms, some of which do not read the score.
        blind: whether its image map is the same for every phrase.
    """
    if objective is None:
        return []
    notes: list[str] = []
    if isinstance(objective, ClassScore):
        notes.append(f"the words are those of the prompt {objective.text!r}, the best fit of its class")
    if not objective.linear:
        notes.append("methods that read gradients explain this score to first order around this image")
    if blind:
        notes.append(f"the image map of {method} does not depend on phrases: it is the same for any other score")
    elif fused:
        notes.append("attention terms and the prior are those of the phrase alone; only gradient terms read the score")
    return notes


def map_notes(image: SaliencyMap, tokens: Sequence[Token]) -> list[str]:
    """Notes on a map, or token scores, that say nothing."""
    notes: list[str] = []
    if tokens and constant(tokens):
        notes.append("the text map is constant: it does not tell the words apart")
    if image.degenerate:
        notes.append("the map is constant: it says nothing about where")
    return notes


def constant(tokens: Sequence[Token]) -> bool:
    """Whether no token has any score."""
    return not any(token.score for token in tokens)


def incompleteness(kind: str, report: Mapping[str, float | None]) -> str | None:
    """A note for the reader of a map whose sum misses the change of the score by more than 5 %; None otherwise.

    Args:
        kind: what the attributions are of: "image", "text", "audio", "second image".
        report: of a method, with the entries of `completeness` where it has them.
    """
    error = report.get("completeness_error")
    if error is None or abs(error) <= _INCOMPLETE:
        return None
    return (
        f"the {kind} attributions sum to {report['attribution_sum']:.3g}, but the score changes by "
        f"{report['score_change']:.3g} from the baseline: a completeness error of {abs(error):.0%}. "
        "More steps (samples) reduce it"
    )


def unseen_note(placement: Placement) -> str | None:
    """A note on a film that the model did not see all of; None where it misses less than .5 %."""
    edges = placement.unseen()
    seen_height, seen_width = (
        1 - sum(edges.get(edge, 0.0) for edge in pair) for pair in (("top", "bottom"), ("left", "right"))
    )
    share = 1 - seen_height * seen_width
    if share < _UNSEEN:
        return None
    where = ", ".join(f"{edge} {part:.0%}" for edge, part in edges.items() if part >= 0.0005)
    if placement.overlap != (0, 0):
        return f"no patch of the model covers {share:.0%} of the spectrogram ({where}): nothing is known there"
    return (
        f"the model never saw {share:.0%} of the film ({where}), which the centre crop cut off: nothing is known "
        'there. resize="pad" (--resize pad) shows it the whole film'
    )
