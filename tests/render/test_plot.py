import sys

import numpy as np
import pytest

from tests.fake_explanation import GRID, bipolar, fake, film


def test_plotting_shows_film_map_and_disclaimer():
    pytest.importorskip("matplotlib")
    figure = fake(film(300, 500), resize="crop").plot()
    assert len(figure.axes) == 3
    assert "Not for diagnosis" in figure.get_supxlabel()
    assert len(fake(grid=np.zeros(GRID, dtype=np.float32)).plot().axes) == 2


def test_the_colour_bar_of_a_plotted_signed_map_is_centred():
    pytest.importorskip("matplotlib")
    bar = fake(film(300, 500), grid=bipolar()).plot().axes[2]
    assert bar.get_ylim() == pytest.approx((-0.02, 0.02))
    assert "centred on 0" in bar.get_ylabel()


def test_plotting_without_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install matex\[plots\]"):
        fake().plot()
