"""Appearance of each finding: one function per finding, which adds or removes density on a view of the film.

A radiograph shows the logarithm of exposure, so density adds up: a finding is an attenuation added to what is
there, compressed near the brightness of soft tissue, and ribs stay visible through it. Lengths are in
centimetres, so that a finding is the same at any image size. The numbers were set by eye, not measured on
patients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from matex.simulation.chest import Lungs
from matex.simulation.phrases import ZONES

TIERS = ("obvious", "moderate", "subtle")
SPINE = 1.6  # half the width of the spine, centimetres


@dataclass(frozen=True)
class View:
    """Normal film with its coordinates in centimetres, prepared for drawing."""

    lungs: Lungs
    film: np.ndarray  # float32 [height, width], 0-255
    x: np.ndarray  # float32 [1, width], centimetres from the left edge
    y: np.ndarray  # float32 [height, 1], centimetres from the upper edge
    right: np.ndarray  # float32 [height, width], 1 in the patient's right lung, soft at its edge
    left: np.ndarray
    pixel: float  # centimetres per pixel

    def field(self, side: str) -> np.ndarray:
        return self.right if side == "right" else self.left

    def span(self, side: str) -> tuple[float, float]:
        """Top and bottom of a lung, centimetres."""
        top, bottom = self.lungs.extent(side)
        tall = self.pixel * self.y.shape[0]
        return top * tall, bottom * tall


@dataclass(frozen=True)
class Change:
    """Change of a film by a finding; all [height, width], float32 but for the mask."""

    attenuation: np.ndarray  # added density, >= 0; 0 leaves the pixel as it is
    hides: float  # how much of the fine markings is lost, as a multiple of the share of light that is
    mask: np.ndarray  # bool, where the finding is
    air: np.ndarray | None = None  # share of density taken away, 0-1
    source: np.ndarray | None = None  # column that each pixel is moved from, fractional; None: nothing moves


def view(normal: np.ndarray, lungs: Lungs) -> View:
    height, width = normal.shape
    pixel = lungs.width / width
    rows, columns = lungs.right.shape
    right, left = (
        _resize(
            _resize(field.astype(np.float32), columns * 5 // 8, rows * 5 // 8, Image.Resampling.BOX),
            width,
            height,
        )
        for field in (lungs.right, lungs.left)
    )
    x = ((np.arange(width, dtype=np.float32) + 0.5) * pixel)[None, :]
    y = ((np.arange(height, dtype=np.float32) + 0.5) * pixel)[:, None]
    return View(lungs, normal.astype(np.float32), x, y, right, left, pixel)


def _resize(
    values: np.ndarray, width: int, height: int, how: Image.Resampling = Image.Resampling.BICUBIC
) -> np.ndarray:
    return np.asarray(Image.fromarray(values).resize((width, height), how))


def broad(values: np.ndarray, width: float, scale: float) -> np.ndarray:
    """Low-pass filter an image `width` centimetres wide at `scale` centimetres, same shape."""
    height, across = values.shape
    columns = min(across, max(8, round(width / scale)))
    small = _resize(values, columns, max(8, round(columns * height / across)), Image.Resampling.BOX)
    return _resize(small, across, height)


def noise(view: View, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise, mean 0, deviation about 1, grains of `scale` centimetres; the same at any size."""
    height, width = view.right.shape
    columns = max(4, round(view.lungs.width / scale))
    rows = max(4, round(columns * height / width))
    grains = rng.standard_normal((rows, columns), dtype=np.float32) * 1.25
    return _resize(grains, width, height)


def spot(view: View, side: str, zone: str, radius: float, rng: np.random.Generator) -> tuple[float, float]:
    """Choose a point (x, y), centimetres, in the zone of a lung where a disc of this radius mostly fits."""
    depth = view.lungs.depth(side)
    rows, columns = depth.shape
    top, bottom = view.lungs.extent(side)
    index = ZONES.index(zone)
    low, high = (0.2, 0.8) if zone != "upper" else (0.3, 0.85)
    first = round(rows * (top + (bottom - top) * (index + low) / 3))
    last = max(first + 1, round(rows * (top + (bottom - top) * (index + high) / 3)))
    band = depth[first:last]
    room = np.flatnonzero(band >= min(0.75 * radius, 0.8 * float(band.max())))
    at = int(room[int(rng.random() * len(room))])
    unit = view.lungs.width / columns
    right, down = (float(shift) for shift in rng.uniform(0, 1, 2))
    return (at % columns + right) * unit, (first + at // columns + down) * unit


def _turned(view: View, x: float, y: float, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """Centimetres from (x, y) along and across a direction. Two of [height, width]."""
    cos, sin = math.cos(turn), math.sin(turn)
    return (view.x - x) * cos + (view.y - y) * sin, (view.y - y) * cos - (view.x - x) * sin


def _radial(
    view: View,
    x: float,
    y: float,
    radius: float,
    lobes: float,
    rng: np.random.Generator,
    stretch: float = 1.0,
) -> np.ndarray:
    """Distance from (x, y) in units of an uneven radius that depends on the direction."""
    along, across = _turned(view, x, y, rng.uniform(0, math.pi))
    u, v = along / stretch, across * stretch
    angle = np.arctan2(v, u)
    edge = np.ones_like(angle)
    for waves in (2, 3, 5):
        edge += lobes / waves * rng.uniform(0.5, 1.0) * np.cos(waves * angle + rng.uniform(0, 2 * math.pi))
    return np.hypot(u, v) / (radius * edge)


def _level(tier: str, ranges: tuple[tuple[float, float], ...], rng: np.random.Generator) -> float:
    """Sample a value from the range of the tier: obvious, moderate, subtle."""
    return float(rng.uniform(*ranges[TIERS.index(tier)]))


def _ramp(values: np.ndarray) -> np.ndarray:
    """Smooth step from 0 to 1 over [0, 1]."""
    t = np.clip(values, 0, 1)
    return t * t * (3 - 2 * t)


def nodule(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    radius = _level(tier, ((0.95, 1.35), (0.75, 1.2), (0.6, 1.0)), rng)
    x, y = spot(view, side, zone, radius + 0.3, rng)
    rho = _radial(view, x, y, radius, 0.12, rng)
    soft = 1.2 * view.pixel / radius
    body = np.sqrt(np.clip(1 - rho**2, 0, 1)) * 0.6 + 0.4 * _ramp((1 - rho) / (0.35 + soft))
    return Change(body * _level(tier, ((0.65, 0.9), (0.4, 0.55), (0.22, 0.32)), rng), 0.3, rho < 1)


def mass(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    radius = _level(tier, ((2.2, 2.9), (1.9, 2.5), (1.75, 2.2)), rng)
    x, y = spot(view, side, zone, radius, rng)
    rho = _radial(view, x, y, radius, 0.12, rng, stretch=float(rng.uniform(0.92, 1.09)))
    body = _ramp((1 - rho) / 0.45) * (0.75 + 0.25 * np.sqrt(np.clip(1 - rho**2, 0, 1)))
    body *= 1 + 0.08 * noise(view, 0.9, rng)
    return Change(body * _level(tier, ((0.95, 1.3), (0.55, 0.75), (0.3, 0.42)), rng), 0.6, rho < 0.97)


def consolidation(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    """Filled airspaces: vessels hidden, ill-defined within the lung, ending where the lung ends.

    Denser than the haze of any `opacity`, also where it is small: what is faint and lets vessels through is no
    consolidation to a reader.
    """
    radius = _level(tier, ((3.6, 4.8), (3.1, 4.2), (2.6, 3.6)), rng)
    x, y = spot(view, side, zone, 0.65 * radius, rng)
    rho = _radial(view, x, y, radius, 0.25, rng, stretch=float(rng.uniform(1.0, 1.25)))
    shape = 1 - rho + 0.16 * noise(view, 2.6, rng) + 0.06 * noise(view, 1.1, rng)
    shape = shape * _zone_fade(view, side, zone)
    inside = broad(view.field(side), view.lungs.width, 0.8)
    body = (0.5 * _ramp(shape / 0.6) + 0.5 * _ramp((shape + 0.3) / 1.05)) * _ramp(inside * 1.4)
    body *= np.clip(0.95 + 0.07 * noise(view, 1.3, rng) + 0.06 * noise(view, 0.5, rng), 0.5, 1.3)
    strength = _level(tier, ((1.0, 1.4), (0.82, 1.0), (0.68, 0.82)), rng)
    return Change(body * strength, 0.75, (shape > 0.1) & (inside > 0.35))


def _zone_fade(view: View, side: str, zone: str) -> np.ndarray:
    """1 within the zone, falling to 0 towards the middle of its neighbours. float32 [height, 1]."""
    top, bottom = view.span(side)
    third = (bottom - top) / 3
    centre = top + third * (ZONES.index(zone) + 0.5)
    return 1 - _ramp((np.abs(view.y - centre) / third - 0.4) / 0.6)


def opacity(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    """Haze through which the vessels remain visible, larger and less dense than consolidation."""
    radius = _level(tier, ((4.2, 5.4), (3.6, 4.8), (3.2, 4.4)), rng)
    x, y = spot(view, side, zone, 0.6 * radius, rng)
    rho = _radial(view, x, y, radius, 0.2, rng, stretch=float(rng.uniform(1.0, 1.2)))
    shape = (1.1 - rho + 0.1 * noise(view, 2.8, rng)) * _zone_fade(view, side, zone)
    inside = broad(view.field(side), view.lungs.width, 1.2)
    body = _ramp(shape / 0.9) * _ramp(inside * 1.4)
    body *= np.clip(1 + 0.1 * noise(view, 1.0, rng) + 0.08 * noise(view, 0.45, rng), 0.4, 1.6)
    strength = _level(tier, ((0.48, 0.62), (0.34, 0.44), (0.22, 0.3)), rng)
    return Change(body * strength, 0.1, (shape > 0.26) & (inside > 0.4))


def _edges(view: View, side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outer and inner edge of a lung per pixel row, centimetres, and whether the row has lung. [height]."""
    inside = view.field(side) > 0.5
    there = np.asarray(inside.any(axis=1))
    first = np.argmax(inside, axis=1) * view.pixel
    last = (inside.shape[1] - np.argmax(inside[:, ::-1], axis=1)) * view.pixel
    return (first, last, there) if side == "right" else (last, first, there)


def _walls(view: View, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Outer and inner border of a lung for every pixel row, smooth, carried on above and below. [height]."""
    outer, inner, there = _edges(view, side)
    rows = np.flatnonzero(there)
    every = np.arange(len(there))
    reach = max(1, round(0.8 / view.pixel))
    kernel = np.ones(2 * reach + 1) / (2 * reach + 1)
    borders: list[np.ndarray] = []
    for edge in (outer, inner):
        full = np.interp(every, rows, edge[rows])
        borders.append(np.convolve(np.pad(full, reach, mode="edge"), kernel, mode="valid"))
    return borders[0], borders[1]


def effusion(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    """Fluid from the lung base upwards; its upper border climbs along the chest wall (the meniscus)."""
    top, bottom = view.span(side)
    tall = bottom - top
    depth = _level(tier, ((0.2, 0.28), (0.13, 0.19), (0.08, 0.12)), rng) * tall
    outer, inner = _walls(view, side)
    sign = 1.0 if side == "right" else -1.0
    level = view.y[:, 0]
    at = (level > bottom - 0.4 * tall) & (level < bottom - 0.1 * tall)
    # the chest wall goes straight down where the rounded or hidden lung base draws in
    widest = sign * float(np.min(sign * outer[level > top + 0.3 * tall]))
    wall = np.where(level > bottom - 0.5 * tall, widest, outer)[:, None]
    heart = float(np.median(inner[at]))
    # 0 at the heart, 1 at the chest wall
    out = np.clip((heart - view.x) * sign / np.maximum((heart - wall) * sign, 2.0), -0.3, 1.1)
    dip = float(rng.uniform(0.1, 0.25))
    rise = 0.3 + dip * np.clip(1 - out, 0, None) ** 2 + 0.75 * np.clip(out, 0, None) ** 3
    line = bottom - depth * rise + float(rng.uniform(0.05, 0.15)) * noise(view, 4.0, rng)[:1]
    below = _ramp((view.y - line) / float(rng.uniform(0.7, 1.1)) + 0.4)
    room = _ramp((view.x - wall) * sign / 0.9 + 0.6) * _ramp((out + 0.25) / 0.3)
    body = below * room * _ramp((bottom + 2.2 - view.y) / 2.0)
    smooth = broad(view.film, view.lungs.width, 1.0)
    # what is as bright as fluid already shows none; on lungs that are a guess this says nothing
    bright = view.lungs.tissue - 0.12 * (view.lungs.tissue - view.lungs.air)
    shown = (smooth < bright) | (not view.lungs.measured)
    strength = _level(tier, ((1.9, 2.5), (1.5, 1.9), (1.1, 1.4)), rng)
    return Change(body * strength, 0.9, (below * room > 0.4) & shown & (view.y < bottom + 1.2))


def pneumothorax(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    """Air between the chest wall and the lung, which draws back towards its root; a thin line is its edge."""
    top, bottom = view.span(side)
    gap = _level(tier, ((2.4, 3.4), (1.6, 2.3), (1.0, 1.5)), rng)
    aside = _level(tier, ((1.6, 2.4), (1.0, 1.6), (0.5, 0.9)), rng)
    outer, _ = _walls(view, side)
    rows = view.y[:, 0]
    pivot = top + float(rng.uniform(0.5, 0.62)) * (bottom - top)
    shrink = (pivot - top - gap) / (pivot - top)
    source = pivot + (rows - pivot) / shrink
    sign = 1.0 if side == "right" else -1.0
    fade = _ramp((pivot - rows) / (0.75 * (pivot - top)))
    edge = np.interp(source, rows, outer) + sign * aside * fade
    apex = top + gap
    u = ((view.x - edge[:, None]) * sign).astype(np.float32)  # > 0: within the lung that drew back
    v = (view.y - apex) * 0.9
    # the smaller of both, rounded: centimetres inside the edge of the lung
    hidden = -np.log(np.exp(-1.5 * np.clip(u, -9, 9)) + np.exp(-1.5 * np.clip(v, -9, 9))) / 1.5
    lung = _ramp(hidden / (2 * view.pixel) + 0.5)
    room = view.field(side) * (view.y < pivot)
    space = np.clip(_ramp(room * 1.7) - lung, 0, 1) * _ramp((pivot - view.y) / 1.5)
    line = np.exp(-((hidden / max(0.11, 0.6 * view.pixel)) ** 2)) * _ramp(room * 1.5)
    line = line * _ramp((pivot - view.y) / 2.0)
    strength = _level(tier, ((0.55, 0.7), (0.4, 0.52), (0.28, 0.38)), rng)
    return Change(line * (0.35 + 0.5 * strength) + 0.06 * lung * room, 0.0, space > 0.5, space * strength)


def atelectasis(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    """Nearly horizontal band across the lung, without loss of volume."""
    half = _level(tier, ((2.8, 4.0), (2.4, 3.4), (1.8, 2.8)), rng)
    thick = _level(tier, ((0.3, 0.45), (0.24, 0.34), (0.18, 0.26)), rng)
    x, y = spot(view, side, zone, 1.6, rng)
    along, across = _turned(view, x, y, rng.uniform(-0.35, 0.35))
    across = across - rng.uniform(-0.06, 0.06) * along**2 / 2 + 0.1 * noise(view, 2.0, rng)
    width = thick * np.sqrt(np.clip(1.05 - (along / half) ** 2, 0.0, 1)) * (1 + 0.25 * noise(view, 1.5, rng))
    inside = view.field(side)
    soft = max(0.45, 1.2 * view.pixel)
    band = _ramp((width - np.abs(across)) / soft + 0.5)
    body = band * _ramp((half - np.abs(along)) / 1.8) * _ramp(inside * 1.6)
    strength = _level(tier, ((0.65, 0.9), (0.42, 0.58), (0.25, 0.35)), rng)
    return Change(body * strength, 0.4, (body > 0.4) & (inside > 0.3))


def cardiomegaly(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    """Wider heart: its borders move outwards, the adjacent lungs are compressed, the ribs stay in place.

    The mask is the whole enlarged silhouette, as a reader would mark it, though its middle hardly changes.
    """
    outer_right, inner_right = _walls(view, "right")
    outer_left, inner_left = _walls(view, "left")
    top = min(view.span("right")[0], view.span("left")[0])
    bottom = (view.span("right")[1] + view.span("left")[1]) / 2
    tall = bottom - top
    level = view.y[:, 0]
    upper = (level > top + 0.15 * tall) & (level < top + 0.5 * tall)
    lower = (level > top + 0.55 * tall) & (level < top + 0.85 * tall)
    middle = float(np.median((inner_right + inner_left)[upper])) / 2
    chest = float(np.max(outer_left[lower]) - np.min(outer_right[lower]))
    now = float(np.median((inner_left - inner_right)[lower])) / chest
    wider = _level(tier, ((0.14, 0.19), (0.085, 0.12), (0.05, 0.07)), rng)
    grow = min(wider, max(0.03, 0.82 - now)) * chest
    to_left = float(rng.uniform(0.62, 0.75))
    swell = _ramp((level - top - 0.3 * tall) / (0.4 * tall)) * _ramp((bottom + 3.5 - level) / 4.0)
    source = np.repeat(view.x, len(level), axis=0)
    borders: list[np.ndarray] = []
    for sign, inner, outer, share in (
        (-1.0, inner_right, outer_right, 1 - to_left),
        (1.0, inner_left, outer_left, to_left),
    ):
        border = np.maximum(sign * (inner - middle), 2.2)[:, None]
        wall = np.maximum(sign * (outer - middle)[:, None], border + 1.0)
        moved = border + np.minimum(grow * share * swell[:, None], 0.55 * (wall - border))
        out = sign * (view.x - middle)
        heart = SPINE + (out - SPINE) * (border - SPINE) / (moved - SPINE)
        lung = border + (out - moved) * (wall - border) / (wall - moved)
        where = np.where(out < SPINE, out, np.where(out < moved, heart, np.where(out < wall, lung, out)))
        source = np.where(out > 0, middle + sign * where, source)
        borders.append(middle + sign * moved)
    # further down a lung's inner border follows the diaphragm outwards, the heart does not
    right, left = (
        edge[np.minimum(np.arange(len(level)), np.searchsorted(level, top + share * tall))]
        for edge, share in zip(borders, (0.75, 0.87), strict=True)
    )
    mask = (view.x > right) & (view.x < left) & (view.y > top + 0.42 * tall) & (view.y < bottom - 0.05 * tall)
    dense = _ramp((view.x - borders[0]) / 0.8) * _ramp((borders[1] - view.x) / 0.8) * swell[:, None]
    return Change(0.25 * dense, 1.5, mask, source=source / view.pixel - 0.5)


def interstitial(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    """Net of fine lines through both lungs, denser towards the bases."""
    both = np.maximum(view.right, view.left)
    top, bottom = np.mean([view.span("right"), view.span("left")], axis=0)
    weight = _ramp(both * 1.5) * (0.6 + 0.4 * _ramp((view.y - top) / (0.7 * (bottom - top))))
    net = np.zeros_like(both)
    for scale, share in ((0.9, 0.6), (0.65, 0.9), (0.42, 0.9)):
        lines = np.exp(-((noise(view, scale, rng) / 0.4) ** 2))
        net += share * lines * np.clip(0.6 + 0.5 * noise(view, 1.2, rng), 0, 2)
    patchy = np.clip(0.9 + 0.3 * noise(view, 4.0, rng), 0.35, 1.6)
    body = weight * patchy * (net + 0.5)
    strength = _level(tier, ((0.21, 0.29), (0.14, 0.19), (0.085, 0.12)), rng)
    return Change(body * strength, 0.0, both > 0.5)


Drawing = Callable[[View, str, str, str, np.random.Generator], Change]

DRAWINGS: dict[str, Drawing] = {
    "nodule": nodule,
    "mass": mass,
    "consolidation": consolidation,
    "opacity": opacity,
    "pleural effusion": effusion,
    "pneumothorax": pneumothorax,
    "atelectasis": atelectasis,
    "cardiomegaly": cardiomegaly,
    "interstitial pattern": interstitial,
}
