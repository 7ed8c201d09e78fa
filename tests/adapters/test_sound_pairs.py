"""Pairs of image, sound and phrase: which encoders answer, where their maps lie, and what methods make of them."""

import numpy as np
import pytest
import torch
from transformers import ClapProcessor

import matex
from matex.adapters.encoder import single_row
from matex.attribution import METHODS, make
from matex.audio.recording import from_samples
from matex.forward_pass import encode
from matex.protocols import unserved
from matex.recording import record
from matex.samples import samples
from matex.testing import check_model
from tests.adapters.folders import write_imagebind
from tests.adapters.sounding import chirp, recording, small_model, small_network
from tests.adapters.test_clap import extractor, small_clap, words_tokenizer

FEW = {"masks": 8, "samples": 8, "steps": 2}
SILENCE = (np.log(np.finfo(np.float32).eps) + 4.268) / 9.138


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def film():
    return matex.read(samples()[0].path)


def spectrogram(seed=0):
    return torch.randn(2, 1, 128, 204, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# --- the encoders ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [("image", "text"), ("audio", "text"), ("audio", "image"), ("image", "audio")])
def test_every_pair_passes_the_conformance_suite(model, sides):
    names = {"image": "vision"}

    def library(first, second):
        return tuple(
            model.module({names.get(side, side): inputs})[names.get(side, side)]
            for side, inputs in zip(sides, (first, second), strict=True)
        )

    methods = None if sides[0] == "audio" else ["grad-eclip", "ca-m2ib", "occlusion"]
    found = check_model(model.between(*sides), library=library, methods=methods)
    checks = {check.name: check.state for check in found}
    for side in sides:
        assert checks[f"{side}: the embedding is the library's own"] == "pass"
        if side != "text":
            assert checks[f"{sides[0]}: a planted patch is found in each corner"] == "pass"


def test_the_learned_key_takes_its_part_of_the_softmax_and_belongs_to_no_token(model):
    pair = model.between("audio", "image")
    pixels = torch.randn(2, 3, 56, 70, dtype=torch.float64)
    trace = record(pair, spectrogram(), pixels).image
    tokens = 1 + 12 * 19
    assert trace.attention(1).shape == (2, 5, tokens, tokens)
    assert trace.key(1).shape == (2, 5, tokens, 6)
    block = model.module.blocks("audio")[1]
    seen = block.attend(block.norm(trace.hidden(1)))
    weights = (seen.query @ seen.key.transpose(-1, -2) / 6**0.5).softmax(-1)
    torch.testing.assert_close(trace.attention(1), weights[..., :-1])
    torch.testing.assert_close(trace.attention_row(1), weights[:, :, 0, :-1])
    assert float(trace.attention_row(1).sum(-1).max()) < 1


def test_what_is_faded_out_of_a_sound_is_silent(model):
    encoder, inputs = model.encoders["audio"], spectrogram()
    mask = (torch.arange(204) < 100).to(inputs).expand(1, 1, 128, 204)
    faded = encoder.fade(inputs, mask)
    torch.testing.assert_close(faded[..., :100], inputs[..., :100])
    torch.testing.assert_close(faded[..., 100:], torch.full_like(inputs[..., 100:], SILENCE))
    torch.testing.assert_close(encoder.blank(inputs), torch.full_like(inputs, SILENCE))


def test_the_scale_of_a_pair_is_that_of_the_published_forward(model):
    audio, ids = spectrogram(), torch.tensor([[3757, 5, 3758], [3757, 7, 3758]])
    pair = model.between("audio", "text")
    published = model.module({"audio": audio, "text": ids})
    cosine = matex.score(pair, audio, ids)
    torch.testing.assert_close(pair.logit_scale * cosine, published["audio"] @ published["text"].T)


# --- targets ---------------------------------------------------------------------------------------------------------


def test_the_inputs_choose_the_encoders(model, film, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "bark.wav"
    soundfile.write(path, chirp(), 16000, subtype="FLOAT")
    by_path = matex.explain(model, str(path), "a nodule", method="grad-eclip")
    by_recording = matex.explain(model, matex.read_sound(path), "a nodule", method="grad-eclip")
    np.testing.assert_array_equal(by_path.image.grid, by_recording.image.grid)
    assert by_path.film.name == "bark"
    assert [word for word, _ in by_path.words] == ["a", "nodule"]
    assert by_path.target is None
    there = matex.explain(model, film, path, method="grad-eclip", domain="natural")
    back = matex.explain(model, path, film, method="grad-eclip")
    assert there.score == pytest.approx(back.score, abs=1e-6)
    np.testing.assert_allclose(there.target.grid, back.image.grid, atol=1e-5)
    np.testing.assert_allclose(back.target.grid, there.image.grid, atol=1e-5)
    assert (there.text, back.text) == ("bark", film.name)
    assert there.image.values.shape == film.size
    assert matex.explain(model, film, "bark.wav", method="grad-eclip").text == "bark.wav"  # a string is a phrase


def test_a_model_without_sound_says_which_have_one():
    with pytest.raises(matex.UnsupportedModel, match=r"encoder of audio, got 'tiny' with image, text\. imagebind:"):
        matex.explain(matex.load("tiny"), recording(), "a nodule")


def test_an_image_is_compared_with_another(film):
    tiny = matex.load("tiny")
    other = matex.read(samples()[1].path)
    explanation = matex.explain(tiny, film, other, method="grad-eclip")
    assert explanation.target.grid.shape == explanation.image.grid.shape == (14, 14)
    assert matex.explain(tiny, film, film, method="grad-eclip").score == pytest.approx(1, abs=1e-5)


def test_what_is_compared_with_has_its_notes_too(model, film):
    explanation = matex.explain(model, film, recording(5), method="matex", domain="natural")
    assert "array: The model hears 2 of 5 s" in " ".join(explanation.notes)
    assert "array: no patch of the model covers" in " ".join(explanation.notes)
    assert "spatial prior neutral: no phrase names a region" in explanation.notes
    notes = " ".join(matex.explain(model, recording(), film, "gradient-shap", samples=1).notes)
    assert "the audio attributions sum to" in notes
    assert "the image attributions sum to" in notes
    notes = " ".join(matex.explain(model, film, film, "gradient-shap", samples=1).notes)
    assert "the second image attributions sum to" in notes


def test_several_parts_of_a_recording_are_several_sounds(model):
    complete = recording(5)
    parts = [complete.starting_at(start) for start in (0, 1, 2)]
    maps = [matex.explain(model, part, "a nodule", method="grad-eclip") for part in parts]
    assert len({one.score for one in maps}) == 3
    assert ["hears 2 of 5 s" in " ".join(one.notes) for one in maps] == [True] * 3


# --- maps of a sound -------------------------------------------------------------------------------------------------


def test_a_map_lies_on_the_picture_of_the_spectrogram(model):
    """Loud noise at high frequencies in the first third: its map lies in the upper left."""
    time = np.arange(32000) / 16000
    tone = 0.5 * np.sin(2 * np.pi * 3300 * time) * (time < 0.6)
    explanation = matex.explain(model, from_samples(tone, 16000), "a nodule", "occlusion", window=10)
    change = np.abs(np.nan_to_num(explanation.image.raw))
    rows, columns = np.indices(change.shape)
    assert (change * rows).sum() / change.sum() < 64  # of 128, the top half
    assert (change * columns).sum() / change.sum() < 80  # of 204
    assert explanation.film.pixels[: 128 // 2].max() == 255


def test_the_anatomical_prior_is_neutral_and_says_why(model):
    explanation = matex.explain(model, recording(), "opacity in the left lower lung", method="matex")
    assert "spatial prior neutral: a sound has no anatomical regions" in explanation.notes
    assert np.ptp(explanation.prior) == 0
    assert explanation.query.domain == "sound"
    assert explanation.regions == ()


def test_bottlenecks_explain_both_sides_of_sound_and_image(model, film):
    """The figure of CA-M2IB with ImageBind: a map on the sound and one on the image."""
    for method in ("m2ib", "ca-m2ib"):
        explanation = matex.explain(model, recording(), film, method, steps=3)
        assert explanation.image.grid.shape == (12, 19)
        assert explanation.target.grid.shape == (4, 5)
        assert not explanation.image.degenerate
        assert not explanation.target.degenerate
    report = explanation.provenance["report"]
    assert report["image"]["target_cosine"] < 0.999  # it moves to patches of the image, not to its embedding


def test_cross_attention_reads_the_patches_of_the_image_and_not_its_cls(model):
    pair = model.between("audio", "image")
    pixels = torch.randn(2, 3, 56, 70, dtype=torch.float64)
    trace = record(pair, spectrogram(), pixels).image
    tokens, counts = make("ca-m2ib", {})._tokens(trace, trace.grid is not None and trace.target_grid is None)
    assert counts.sum(dim=1).tolist() == [20, 20]
    hidden = model.module.tokens("vision", pixels)
    for block in model.module.blocks("vision"):
        hidden = block(hidden)
    expected = torch.nn.functional.normalize(model.module.project("vision", hidden), dim=-1)
    torch.testing.assert_close(tokens, expected)
    cls = single_row(hidden, torch.zeros(2, dtype=torch.long))
    assert cls.shape == (2, 1, 24)


@pytest.mark.parametrize("target", ["phrase", "film"])
def test_every_method_explains_a_sound_or_says_why_not(model, film, target):
    names = [name for name, kind in METHODS.items() if "image" in kind.towers]
    chosen = {name: {k: v for k, v in FEW.items() if k in METHODS[name].__dataclass_fields__} for name in names}
    del chosen["matex-paper"]  # warns of its laterality
    comparison = matex.compare(
        model, recording(), "a nodule" if target == "phrase" else film, chosen, skip_unsupported=True
    )
    assert set(comparison) | set(comparison.left_out) == set(chosen)
    expected = {"guided-backprop"} | ({"clip-surgery"} if target == "film" else set())
    assert set(comparison.left_out) == expected
    assert all(
        unserved(METHODS[name], model.encoders["audio"], model.encoders["text" if target == "phrase" else "image"])
        in (None, reason)
        for name, reason in comparison.left_out.items()
    )
    for name, explanation in comparison.items():
        assert explanation.image.grid.shape in ((12, 19), (128, 204)), name
        assert np.isfinite(explanation.image.grid).all(), name
        assert (explanation.target is not None) == (target == "film"), name


def test_half_precision_explains_as_float32_does():
    from matex.adapters.imagebind import adapt

    tokenizer = matex.load("tiny").tokenizer
    maps = [
        matex.explain(adapt(small_network().to(dtype), "small", tokenizer=tokenizer), recording(), "a nodule", "m2ib")
        for dtype in (torch.float32, torch.bfloat16)
    ]
    assert maps[0].score == pytest.approx(maps[1].score, abs=0.02)
    assert np.corrcoef(maps[0].image.grid.ravel(), maps[1].image.grid.ravel())[0, 1] > 0.9


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bark(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "bark.wav"
    soundfile.write(path, chirp(2.6), 16000, subtype="FLOAT")
    return path


def test_a_saved_explanation_of_a_sound_is_read_back(model, film, bark, tmp_path):
    sound = matex.read_sound(bark, start=0.5)
    for target in ("a nodule", matex.read(samples()[0].path)):
        explanation = matex.explain(model, sound, target, "m2ib", steps=2)
        folder = explanation.save(tmp_path / "out")
        loaded = matex.Explanation.load(folder)
        np.testing.assert_array_equal(loaded.image.grid, explanation.image.grid)
        np.testing.assert_array_equal(loaded.film.pixels, explanation.film.pixels)
        assert loaded.image.placement == explanation.image.placement
        assert loaded.film.recording.start == 0.5
        assert (loaded.target is None) == (loaded.query.target is None) == isinstance(target, str)
        np.testing.assert_array_equal(np.load(folder / "image_map.npy"), explanation.image.values)
        assert (folder / "target_map.npy").is_file() == (not isinstance(target, str))
    assert loaded.query.target.sha256 == film.sha256
    np.testing.assert_array_equal(loaded.target.grid, explanation.target.grid)
    matex.explain(model, sound, "a nodule", "m2ib", steps=2).save(folder)
    assert not (folder / "target_map.npy").exists()  # what an earlier explanation left is gone
    assert "sound <b>bark, 2.6 s</b>" in (folder / "report.html").read_text()


def test_an_audit_of_a_sound_is_refused_and_never_reads_it_as_an_image(model):
    explanation = matex.explain(model, recording(), "a nodule", "grad-eclip")
    with pytest.raises(matex.InputError, match="Expected an explanation of an image and a phrase"):
        explanation.audit(model)
    with pytest.raises(matex.InputError, match="Expected an image, got the spectrogram of a sound"):
        matex.audit(model, explanation.film, "a nodule", "grad-eclip")


def test_a_batch_of_sounds_and_images_equals_each_alone(model, film):
    sounds = [recording(), recording(3)]
    pairs = [(sounds[0], "a nodule"), (film, "a nodule"), (sounds[1], "opacity"), (sounds[0], "opacity"), (film, "no")]
    for batch_size in (1, 8):
        together = matex.explain_batch(model, pairs, "grad-eclip", batch_size=batch_size)
        stream = list(matex.explain_each(model, pairs, "grad-eclip", batch_size=batch_size))
        for (source, text), batched, streamed in zip(pairs, together, stream, strict=True):
            alone = matex.explain(model, source, text, "grad-eclip")
            for found in (batched, streamed):
                np.testing.assert_allclose(found.image.grid, alone.image.grid, atol=1e-6)
                assert found.image.placement == alone.image.placement
                assert (found.text, found.query.domain) == (text, alone.query.domain)
                assert found.score == pytest.approx(alone.score, abs=1e-6)
                assert found.provenance["model"] == alone.provenance["model"]


def test_a_sound_or_image_that_a_model_does_not_read_is_one_pair_at_fault(film):
    clap = matex.load(small_clap().float(), processor=ClapProcessor(extractor(), words_tokenizer()))
    pairs = [(film, "a nodule"), (recording(), "a nodule")]
    skipped, explained = matex.explain_batch(clap, pairs, "gradcam", on_error="skip")
    assert "got one of image: ClapModel has encoders of audio, text" in str(skipped.error)
    assert explained.query.domain == "sound"
    skipped = matex.explain_batch(matex.load("tiny"), pairs, "gradcam", on_error="skip")[1]
    assert "got Recording" in str(skipped.error)


def test_a_table_of_sounds_and_images_is_explained_and_resumed(bark, tmp_path, monkeypatch, capsys):
    from matex.cli import run

    folder = tmp_path / "model"
    folder.mkdir()
    arguments = [*write_imagebind(folder, monkeypatch).arguments(), "-m", "grad-eclip", "-o", str(tmp_path / "out")]
    table = tmp_path / "table.csv"
    table.write_text(f"image,text\nbark.wav,a nodule\n{samples()[0].path},a nodule\nbark.wav,opacity\n")
    assert run(["explain", str(table), *arguments]) == 0
    assert "3 explained, 0 kept from an earlier run, 0 failed" in capsys.readouterr().out
    assert run(["explain", str(table), *arguments]) == 0
    assert "0 explained, 3 kept from an earlier run, 0 failed" in capsys.readouterr().out


def test_axes_are_drawn_where_the_marks_are(model, bark):
    from matex.render.overlay import draw_film

    film = matex.explain(model, bark, "a nodule", "m2ib", steps=2).film
    picture = np.asarray(draw_film(film, (642, 1024)).convert("L"))
    two_kilohertz = next(mark.position for mark in film.hertz if mark.label == "2000")
    row = round(two_kilohertz * 642)
    assert picture[row - 1 : row + 2, :8].max(axis=0).min() == 255
    second = next(mark.position for mark in film.seconds if mark.label == "1")
    column = round(second * 1024)
    assert picture[-8:-2, column - 1 : column + 2].max(axis=1).min() > 240


def test_the_page_lays_the_map_where_the_patches_are(model, bark):
    from matex.render.colormap import ColourScale
    from matex.render.film_data import map_data
    from matex.render.panel import Layer

    image = matex.explain(model, bark, "a nodule", "m2ib", steps=2).image
    data = map_data(Layer("Map", "", image.grid, ColourScale(*image.range)), image.placement)["placement"]
    assert (data["offset"], data["model"], data["patch"]) == ((3, 3), (120, 190), (10, 10))
    assert not {"overlap", "cells", "cell"} & set(data)


def test_the_command_line_takes_sounds(bark, tmp_path, monkeypatch, capsys):
    from matex.cli.inputs import read_target
    from matex.cli.option_groups import FilmOptions

    monkeypatch.chdir(tmp_path)
    assert FilmOptions().read_source("bark.wav").name == "bark"
    assert str(read_target("bark.wav")) == "bark.wav"
    assert isinstance(read_target("a bark.wav of a dog"), str)
    assert read_target("opacity") == "opacity"
    with pytest.raises(matex.InputError, match=r"the file of an image or sound, got 'cat\.wav', where there is none"):
        read_target("cat.wav")


# --- recordings that are longer than what is heard -------------------------------------------------------------------


def test_the_score_of_clips_is_that_of_the_averaged_embedding(model, tmp_path):
    complete = recording(5)
    found = matex.explain_clips(model, complete, "a nodule", "grad-eclip")
    assert [one.film.recording.start for one in found.explanations] == pytest.approx([0, 1, 2])
    pair = model.between("audio", "text")
    heard = torch.cat([pair.prepare(one.film)[0] for one in found.explanations]).double()
    averaged = encode(pair.image, heard).mean(dim=0)
    phrase = encode(pair.text, pair.batch([pair.encode("a nodule")]))[0]
    assert found.score == pytest.approx(float(averaged @ phrase), abs=1e-6)
    folder = found.save(tmp_path / "clips")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert names == ["000.00s", "001.00s", "002.00s"]
    assert f"averages the scores of these clips of 5 s: {found.score:.3f}" in (folder / "report.html").read_text()


def test_clips_lie_at_their_places_on_one_time_axis(model):
    picture = np.asarray(matex.explain_clips(model, recording(8), "a nodule", "saliency").picture())
    assert picture.shape[1] == 1920
    drawn = [np.flatnonzero((picture[row] != picture[-1, 0]).any(axis=-1)) for row in (300, 584, 868)]
    starts = [60 + start / 8 * 1800 for start in (0, 2, 4)]
    for row, start in zip(drawn, starts, strict=True):
        inside = row[(row > start - 3) & (row < start + 2.04 / 8 * 1800 + 3)]
        assert len(inside) > 400  # of 459 columns
        assert abs(inside.min() - start) <= 2


def test_a_short_recording_is_one_clip_and_clap_averages_none(model):
    found = matex.explain_clips(model, recording(1.5), "a nodule", "saliency")
    assert len(found.explanations) == 1
    assert found.score == found.explanations[0].score
    clap = matex.load(small_clap().float(), processor=ClapProcessor(extractor(), words_tokenizer()))
    for other in (clap, matex.load("tiny")):
        with pytest.raises(matex.UnsupportedModel, match="Expected an ImageBind, whose own code averages clips"):
            matex.explain_clips(other, recording(), "a nodule")
