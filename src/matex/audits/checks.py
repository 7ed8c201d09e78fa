"""The checks of an audit: one pure function for each question, from the explanation and its controls."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from matex.audit_results import Check, Control
from matex.audits.limits import below_limit, from_limit, rule
from matex.audits.regions import corners, likeness, model_pixels, prior_share, share_inside
from matex.dicom.view_position import is_frontal
from matex.domains import find_pack, is_anatomical
from matex.results import Explanation, SaliencyMap

NO_ANATOMY = "The image was declared to have no anatomy: it has no patient's sides."

Values = dict[str, float | str | None]


def guided(explanation: Explanation) -> bool:
    """Whether the place that the phrase names entered the map."""
    prior = explanation.prior
    return prior is not None and bool(np.ptp(prior) > 0)


def no_sides(explanation: Explanation) -> str | None:
    """Reason why the image has no left and right side, or None where it has."""
    domain, film = explanation.query.domain, explanation.film
    if not is_anatomical(domain):
        return NO_ANATOMY
    if (pack := find_pack(domain)) is not None:
        view = pack.view(film.view)
        if view is None or view.sides != "both":
            return "The view is not known, or does not show left and right side by side."
        if pack.orientation == "stated" and not (film.oriented or film.mirrored):
            return "Nothing states which side of the image is the patient's right."
        return None
    if not is_frontal(film.view):
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
    stays = f"{100 * without.stays:.0f} % of the highlighted region stays where it is"
    rest = "the map is constant" if without.image.degenerate else stays
    answer = (
        f"{100 * share:.0f} % of the map comes from the place that the phrase names, whatever the film shows; "
        f"without it, {rest}."
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


def check_corners(explanation: Explanation) -> Check:
    """Whether the map points at the corners: a model may read the side markers and burnt-in labels there."""
    question = "Does the map point at the corners, where markers sit?"
    limits = rule("corners", "share of the map in the corners over their share of the film", "from")
    if not is_anatomical(explanation.query.domain):
        return Check(question, "skipped", NO_ANATOMY, {}, limits)
    share, even = share_inside(explanation.image, corners(explanation.image.placement))
    times = share / even if even else math.nan
    values: Values = {"corners": share, "corners_of_an_even_map": even, "times": times}
    if math.isnan(times):
        answer = "The model sees no corners, or the map is nowhere above zero."
        return Check(question, "skipped", answer, values, limits)
    answer = f"{100 * share:.0f} % of the map lies in the four corners, which are {100 * even:.0f} % of the film."
    return Check(question, from_limit(times, "corners"), answer, values, limits)
