"""A dark page with text and colour bars, for the PNG files."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from matex.render.colormap import ColourScale
from matex.render.overlay import LEVELS
from matex.render.text import drawable, font, wrap

BACKGROUND, RULE, FAINT, SOFT, BRIGHT, WARNING = (
    "#101317",
    "#2a3038",
    "#8b95a1",
    "#b4bcc6",
    "#f1f3f5",
    "#f5b84b",
)
LONGEST = 6000  # pixels; a page is cut to the height that was used


class Canvas:
    """A page of a fixed width that is cut to the height that was used.

    Args:
        width: pixels.
    """

    def __init__(self, width: int) -> None:
        self.image = Image.new("RGB", (width, LONGEST), BACKGROUND)
        self.draw = ImageDraw.Draw(self.image)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        size: int,
        fill: str = BRIGHT,
        anchor: str = "la",
        bold: bool = False,
    ) -> None:
        """One line of text."""
        rim = 1 if bold else 0
        face = font(size, text)
        self.draw.text((x, y), drawable(text), font=face, fill=fill, anchor=anchor, stroke_width=rim)

    def paragraph(self, x: float, y: float, text: str, size: int, width: float, fill: str, lines: int = 6) -> float:
        """Wrapped text; returns where the next line would start."""
        for line in wrap(text, size, width, lines):
            self.draw.text((x, y), line, font=font(size, text), fill=fill)
            y += round(size * 1.35)
        return y

    def colour_bar(
        self,
        x: float,
        y: float,
        width: float,
        height: int,
        scale: ColourScale,
        lines: bool = False,
        size: int = 20,
    ) -> float:
        """Horizontal bar with raw values in numbers, 0 marked on a signed one; returns its bottom.

        Args:
            x: left edge, pixels.
            y: top edge.
            width: of the bar.
            height: of the bar, without its numbers.
            scale: of the map.
            lines: mark where the contour lines lie.
            size: of the numbers.
        """
        below = y + height + 8
        if scale.constant:
            constant = f"constant: {scale.low:.3g} everywhere" if np.isfinite(scale.low) else "undefined everywhere"
            self.draw.rectangle((x, y, x + width - 1, y + height - 1), outline=RULE)
            self.write(x, below, constant, size, SOFT)
            return below + size + 2
        bar = Image.fromarray(scale.colours[None, :, :]).resize((round(width), height), Image.Resampling.BILINEAR)
        self.image.paste(bar, (round(x), round(y)))
        start, end = scale.ends
        labels = [(start, "la"), (end, "ra")]
        if scale.signed:
            marks = [sign * level * end for level in LEVELS for sign in (-1, 1)] if lines else []
            labels.append((0.0, "ma"))
            marks.append(0.0)
        else:
            marks = [start + level * (end - start) for level in LEVELS] if lines else []
            labels += [(value, "ma") for value in marks[:2]]
        for value in marks:
            at = x + (value - start) / (end - start) * width
            self.draw.line((at, y, at, y + height + 5), fill=BRIGHT, width=2)
        for value, anchor in labels:
            at = x + (value - start) / (end - start) * width
            self.write(at, below, scale.format(value), size, SOFT, anchor)
        return below + size + 2

    def finish(self, height: float) -> Image.Image:
        """The page as far as it was used."""
        return self.image.crop((0, 0, self.image.width, round(height)))
