"""Depth maps, thermal images and IMU recordings: what is read, which encoders answer, and where their maps lie."""

import numpy as np
import pytest
import torch
from PIL import Image

import matex
from matex.attribution import METHODS
from matex.cli import run
from matex.cli.inputs import read_target
from matex.cli.option_groups import FilmOptions
from matex.forward_pass import encode
from matex.samples import samples
from matex.testing import check_model
from tests.adapters.folders import write_imagebind
from tests.adapters.sounding import CONFIG, recording, small_model
from tests.reference.imagebind import Twin

SIZES = {"depth": (16, 40), "thermal": (24, 32), "imu": (6, 48)}
GRIDS = {"depth": (2, 5), "thermal": (3, 4), "imu": (1, 6)}
FEW = {"masks": 8, "samples": 8, "steps": 2}
SENSORS = pytest.mark.parametrize("sensor", ["depth", "thermal", "imu"])


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def film():
    return matex.read(samples()[0].path)


def stored(sensor, seed=0):
    generator = np.random.default_rng(seed)
    size = SIZES[sensor]
    return generator.integers(0, 256, size, np.uint8) if sensor == "thermal" else generator.normal(size=size)


def reading(sensor, **settings):
    return matex.read_sensor(stored(sensor), sensor, **settings)


def twin_embedding(model, sensor, values):
    """The slow twin's embedding of values [channel, height, width], of unit norm."""
    config = getattr(CONFIG, sensor)
    twin = Twin(model.module.state_dict(), sensor, config.trunk.heads)
    values = torch.from_numpy(values).double()
    tokens = (
        twin.imu_tokens(values[:, 0], config.kernel) if sensor == "imu" else twin.patch_tokens(values, config.stride)
    )
    return torch.nn.functional.normalize(twin.published(tokens), dim=-1)


# --- reading ---------------------------------------------------------------------------------------------------------


def test_floats_are_standardised_as_the_caller_states():
    values = stored("depth")
    film = matex.read_sensor(values, "depth", mean=0.25, std=2)
    np.testing.assert_allclose(film.values, ((values - 0.25) / 2)[None], rtol=1e-6)
    assert "depth values standardised with mean 0.25 and std 2, as the caller states" in film.notes[0]
    motion = reading("imu")
    np.testing.assert_allclose(motion.values, stored("imu")[:, None], rtol=1e-6)


def test_integers_are_fractions_of_their_type(tmp_path):
    thermal, depth = stored("thermal"), np.arange(640, dtype=np.uint16).reshape(16, 40) * 100
    Image.fromarray(thermal).save(tmp_path / "thermal.png")
    Image.fromarray(depth).save(tmp_path / "depth.png")
    np.testing.assert_allclose(
        matex.read_sensor(tmp_path / "thermal.png", "thermal", mean=0.5, std=0.1).values[0],
        (thermal / 255 - 0.5) / 0.1,
        atol=1e-6,
    )
    np.testing.assert_allclose(matex.read_sensor(tmp_path / "depth.png", "depth").values[0], depth / 65535, atol=1e-7)


def test_files_hold_what_arrays_hold(tmp_path):
    for sensor in SIZES:
        np.save(tmp_path / f"{sensor}.npy", stored(sensor))
        film = matex.read_sensor(tmp_path / f"{sensor}.npy", sensor)
        np.testing.assert_array_equal(film.values, reading(sensor).values)
        assert film.name == sensor
    np.savetxt(tmp_path / "imu.csv", stored("imu"), delimiter=",", fmt="%.17g")
    np.testing.assert_array_equal(matex.read_sensor(tmp_path / "imu.csv", "imu").values, reading("imu").values)


@pytest.mark.parametrize(
    ("values", "sensor", "match"),
    [
        (np.zeros((48, 6)), "imu", r"float64 of shape \(48, 6\): an array\. Transpose it"),
        (np.zeros((5, 48)), "imu", r"shape \(6, steps\)"),
        (np.zeros((6, 48), np.int16), "imu", "int16"),
        (np.zeros((24, 32)), "thermal", "grey image of 8 bits .* got float64"),
        (np.zeros((24, 32), np.uint16), "thermal", "got uint16"),
        (np.zeros((24, 32, 3), np.uint8), "thermal", r"\(24, 32, 3\)"),
        (np.zeros((16, 40), np.int32), "depth", "got int32"),
        (np.full((16, 40), np.nan), "depth", "got NaN or infinity: an array. Fill the gaps"),
        (np.zeros((16, 40)), "radar", "Expected a modality among depth, thermal, imu, got 'radar'"),
    ],
)
def test_other_arrays_are_refused_in_one_line(values, sensor, match):
    with pytest.raises(matex.InputError, match=match) as caught:
        matex.read_sensor(values, sensor)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "sensor", "match"),
    [
        ("a.csv", b"1,2\n3\n", "imu", "lines of different lengths, or cells that are no numbers"),
        ("a.csv", b"x,y,z\n1,2,3\n", "imu", "cells that are no numbers"),
        ("a.csv", b"1,2\n3,4\n", "imu", r"float64 of shape \(2, 2\)"),
        ("a.csv", b"1,2\n", "depth", r"suffix '\.csv'"),
        ("a.jpg", b"\xff\xd8\xff", "thermal", r"suffix '\.jpg'"),
        ("a.png", b"no image", "depth", "a file that is no PNG"),
        ("a.npy", b"\x93NUMPY", "depth", "disparity as numbers"),
        ("a.npy", b"", "imu", "an empty file"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, name, content, sensor, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(matex.InputError, match=match) as caught:
        matex.read_sensor(tmp_path / name, sensor)
    assert "\n" not in str(caught.value)


def test_a_colour_png_and_a_std_of_zero_are_refused(tmp_path):
    Image.new("RGB", (32, 24)).save(tmp_path / "colour.png")
    with pytest.raises(matex.InputError, match="got a PNG of mode RGB"):
        matex.read_sensor(tmp_path / "colour.png", "thermal")
    with pytest.raises(matex.InputError, match="Expected std above 0, got 0"):
        reading("depth", std=0)
    with pytest.raises(matex.InputError, match="mean to be a finite number"):
        reading("depth", mean=np.nan)


def test_a_recording_is_drawn_as_one_curve_for_each_channel():
    values = np.zeros((6, 48))
    values[2] = np.arange(48)  # rises from the lower left to the upper right of the third band
    picture = matex.read_sensor(values, "imu").pixels
    assert picture.shape == (600, 21 * 48)
    third = np.argwhere(picture[200:300] > 0)
    assert third[third[:, 1] < 21, 0].min() > 80
    assert third[third[:, 1] > 47 * 21, 0].max() < 20
    assert (picture[:100] > 0).sum() == picture.shape[1]  # a constant channel is a straight line


# --- the encoders ----------------------------------------------------------------------------------------------------


@SENSORS
@pytest.mark.parametrize("other", ["text", "image", "audio"])
def test_every_pair_passes_the_conformance_suite(model, sensor, other):
    names = {"image": "vision"}

    def library(first, second):
        first = first.squeeze(2) if sensor == "imu" else first
        name = names.get(other, other)
        return model.module({sensor: first})[sensor], model.module({name: second})[name]

    checks = {
        check.name: check.state
        for check in check_model(model.between(sensor, other), library=library, methods=["grad-eclip", "occlusion"])
    }
    assert checks[f"{sensor}: the embedding is the library's own"] == "pass"
    assert checks[f"{sensor}: a planted patch is found in each corner"] == "pass"


@SENSORS
def test_a_reading_is_embedded_as_the_slow_twin_embeds_it(model, sensor, film):
    source = reading(sensor, mean=0.1, std=0.5)
    pair = model.between(sensor, "image")
    inputs, placement = pair.prepare(source)
    expected = twin_embedding(model, sensor, source.values)
    torch.testing.assert_close(encode(pair.image, inputs)[0], expected, rtol=0, atol=1e-10)
    assert placement.grid == GRIDS[sensor]
    explanation = matex.explain(model, source, film, "grad-eclip")
    other = model.between("image", sensor)
    image = encode(other.image, other.prepare(film)[0])[0]
    assert explanation.score == pytest.approx(float(image @ expected), abs=1e-6)


@SENSORS
def test_the_scale_of_a_pair_is_that_of_the_published_forward(model, sensor):
    ids = torch.tensor([[3757, 5, 3758]])
    pair = model.between(sensor, "text")
    inputs = pair.prepare(reading(sensor))[0]
    cosine = matex.score(pair, inputs, ids)
    published = model.module({sensor: inputs.squeeze(2) if sensor == "imu" else inputs, "text": ids})
    torch.testing.assert_close(pair.logit_scale * cosine, published[sensor] @ published["text"].T)


def test_inputs_that_the_encoder_does_not_read_are_refused(model, film):
    with pytest.raises(matex.UnsupportedModel, match=r"encoder of depth, got 'tiny' .* imagebind: models have one"):
        matex.explain(matex.load("tiny"), reading("depth"), "a nodule")
    with pytest.raises(matex.InputError, match=r"depth of 16 x 40 values, got 40 x 16 values: array\. Prepare it"):
        matex.explain(model, matex.read_sensor(np.ones((40, 16)), "depth"), "a nodule", "rollout")
    with pytest.raises(matex.InputError, match="imu of 48 steps, got 40 steps"):
        matex.explain(model, film, matex.read_sensor(np.ones((6, 40)), "imu"), "rollout", domain="natural")
    with pytest.raises(matex.InputError, match="Expected image as the input, got thermal"):
        model.prepare(reading("thermal"))
    with pytest.raises(matex.InputError, match=r"reading of matex\.read_sensor"):
        model.between("depth", "text").prepare(film)
    with pytest.raises(matex.InputError, match="never resized, got 'pad'"):
        matex.explain(model, reading("depth"), "a nodule", "rollout", resize="pad")
    for name, given in (("lung_mask", np.ones((16, 40), bool)), ("view", "PA"), ("mirrored", True)):
        with pytest.raises(matex.InputError, match=f"no {name.replace('_', ' ')} with depth"):
            matex.explain(model, reading("depth"), "a nodule", "rollout", **{name: given})
    with pytest.raises(matex.InputError, match="no --view and no --mirrored"):
        FilmOptions(view="PA").read_source("depth:room.npy")
    with pytest.raises(matex.UnsupportedModel, match=r"got text\. Exchange the sides"):
        model.between("text", "depth")


def test_a_picture_that_was_painted_on_is_refused(model):
    from dataclasses import replace

    source = reading("depth")
    painted = replace(source, pixels=255 - source.pixels)
    with pytest.raises(matex.InputError, match="as it was drawn, got one painted on"):
        matex.explain(model, painted, "a nodule", "rollout")


# --- maps ------------------------------------------------------------------------------------------------------------


@SENSORS
def test_both_sides_of_a_pair_have_a_map(model, sensor, film):
    source = reading(sensor)
    there = matex.explain(model, film, source, "grad-eclip", domain="natural")
    back = matex.explain(model, source, film, "grad-eclip")
    assert there.score == pytest.approx(back.score, abs=1e-6)
    np.testing.assert_allclose(there.target.grid, back.image.grid, atol=1e-5)
    np.testing.assert_allclose(back.target.grid, there.image.grid, atol=1e-5)
    assert back.image.grid.shape == GRIDS[sensor]
    assert back.image.values.shape == source.pixels.shape
    assert back.query.domain == "sensor"
    heard = matex.explain(model, source, recording(), "grad-eclip")
    assert heard.target.grid.shape == (12, 19)


def test_a_burst_of_motion_is_found_at_its_steps(model):
    """Occlusion by hand: the score without each window of four steps of all channels."""
    values = np.zeros((6, 48))
    values[:, 29:32] = 3
    source = matex.read_sensor(values, "imu")
    explanation = matex.explain(model, source, "a nodule", "occlusion", window=4, stride=4)
    pair = model.between("imu", "text")
    phrase = encode(pair.text, pair.batch([pair.encode("a nodule")]))[0]

    def score(kept):
        return float(twin_embedding(model, "imu", kept.astype(np.float32)[:, None]) @ phrase)

    drops = []
    for start in range(0, 48, 4):
        kept = values.copy()
        kept[:, start : start + 4] = 0
        drops.append(score(values) - score(kept))
    np.testing.assert_allclose(explanation.image.grid[0, ::4], drops, atol=1e-5)
    mapped = np.abs(explanation.image.grid[0])
    assert mapped.argmax() // 4 == 7


def test_settings_that_need_a_height_are_refused_on_motion(model):
    for baseline, match in (("blur", "got 'blur'"), ("black", "black")):
        with pytest.raises(matex.InputError, match=match):
            matex.explain(model, reading("imu"), "a nodule", "integrated-gradients", baseline=baseline, steps=2)


@SENSORS
@pytest.mark.parametrize("target", ["phrase", "film"])
def test_every_method_explains_a_reading_or_says_why_not(model, film, sensor, target):
    names = [name for name, kind in METHODS.items() if "image" in kind.towers and name != "matex-paper"]
    chosen = {name: {k: v for k, v in FEW.items() if k in METHODS[name].__dataclass_fields__} for name in names}
    comparison = matex.compare(
        model, reading(sensor), "a nodule" if target == "phrase" else film, chosen, skip_unsupported=True
    )
    assert set(comparison.left_out) == {"guided-backprop"} | ({"clip-surgery"} if target == "film" else set())
    size = (1, 48) if sensor == "imu" else SIZES[sensor]
    for name, explanation in comparison.items():
        assert explanation.image.grid.shape in (GRIDS[sensor], size), name
        assert np.isfinite(explanation.image.grid).all(), name
        assert (explanation.target is not None) == (target == "film"), name


def test_the_anatomical_prior_is_neutral_and_says_why(model):
    explanation = matex.explain(model, reading("depth"), "opacity in the left lower lung", "matex")
    assert "spatial prior neutral: a depth, thermal or IMU reading has no anatomical regions" in explanation.notes
    assert np.ptp(explanation.prior) == 0
    with pytest.raises(matex.InputError, match="an image and a phrase, whose audit changes both"):
        explanation.audit(model)
    with pytest.raises(matex.InputError, match="Expected a film to audit, got depth"):
        matex.audit(model.between("depth", "text"), reading("depth"), "a nodule", "grad-eclip")
    with pytest.raises(matex.InputError, match="for DICOM objects, got one of depth"):
        explanation.to_dicom("objects", new_study=True)


def test_many_readings_are_explained_as_one_is(model, film):
    pairs = [(reading("imu"), "a nodule"), (film, "a nodule"), (reading("depth"), "effusion")]
    streamed = matex.explain_batch(model, pairs, "grad-eclip")
    for (source, text), found in zip(pairs, streamed, strict=True):
        np.testing.assert_allclose(found.image.grid, matex.explain(model, source, text, "grad-eclip").image.grid)
    skipped = matex.explain_batch(matex.load("tiny"), pairs[:1], "gradcam", on_error="skip")[0]
    assert "Expected image as the input, got imu" in str(skipped.error)


# --- files and the command line --------------------------------------------------------------------------------------


@SENSORS
def test_a_saved_explanation_is_read_back(model, film, sensor, tmp_path):
    np.save(tmp_path / "reading.npy", stored(sensor))
    source = matex.read_sensor(tmp_path / "reading.npy", sensor, mean=0.2, std=3)
    explanation = matex.explain(model, source, film, "grad-eclip")
    loaded = matex.Explanation.load(explanation.save(tmp_path / "out"))
    np.testing.assert_array_equal(loaded.film.values, source.values)
    np.testing.assert_array_equal(loaded.image.grid, explanation.image.grid)
    assert loaded.image.placement == explanation.image.placement
    there = matex.explain(model, film, source, "grad-eclip", domain="natural")
    loaded = matex.Explanation.load(there.save(tmp_path / "there"))
    np.testing.assert_array_equal(loaded.target.grid, there.target.grid)
    assert (loaded.query.target.modality, loaded.query.target.std) == (sensor, 3)


def test_the_command_line_names_readings_by_a_prefix(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("room.npy", stored("depth"))
    np.savetxt("walk.csv", stored("imu"), delimiter=",")
    assert FilmOptions().read_source("depth:room.npy").modality == "depth"
    assert read_target("imu:walk.csv").modality == "imu"
    assert read_target("depth: shallow, thermal: none") == "depth: shallow, thermal: none"
    with pytest.raises(matex.InputError, match=r"a file of thermal values.*none\.png"):
        read_target("thermal:none.png")
    folder = tmp_path / "model"
    folder.mkdir()
    arguments = [*write_imagebind(folder, monkeypatch).arguments(), "-m", "grad-eclip", "-o"]
    assert run(["explain", "imu:walk.csv", "a nodule", *arguments, "one"]) == 0
    assert run(["explain", str(samples()[0].path), "depth:room.npy", "--domain", "natural", *arguments, "two"]) == 0
    for out in ("one", "two"):
        assert run(["verify", out, "--tokenizer", arguments[arguments.index("--tokenizer") + 1]]) == 0
    assert (tmp_path / "two" / "target_overlay.png").is_file()
