"""Sounds in the viewer: a spectrogram in the film's place, playback, the map over it."""

import io
import wave

import numpy as np
import pytest

import matex
from matex.audio.recording import parse_sound
from matex.viewer.models import Models
from tests.adapters.sounding import RATE, chirp, small_model
from tests.viewer.conftest import run_viewer
from tests.viewer.test_browser import until

soundfile = pytest.importorskip("soundfile")


@pytest.fixture(scope="module")
def hearing():
    yield from run_viewer(models=Models({"small": small_model, "tiny": lambda: matex.load("tiny")}))


@pytest.fixture(scope="module")
def content():
    stream = io.BytesIO()
    soundfile.write(stream, chirp(2.0), RATE, format="WAV")
    return stream.getvalue()


def upload(viewer, content, model="small"):
    return viewer.ask("POST", "api/films", content, {"X-File-Name": "chirp.wav", "X-Model": model})


def test_a_sound_is_explained_as_python_explains_it_and_played(hearing, content):
    sound = upload(hearing, content).json()
    assert (sound["name"], sound["domain"], sound["sides"], sound["set"]) == ("chirp", "sound", None, False)
    assert [float(label) for _, label in sound["axes"]["seconds"]] == [0, 0.5, 1, 1.5, 2]
    found = hearing.result("api/explain", {"film": sound["id"], "text": "a rising tone", "method": "grad-eclip"})
    expected = matex.explain(small_model(), parse_sound(content, "chirp", "x"), "a rising tone", "grad-eclip")
    assert found["score"] == pytest.approx(expected.score, abs=1e-6)
    assert found["map"]["range"] == [pytest.approx(end, abs=1e-6) for end in expected.image.range]
    words = hearing.result("api/words", {"film": sound["id"], "text": "a rising tone", "method": "grad-eclip"})
    assert [word["name"] for word in words["words"]] == ["a", "rising", "tone"]
    rows = hearing.post("api/yardstick", {"film": sound["id"], "text": "a rising tone"}).json()
    assert rows[0]["score"] == pytest.approx(expected.score, abs=1e-6)
    with wave.open(io.BytesIO(hearing.get(f"api/films/{sound['id']}/sound").body)) as played:
        assert (played.getframerate(), played.getnchannels()) == (RATE, 1)
        samples = np.frombuffer(played.readframes(played.getnframes()), "<i2") / 32767
    np.testing.assert_allclose(samples, chirp(2.0), atol=1e-3)


def test_what_cannot_be_heard_is_refused_in_one_line(hearing, content):
    refused = upload(hearing, content, "tiny")
    assert refused.status == 422
    assert "encoder of audio" in refused.json()["error"]
    assert upload(hearing, content[:60]).status == 422
    assert upload(hearing, content, "other").status == 422
    sound = upload(hearing, content).json()["id"]
    found = hearing.result("api/explain", {"film": sound, "text": "a tone", "method": "grad-eclip"})
    assert "got one of a sound" in hearing.post("api/audit", {"explanation": found["id"]}).json()["error"]
    covered = hearing.post("api/cover", {"film": sound, "text": "a tone", "boxes": [[0, 0, 0.5, 0.5]]})
    assert "got a sound" in covered.json()["error"]
    film = hearing.post("api/films/bundled", {"name": "normal-1"}).json()["id"]
    assert hearing.get(f"api/films/{film}/sound").status == 404


def test_a_person_opens_a_sound_reads_and_hears_it(open_page, hearing, content, tmp_path):
    path = tmp_path / "chirp.wav"
    path.write_bytes(content)
    page = open_page(hearing.url)
    page.wait_for_selector("html[data-ready=yes]")
    page.select_option("#method", "grad-eclip")
    page.fill("#phrase", "a rising tone")
    page.set_input_files("#file", path)
    until(page, "document.getElementById('film-name').textContent.startsWith('Sound chirp')")
    page.wait_for_selector("#words .word")
    assert page.locator("#player").is_visible()
    assert page.locator("#audit").is_hidden()
    assert page.locator("#film-card").is_hidden()
    page.locator("[data-key=main] .film-stage").hover(position={"x": 400, "y": 400})
    readout = page.locator("[data-key=main] .film-readout").inner_text()
    assert " s, ≈ " in readout
    assert "Hz" in readout
    until(page, "document.getElementById('player').readyState > 0")
    assert page.evaluate("document.getElementById('player').duration") == pytest.approx(2, abs=0.01)
    page.select_option("#bundled", "normal-1")
    page.wait_for_selector("#player", state="hidden")
    assert page.locator("#film-card").is_visible()
