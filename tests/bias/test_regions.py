"""Parts of a film: they do not overlap and follow the patient's sides."""

from dataclasses import replace

import numpy as np

import matex
from matex.bias.regions import REGIONS, regions_of
from matex.samples import samples
from matex.simulation.body import find_body
from tests.metrics.test_anatomy import drawn_body


def test_regions_cover_a_film_once():
    film = next(film for one in samples() if len(regions_of(film := matex.read(one.path))) == len(REGIONS))
    masks = regions_of(film)
    assert tuple(masks) == REGIONS
    assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()
    assert all(mask.shape == film.size for mask in masks.values())
    columns = np.arange(film.size[1])
    centre = {name: (masks[name].sum(axis=0) * columns).sum() / masks[name].sum() for name in REGIONS[:2]}
    assert centre["right lung"] < centre["left lung"]  # standard display
    mirrored = regions_of(replace(film, mirrored=True))
    np.testing.assert_array_equal(mirrored["left lung"], masks["right lung"])


def test_markers_are_bright_parts_in_the_air():
    grey, _ = drawn_body()
    found = find_body(grey)
    assert found.markers[12:22, 12:22].all()
    assert not (found.markers & found.mask).any()
    assert not find_body(drawn_body(marker=False)[0]).markers.any()


def test_unknown_regions_are_missing():
    frontal = next(film for one in samples() if regions_of(film := matex.read(one.path)))
    assert "right lung" in regions_of(replace(frontal, view="PA"))
    assert regions_of(replace(frontal, view="LATERAL")) == {}
    assert regions_of(matex.read(np.full((300, 260), 120, np.uint8))) == {}
