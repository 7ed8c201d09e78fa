"""The spatial prior of a phrase on an image of a data pack; that of the chest is in spatial.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from matex.domains.pack import Pack, Region
from matex.phrases import Mention
from matex.priors.atlas import names
from matex.priors.display import Display
from matex.priors.outlines import outline_weight, placed
from matex.priors.shapes import PAPER, Values
from matex.priors.spatial import RegionSide, SpatialPrior, active_regions, joined


def pack_prior(
    pack: Pack,
    mentions: Sequence[Mention],
    display: Display,
    x: Values,
    y: Values,
    kind: str,
    exchanged: bool,
) -> SpatialPrior:
    """The normalised prior of a phrase, as `spatial_prior` defines it, on the outlines of a pack.

    Args:
        pack: the domain.
        mentions: read with the pack's words.
        display: of the image.
        x: [columns] of the samples, fractions of the image, 0 = the displayed left edge.
        y: [rows] likewise, from the top.
        kind: see `spatial_prior`; "parabola", "gaussian" use the boxes around the outlines.
        exchanged: draw the mirror image, for controls and for MATEX's printed laterality.

    Returns:
        values in [0, 1]; all 0, with the reason, where the view, the frame or the display is not known, or where no
        active region lies in the view.
    """
    neutral = np.zeros((y.size, x.size))
    active = active_regions(mentions, pack.anatomy)
    reason = _reason_for_none(pack, mentions, active, display)
    shown = {} if reason else _in_view(pack, active, display)
    if reason is None and not shown:
        named = ", ".join(names(*key) for key in active)
        assert display.view is not None
        reason = f"{named}: not shown on view {display.view.name}"
    if reason is None and display.mirrored is None:
        straight, flipped = (sum(_layers(pack, shown, display, kind, x, y, mirrored)) for mirrored in (False, True))
        if not np.allclose(straight, flipped):
            reason = f"the display of the image is not known (in standard display: {pack.display})"
    if reason is not None:
        return SpatialPrior(neutral, True, reason)
    layers = _layers(pack, shown, display, kind, x, y, bool(display.mirrored) != exchanged)
    named = ", ".join(names(*key) for key in shown)
    summed = kind == "parabola" or kind.startswith(PAPER)
    values, reason = joined(layers, summed, x, y, named)
    if values is None:
        return SpatialPrior(neutral, True, reason)
    return SpatialPrior(values * max(shown.values()), False, f"{reason}; {_convention(pack, display, exchanged)}")


def _reason_for_none(
    pack: Pack, mentions: Sequence[Mention], active: Mapping[RegionSide, float], display: Display
) -> str | None:
    """Reason why a phrase has no prior on this image; None when it may have one."""
    if not mentions:
        return f"the phrase names no region of the domain {pack.name!r}"
    if not active:
        return "every region in the phrase is negated, normal or of the past"
    if display.view is None:
        return f"the view is unknown or none of {', '.join(pack.views)}: places of the domain {pack.name!r} need one"
    if display.frame is None:
        return f"no {pack.organ} was found in front of a dark background"
    return None


def _in_view(pack: Pack, active: Mapping[RegionSide, float], display: Display) -> dict[RegionSide, float]:
    """The active regions that the view shows, each with the side on which it is drawn."""
    view = display.view
    assert view is not None
    shown: dict[RegionSide, float] = {}
    for (region, side), weight in active.items():
        if view.sides in ("right", "left") and side not in (None, view.sides):
            continue
        if _place(pack, region, side).outlines.get(view.plane):
            shown[region, side] = weight
    return shown


def _place(pack: Pack, region: str, side: str | None) -> Region:
    """The region that has the outlines."""
    place = pack.regions[region]
    return pack.regions[place.same_as[side]] if place.same_as and side is not None else place


def _layers(
    pack: Pack, shown: Mapping[RegionSide, float], display: Display, kind: str, x: Values, y: Values, mirrored: bool
) -> list[Values]:
    """Weights of each region at the sample points, times the weight of its mention."""
    view, frame = display.view, display.frame
    assert view is not None
    assert frame is not None
    layers: list[Values] = []
    for (region, side), weight in shown.items():
        place = _place(pack, region, side)
        other = view.sides == "left" or (view.sides == "both" and side == "left")
        soft = (place.soft * (frame[2] - frame[0]), place.soft * (frame[3] - frame[1]))
        drawn = [
            outline_weight(kind, placed(outline, frame, mirrored != other), x, y, soft)
            for outline in place.outlines[view.plane]
        ]
        layers.append(weight * np.maximum.reduce(drawn))
    return layers


def _convention(pack: Pack, display: Display, exchanged: bool) -> str:
    """Which way round the regions were drawn."""
    assert display.view is not None
    where = f"domain {pack.name}, view {display.view.name}"
    if display.mirrored is None:
        return f"{where}, its own mirror image: the display of the image is not known"
    how = "mirrored: " if display.mirrored else ""
    known = " (assumed)" if display.assumed and pack.orientation == "assumed" else ""
    drawn = ", drawn on the other side" if exchanged else ""
    return f"{where}, {how}{pack.display}{known}{drawn}"
