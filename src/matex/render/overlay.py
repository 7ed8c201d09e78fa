"""The film with its map: colours, contour lines, hatching over what the model did not see, the patient's sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from matex.audio.sound import Sound, Tick
from matex.dicom.view_position import is_frontal
from matex.domains import find_pack, is_anatomical
from matex.geometry import Placement, Size
from matex.images import Film
from matex.render.colormap import ColourScale
from matex.render.text import font
from matex.results import Explanation, SaliencyMap
from matex.sensors.reading import SensorFilm

LEVELS = (0.5, 0.75, 0.9)  # contour lines, fractions of the way from the transparent value to the strongest colour
SIDE = 1024  # longer side of a rendered film, pixels
STATED, ASSUMED = "#ffffff", "#aeb4bb"  # colours of R and L, and of R? and L?
SMALLEST = 120  # shorter side of a picture from which axes are marked, pixels
CROWDED = 0.12  # share of the film above which contour lines would hide more than they show

# All pictures of a film share one reduced copy of it: resizing millions of pixels for each of a dozen
# pictures was most of the cost of saving. A copy lives as long as its film.
_REDUCED: WeakKeyDictionary[Film, Image.Image] = WeakKeyDictionary()


def fit(size: Size, height: int, width: int) -> Size:
    """The largest (height, width) of the same proportions inside a frame; at least one pixel per side."""
    ratio = min(height / size[0], width / size[1])
    return (max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio)))


def draw_film(film: Film, size: Size) -> Image.Image:
    """The film as RGB at (height, width): large films shrunk, small ones enlarged; a sound with its axes."""
    source = _reduced(film)
    if size[0] > source.height or size[1] > source.width:
        source = Image.fromarray(film.pixels)
    picture = source.resize((size[1], size[0]), Image.Resampling.LANCZOS).convert("RGB")
    draw_axes(picture, film)
    return picture


def draw_axes(picture: Image.Image, film: Film) -> None:
    """Mark the axes of a sound (Hz, s) or of a recording of motion (channel, step); nothing on other films."""
    marks = _marks(film)
    if marks is None or min(picture.size) < SMALLEST:
        return
    left, lower = marks
    draw, length = ImageDraw.Draw(picture), max(3, round(max(picture.size) / 120))
    points = max(10, round(26 * (max(picture.size) / SIDE) ** 0.6))

    def label(x: float, y: float, text: str, anchor: str) -> None:
        rim = max(1, length // 4)
        draw.text((x, y), text, font=font(points), fill=STATED, anchor=anchor, stroke_width=rim, stroke_fill="#000000")

    for mark in _legible(left, picture.height, 1.2 * points):
        y = mark.position * picture.height
        draw.line((0, y, length, y), fill=STATED, width=2)
        label(length + 4, y, mark.label, "lm")
    bottom = picture.height - 1
    for mark in _legible(lower, picture.width, 3.5 * points):
        x = mark.position * picture.width
        draw.line((x, bottom - length, x, bottom), fill=STATED, width=2)
        label(x, bottom - length - 2, mark.label, "ms")


def _marks(film: Film) -> tuple[list[Tick], list[Tick]] | None:
    """Marks on the left and on the lower edge with their units; None for films without axes."""
    if isinstance(film, Sound):
        left = [Tick(at, f"{hertz} Hz") for at, hertz in film.hertz]
        return left, [Tick(at, f"{second} s") for at, second in film.seconds]
    if isinstance(film, SensorFilm) and film.steps:
        left = [Tick(at, f"channel {number}") for at, number in film.channels]
        return left, [Tick(at, f"step {number}") for at, number in film.steps]
    return None


def _legible(marks: Sequence[Tick], length: int, distance: float) -> list[Tick]:
    """The marks that fit on an axis: not at its ends, and at least so many pixels from the last one."""
    found: list[Tick] = []
    for mark in marks:
        at = mark.position * length
        if distance / 2 <= at <= length - distance / 2 and all(
            abs(at - other.position * length) >= distance for other in found
        ):
            found.append(mark)
    return found


def _reduced(film: Film) -> Image.Image:
    """The film with its longer side at `SIDE` pixels, or as it is where it is smaller; do not write on it."""
    if film not in _REDUCED:
        height, width = fit(film.pixels.shape[:2], SIDE, SIDE)
        image = Image.fromarray(film.pixels)
        smaller = height < image.height
        _REDUCED[film] = image.resize((width, height), Image.Resampling.LANCZOS) if smaller else image
    return _REDUCED[film]


def at_size(grid: NDArray[np.floating], placement: Placement, size: Size) -> NDArray[np.float32]:
    """Interpolate a grid to a film drawn at (height, width); NaN where the model did not see the film."""
    return replace(placement, original=size).map_to_original(grid)


def paint(values: NDArray[np.floating], scale: ColourScale) -> Image.Image:
    """Colour a map [height, width] as a palette image, transparent where it is low or undefined."""
    fractions = scale.fractions(values)
    known = np.isfinite(fractions)
    index = np.where(known, np.nan_to_num(fractions) * 254 + 0.5, 255).astype(np.uint8)
    image = Image.fromarray(index, mode="L")
    image.putpalette(bytes(scale.colours) + bytes(3))
    image.info["transparency"] = bytes((scale.opacity * 255).round().astype(np.uint8)) + bytes(1)
    return image


def contours(strength: NDArray[np.floating], width: float = 1.0) -> Image.Image:
    """Lines where the map [height, width] in [0, 1] crosses the LEVELS, thicker for the higher ones.

    A pixel's distance to a line is the difference to the level over the length of the gradient, on the map
    smoothed by a few pixels. No lines at all when they would cover more than `CROWDED` of the film, as on a
    map that changes from pixel to pixel.
    """
    canvas = np.zeros((*strength.shape, 2), dtype=np.float32)
    if (box := seen_box(np.isfinite(strength))) is not None and min(box[2] - box[0], box[3] - box[1]) > 1:
        x0, y0, x1, y1 = box
        field = _smooth(strength[y0:y1, x0:x1])
        down, across = np.gradient(field)
        slope = np.maximum(np.hypot(down, across), np.float32(1e-4))
        line, halo = np.zeros_like(field), np.zeros_like(field)
        for level, thickness, weight in zip(LEVELS, (0.8, 1.1, 1.5), (0.6, 0.8, 1.0), strict=True):
            distance = np.abs(field - np.float32(level)) / slope
            line = np.maximum(line, weight * np.clip(thickness * width / 2 + 0.5 - distance, 0, 1))
            halo = np.maximum(halo, 0.4 * np.clip(thickness * width / 2 + 1.3 * width - distance, 0, 1))
        if (line > 0.3).mean() <= CROWDED:
            alpha = np.maximum(line, halo)
            canvas[y0:y1, x0:x1, 0] = np.divide(line, alpha, out=np.zeros_like(line), where=alpha > 0)
            canvas[y0:y1, x0:x1, 1] = alpha
    return Image.fromarray((canvas * 255).round().astype(np.uint8), mode="LA")


def draw_unseen(seen: NDArray[np.bool_], scale: float = 1.0) -> Image.Image:
    """Hatch what the model did not see in grey and label it "not seen"; [height, width], True = seen."""
    rows, columns = np.indices(seen.shape)
    period = max(6, round(14 * scale))
    stripe = (rows + columns) % period < max(1, round(2 * scale))
    shade = np.where(stripe, 150, 40)
    alpha = np.where(seen, 0, np.where(stripe, 150, 165))
    image = Image.fromarray(np.stack([shade, alpha], axis=-1).astype(np.uint8), mode="LA").convert("RGBA")
    for x0, y0, x1, y1 in _bands(seen):
        _label(image, "not seen", (x0, y0, x1, y1), round(22 * scale))
    return image


def overlay(explanation: Explanation, side: int = SIDE) -> Image.Image:
    """Draw the film with its map, contour lines and the patient's sides; `side` is the longer side in pixels."""
    image = explanation.image
    size = fit(image.placement.original, side, side)
    scale = ColourScale(*image.range)
    picture = layered(explanation.film, image.grid, image.placement, scale, size, lines=True)
    draw_letters(picture, letters(explanation))
    draw_axes(picture, explanation.film)  # again, where the map covers those of the film
    if explanation.image.degenerate:
        _label(
            picture,
            "constant map: it says nothing about where",
            (0, 0, *picture.size),
            round(30 * side / SIDE),
        )
    return picture


def target_overlay(explanation: Explanation, target: SaliencyMap, side: int = SIDE) -> Image.Image:
    """Draw the image or sound that was compared with, with its map."""
    film = explanation.query.target
    assert film is not None
    size = fit(target.placement.original, side, side)
    picture = layered(film, target.grid, target.placement, ColourScale(*target.range), size, lines=True)
    draw_axes(picture, film)
    return picture


def layered(
    film: Film,
    grid: NDArray[np.floating],
    placement: Placement,
    scale: ColourScale,
    size: Size,
    lines: bool = False,
) -> Image.Image:
    """Draw the film at (height, width) with one grid coloured on it, RGB."""
    values = at_size(grid, placement, size)
    picture = draw_film(film, size).convert("RGBA")
    picture.alpha_composite(paint(values, scale).convert("RGBA"))
    zoom = max(size) / SIDE
    if lines and not scale.constant:
        picture.alpha_composite(contours(scale.strength(values), width=max(1.5, 1.6 * zoom)).convert("RGBA"))
    seen = np.isfinite(values)
    if not seen.all():
        picture.alpha_composite(draw_unseen(seen, zoom))
    return picture.convert("RGB")


class Sides(NamedTuple):
    """Letters of the patient's sides at the edges of a displayed film.

    Args:
        left: "R" or "L" on the image's left edge, with a question mark where it is assumed.
        right: the same on the image's right edge.
        assumed: True when neither the file nor the caller stated the sides: standard display is assumed.
    """

    left: str
    right: str
    assumed: bool

    @property
    def legend(self) -> str:
        """Meaning of the letters, for a caption."""
        if self.assumed:
            return "R? and L?: the patient's sides as in standard display; the file does not state them"
        return "R and L: the patient's sides"


def letters(explanation: Explanation) -> Sides | None:
    """The patient's sides at the left and right edge of the displayed film; None where the film has none.

    The patient's right is on the image's left on a frontal film in standard display. Lateral views, one breast, an
    axial slice whose sides nothing states, and images without anatomy have no such sides.
    """
    return sides_of(explanation.film, explanation.query.domain)


def sides_of(film: Film, domain: str) -> Sides | None:
    """`letters` of a film that is not explained yet."""
    if not is_anatomical(domain) or (edges := film.edges) is None:
        return None
    assumed = not (film.oriented or film.mirrored)
    if (pack := find_pack(domain)) is not None:
        view = pack.view(film.view)
        if view is None or view.sides != "both" or (assumed and pack.orientation != "assumed"):
            return None
    elif not is_frontal(film.view):
        return None
    left, right = edges
    return Sides(left + "?" * assumed, right + "?" * assumed, assumed)


def draw_letters(picture: Image.Image, sides: Sides | None) -> None:
    """Write the sides into the upper corners: white where they are stated, smaller and grey where assumed."""
    if sides is None:
        return
    scale = (max(picture.size) / SIDE) ** 0.6  # on small pictures larger in proportion, so that they can be read
    draw = ImageDraw.Draw(picture)
    face = font(max(13, round((36 if sides.assumed else 44) * scale)))
    margin, rim = max(4, round(20 * scale)), max(1, round(3 * scale))
    for text, x, anchor in ((sides.left, margin, "lt"), (sides.right, picture.width - margin, "rt")):
        draw.text(
            (x, margin),
            text,
            font=face,
            fill=ASSUMED if sides.assumed else STATED,
            anchor=anchor,
            stroke_width=rim,
            stroke_fill="#000000",
        )


def seen_box(seen: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Bounding box (x0, y0, x1, y1) of what the model saw, half-open; None when it saw nothing."""
    if not seen.any():
        return None
    y, x = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return (int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1)


def _bands(seen: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """The rectangles (x0, y0, x1, y1) above, below, left and right of what was seen; empty ones left out."""
    height, width = seen.shape
    if (box := seen_box(seen)) is None:
        return [(0, 0, width, height)]
    left, top, right, bottom = box
    bands = [
        (0, 0, width, top),
        (0, bottom, width, height),
        (0, top, left, bottom),
        (right, top, width, bottom),
    ]
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in bands if x1 > x0 and y1 > y0]


def _smooth(field: NDArray[np.floating], cell: int = 8) -> NDArray[np.float32]:
    """Smooth a map before contouring it: bilinear interpolation of patches has kinks at the patch borders."""
    height, width = field.shape
    small = (max(2, width // cell), max(2, height // cell))
    means = Image.fromarray(field.astype(np.float32)).resize(small, Image.Resampling.BOX)
    return np.asarray(means.resize((width, height), Image.Resampling.BICUBIC))


def _label(picture: Image.Image, text: str, box: tuple[int, int, int, int], size: int) -> None:
    """Write text on a dark plate in the middle of a box, along its longer side; nothing where it does not fit."""
    x0, y0, x1, y1 = box
    for points in range(max(size, 11), 9, -2):
        face = font(points)
        width, height = (round(length) for length in (face.getlength(text), points * 1.25))
        plate = Image.new("RGBA", (width + points, height + points // 2), (12, 13, 16, 215))
        ImageDraw.Draw(plate).text((plate.width / 2, plate.height / 2), text, font=face, fill="#e8eaed", anchor="mm")
        upright = plate, plate.transpose(Image.Transpose.ROTATE_90)
        for label in upright if x1 - x0 >= y1 - y0 else upright[::-1]:
            if label.width <= x1 - x0 and label.height <= y1 - y0:
                corner = ((x0 + x1 - label.width) // 2, (y0 + y1 - label.height) // 2)
                picture.paste(label.convert(picture.mode), corner, label.getchannel("A"))
                return
