"""Whether the map lies in the organ that the domain is about: the lungs of a chest film, or a pack's foreground."""

from __future__ import annotations

import math

from matex.audit_results import Check
from matex.audits.checks import Values
from matex.audits.regions import box_pixels, lungs, share_inside
from matex.dicom.view_position import is_frontal
from matex.domains import Pack, find_pack, is_anatomical
from matex.priors.atlas import REGIONS
from matex.priors.display import display_of
from matex.results import Explanation


def organ_check(explanation: Explanation) -> dict[str, Check]:
    """The check by its name: "lungs", or "organ" in the domain of a pack."""
    pack = find_pack(explanation.query.domain)
    return {"lungs": check_lungs(explanation)} if pack is None else {"organ": check_organ(explanation, pack)}


def check_lungs(explanation: Explanation) -> Check:
    """Whether the map lies in the lungs, by the mask or by the atlas."""
    question = "Does the map lie in the lungs?"
    lung_mask = explanation.query.lung_mask
    limits = "Warns when the share outside the lungs is at least that of a map that is the same everywhere."
    if (why := _no_lungs(explanation)) is not None:
        return Check(question, "skipped", why, {}, limits)
    outside = ~lungs(explanation.image.placement, lung_mask)
    source = "the atlas' average lungs" if lung_mask is None else "the lung mask"
    share, even = share_inside(explanation.image, outside)
    values: Values = {"outside_lungs": share, "outside_lungs_of_an_even_map": even, "lungs_by": source}
    if even in (0, 1):
        part = "none" if even else "all"
        return Check(question, "skipped", f"By {source}, {part} of what the model sees is lung.", values, limits)
    return _judged(question, share, even, f"the lungs by {source}", values, limits)


def _no_lungs(explanation: Explanation) -> str | None:
    """Reason why the map need not lie in the lungs, or None where it should."""
    if not is_anatomical(explanation.query.domain):
        return "The image was not declared to be a chest film."
    if explanation.query.lung_mask is None and not is_frontal(explanation.film.view):
        return "The atlas covers frontal films only. Give a lung mask."
    if any(mention.weight > 0 and not REGIONS[mention.region].inside for mention in explanation.regions):
        return "The phrase names a place outside the lungs."
    return None


def check_organ(explanation: Explanation, pack: Pack) -> Check:
    """Whether the map lies in the box around the organ of a pack."""
    question = f"Does the map lie in the {pack.organ}?"
    limits = f"Warns when the share outside the {pack.organ} is at least that of a map that is the same everywhere."
    if pack.frame == "film":
        return Check(question, "skipped", f"The {pack.organ} fills the image.", {}, limits)
    placement = explanation.image.placement
    frame = display_of(pack, explanation.film, placement).frame
    if frame is None:
        return Check(question, "skipped", f"No {pack.organ} was found in front of a dark background.", {}, limits)
    outside = ~box_pixels(frame, placement)
    share, even = share_inside(explanation.image, outside)
    values: Values = {"outside_organ": share, "outside_organ_of_an_even_map": even}
    if even in (0, 1):
        extent = "lies outside" if even else "fills"
        return Check(question, "skipped", f"The {pack.organ} {extent} what the model sees.", values, limits)
    return _judged(question, share, even, f"the box around the {pack.organ}", values, limits)


def _judged(question: str, share: float, even: float, place: str, values: Values, limits: str) -> Check:
    """The check of a map of which this share lies outside a place, where an even map has `even` there."""
    if math.isnan(share):
        return Check(question, "skipped", "The map is nowhere above zero.", values, limits)
    answer = (
        f"{100 * share:.0f} % of the map lies outside {place}; a map that is the same everywhere would have "
        f"{100 * even:.0f} % there."
    )
    return Check(question, "warn" if share >= even else "pass", answer, values, limits)
