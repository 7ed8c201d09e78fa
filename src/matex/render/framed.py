"""overlay.png: the overlay with a caption below it, so that the picture is complete by itself."""

from __future__ import annotations

from PIL import Image

from matex.render.canvas import BRIGHT, SOFT, WARNING, Canvas
from matex.render.colormap import ColourScale
from matex.render.overlay import letters, overlay
from matex.render.panel import format_score, model_name
from matex.results import DISCLAIMER, Explanation

NARROWEST = 640  # pixels; the border of a narrower film is as wide as this
MARGIN = 20


def framed_overlay(explanation: Explanation, film: str | None = None) -> Image.Image:
    """The overlay and, under it, the phrase, the method, the model, the colour bar and the disclaimer.

    The film lies at the top left corner and nothing but its map, contour lines and letters is drawn on it.

    Args:
        explanation: that is drawn.
        film: what the caption calls the film; its own name otherwise, which may be that of a file.
    """
    picture = overlay(explanation)
    page = Canvas(max(picture.width, NARROWEST))
    page.image.paste(picture, (0, 0))
    width = page.image.width - 2 * MARGIN
    scale, sides = ColourScale(*explanation.image.range), letters(explanation)
    y = page.paragraph(MARGIN, picture.height + 16, f"“{explanation.text}”", 28, width, BRIGHT, lines=3)
    facts = (
        f"method {explanation.method} · model {model_name(explanation)} · film {film or explanation.film.name} · "
        f"score {format_score(explanation.score)}"
    )
    y = page.paragraph(MARGIN, y + 2, facts, 20, width, SOFT, lines=3)
    y = page.colour_bar(MARGIN, y + 14, width, 18, scale, lines=True)
    legend = [] if scale.constant else [f"{scale.legend}; lines at 50, 75, 90 %"]
    legend += [sides.legend] if sides else []
    for line in legend:
        y = page.paragraph(MARGIN, y + 6, line, 17, width, SOFT, lines=2)
    y = page.paragraph(MARGIN, y + 8, DISCLAIMER, 20, width, WARNING, lines=2)
    return page.finish(y + 12)
