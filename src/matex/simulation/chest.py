"""Where the lungs lie on a normal frontal film, how large it is, how bright air and soft tissue are on it.

The simulator places findings by this estimate, made once per film on a small grid; it holds at any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

GRID = 96  # columns of the working grid
THORAX = 27.0  # centimetres between the outer edges of the lungs of an adult
# Lungs of the average film, fractions: y, then x of the outer and the inner edge of each lung, the right one
# first. Where more than half of 380 RSNA normal films had lung.
AVERAGE = np.array(
    [
        [0.14, 0.37, 0.37, 0.63, 0.63],
        [0.16, 0.32, 0.43, 0.68, 0.58],
        [0.21, 0.26, 0.44, 0.75, 0.56],
        [0.31, 0.22, 0.45, 0.79, 0.56],
        [0.42, 0.20, 0.44, 0.80, 0.58],
        [0.52, 0.18, 0.42, 0.81, 0.63],
        [0.63, 0.17, 0.38, 0.82, 0.70],
        [0.71, 0.19, 0.33, 0.82, 0.76],
    ]
)


@dataclass(frozen=True)
class Lungs:
    """The two lung fields of one film on a working grid [rows, columns] that spans the whole image."""

    right: np.ndarray  # bool [rows, columns], the patient's right: the image's left
    left: np.ndarray
    right_depth: np.ndarray  # float32 [rows, columns], centimetres to the edge of the field, 0 outside
    left_depth: np.ndarray
    air: float  # grey level of the darkest lung, 0-255
    tissue: float  # grey level of heart and liver
    width: float  # centimetres across the frame, from an adult thorax of THORAX
    measured: bool  # False: nothing plausible was found and the average lungs stand in

    def field(self, side: str) -> np.ndarray:
        return self.right if side == "right" else self.left

    def depth(self, side: str) -> np.ndarray:
        return self.right_depth if side == "right" else self.left_depth

    def extent(self, side: str) -> tuple[float, float]:
        """Top and bottom of a lung in fractions of the image height."""
        rows = np.flatnonzero(self.field(side).any(axis=1))
        count = self.field(side).shape[0]
        return float(rows[0] / count), float((rows[-1] + 1) / count)


def find_lungs(normal: np.ndarray) -> Lungs:
    """Estimate the lung fields of a normal frontal film.

    Dark regions that hang together, do not reach the edge of the image and lie about where lungs lie, let
    down to the diaphragm; the average lungs where that gives nothing plausible (a turned film). About ten
    milliseconds: keep the result when the same film is used again, at any size.

    Args:
        normal: uint8 [height, width], grey, dense = bright.
    """
    height, width = normal.shape
    rows = max(24, round(GRID * height / width))
    grid = np.asarray(Image.fromarray(normal).resize((GRID, rows), Image.Resampling.BOX), dtype=np.float32)
    x = (np.arange(GRID) + 0.5) / GRID
    y = ((np.arange(rows) + 0.5) / rows)[:, None]
    smooth = _blur(grid, 1)
    level = _otsu(smooth[int(rows * 0.12) : int(rows * 0.75), int(GRID * 0.12) : int(GRID * 0.88)])
    columns = smooth[int(rows * 0.2) : int(rows * 0.6), int(GRID * 0.4) : int(GRID * 0.6)].mean(axis=0)
    middle = float((np.argmax(columns) + int(GRID * 0.4) + 0.5) / GRID)
    fields = []
    for low, high, centre in ((0.04, middle - 0.01, 0.28), (middle + 0.01, 0.96, 0.71)):
        room = (x > low) & (x < high) & (y > 0.03) & (y < 0.93)
        field = _field(smooth, level, room, (abs(x - centre) < 0.09) & (abs(y - 0.4) < 0.17))
        fields.append(_extend(field, smooth, room))
    measured = all(field.any() for field in fields)
    fields = [_dilate(field) for field in fields]  # the rim of a lung is brighter than its middle
    if not measured:
        fields = [_average(x, y, *columns) for columns in ((1, 2), (4, 3))]
    right, left = fields
    inside = grid[right | left]
    air = float(np.percentile(inside, 8))
    between = grid[int(rows * 0.45) : int(rows * 0.85), int(GRID * 0.42) : int(GRID * 0.6)]
    tissue = float(np.clip(np.percentile(between, 60), air + 40, 250))
    outer = np.flatnonzero((right | left).any(axis=0))
    frame = float(np.clip(THORAX * GRID / (outer[-1] + 1 - outer[0]), 29.0, 46.0))
    unit = frame / GRID
    return Lungs(right, left, _depth(right) * unit, _depth(left) * unit, air, tissue, frame, measured)


def _field(smooth: np.ndarray, level: float, room: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """The dark region around the seed, at the highest level at which it does not run out of the lung."""
    floor = float(np.percentile(smooth[seed], 5))
    for share in (1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4):
        dark = room & (smooth < floor + share * (level - floor))
        core = _erode(dark)
        field = _outline(_dilate(_grow(core & seed, core)) & dark)
        if _is_plausible(field, room):
            return field
    return np.zeros_like(room)


def _is_plausible(field: np.ndarray, room: np.ndarray) -> bool:
    """Whether a region has the size of a lung and stays clear of the frame."""
    if not field.any():
        return False
    down, across = np.flatnonzero(field.any(axis=1)), np.flatnonzero(field.any(axis=0))
    tall, wide = (down[-1] + 1 - down[0]) / field.shape[0], (across[-1] + 1 - across[0]) / GRID
    clear = not (field & ~_erode(_erode(room)) & (np.arange(GRID) % (0.75 * GRID) < 0.25 * GRID)).any()
    return clear and 0.28 < tall < 0.86 and 0.13 < wide < 0.42 and 0.035 < field.mean() < 0.27


def _extend(field: np.ndarray, smooth: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Let a field reach the diaphragm: soft tissue before the lung (a breast) stops the first estimate."""
    if not field.any():
        return field
    rows = field.shape[0]
    across = np.flatnonzero(field.any(axis=0))
    down = np.flatnonzero(field.any(axis=1))
    first, last = max(0, across[0] - 2), min(GRID, across[-1] + 3)
    start, stop = down[0] + (down[-1] - down[0]) // 2, min(rows - 2, round(0.93 * rows))
    diaphragm = start + _path((smooth[3:] - smooth[:-3])[start - 1 : stop - 1, first:last])
    above = np.arange(rows)[:, None] <= diaphragm[None, :]
    lung = float(np.median(smooth[field]))
    under = np.clip(diaphragm[None, :] + np.arange(3, 7)[:, None], 0, rows - 1)
    belly = float(np.median(smooth[under, np.arange(first, last)[None, :]]))
    wider = np.zeros_like(field)
    wider[:, first:last] = above & (smooth[:, first:last] < lung + 0.55 * (belly - lung))
    wider &= room & (np.arange(rows)[:, None] > start)
    return _outline(_grow(field & wider, _erode(wider) | (field & wider)) | field)


def _path(rise: np.ndarray) -> np.ndarray:
    """The row per column where brightness rises most, neighbours at most two rows apart. int [columns]."""
    gain = rise / max(1e-6, float(rise.max()))
    best = gain[:, 0]
    back = []
    for column in range(1, gain.shape[1]):
        padded = np.pad(best, 2, constant_values=-np.inf)
        steps = np.stack([padded[i : i + len(best)] - 0.15 * abs(i - 2) for i in range(5)])
        choice = np.argmax(steps, axis=0)
        back.append(np.clip(np.arange(len(best)) + choice - 2, 0, len(best) - 1))
        best = steps[choice, np.arange(len(best))] + gain[:, column]
    path = [int(np.argmax(best))]
    for before in reversed(back):
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def _average(x: np.ndarray, y: np.ndarray, low: int, high: int) -> np.ndarray:
    """A lung of the average film, between two columns of AVERAGE."""
    first, last = (np.interp(y, AVERAGE[:, 0], AVERAGE[:, column]) for column in (low, high))
    return (y > AVERAGE[0, 0]) & (y < AVERAGE[-1, 0]) & (x > first) & (x < last)


def _otsu(values: np.ndarray) -> float:
    """The grey level that best parts dark from bright (Otsu 1979, eq. 18)."""
    counts = np.bincount(values.astype(np.uint8).ravel(), minlength=256).astype(np.float64)
    weight = np.cumsum(counts)
    mean = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean[-1] * weight / weight[-1] - mean) ** 2 / (weight * (weight[-1] - weight))
    return float(np.nanargmax(np.where(np.isfinite(between), between, -1.0)) + 1)


def _blur(values: np.ndarray, radius: int) -> np.ndarray:
    """Mean over a square of 2 radius + 1, the edge repeated."""
    size = 2 * radius + 1
    padded = np.pad(values, radius, mode="edge")
    rows = sum(padded[i : i + values.shape[0]] for i in range(size))
    return np.asarray(sum(rows[:, i : i + values.shape[1]] for i in range(size)) / size**2)  # type: ignore[index]


def _dilate(mask: np.ndarray) -> np.ndarray:
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _erode(mask: np.ndarray) -> np.ndarray:
    return ~_dilate(~mask)


def _grow(seed: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Everything in the room that hangs together with the seed."""
    grown = seed & room
    while True:
        larger = _dilate(_dilate(grown) & room) & room
        if (larger == grown).all():
            return grown
        grown = larger


def _outline(field: np.ndarray) -> np.ndarray:
    """Close what ribs and vessels left open: each row from edge to edge, the outline smoothed."""
    reach = np.maximum.accumulate(field, axis=1) & np.maximum.accumulate(field[:, ::-1], axis=1)[:, ::-1]
    return _blur(reach.astype(np.float32), 2) > 0.5


def _depth(field: np.ndarray) -> np.ndarray:
    """Cells to the edge of the field, by peeling."""
    depth = np.zeros(field.shape, dtype=np.float32)
    edged = np.pad(field, 1)
    while edged.any():
        depth += edged[1:-1, 1:-1]
        edged = _erode(edged)
    return depth
