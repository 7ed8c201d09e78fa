"""How each finding looks: one function per finding, which adds or takes away density on a view of the film.

A radiograph shows the logarithm of exposure, so density adds up: a finding is an attenuation added to what is
there, compressed near the brightness of soft tissue, and ribs stay visible through it. Lengths are centimetres,
so that a finding is the same at any image size. None of this is measured on patients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from matex.simulation.chest import Lungs

TIERS = ("obvious", "moderate", "subtle")


@dataclass(frozen=True)
class View:
    """A normal film made ready for drawing."""

    lungs: Lungs
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
    """What a finding does to a film. All [height, width], float32 but for the mask."""

    attenuation: np.ndarray  # added density, >= 0; 0 leaves the pixel as it is
    hides: float  # share of the fine markings that full attenuation hides, 0-1
    mask: np.ndarray  # bool, where the finding is
    air: np.ndarray | None = None  # share of density taken away, 0-1


def view(shape: tuple[int, int], lungs: Lungs) -> View:
    height, width = shape
    pixel = lungs.width / width
    right, left = (
        np.asarray(
            Image.fromarray(field.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR),
            dtype=np.float32,
        )
        for field in (lungs.right, lungs.left)
    )
    x = ((np.arange(width, dtype=np.float32) + 0.5) * pixel)[None, :]
    y = ((np.arange(height, dtype=np.float32) + 0.5) * pixel)[:, None]
    return View(lungs, x, y, right, left, pixel)


def noise(view: View, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of mean 0 and deviation about 1 with grains of `scale` centimetres; the same at any size."""
    height, width = view.right.shape
    columns = max(4, round(view.lungs.width / scale))
    rows = max(4, round(columns * height / width))
    grains = rng.standard_normal((rows, columns), dtype=np.float32) * 1.25
    return np.asarray(Image.fromarray(grains).resize((width, height), Image.Resampling.BICUBIC))


def spot(view: View, side: str, zone: str, radius: float, rng: np.random.Generator) -> tuple[float, float]:
    """A place (x, y) in centimetres in the zone of a lung where a round thing of this radius mostly fits."""
    depth = view.lungs.depth(side)
    rows, columns = depth.shape
    top, bottom = view.lungs.extent(side)
    index = ("upper", "mid", "lower").index(zone)
    low, high = (0.2, 0.8) if zone != "upper" else (0.3, 0.85)
    first = round(rows * (top + (bottom - top) * (index + low) / 3))
    last = max(first + 1, round(rows * (top + (bottom - top) * (index + high) / 3)))
    band = depth[first:last]
    room = np.flatnonzero(band >= min(0.75 * radius, 0.8 * float(band.max())))
    at = int(room[int(rng.random() * len(room))])
    unit = view.lungs.width / columns
    jitter = rng.uniform(-0.5, 0.5, 2)
    return (at % columns + 0.5 + jitter[0]) * unit, (first + at // columns + 0.5 + jitter[1]) * unit


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
    turn = rng.uniform(0, np.pi)
    dx, dy = view.x - x, view.y - y
    u = (dx * np.cos(turn) + dy * np.sin(turn)) / stretch
    v = (dy * np.cos(turn) - dx * np.sin(turn)) * stretch
    angle = np.arctan2(v, u)
    edge = np.ones_like(angle)
    for waves in (2, 3, 5):
        edge += lobes / waves * rng.uniform(0.5, 1.0) * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    return np.hypot(u, v) / (radius * edge)


def _level(tier: str, ranges: tuple[tuple[float, float], ...], rng: np.random.Generator) -> float:
    """A value from the tier's own range: obvious, moderate, subtle."""
    return float(rng.uniform(*ranges[TIERS.index(tier)]))


def _ramp(values: np.ndarray) -> np.ndarray:
    """A smooth step from 0 to 1 over [0, 1]."""
    t = np.clip(values, 0, 1)
    return t * t * (3 - 2 * t)


def nodule(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    radius = _level(tier, ((0.95, 1.35), (0.75, 1.2), (0.6, 1.0)), rng)
    x, y = spot(view, side, zone, radius + 0.3, rng)
    rho = _radial(view, x, y, radius, 0.12, rng)
    soft = 1.2 * view.pixel / radius
    body = np.sqrt(np.clip(1 - rho**2, 0, 1)) * 0.6 + 0.4 * _ramp((1 - rho) / (0.35 + soft))
    return Change(body * _level(tier, ((0.75, 1.0), (0.42, 0.6), (0.24, 0.34)), rng), 0.3, rho < 1)


def mass(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    radius = _level(tier, ((2.2, 2.9), (1.9, 2.5), (1.75, 2.2)), rng)
    x, y = spot(view, side, zone, radius, rng)
    rho = _radial(view, x, y, radius, 0.16, rng, stretch=float(rng.uniform(0.92, 1.09)))
    body = _ramp((1 - rho) / 0.45) * (0.75 + 0.25 * np.sqrt(np.clip(1 - rho**2, 0, 1)))
    body *= 1 + 0.08 * noise(view, 0.9, rng)
    return Change(body * _level(tier, ((1.1, 1.5), (0.6, 0.85), (0.34, 0.48)), rng), 0.6, rho < 0.97)


def consolidation(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    radius = _level(tier, ((3.0, 4.2), (2.6, 3.6), (2.2, 3.2)), rng)
    x, y = spot(view, side, zone, 0.75 * radius, rng)
    rho = _radial(view, x, y, radius, 0.3, rng, stretch=float(rng.uniform(1.0, 1.25)))
    shape = (1 - rho + 0.22 * noise(view, 2.2, rng) + 0.1 * noise(view, 0.9, rng)) * _zone_fade(
        view, side, zone
    )
    inside = view.field(side)
    body = _ramp(shape / 0.4) * _ramp(inside * 1.6)
    body *= np.clip(0.85 + 0.16 * noise(view, 1.1, rng) + 0.08 * noise(view, 0.5, rng), 0.3, 1.4)
    return Change(
        body * _level(tier, ((1.2, 1.7), (0.65, 0.95), (0.36, 0.52)), rng),
        0.8,
        (shape > 0.16) & (inside > 0.35),
    )


def _zone_fade(view: View, side: str, zone: str) -> np.ndarray:
    """1 within the zone, falling to 0 towards the middle of its neighbours. float32 [height, 1]."""
    top, bottom = view.span(side)
    third = (bottom - top) / 3
    centre = top + third * (("upper", "mid", "lower").index(zone) + 0.5)
    return 1 - _ramp((np.abs(view.y - centre) / third - 0.55) / 0.4)


def opacity(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    radius = _level(tier, ((4.0, 5.2), (3.5, 4.6), (3.0, 4.2)), rng)
    x, y = spot(view, side, zone, 0.6 * radius, rng)
    rho = _radial(view, x, y, radius, 0.2, rng, stretch=float(rng.uniform(1.0, 1.2)))
    shape = (1.05 - rho + 0.15 * noise(view, 2.5, rng)) * _zone_fade(view, side, zone)
    inside = view.field(side)
    body = _ramp(shape / 0.85) * _ramp(inside * 1.6)
    body *= np.clip(1 + 0.14 * noise(view, 0.8, rng) + 0.1 * noise(view, 0.4, rng), 0.2, 1.8)
    return Change(
        body * _level(tier, ((0.62, 0.85), (0.4, 0.55), (0.24, 0.34)), rng),
        0.1,
        (shape > 0.24) & (inside > 0.35),
    )


def _edges(view: View, side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outer and inner edge of a lung per pixel row (x in centimetres), and whether the row has lung. [height]."""
    inside = view.field(side) > 0.5
    there = inside.any(axis=1)
    first = np.argmax(inside, axis=1) * view.pixel
    last = (inside.shape[1] - np.argmax(inside[:, ::-1], axis=1)) * view.pixel
    return (first, last, there) if side == "right" else (last, first, there)


def effusion(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    """Fluid from the lung base upwards; its upper border climbs along the chest wall (the meniscus)."""
    top, bottom = view.span(side)
    depth = _level(tier, ((0.2, 0.28), (0.13, 0.2), (0.08, 0.13)), rng) * (bottom - top)
    outer, inner, there = _edges(view, side)
    lower = there & (np.arange(len(there)) * view.pixel > top + 0.6 * (bottom - top))
    wall = float(np.median(outer[lower])) if lower.any() else float(np.median(outer[there]))
    heart = float(np.median(inner[lower])) if lower.any() else float(np.median(inner[there]))
    out = (view.x - heart) / (wall - heart)  # 0 at the heart, 1 at the chest wall
    climb = np.clip(out, -0.2, 1.15)
    line = bottom - depth * (0.55 + 0.12 * (1 - climb) ** 2 + 0.75 * np.abs(climb) ** 3)
    line = line + 0.12 * noise(view, 3.0, rng)[:1]
    below = _ramp((view.y - line) / 0.9 + 0.25)
    # the angle between chest wall and diaphragm belongs to the lung, also where the estimate cuts it off
    room = np.maximum(view.field(side), _base(view, side, outer, there))
    body = below * _ramp(room * 1.8)
    return Change(
        body * _level(tier, ((1.9, 2.5), (1.4, 1.9), (0.9, 1.3)), rng), 0.9, (body > 0.4) & (view.y <= bottom)
    )


def _base(view: View, side: str, outer: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The outer lower corner of the chest, soft: where fluid gathers first. float32 [height, width]."""
    rows = np.flatnonzero(there)
    last = rows[int(len(rows) * 0.8)]
    wall = float(outer[last])
    sign = 1.0 if side == "right" else -1.0
    inward = (view.x - wall) * sign
    _, bottom = view.span(side)
    return _ramp(inward / 0.6 + 0.5) * _ramp((2.2 - inward) / 1.2) * _ramp((bottom + 0.2 - view.y) / 0.6)


def pneumothorax(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    """Air between the chest wall and the lung, which draws back towards its root; a thin line is its edge."""
    top, bottom = view.span(side)
    gap = _level(tier, ((2.4, 3.4), (1.6, 2.3), (1.0, 1.5)), rng)
    aside = _level(tier, ((1.6, 2.4), (1.0, 1.6), (0.5, 0.9)), rng)
    outer, inner, there = _edges(view, side)
    rows = np.arange(len(there), dtype=np.float32) * view.pixel
    pivot = top + float(rng.uniform(0.5, 0.62)) * (bottom - top)
    shrink = (pivot - top - gap) / (pivot - top)
    source = pivot + (rows - pivot) / shrink
    kept = np.flatnonzero(there)
    sign = 1.0 if side == "right" else -1.0
    fade = _ramp((pivot - rows) / (0.75 * (pivot - top)))
    edge = np.interp(source, rows[kept], outer[kept]) + sign * aside * fade
    apex = top + gap
    u = ((view.x - edge[:, None]) * sign).astype(np.float32)  # > 0: within the lung that drew back
    hidden = np.minimum(u, (view.y - apex) * 0.9)
    lung = _ramp(hidden / (2 * view.pixel) + 0.5)
    room = view.field(side) * (view.y < pivot)
    space = np.clip(_ramp(room * 1.7) - lung, 0, 1) * _ramp((pivot - view.y) / 1.5)
    line = (
        np.exp(-((hidden / max(0.11, 0.6 * view.pixel)) ** 2))
        * _ramp(room * 1.5)
        * _ramp((pivot - view.y) / 2.0)
    )
    strength = _level(tier, ((0.55, 0.7), (0.4, 0.52), (0.28, 0.38)), rng)
    return Change(line * (0.35 + 0.5 * strength) + 0.06 * lung * room, 0.0, space > 0.5, space * strength)


def atelectasis(view: View, side: str, zone: str, tier: str, rng: np.random.Generator) -> Change:
    half = _level(tier, ((2.6, 3.8), (2.2, 3.2), (1.7, 2.6)), rng)
    thick = _level(tier, ((0.4, 0.6), (0.3, 0.45), (0.24, 0.36)), rng)
    x, y = spot(view, side, zone, 1.2, rng)
    turn = rng.uniform(-0.35, 0.35)
    along = (view.x - x) * np.cos(turn) + (view.y - y) * np.sin(turn)
    across = (view.y - y) * np.cos(turn) - (view.x - x) * np.sin(turn)
    across = across - rng.uniform(-0.05, 0.05) * along**2 / 2 + 0.12 * noise(view, 1.4, rng)
    width = thick * np.sqrt(np.clip(1 - (along / half) ** 2, 0.0, 1)) + 1e-3
    inside = view.field(side)
    soft = max(0.3, 1.2 * view.pixel)
    body = (
        _ramp((width - np.abs(across)) / soft + 0.5)
        * _ramp((half - np.abs(along)) / 0.8)
        * _ramp(inside * 1.6)
    )
    return Change(
        body * _level(tier, ((0.95, 1.3), (0.55, 0.8), (0.3, 0.45)), rng), 0.5, (body > 0.4) & (inside > 0.3)
    )


def cardiomegaly(view: View, side: None, zone: None, tier: str, rng: np.random.Generator) -> Change:
    """A wider heart: its shadow grows over both lungs. The mask is the whole enlarged silhouette."""
    ratio = _level(tier, ((0.64, 0.72), (0.58, 0.63), (0.54, 0.57)), rng)
    outer_right, inner_right, there_right = _edges(view, "right")
    outer_left, inner_left, there_left = _edges(view, "left")
    rows = there_right & there_left
    top, bottom = np.mean([view.span("right"), view.span("left")], axis=0)
    height = bottom - top
    level = np.arange(len(rows)) * view.pixel
    at = rows & (level > top + 0.25 * height)
    chest_right, chest_left = float(np.min(outer_right[at])), float(np.max(outer_left[at]))
    middle = float(np.median((inner_right + inner_left)[rows & (level < top + 0.5 * height)])) / 2
    chest = chest_left - chest_right
    half_x = ratio * chest / 2
    half_y = half_x * float(rng.uniform(0.72, 0.82))
    x, y = middle + 0.16 * half_x + 0.06 * chest, bottom - 0.82 * half_y
    turn = float(rng.uniform(0.3, 0.45))
    u = ((view.x - x) * np.cos(turn) + (view.y - y) * np.sin(turn)) / half_x
    v = ((view.y - y) * np.cos(turn) - (view.x - x) * np.sin(turn)) / half_y
    rho = (np.abs(u) ** 2.3 + np.abs(v) ** 2.3) ** (1 / 2.3)
    body = _ramp((1 - rho) / 0.12) * _ramp((bottom + 0.6 - view.y) / 1.2)
    return Change(
        body * _level(tier, ((1.7, 2.2), (1.5, 1.9), (1.3, 1.6)), rng),
        0.85,
        (rho < 0.95) & (view.y < bottom + 0.1),
    )


def interstitial(view: View, side: str, zone: None, tier: str, rng: np.random.Generator) -> Change:
    """A net of fine lines through both lungs, denser towards the bases."""
    both = np.maximum(view.right, view.left)
    top, bottom = np.mean([view.span("right"), view.span("left")], axis=0)
    weight = _ramp(both * 1.5) * (0.55 + 0.45 * _ramp((view.y - top) / (0.7 * (bottom - top))))
    coarse, fine = noise(view, 1.1, rng), noise(view, 0.7, rng)
    net = np.exp(-((coarse / 0.28) ** 2)) + 0.8 * np.exp(-((fine / 0.3) ** 2))
    patchy = np.clip(0.9 + 0.35 * noise(view, 3.5, rng), 0.3, 1.6)
    body = weight * patchy * (net + 0.25)
    return Change(body * _level(tier, ((0.4, 0.55), (0.26, 0.36), (0.15, 0.22)), rng), 0.0, both > 0.5)


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
