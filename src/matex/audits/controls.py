"""The controls of an audit: maps of the same film with another phrase, prior, side, weights or seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from matex.adapters.black_box import BlackBox
from matex.adapters.model import Model
from matex.adapters.randomise import randomised
from matex.attribution import METHODS, make
from matex.audit_results import Control
from matex.audits.checks import guided, no_sides
from matex.audits.regions import likeness, stays
from matex.domains import anatomy_of, read_places
from matex.objectives import Contrast
from matex.phrases import Mention
from matex.phrases.swap_sides import other_side
from matex.protocols import Method, attends_to_phrase
from matex.raw_maps import ImageMaps, image_maps
from matex.results import Explanation, SaliencyMap
from matex.yardstick import is_readable, opposite_claim

RANDOM_MODELS = 3  # how many models with random weights


class Target(NamedTuple):
    """Target that a control explains.

    Args:
        title: what differs from the explanation.
        text: the phrase.
        mentions: the places that the prior takes the phrase to name; none for no prior.
        without_prior: compare with the explanation's map without its prior.
        against: a phrase whose score is subtracted; empty for none.
    """

    title: str
    text: str
    mentions: tuple[Mention, ...]
    without_prior: bool = False
    against: str = ""


def phrase_controls(model: Model, explanation: Explanation, unrelated: str) -> dict[str, Control]:
    """The maps of other phrases and other priors, over one trace, and those of the mirrored film."""
    other = _other_side(explanation)
    other = other if other is not None and is_readable(model, other) else None
    opposite = opposite_claim(explanation.text, explanation.query.domain)
    opposite = opposite if opposite is not None and is_readable(model, opposite[1]) else None
    targets = _targets(explanation, other, unrelated)
    if opposite is not None:
        targets["opposite_claim"] = Target(f"phrase {opposite[0]}", opposite[1], (), guided(explanation))
    controls = _controls(model, explanation, targets, {})
    rivals = {"other_side": other, "opposite_claim": None if opposite is None else opposite[1]}
    controls |= _contrasts(model, explanation, rivals, controls)
    if other is not None and no_sides(explanation) is None:
        controls |= _controls(model, explanation, _mirrored_targets(explanation, other), controls, mirrored=True)
    return controls


def _other_side(explanation: Explanation) -> str | None:
    """The explained phrase with the other side; None where it or the domain has none."""
    anatomy = anatomy_of(explanation.query.domain)
    return None if anatomy is None else other_side(explanation.text, anatomy)


def _contrasts(
    model: Model, explanation: Explanation, rivals: Mapping[str, str | None], known: Mapping[str, Control]
) -> dict[str, Control]:
    """The maps of what speaks for the phrase rather than a rival; none of a method that reads one phrase's tokens."""
    controls: dict[str, Control] = {}
    if attends_to_phrase(METHODS[explanation.method]):
        return controls
    for name, rival in rivals.items():
        if rival is not None:
            target = Target(f"the phrase rather than “{rival}”", explanation.text, (), guided(explanation), rival)
            controls |= _controls(model, explanation, {f"against_{name}": target}, known)
    return controls


def random_weight_controls(model: Model, explanation: Explanation) -> dict[str, Control]:
    """The maps of the same phrase from models with random weights; none of a black box, whose weights are not known."""
    controls: dict[str, Control] = {}
    if isinstance(model, BlackBox):
        return controls
    for number in range(1, RANDOM_MODELS + 1):
        target = Target(f"random weights, model {number}", explanation.text, explanation.regions)
        random = randomised(model, number - 1)
        controls |= _controls(random, explanation, {f"random_weights_{number}": target}, {})
    return controls


def seed_maps(model: Model, explanation: Explanation, repeats: int) -> list[SaliencyMap]:
    """The explanation's map with the seeds 0, 1, ...; none for a method without a seed."""
    if "seed" not in explanation.parameters:
        return []
    target = Target("", explanation.text, explanation.regions)
    methods = [make(explanation.method, {**explanation.parameters, "seed": seed}) for seed in range(repeats)]
    return [
        SaliencyMap(maps.grids[0], explanation.image.placement) for maps in _maps(model, explanation, [target], methods)
    ]


def _targets(explanation: Explanation, other: str | None, unrelated: str) -> dict[str, Target]:
    """The phrases and priors that are explained on the film as it is, by the names of their controls."""
    text, has_prior, suffix = explanation.text, guided(explanation), _suffix(explanation)
    places = read_places(other, explanation.query.domain) if other else ()
    targets: dict[str, Target] = {}
    if has_prior:
        targets["no_prior"] = Target("without the prior", text, ())
    if has_prior and other:
        targets["mirrored_prior"] = Target("prior on the other side", text, places)
    if other:
        targets["other_side"] = Target("phrase with the other side", other, places)
    if has_prior and other:
        targets["other_side_no_prior"] = Target("other side, without the prior", other, (), has_prior)
    targets["unrelated"] = Target(f"unrelated phrase{suffix}", unrelated, (), has_prior)
    return targets


def _mirrored_targets(explanation: Explanation, other: str) -> dict[str, Target]:
    """Both sides' phrases, which are explained on the mirrored film without the prior."""
    has_prior, suffix = guided(explanation), _suffix(explanation)
    return {
        "mirrored_film": Target(f"mirrored film{suffix}", explanation.text, (), has_prior),
        "mirrored_film_other_side": Target(f"mirrored film, other side{suffix}", other, (), has_prior),
    }


def _suffix(explanation: Explanation) -> str:
    """End of the title of a control without the prior; empty where the explanation has none either."""
    return ", without the prior" if guided(explanation) else ""


def _controls(
    model: Model,
    explanation: Explanation,
    targets: Mapping[str, Target],
    known: Mapping[str, Control],
    mirrored: bool = False,
) -> dict[str, Control]:
    """Explain the targets over one trace and compare each map with its reference.

    Args:
        model: the one that was explained, or another in its place.
        explanation: that is audited.
        targets: by the names of their controls.
        known: controls that exist already; the map without the prior is taken from them.
        mirrored: show the model the mirrored film.
    """
    method = make(explanation.method, explanation.parameters)
    (maps,) = _maps(model, explanation, list(targets.values()), [method], mirrored)
    grids = np.ascontiguousarray(maps.grids[..., ::-1]) if mirrored else maps.grids
    controls: dict[str, Control] = {}
    for (name, target), grid, score in zip(targets.items(), grids, maps.score, strict=True):
        image, reference = SaliencyMap(grid, explanation.image.placement), explanation.image
        if target.without_prior:
            reference = {**known, **controls}["no_prior"].image
        controls[name] = Control(
            target.title,
            target.text,
            float(score),
            image,
            likeness(reference, image),
            stays(reference, image),
            "no_prior" if target.without_prior else "map",
        )
    return controls


def _maps(
    model: Model,
    explanation: Explanation,
    targets: Sequence[Target],
    methods: Sequence[Method],
    mirrored: bool = False,
) -> list[ImageMaps]:
    """Maps and scores of the targets by each method, over one trace; of the mirrored film as the model sees it.

    All targets of a call have the same `against`.
    """
    query = explanation.query
    pixels, placement = model.prepare(query.film, query.resize)
    return image_maps(
        model,
        pixels.flip(-1) if mirrored else pixels,
        [model.encode(target.text) for target in targets],
        [(0, number) for number in range(len(targets))],
        [query.context(placement, target.mentions) for target in targets],
        methods,
        Contrast(targets[0].against) if targets[0].against else None,
    )
