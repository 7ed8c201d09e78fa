"""An explanation comes back from its folder as it was."""

import json
import sys

import numpy as np
import pytest

import matex
from matex.files import GRIDS
from matex.samples import samples
from matex.saved import Saved, read_recorded

PHRASE = "opacity in the left lower lung"


@pytest.mark.parametrize("method", ["matex", "maskclip"])  # with terms and words, without either
def test_an_explanation_comes_back_as_it_was(tiny, tmp_path, method):
    film = samples()[1]
    mask = np.ones(matex.read(film.path).size, np.uint8)
    before = matex.explain(tiny, film.path, PHRASE, method, lung_mask=mask, resize="pad")
    before.save(tmp_path)
    after = matex.Explanation.load(tmp_path)
    assert after.to_dict() == before.to_dict()
    assert np.array_equal(after.image.grid, before.image.grid)
    assert np.array_equal(after.image.values, before.image.values, equal_nan=True)
    assert after.image.placement == before.image.placement
    assert {name: grid.tolist() for name, grid in after.components.items()} == {
        name: grid.tolist() for name, grid in before.components.items()
    }
    assert (after.prior is None) == (before.prior is None)
    assert np.array_equal(after.query.lung_mask, mask)
    assert (after.query.resize, after.words, after.regions) == ("pad", before.words, before.regions)
    assert after.computation == before.computation
    assert after.parameters == before.parameters


def test_a_plain_dictionary_is_the_record(tiny, tmp_path):
    made = matex.explain(tiny, samples()[1].path, PHRASE, "grad-eclip")
    made.save(tmp_path)
    assert made.to_dict() == json.loads((tmp_path / "explanation.json").read_text())


def test_one_line_says_what_an_explanation_is(tiny):
    made = matex.explain(tiny, samples()[1].path, PHRASE, "grad-eclip")
    assert repr(made) == f"Explanation('{PHRASE}' on 'left-lower-opacity', grad-eclip of tiny, score {made.score:.4f})"
    assert repr(tiny) == f"Model('tiny', patch {tiny.patch[0]}x{tiny.patch[1]}, {tiny.context} tokens, on cpu)"


def test_a_folder_without_grids_and_another_film_are_refused(tiny, tmp_path):
    matex.explain(tiny, samples()[1].path, PHRASE, "rollout").save(tmp_path)
    with pytest.raises(matex.InputError, match="Expected the recorded film"):
        matex.Explanation.load(tmp_path, image=samples()[0].path)
    (tmp_path / GRIDS).write_bytes(b"PK nothing")
    with pytest.raises(matex.InputError, match="npz archive"):
        matex.Explanation.load(tmp_path)
    (tmp_path / GRIDS).unlink()
    with pytest.raises(matex.InputError, match="earlier versions"):
        matex.Explanation.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("tokens"),
        lambda record: record["words"][0].update(score="high"),
        lambda record: record["provenance"]["placement"].pop("patch"),
        lambda record: record["provenance"].update(seconds=None),
        lambda record: record.update(regions={}),
    ],
)
def test_a_damaged_record_is_refused(tiny, tmp_path, change):
    matex.explain(tiny, samples()[1].path, PHRASE, "grad-eclip").save(tmp_path)
    record = json.loads((tmp_path / "explanation.json").read_text())
    change(record)
    (tmp_path / "explanation.json").write_text(json.dumps(record))
    with pytest.raises(matex.InputError, match=r"explanation\.json"):
        matex.Explanation.load(tmp_path)


def test_a_table_needs_pandas_and_says_so(tiny, monkeypatch):
    made = matex.explain(tiny, samples()[1].path, PHRASE, "grad-eclip")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(matex.MissingExtra, match="pip install pandas"):
        made.to_frame()


def test_a_damaged_record_of_a_sound_is_refused(tmp_path):
    for sound, words in (
        ({"start": 0.0}, "sound.spectrogram"),
        ({"spectrogram": "mel", "start": 0.0}, "Expected a spectrogram among imagebind, .*, got 'mel'"),
        ({"spectrogram": ["imagebind"], "start": 0.0}, "Expected a spectrogram among"),
        ({"spectrogram": "imagebind"}, "sound.start"),
    ):
        record = {"provenance": {"image": {"sound": sound, "view": None, "mirrored": False}}}
        with pytest.raises(matex.InputError, match=words):
            read_recorded(Saved(tmp_path, record, np.zeros((2, 2))), tmp_path / "sound.wav")
