import numpy as np
import pytest

from matex.render.framed import framed_overlay
from matex.render.overlay import overlay
from tests.fake_explanation import PHRASE, bipolar, fake, film

FRAMED = {
    "large": film(3000, 2500),
    "small": film(112, 90),
    "wide": film(120, 900),
    "tall": film(900, 120),
    "sides stated": film(480, 560, oriented=True),
}


@pytest.mark.parametrize("case", FRAMED)
def test_the_border_of_the_overlay_lies_outside_the_film(case):
    explanation = fake(FRAMED[case], grid=bipolar())
    inner = overlay(explanation)
    framed = framed_overlay(explanation)
    assert framed.width == max(inner.width, 640)
    assert framed.height > inner.height + 150
    np.testing.assert_array_equal(np.asarray(framed.crop((0, 0, *inner.size))), np.asarray(inner))
    border = np.asarray(framed.convert("L"))[inner.height :]
    written = (border > 90).any(axis=1)
    assert written.sum() > 60
    margin = np.asarray(framed.convert("L"))[inner.height :, -8:]
    assert margin.max() < 40  # nothing runs over the edge


def test_the_border_says_what_the_overlay_shows(monkeypatch):
    from matex.render import canvas

    lines = []
    real = canvas.Canvas.paragraph

    def spy(self, x, y, text, *rest, **named):
        lines.append(text)
        return real(self, x, y, text, *rest, **named)

    monkeypatch.setattr(canvas.Canvas, "paragraph", spy)
    framed_overlay(fake(method="gradient", grid=bipolar()))
    text = "\n".join(lines)
    for part in (PHRASE, "method gradient", "model tiny", "0.313", "-0.0100 to 0.0200", "centred on 0", "Not for diag"):
        assert part in text
    assert "R? and L?" in text


def test_a_long_phrase_is_wrapped_and_cut_in_the_border():
    short, long = (framed_overlay(fake(text=text)) for text in (PHRASE, "opacity " * 300))
    assert 0 < long.height - short.height < 120
