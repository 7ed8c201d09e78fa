"""The clips of a recording with their maps, one below the other on one time axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from matex.audio.recording import Recording
from matex.audio.sound import Sound
from matex.render.canvas import BRIGHT, FAINT, RULE, SOFT, Canvas
from matex.render.colormap import ColourScale
from matex.render.overlay import layered
from matex.render.panel import format_score
from matex.results import Explanation

WIDTH, MARGIN, HEIGHT = 1920, 60, 240
_AXIS = WIDTH - 2 * MARGIN
_HEARD = 2.04  # seconds of a clip's spectrogram, 204 frames


def draw_clips(recording: Recording, explanations: Sequence[Explanation], score: float) -> Image.Image:
    """Draw every clip at its place in the recording, under one colour scale.

    Args:
        recording: the complete sound.
        explanations: of its clips, by one method.
        score: of the recording.
    """
    first, page = explanations[0], Canvas(WIDTH)
    seconds = max(recording.seconds, _HEARD)
    y = page.paragraph(MARGIN, 48, f"“{first.text}”", 46, _AXIS - 320, BRIGHT, lines=2)
    page.write(WIDTH - MARGIN, 40, format_score(score), 64, BRIGHT, "ra", bold=True)
    facts = f"method {first.method}   ·   sound {recording.name} ({recording.seconds:.3g} s)   ·   score: mean of clips"
    y = max(page.paragraph(MARGIN, y + 4, facts, 25, _AXIS - 320, SOFT), 130) + 24
    scale = ColourScale.of(np.concatenate([np.ravel(one.image.grid) for one in explanations]))
    top = y
    for explanation in explanations:
        sound = explanation.film
        assert isinstance(sound, Sound)
        left = MARGIN + sound.recording.start / seconds * _AXIS
        size = (HEIGHT, max(1, round(_HEARD / seconds * _AXIS)))
        page.image.paste(
            layered(sound, explanation.image.grid, explanation.image.placement, scale, size), (round(left), round(y))
        )
        page.write(left, y + HEIGHT + 6, f"score {format_score(explanation.score)}", 22, SOFT)
        y += HEIGHT + 44
    page.draw.line((MARGIN, y, WIDTH - MARGIN, y), fill=RULE, width=2)
    for mark in _marks(seconds):
        x = MARGIN + mark / seconds * _AXIS
        page.draw.line((x, top, x, y + 8), fill=RULE, width=1)
        page.write(x, y + 14, f"{mark:g} s", 22, FAINT, "ma")
    y = page.colour_bar(MARGIN, y + 64, _AXIS, 18, scale)
    page.write(MARGIN, y + 10, "raw values, coloured alike in all clips. Frequencies run upwards.", 22, FAINT)
    return page.finish(y + 60)


def _marks(seconds: float) -> list[float]:
    """Round times, ten or fewer."""
    step = next(one for one in (0.5, 1, 2, 5, 10, 30, 60) if seconds / one <= 10)
    return [number * step for number in range(int(seconds / step) + 1)]
