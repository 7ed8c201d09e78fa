"""The check of the side: is the side of the map that of the finding, of the word in the phrase, or of the prior?

The prior alone on the other side shows what the prior does. What the model sees is read from its scores: a model that
sees the finding on the named side prefers the phrase to the one with the other side, and prefers the other one when
the film is mirrored. The preference of a model that follows the word does not change when the film is mirrored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from matex.audit_results import Check, Control
from matex.audits.checks import guided, no_sides
from matex.audits.limits import LIMITS, from_limit
from matex.audits.regions import position, stays
from matex.results import Explanation, SaliencyMap, State

RULE = (
    "Warns when the prior alone on the other side moves the highlighted region by "
    f"{LIMITS['side'][0]:g} of the film's width or more, fails from {LIMITS['side'][1]:g}. Without the prior: "
    f"warns when {LIMITS['side_ignored'][0]:g} of the highlighted region or more stays with the other side in "
    "the phrase; passes when between the two phrases the model gives the named side "
    f"{LIMITS['side_preference'][0]:g} or more on the film and {LIMITS['side_preference'][1]:g} or less on the "
    "mirrored film; fails in the opposite case, and otherwise warns."
)


class SideOutcome(NamedTuple):
    """One part of the check: a state and the sentence behind it."""

    state: State
    sentence: str


def check_side(explanation: Explanation, controls: Mapping[str, Control], logit_scale: float) -> Check:
    """Whether the side of the map is the prior's, the word's, or that of the finding.

    Args:
        explanation: that is audited.
        controls: by name; those of the other side and of the mirrored film exist where the phrase names a side.
        logit_scale: the model's own, by which cosines become probabilities.
    """
    question = "Is the finding on the named side, or does the map follow the word or the prior?"
    if (why := no_sides(explanation)) is not None:
        return Check(question, "skipped", why, {}, RULE)
    if "other_side" not in controls:
        return Check(
            question,
            "skipped",
            "The phrase names no side to swap, or the model cannot read it with the other side.",
            {},
            RULE,
        )
    here, there = position(explanation.image), position(controls["other_side"].image)
    named, other = _maps_without_prior(explanation, controls)
    moved, same = position(other) - position(named), stays(named, other)
    on_film = _preference(explanation.score, controls["other_side"].score, logit_scale)
    on_mirrored = _preference(controls["mirrored_film"].score, controls["mirrored_film_other_side"].score, logit_scale)
    values: dict[str, float | str | None] = {
        "across": here,
        "across_other_side": there,
        "shift": there - here,
        "shift_without_prior": moved,
        "stays_with_other_side_without_prior": same,
        "preference_for_named_side": on_film,
        "preference_on_mirrored_film": on_mirrored,
    }
    if math.isnan(there - here) or math.isnan(moved):
        return Check(question, "skipped", "One of the maps is constant and has no side.", values, RULE)
    findings = [word_finding(moved, same), preference_finding(on_film, on_mirrored)]
    if guided(explanation):
        alone = position(controls["mirrored_prior"].image) - here
        values["shift_by_prior_alone"] = alone
        findings.insert(0, prior_finding(alone))
    return Check(question, _worst(findings), " ".join(finding.sentence for finding in findings), values, RULE)


def prior_finding(shift: float) -> SideOutcome:
    """Whether the prior chose the side: how far the prior alone on the other side moves the highlighted region."""
    state = from_limit(abs(shift), "side")
    sentence = f"With the prior alone on the other side, the highlighted region {_movement(shift)}."
    if state in ("warn", "fail"):
        sentence += " The side of this map is the prior's."
    return SideOutcome(state, sentence)


def word_finding(shift: float, same: float) -> SideOutcome:
    """Whether the map reads left and right at all: what the other side in the phrase changes, no prior in either map.

    Args:
        shift: of the highlighted region, in fractions of the film's width, positive to the patient's left.
        same: share of the highlighted region that stays.
    """
    state = from_limit(same, "side_ignored")
    sentence = f"With the other side in the phrase, no prior in either map, it {_movement(shift)}."
    if state == "warn":
        sentence += " The map ignores left and right: it is the same for both."
    return SideOutcome(state, sentence)


def preference_finding(on_film: float, on_mirrored: float) -> SideOutcome:
    """The model's preference for the named side, on the film and on the mirrored film."""
    high, low = LIMITS["side_preference"]
    start = (
        f"Between the two phrases the model gives the named side {100 * on_film:.0f} % on this film and "
        f"{100 * on_mirrored:.0f} % on the mirrored film: "
    )
    if on_film >= high and on_mirrored <= low:
        return SideOutcome("pass", start + "it sees the finding on the named side.")
    if on_film <= low and on_mirrored >= high:
        return SideOutcome("fail", start + "it sees the finding on the other side.")
    return SideOutcome(
        "warn",
        start + "its preference does not reverse when the film is mirrored, so the map may follow the word rather than "
        "the finding.",
    )


def _maps_without_prior(explanation: Explanation, controls: Mapping[str, Control]) -> tuple[SaliencyMap, SaliencyMap]:
    """The maps of the phrase and of the phrase with the other side, neither with the prior."""
    if guided(explanation):
        return controls["no_prior"].image, controls["other_side_no_prior"].image
    return explanation.image, controls["other_side"].image


def _preference(score: float, other_score: float, logit_scale: float) -> float:
    """Probability of the first of two phrases by the model's own temperature, from their cosines."""
    logit = max(-60.0, min(60.0, logit_scale * (score - other_score)))
    return 1 / (1 + math.exp(-logit))


def _worst(findings: list[SideOutcome]) -> State:
    states = {finding.state for finding in findings}
    return "fail" if "fail" in states else "warn" if "warn" in states else "pass"


def _movement(shift: float) -> str:
    """A shift in fractions of the film's width, positive to the patient's left, in words."""
    if math.isnan(shift):
        return "has no place"
    if abs(shift) < 0.02:
        return "stays where it is"
    return f"moves by {100 * abs(shift):.0f} % of the film's width to the patient's {'left' if shift > 0 else 'right'}"
