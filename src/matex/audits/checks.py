"""The checks of an audit: one pure function for each question, from the explanation and its controls."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from matex.audits.limits import below_limit, from_limit, rule
from matex.audits.regions import corners, likeness, lungs, model_pixels, prior_share, share_inside
from matex.dicom.view_position import is_frontal
from matex.priors.atlas import REGIONS
from matex.results import Check, Control, Explanation, SaliencyMap

NO_CHEST = "The image was not declared to be a chest film."

Values = dict[str, float | str | None]


def guided(explanation: Explanation) -> bool:
    """Whether the place that the phrase names entered the map."""
    prior = explanation.prior
    return prior is not None and bool(np.ptp(prior) > 0)


def is_chest(explanation: Explanation) -> bool:
    """Whether the image was declared to be a chest film."""
    return explanation.query.domain == "chest"


def no_sides(explanation: Explanation) -> str | None:
    """Reason why the image has no left and right side, or None where it has."""
    if not is_chest(explanation):
        return NO_CHEST
    if not is_frontal(explanation.film.view):
        return "Only a frontal film shows left and right side by side."
    return None


def check_map(explanation: Explanation) -> Check:
    """Whether the map differs from place to place at all."""
    question = "Does the map vary over the film?"
    if explanation.image.degenerate:
        return Check(question, "fail", "The map is constant: it says nothing about where.", {})
    return Check(question, "pass", "The map varies over the film.", {})


def check_prior_share(explanation: Explanation, controls: Mapping[str, Control]) -> Check:
    """Share of the map that the prior contributes; control: the same map without the prior."""
    question = "How much of the map comes from the prior alone?"
    limits = rule("prior_share", "share of the map that goes when the prior is off", "from")
    if not guided(explanation):
        why = "this method has no prior" if explanation.prior is None else "the prior is neutral here"
        return Check(question, "skipped", f"None of it: {why}.", {"prior_share": 0.0}, limits)
    without = controls["no_prior"]
    share = prior_share(model_pixels(explanation.image), model_pixels(without.image))
    values: Values = {"prior_share": share, "stays_without_prior": without.stays}
    if math.isnan(share):
        return Check(question, "skipped", "The map is constant: the share is undefined.", values, limits)
    answer = (
        f"{100 * share:.0f} % of the map comes from the place that the phrase names, whatever the film shows; "
        f"without it, {100 * without.stays:.0f} % of the highlighted region stays where it is."
    )
    return Check(question, from_limit(share, "prior_share"), answer, values, limits)


def check_unrelated(controls: Mapping[str, Control]) -> Check:
    """Whether an unrelated phrase has the same map; both without the prior, which is neutral for such a phrase."""
    question = "Would an unrelated phrase give the same map?"
    limits = rule("unrelated_phrase", "share of the highlighted region that stays, no prior in either map", "from")
    unrelated = controls["unrelated"]
    values: Values = {"stays": unrelated.stays, "phrase": unrelated.text}
    if math.isnan(unrelated.stays):
        return Check(question, "skipped", "One of the two maps is constant.", values, limits)
    state = from_limit(unrelated.stays, "unrelated_phrase")
    percent = f"{100 * unrelated.stays:.0f} %"
    answer = f"With “{unrelated.text}” instead, {percent} of the highlighted region stays; by chance it would be 10 %."
    if state != "pass":
        answer += " The map shows what stands out in the film more than what the phrase says."
    return Check(question, state, answer, values, limits)


def check_score(explanation: Explanation, controls: Mapping[str, Control]) -> Check:
    """Whether the phrase scores higher than its other side, than its denial and than an unrelated phrase."""
    question = "Does the phrase fit the film better than its opposite?"
    limits = "Warns when the other side, the opposite claim, or an unrelated phrase scores as high or higher."
    compared = ("other_side", "opposite_claim", "unrelated")
    others = {name: controls[name] for name in compared if name in controls}
    values: Values = {"score": explanation.score}
    values |= {f"score_{name}": control.score for name, control in others.items()}
    better = [control.text for control in others.values() if control.score >= explanation.score]
    scores = ", ".join(f"“{control.text}” {control.score:.3f}" for control in others.values())
    answer = f"The phrase scores {explanation.score:.3f}, {scores}."
    if better:
        answer += (
            f" To the model, “{better[0]}” fits as well or better: no map can explain a preference that the model does "
            "not have."
        )
    return Check(question, "warn" if better else "pass", answer, values, limits)


def check_random_weights(controls: Mapping[str, Control]) -> Check:
    """Whether the map depends on the trained weights; controls: models with random weights."""
    question = "Does the map depend on the trained weights?"
    limits = rule("random_weights", "share of the highlighted region that stays, on average", "from")
    shares = [control.stays for name, control in controls.items() if name.startswith("random_weights")]
    known = [share for share in shares if not math.isnan(share)]
    mean = float(np.mean(known)) if known else math.nan
    values: Values = {
        "stays": mean,
        "models": float(len(shares)),
        "undefined": float(len(shares) - len(known)),
    }
    if not shares:
        return Check(question, "skipped", "The weights of this model are not known.", values, limits)
    if math.isnan(mean):
        answer = "The maps cannot be compared: in each pair, one is constant."
        return Check(question, "skipped", answer, values, limits)
    answer = (
        f"With random weights, {100 * mean:.0f} % of the highlighted region stays (mean of {len(known)} models); "
        "by chance it would be 10 %."
    )
    return Check(question, from_limit(mean, "random_weights"), answer, values, limits)


def check_seeds(maps: Sequence[SaliencyMap]) -> Check:
    """Whether the map depends on the random numbers of the method.

    Args:
        maps: of the same explanation with several seeds; none for a deterministic method.
    """
    question = "Does the map depend on the random seed?"
    if not maps:
        return Check(question, "skipped", "The method is deterministic.", {"seeds": 0.0})
    pairs = [likeness(first, second) for first, second in itertools.combinations(maps, 2)]
    lowest = min(pairs) if not any(math.isnan(value) for value in pairs) else math.nan
    values: Values = {
        "seeds": float(len(maps)),
        "lowest_likeness": lowest,
        "mean_likeness": float(np.mean(pairs)),
    }
    limits = rule("seeds", "rank correlation of the two least similar maps", "below")
    if math.isnan(lowest):
        return Check(question, "skipped", "One of the maps is constant: they cannot be compared.", values, limits)
    state = below_limit(lowest, "seeds")
    changes = "hardly changes" if state == "pass" else "changes"
    answer = (
        f"Over {len(maps)} seeds the map {changes}: the two least similar maps have a rank correlation of {lowest:.2f}."
    )
    return Check(question, state, answer, values, limits)


def check_lungs(explanation: Explanation) -> Check:
    """Whether the map lies in the lungs, by the mask or by the atlas."""
    question = "Does the map lie in the lungs?"
    lung_mask = explanation.query.lung_mask
    limits = "Warns when the share outside the lungs is at least that of a map that is the same everywhere."
    if (why := _no_lungs(explanation)) is not None:
        return Check(question, "skipped", why, {}, limits)
    outside = ~lungs(explanation.image.placement, lung_mask)
    share, even = share_inside(explanation.image, outside)
    source = "the atlas' average lungs" if lung_mask is None else "the lung mask"
    values: Values = {"outside_lungs": share, "outside_lungs_of_an_even_map": even, "lungs_by": source}
    if even in (0, 1):
        part = "none" if even else "all"
        return Check(question, "skipped", f"By {source}, {part} of what the model sees is lung.", values, limits)
    if math.isnan(share):
        return Check(question, "skipped", "The map is nowhere above zero.", values, limits)
    answer = (
        f"{100 * share:.0f} % of the map lies outside the lungs by {source}; a map that is the same everywhere would "
        f"have {100 * even:.0f} % there."
    )
    return Check(question, "warn" if share >= even else "pass", answer, values, limits)


def _no_lungs(explanation: Explanation) -> str | None:
    """Reason why the map need not lie in the lungs, or None where it should."""
    if not is_chest(explanation):
        return NO_CHEST
    if explanation.query.lung_mask is None and not is_frontal(explanation.film.view):
        return "The atlas covers frontal films only. Give a lung mask."
    if any(mention.weight > 0 and not REGIONS[mention.region].inside for mention in explanation.regions):
        return "The phrase names a place outside the lungs."
    return None


def check_corners(explanation: Explanation) -> Check:
    """Whether the map points at the corners: a model may read the side markers and burnt-in labels there."""
    question = "Does the map point at the corners, where markers sit?"
    limits = rule("corners", "share of the map in the corners over their share of the film", "from")
    if not is_chest(explanation):
        return Check(question, "skipped", NO_CHEST, {}, limits)
    share, even = share_inside(explanation.image, corners(explanation.image.placement))
    times = share / even if even else math.nan
    values: Values = {"corners": share, "corners_of_an_even_map": even, "times": times}
    if math.isnan(times):
        answer = "The model sees no corners, or the map is nowhere above zero."
        return Check(question, "skipped", answer, values, limits)
    answer = f"{100 * share:.0f} % of the map lies in the four corners, which are {100 * even:.0f} % of the film."
    return Check(question, from_limit(times, "corners"), answer, values, limits)
