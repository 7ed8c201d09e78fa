"""The spatial prior of a phrase: MATEX eq. 3-5 and softer alternatives, in numpy.

Here the patient's sides become sides of the image, once: everything before is in the patient's coordinates, everything
after in those of the image.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matex.dicom.view_position import is_frontal
from matex.errors import InputError
from matex.phrases import Mention
from matex.phrases.anatomy import CHEST, Anatomy
from matex.priors.atlas import names
from matex.priors.chest import Chest
from matex.priors.lungs import lung_boxes
from matex.priors.shapes import KINDS, PAPER, Values

__all__ = ["KINDS", "SpatialPrior", "active_regions", "lung_boxes", "spatial_prior"]

RegionSide = tuple[str, str | None]
"""A region of the atlas, or of a pack, and the patient's side; None for a midline region."""


@dataclass(frozen=True, eq=False)
class SpatialPrior:
    """Weights in [0, 1] on the sampled points, [rows, columns]; all 0 when neutral, so that M = 1 (eq. 5)."""

    values: Values
    neutral: bool
    reason: str
    """Why it is neutral; otherwise which regions it holds and which side is where."""


def spatial_prior(
    mentions: Sequence[Mention],
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    kind: str = "parabola",
    laterality: str = "patient",
    mirrored: bool = False,
    view: str | None = None,
    lung_mask: NDArray[np.generic] | None = None,
    domain: str = "chest",
) -> SpatialPrior:
    """The normalised sum over regions of MATEX eq. 5, before the strength lambda_s.

    Args:
        mentions: from `phrases.parse`. Each region and side counts once, with its largest weight; a sided
            region without side is drawn on both sides.
        x: [columns] where the samples lie, fractions of the original image, 0 = the displayed left edge;
            samples outside [0, 1] (padding) get 0.
        y: [rows] likewise, from the top.
        kind: "parabola": eq. 3-4 on the paper's wide boxes (`Region.paper`), regions summed, as printed.
            "gaussian", "box", "atlas" (plateau with soft edges): on our atlas, regions joined by their
            maximum, so that an overlap does not outshine the regions. "paper-gaussian", "paper-box": the same shapes
            on the paper's boxes, regions summed as in eq. 5.
        laterality: "patient": the patient's right is on the image's left. "paper": mirrored, as MATEX
            prints it.
        mirrored: the image's left edge is the patient's left (DICOM PatientOrientation begins with R).
        view: DICOM ViewPosition; anything but a frontal view gives a neutral prior.
        lung_mask: [height, width] of the original image, 0 background, 1 the patient's right lung, 2 the
            left; or booleans of both lungs. Lung regions then lie in this patient's lungs (for every kind,
            on the atlas' boxes), those of the lower lobe also behind the heart and below the dome of the
            diaphragm, where a mask of the visible lung ends. Midline regions move with the lungs.
        domain: "chest"; "natural" for images without a patient, "sound" for spectrograms, "sensor" for
            depth, thermal and IMU readings.

    Returns:
        values in [0, 1]. Neutral, with the reason, when no region is active, when no sample falls into a
        region, when the view is not frontal, or outside the domain.

    Raises:
        InputError: an unknown kind, laterality or domain, samples that are no vectors, a mask that is no
            lung mask.

    Warns:
        UserWarning: laterality="paper".

    Source:
        MATEX, arXiv:2601.11666, eq. 3-5. The paper gives the boxes of apex and base; the others follow their
        pattern. Deviations: the weights of uncertain (.5) and lesser (.6) mentions multiply their region, and
        the largest of them scales the result, so that "possible opacity" pushes half as hard (with weights
        of 1 this is eq. 5); 0/0 is a neutral prior.
    """
    _check_choice("kind", kind, KINDS)
    _check_choice("laterality", laterality, ("patient", "paper"))
    _check_choice("domain", domain, ("chest", "natural", "sound", "sensor"))
    columns, rows = _samples("x", x), _samples("y", y)
    if laterality == "paper":
        warnings.warn(
            "laterality='paper' draws the patient's right on the image's right, as MATEX prints it; films are "
            "displayed the other way round (docs/laterality.md). Use it only to reproduce the paper.",
            UserWarning,
            stacklevel=2,
        )

    active = active_regions(mentions)
    reason = _reason_for_none(mentions, active, view, domain)
    if reason is None:
        flipped = mirrored != (laterality == "paper")
        chest = Chest.average(flipped) if lung_mask is None else Chest.from_mask(lung_mask, mirrored, laterality)
        active = {key: weight for key, weight in active.items() if key[1] is None or key[1] in chest.lungs}
        values, reason = _draw(chest, active, kind, columns, rows)
        if values is not None:
            where = "right" if flipped else "left"
            convention = f"laterality {laterality}" + (", mirrored film" if mirrored else "")
            reason = f"{reason}; the patient's right drawn on the image's {where} ({convention})"
            return SpatialPrior(values * max(active.values()), False, reason)
    return SpatialPrior(np.zeros((rows.size, columns.size)), True, reason)


def _reason_for_none(
    mentions: Sequence[Mention], active: Mapping[RegionSide, float], view: str | None, domain: str
) -> str | None:
    """Reason why a phrase has no prior on this image; None when it has one."""
    if domain == "sound":
        return "a sound has no anatomical regions"
    if domain == "sensor":
        return "a depth, thermal or IMU reading has no anatomical regions"
    if domain == "natural":
        return "not a chest film (domain 'natural'): left and right are no patient's sides"
    if not is_frontal(view):
        return f"view {view} is not frontal: the regions are only known on frontal films"
    if not mentions:
        return "the phrase names no region"
    return None if active else "every region in the phrase is negated, normal or of the past"


def _draw(
    chest: Chest, active: Mapping[RegionSide, float], kind: str, columns: Values, rows: Values
) -> tuple[Values | None, str]:
    """The regions together, min-max scaled to [0, 1], with their names; None and the reason where that is undefined."""
    if not active:
        return None, "the lung mask has no lung on the side that the phrase names"
    drawn = [weight * chest.draw(*key, kind, columns, rows) for key, weight in active.items()]
    named = ", ".join(names(*key) for key in active)
    return joined(drawn, kind == "parabola" or kind.startswith(PAPER), columns, rows, named)


def joined(
    layers: Sequence[Values], summed: bool, columns: Values, rows: Values, named: str
) -> tuple[Values | None, str]:
    """Regions together, min-max scaled to [0, 1] (eq. 5), with their names; None and the reason where undefined.

    Args:
        layers: weights of each region [rows, columns].
        summed: as eq. 5 prints it, else by the maximum.
        columns: sample points across; those outside [0, 1] get 0.
        rows: sample points down, likewise.
        named: names of the regions.
    """
    stack = np.stack(layers)
    raw: Values = stack.sum(axis=0) if summed else stack.max(axis=0)
    raw[:, (columns < 0) | (columns > 1)] = 0
    raw[(rows < 0) | (rows > 1)] = 0
    low, high = float(raw.min()), float(raw.max())
    if high <= 0:
        return None, f"no sample point falls into {named}"
    if high - low <= 1e-12 * high:
        return None, f"{named} covers every sample point alike"
    return (raw - low) / (high - low), named


def active_regions(mentions: Sequence[Mention], anatomy: Anatomy = CHEST) -> dict[RegionSide, float]:
    """(region, side) -> weight of the mentions that count; a sided region without side becomes two."""
    active: dict[RegionSide, float] = {}
    for mention in mentions:
        region = mention.region
        sides: tuple[str | None, ...] = (None,)
        if anatomy.is_sided(region):
            side = mention.side or anatomy.only_side(region)
            sides = (side,) if side else ("right", "left")
        for side in sides:
            if mention.weight > 0:
                active[region, side] = max(active.get((region, side), 0.0), mention.weight)
    return active


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(f"Expected {name} to be one of {', '.join(known)}, got {value!r}.")


def _samples(name: str, values: NDArray[np.floating]) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise InputError(f"Expected {name} to be a vector of finite fractions, got shape {array.shape}.")
    return array
