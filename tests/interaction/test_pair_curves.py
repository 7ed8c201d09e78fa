"""Insertion and deletion of pairs: against loops over sets, at their ends, and turned round with the matrix."""

import dataclasses

import numpy as np
import pytest
import torch

import matex
from matex.forward_pass import encode
from matex.interaction import pair_curves
from matex.samples import samples

FILM = samples()[0]
PHRASE = "opacity in the left lung"


@pytest.fixture(scope="module")
def found(tiny):
    return matex.interactions(tiny, FILM.path, PHRASE, nodes=4)


def slow_deletion(model, found, steps):
    """The same greedy choice with Python sets, one image and one phrase at a time."""
    pixels, _ = model.prepare(matex.read(FILM.path))
    words = PHRASE.split()
    _, rows, columns = found.values.shape
    side = pixels.shape[-1] // columns
    left_words, left_places = set(range(len(words))), set(np.ndindex(rows, columns))
    scores = []
    for step in range(steps + 1):
        while len(left_places) > rows * columns - round(step / steps * rows * columns):
            sums = {place: sum(float(found.values[w][place]) for w in left_words) for place in left_places}
            left_places.remove(max(sorted(sums), key=sums.get))
        while len(left_words) > len(words) - round(step / steps * len(words)):
            sums = {word: sum(float(found.values[word][place]) for place in left_places) for word in left_words}
            left_words.remove(max(sorted(sums), key=sums.get))
        covered = torch.zeros_like(pixels)
        for row, column in left_places:
            part = (..., slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side))
            covered[part] = pixels[part]
        full = model.encode(PHRASE)
        ids = [full.ids[0], *(full.ids[1 + word] for word in sorted(left_words)), full.ids[-1]]
        seen, read = encode(model.image, covered), encode(model.text, torch.tensor([ids]))
        scores.append(float((seen @ read.T)[0, 0]))
    return scores


def test_the_deletion_curve_is_that_of_a_slow_loop(tiny, found):
    assert len(tiny.encode(PHRASE).ids) == len(PHRASE.split()) + 2  # a token a word, as the loop takes them
    curves = pair_curves(tiny, found, steps=5)
    np.testing.assert_allclose(curves.deletion, slow_deletion(tiny, found, 5), atol=1e-5)
    assert curves.insertion[0] == pytest.approx(found.score, abs=1e-5)
    assert curves.insertion[-1] == pytest.approx(curves.deletion[-1], abs=1e-6)
    assert curves.area == pytest.approx(
        sum((curves.insertion[i] - curves.deletion[i]) / 5 for i in range(1, 5)), abs=1e-6
    )  # both ends are equal


def test_a_matrix_that_is_turned_round_has_the_opposite_area(tiny, found):
    turned = pair_curves(tiny, dataclasses.replace(found, values=-found.values))
    assert turned.area == pytest.approx(-pair_curves(tiny, found).area, abs=1e-6)
    assert pair_curves(tiny, found).area > 0


def test_maps_in_pixels_are_averaged_and_units_are_refused(tiny, found):
    fine = dataclasses.replace(found, values=np.repeat(np.repeat(found.values, 8, axis=1), 8, axis=2))
    assert fine.values.shape[1:] == found.placement.model
    assert pair_curves(tiny, fine).deletion == pytest.approx(pair_curves(tiny, found).deletion, abs=1e-6)
    height, width = found.placement.original
    whole = matex.interactions(tiny, FILM.path, PHRASE, nodes=2, units=np.ones((1, height, width), dtype=bool))
    with pytest.raises(matex.InputError, match="without units"):
        pair_curves(tiny, whole)
