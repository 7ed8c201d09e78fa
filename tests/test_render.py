import dataclasses
import html
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from matex.errors import InputError
from matex.geometry import Placement
from matex.phrases import Mention, parse
from matex.priors.spatial import spatial_prior
from matex.render.colormap import INFERNO, ColourScale, table
from matex.render.files import NAMES, RUN, check_folder, record, save, save_run, strict_json, writing
from matex.render.framed import framed_overlay
from matex.render.overlay import LEVELS, SIDE, at_size, contours, draw_film, draw_unseen, fit, letters, overlay, paint
from matex.render.page import STYLE
from matex.render.panel import layers, model_name, panel, places, tell_scores, understood
from matex.render.report import Line, duration, fragment, page, write_report
from matex.render.text import wrap
from tests.fake_explanation import GRID, PHRASE, blob, fake, film

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \" ' & 左肺 \u2028"


def test_the_colour_table_is_inferno_within_two_steps():
    matplotlib = pytest.importorskip("matplotlib")
    real = matplotlib.colormaps["inferno"].resampled(255)(np.arange(255))[:, :3] * 255
    assert np.abs(table(INFERNO).astype(float) - real).max() <= 2.6


def test_lightness_of_the_colours_never_falls():
    light = ColourScale(0, 1).colours.astype(float) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light) >= -0.5).all()


def test_opacity_is_nothing_at_the_low_end_and_at_the_centre_of_signed_values():
    assert ColourScale(0, 1).opacity[0] == 0
    assert ColourScale(-1, 1).opacity[127] == 0
    assert ColourScale(-1, 1).opacity[0] == ColourScale(0, 1).opacity[-1]
    assert ColourScale(0, 1).opacity.max() < 0.75


def test_a_scale_maps_its_ends_to_the_ends_and_keeps_nan():
    scale = ColourScale.of(np.array([[2.0, np.nan], [4.0, 6.0]]))
    np.testing.assert_allclose(scale.fractions(np.array([2.0, 4.0, 6.0])), [0, 0.5, 1])
    assert np.isnan(scale.fractions(np.array([np.nan]))).all()
    assert ColourScale.of(np.array([1.0, np.inf, 3.0, -np.inf])) == ColourScale(1, 3)


@pytest.mark.parametrize(("low", "high"), [(-2.0, 6.0), (-6.0, 2.0), (-6.0, 0.0), (-6.0, -2.0), (-1e-9, 6.0)])
def test_a_scale_with_negative_values_is_centred_on_zero(low, high):
    scale = ColourScale.of(np.array([low, np.nan, high]))
    assert scale.signed
    assert scale.ends == (-6.0, 6.0)
    np.testing.assert_allclose(scale.fractions(np.array([-6.0, 0.0, 3.0])), [0, 0.5, 0.75])
    np.testing.assert_allclose(scale.strength(np.array([-6.0, 0.0, 3.0])), [1, 0, 0.5])
    assert scale.tell(0.0) == "0"
    assert scale.tell(low) in scale.legend


def test_a_scale_without_negative_values_keeps_the_sequential_map():
    for low in (0.0, 0.3):
        scale = ColourScale.of(np.array([low, 1.0]))
        assert not scale.signed
        assert scale.ends == (low, 1.0)
        np.testing.assert_array_equal(scale.strength(np.array([low, 1.0])), [0, 1])


@pytest.mark.parametrize("values", [np.zeros(3), np.full(3, 0.4), np.full(3, np.nan), np.array([])])
def test_constant_and_unknown_values_make_a_constant_scale(values):
    assert ColourScale.of(values).constant
    assert ColourScale.of(-values).constant
    assert ColourScale(0, 1e-30).constant is False


def test_numbers_are_told_as_finely_as_the_scale_needs():
    assert ColourScale(0, 1.31).tell(1.31) == "1.31"
    assert ColourScale(0, 310).tell(155) == "155"
    assert ColourScale(0.0, 0.0042).tell(0.0021) == "0.00210"
    assert ColourScale(0, 1e-9).tell(5e-10) == "5.00e-10"
    assert ColourScale(0, 1).tell(float("nan")) == "undefined"


def test_painting_leaves_unknown_pixels_transparent_and_low_ones_nearly():
    picture = paint(np.array([[0.0, 1.0, np.nan]]), ColourScale(0, 1)).convert("RGBA")
    assert [picture.getpixel((x, 0))[3] for x in range(3)] == [0, 168, 0]
    assert picture.getpixel((1, 0))[:3] == (252, 255, 164)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(112, 90, (1024, 823)), (3000, 2500, (1024, 853)), (5, 2000, (3, 1024)), (512, 512, (1024, 1024))],
)
def test_overlays_of_all_sizes_come_out_at_one_sensible_size(height, width, expected):
    assert fit((height, width), SIDE, SIDE) == expected
    picture = overlay(fake(film(height, width)))
    assert picture.size == expected[::-1]


def test_the_overlay_is_brightest_coloured_where_the_map_is_high_and_plain_film_where_it_is_low():
    grid = np.zeros(GRID, dtype=np.float32)
    grid[2, 11] = 1.0  # upper right of the image; rows and columns differ so that a swapped axis shows
    picture = np.asarray(overlay(fake(film(480, 600), grid=grid))).astype(int)
    colour = picture.max(axis=2) - picture.min(axis=2)
    y, x = np.unravel_index(colour.argmax(), colour.shape)
    assert (y / picture.shape[0], x / picture.shape[1]) == pytest.approx((2.5 / 12, 11.5 / 14), abs=0.05)
    assert colour[picture.shape[0] // 2 :, : picture.shape[1] // 2].max() == 0


def test_what_the_model_did_not_see_is_hatched_and_the_rest_is_not():
    explanation = fake(film(300, 600), resize="crop", grid=np.zeros(GRID, dtype=np.float32))
    seen = np.isfinite(explanation.image.raw)
    assert 0.1 < (~seen).mean() < 0.6
    plain = np.asarray(overlay(fake(film(300, 600), grid=np.zeros(GRID, dtype=np.float32)))).astype(int)
    hatched = np.asarray(overlay(explanation)).astype(int)
    changed = np.abs(plain - hatched).max(axis=2) > 0
    edge = int(np.flatnonzero(seen.any(axis=0))[0] * 1024 / 600)
    # The letters and the label of a constant map are drawn alike on both.
    assert changed[150:400, : edge - 4].mean() > 0.9
    assert not changed[150:400, edge + 4 : 1020 - edge].any()


def bipolar(size=0.02):
    """A signed grid: above 0 at the upper left, below 0 at the lower right, exactly 0 in the other two corners."""
    grid = np.zeros(GRID, dtype=np.float32)
    grid[1:5, 1:5], grid[7:11, 9:13] = size, -0.5 * size
    return grid


def drawn(explanation):
    """(overlay, film alone) as int arrays of the same size, without the strip that holds the letters."""
    picture = overlay(explanation)
    plain = draw_film(explanation.film, (picture.height, picture.width))
    return (np.asarray(image).astype(int)[100:] for image in (picture, plain))


@pytest.mark.parametrize("size", [1e-6, 0.02, 300.0])
def test_zero_of_a_signed_map_leaves_the_film_as_it_is_and_the_sign_is_the_hue(size):
    mapped, plain = drawn(fake(film(480, 560), grid=bipolar(size)))
    changed = np.abs(mapped - plain).max(axis=2) > 0
    height, width = changed.shape
    assert not changed[: height // 3, width // 2 :].any()
    assert not changed[height * 2 // 3 :, : width // 2].any()
    redder = mapped[..., 0] - mapped[..., 2]
    above, below = redder[: height // 3, : width // 3], redder[height // 2 : -60, width * 2 // 3 :]
    assert np.percentile(above, 60) > 30
    assert np.percentile(below, 40) < -15


def test_a_normal_film_under_a_signed_map_is_not_tinted_all_over():
    grid = np.zeros(GRID, dtype=np.float32)
    grid[2, 2], grid[8, 10] = -0.01, 0.012
    mapped, plain = drawn(fake(film(480, 560), grid=grid))
    assert (np.abs(mapped - plain).max(axis=2) > 0).mean() < 0.1


@pytest.mark.parametrize("shape", [(12, 14), (192, 224)])
def test_a_map_and_its_negative_differ_in_hue_alone(shape):
    grid = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    one, other = (ColourScale.of(values) for values in (grid, -grid))
    np.testing.assert_allclose(one.strength(grid), other.strength(-grid), atol=1e-12)
    np.testing.assert_allclose(one.opacity, one.opacity[::-1], atol=1e-12)


def test_signed_terms_are_centred_too_and_a_nonnegative_map_is_min_max():
    grid = 0.3 + 0.7 * blob(0.7, 0.3, 0.1)
    mapped, plain = drawn(fake(film(480, 560), grid=grid))
    height, width = mapped.shape[:2]
    assert np.abs(mapped - plain)[height // 2 :, : width // 3].max() <= 2
    assert [layer.scale.signed for layer in layers(fake(components={"gradient": -grid}))][:1] == [True]


def test_contours_lie_on_both_sides_of_zero():
    explanation = fake(film(480, 560), grid=bipolar())
    strength = ColourScale.of(explanation.image.raw).strength(explanation.image.raw)
    alpha = np.asarray(contours(strength))[..., 1]
    assert alpha[:240, :280].max() > 100
    assert alpha[240:, 280:].max() > 60  # half as far below 0 as above: the line of 50 %


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


def test_the_sides_are_grey_and_questioned_where_they_are_assumed():
    for changes, colour in (({}, (174, 180, 187)), ({"oriented": True}, (255, 255, 255))):
        black = film(480, 560, pixels=np.zeros((480, 560), dtype=np.uint8), **changes)
        pixels = np.asarray(overlay(fake(black, grid=np.zeros(GRID, dtype=np.float32))))[10:70]
        for part in (pixels[:, :120], pixels[:, -120:]):
            assert part.reshape(-1, 3).max(axis=0).tolist() == list(colour)


def test_assumed_sides_are_questioned_on_every_picture():
    text = page([fake()], "title")
    assert '<b class="mark assumed">R?</b><b class="mark right assumed">L?</b>' in text
    assert "R? and L?" in text
    stated = page([fake(film(oriented=True))], "title")
    assert '<b class="mark">R</b><b class="mark right">L</b>' in stated
    assert "R?" not in re.sub(r"data:[^\"]+", "", stated)


def test_what_the_caller_says_about_the_sides_is_stated():
    read = film(view=None)
    assert not read.known_as("PA", None).oriented
    for mirrored in (False, True):
        assert read.known_as(None, mirrored).oriented
    assert letters(fake(read.known_as(None, False))) == ("R", "L", False)
    assert film(oriented=True).known_as("PA", None).oriented


def test_letters_that_no_typeface_has_become_words_and_not_boxes(monkeypatch):
    from matex.render import text as room

    room._best.cache_clear()
    monkeypatch.setattr(room, "SYSTEM_FACES", ())
    assert room.drawable("nodule") == "nodule"
    assert room.drawable("épanchement – Ödem") == "epanchement - Odem"
    assert room.drawable("左肺 nodule") == "[2 CJK characters] nodule"
    assert room.drawable("я") == "[1 Cyrillic character]"
    assert "[2 CJK characters]" in " ".join(wrap("左肺 nodule", 24, 400))
    room._best.cache_clear()


def test_a_typeface_with_the_letters_is_taken_where_there_is_one():
    from matex.render import text as room

    if not room._installed("DejaVuSans.ttf"):
        pytest.skip("needs DejaVu")
    assert room.drawable("Узелок, épanchement, œdème") == "Узелок, épanchement, œdème"
    assert room.font(20, "Узелок").getname()[0] == "DejaVu Sans"
    assert room.font(20, "nodule").getname() == room.font(20, "").getname()


def test_every_picture_of_a_film_is_drawn_from_one_reduced_copy(monkeypatch):
    sizes = []
    real = Image.Image.resize

    def spy(self, *rest, **named):
        sizes.append(self.size)
        return real(self, *rest, **named)

    large = film(2048, 1500)
    explanation = fake(large)
    monkeypatch.setattr(Image.Image, "resize", spy)
    framed_overlay(explanation)
    panel(explanation)
    page([explanation, fake(large, method="rollout")], "title")
    assert sizes.count((1500, 2048)) == 1


def test_a_film_drawn_larger_than_the_reduced_copy_comes_from_its_own_pixels():
    large = film(1600, 1400)
    picture = draw_film(large, (1600, 1400))
    np.testing.assert_array_equal(np.asarray(picture)[..., 0], large.pixels)
    small = np.asarray(draw_film(large, (400, 350)))[..., 0].astype(float)
    direct = np.asarray(Image.fromarray(large.pixels).resize((350, 400), Image.Resampling.LANCZOS)).astype(float)
    assert np.abs(small - direct).mean() < 1


def test_terms_of_weight_0_are_labelled_and_grey():
    weights = {"gradient": 0.5, "flow": 0.0, "consistency": 0.35, "prior": 0.2}
    text = page([fake(weights=weights)], "title")
    assert text.count('<label class="unused">') == 1
    assert '<tr class="unused"><td>0</td><td>Attention flow</td><td>not in the map</td></tr>' in text
    assert "weight 0: not in the map" in text
    assert "unused" not in re.sub(r"<style>.*?</style>", "", page([fake()], "title"), flags=re.DOTALL)
    with_flow, without = (np.asarray(panel(fake(weights={**weights, "flow": flow}))) for flow in (0.2, 0.0))
    coloured = [np.ptp(image[1100:1400, 420:760].astype(int), axis=2).max() for image in (with_flow, without)]
    assert coloured[0] > 60 > 30 > coloured[1]


def luminance(colour):
    """Relative luminance of "#rrggbb", WCAG 2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_has_the_contrast_that_wcag_asks_for():
    from matex.render import canvas

    colours = dict(re.findall(r"--(\w+):(#\w{6})", STYLE))
    for text in ("ink", "soft", "faint", "link"):
        assert min(contrast(colours[text], back) for back in ("#ffffff", colours["paper"], "#eceff2")) >= 4.5, text
    for rule in re.findall(r"\{[^}]*\}", STYLE):
        if found := re.search(r"background:(#\w{6}).*[;{]color:(#\w{6})", rule):
            assert contrast(*found.groups()) >= 4.5, rule
    for text in (canvas.FAINT, canvas.SOFT, canvas.BRIGHT, canvas.WARNING):
        assert contrast(text, canvas.BACKGROUND) >= 4.5


@pytest.mark.parametrize("seconds", [2e-6, 4.4e-4, 0.0021, 0.0099, 0.05, 3.2])
def test_a_time_is_never_0(seconds):
    told, unit = duration(seconds).split()
    assert float(told) * {"ms": 1e-3, "s": 1}[unit] == pytest.approx(seconds, rel=0.1)


def test_a_comparison_names_what_it_left_out_and_why():
    made = [fake(method=name, provenance={"seconds": 0.0004}) for name in ("rollout", "matex")]
    text = page(made, "two", left_out={"guided-backprop": "it needs a <ReLU>"})
    assert "<li><b>guided-backprop</b>: it needs a &lt;ReLU&gt;</li>" in text
    assert text.count("own formula 0.4 ms") == 2
    assert re.findall(r'<a class="thumb".*?<b>(.*?)</b>', text) == ["rollout", "matex"]
    assert "Left out" not in page(made, "two")


def test_all_notes_stand_under_read_this_first():
    notes = ("part of the film was cut off", "the map is <constant>")
    text = page([fake(notes=notes)], "title")
    section = re.search(r"<b>Read this first</b><ul>(.*?)</ul>", text)
    assert section
    assert section.group(1) == "".join(f"<li>{html.escape(note)}</li>" for note in notes)


def test_every_image_of_a_page_has_a_text_for_those_who_do_not_see_it():
    for text in (page([fake(), fake(method="rollout", grid=bipolar())], "title"), fragment(fake())):
        found = re.findall(r"<img[^>]*>", text)
        assert found
        assert all(re.search(r'alt="[^"]{4,}"', image) for image in found)


def test_contours_follow_the_levels():
    ramp = np.tile(np.linspace(0, 1, 401), (100, 1))
    alpha = np.asarray(contours(ramp))[50, :, 1]
    centres = [round(level * 400) for level in LEVELS]
    assert all(alpha[centre] > 100 for centre in centres)
    assert all(alpha[x] == 0 for x in (20, 100, 250, 330, 390))


def test_contours_are_left_out_of_maps_that_change_from_pixel_to_pixel():
    noise = np.kron(np.random.default_rng(5).random((60, 60)), np.ones((8, 8)))
    assert np.asarray(contours(noise))[..., 1].max() == 0


def test_contours_draw_no_edge_along_the_unseen_part():
    values = np.full((200, 300), np.nan)
    values[:, 60:240] = 0.95
    assert np.asarray(contours(values))[..., 1].max() == 0


@pytest.mark.parametrize(
    ("changes", "domain", "expected"),
    [
        ({}, "chest", ("R?", "L?", True)),
        ({"view": None}, "chest", ("R?", "L?", True)),
        ({"oriented": True}, "chest", ("R", "L", False)),
        ({"mirrored": True, "oriented": True}, "chest", ("L", "R", False)),
        ({"view": "LATERAL", "oriented": True}, "chest", None),
        ({"view": "LATERAL"}, "chest", None),
        ({"view": "LL"}, "chest", None),
        ({}, "natural", None),
    ],
)
def test_letters_name_the_patients_sides(changes, domain, expected):
    assert letters(fake(film(**changes), provenance={"domain": domain})) == expected


@pytest.mark.parametrize(
    "view", [None, "", "PA", "ap", "AP_SUPINE", "Antero-posterior", "FRONTAL", "LL", "RL", "LATERAL", "RLD", "SWIMMERS"]
)
def test_a_film_has_letters_where_it_has_a_spatial_prior(view):
    centres = (np.arange(9) + 0.5) / 9
    prior = spatial_prior(parse(PHRASE), centres, centres, view=view)
    assert (letters(fake(film(view=view))) is None) == prior.neutral


def test_interpolating_to_the_drawn_size_agrees_with_the_map_in_original_pixels():
    placement = Placement.fit((300, 260), (192, 224), (16, 16), "pad")
    grid = blob(0.4, 0.7, 0.2)
    np.testing.assert_allclose(at_size(grid, placement, (300, 260)), placement.map_to_original(grid))
    half = at_size(grid, placement, (150, 130))
    assert half.shape == (150, 130)
    assert np.nanmax(np.abs(half - placement.map_to_original(grid)[::2, ::2])) < 0.05


def test_layers_are_the_terms_and_the_prior():
    names = [layer.name for layer in layers(fake())]
    assert names == [
        "Gradient",
        "Attention flow",
        "Consistent gradient",
        "Gradient under the prior",
        "Prior M",
    ]
    plain = fake(components={}, weights={}, prior=None)
    assert layers(plain) == ()
    signed = fake(components={"a": blob(0.4, 0.4, 0.1) - 0.3, "b": blob(0.4, 0.4, 0.1)}, weights={}, prior=None)
    assert [layer.scale.signed for layer in layers(signed)] == [True, False]
    other = fake(components={"my-term": blob(0.5, 0.5, 0.1)}, weights={}, prior=None)
    assert layers(other)[0].name == "My term"


CASES = {
    "everything": {},
    "wide": {"picture": film(120, 900)},
    "tall": {"picture": film(900, 120)},
    "cropped": {"picture": film(300, 500), "resize": "crop"},
    "colour": {"picture": film(pixels=np.random.default_rng(3).integers(0, 255, (70, 50, 3), dtype=np.uint8))},
    "no terms, no words": {"components": {}, "weights": {}, "prior": None, "words": (), "tokens": ()},
    "constant": {"grid": np.full(GRID, 0.3, dtype=np.float32), "notes": ("the map is constant",)},
    "unknown": {"grid": np.full(GRID, np.nan, dtype=np.float32), "score": float("nan")},
    "unknown words": {"words": (("opacity", float("nan")), ("left", 0.0)), "regions": ()},
    "words all against": {"words": (("opacity", -0.4), ("left", -0.1))},
    "many words": {"words": tuple((f"word{i}", (-1) ** i * i / 9) for i in range(60))},
    "long": {"text": "opacity " * 70 + "x" * 400, "notes": tuple("a note " * 60 for _ in range(4))},
    "signed": {"grid": blob(0.7, 0.6, 0.2) - blob(0.2, 0.3, 0.2)},
    "constant below zero": {"grid": np.full(GRID, -0.3, dtype=np.float32)},
    "pixel map": {"grid": np.random.default_rng(7).random((192, 224)).astype(np.float32), "components": {}},
    "hostile": {"text": HOSTILE, "notes": (HOSTILE,), "method": HOSTILE, "words": ((HOSTILE, 1.0),)},
}


@pytest.mark.filterwarnings("ignore:All-NaN")
@pytest.mark.parametrize("case", CASES)
def test_panel_page_and_fragment_cope_with(case):
    explanation = fake(**CASES[case])
    picture = panel(explanation)
    assert picture.width == 1920
    assert 600 < picture.height < 6000
    text = page([explanation], case)
    assert text.count("<section") == 1
    assert not re.search(r": NaN|>nan<|nanpx", text)
    assert fragment(explanation).startswith("<figure><img")


def test_wrapping_keeps_every_line_inside_and_marks_what_was_cut():
    lines = wrap("pneumonia " * 30 + "y" * 300, 24, 400, lines=4)
    assert len(lines) == 4
    assert lines[-1].endswith("…")
    assert wrap("two words", 24, 400) == ["two words"]
    assert wrap("", 24, 400) == []


def test_a_page_loads_nothing_from_anywhere():
    text = page([fake()], "title")
    assert not re.search(r"https?://|//[a-z]", re.sub(r"data:[^\"]+", "", text))
    assert set(re.findall(r'(?:src|href)="([^:"#]*)', text)) <= {"data", ""}
    assert "default-src 'none'" in text
    assert "@import" not in text
    assert " style=" not in text


def test_hostile_text_stays_text():
    text = page([fake(text=HOSTILE, words=((HOSTILE, 1.0),), method=HOSTILE, notes=(HOSTILE,))], HOSTILE, HOSTILE)
    assert "alert(1)</script>" not in text
    assert "<img src=x" not in text
    assert html.escape("<img src=x onerror=alert(2)>") in text
    assert len(re.findall(r"<script", text)) == 2  # the data and our own
    assert "<script" not in fragment(fake(text=HOSTILE))


def test_the_script_and_the_style_sheet_are_those_that_the_policy_allows():
    import base64
    import hashlib

    text = page([fake()], "title")
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        content = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in text


def test_the_embedded_json_is_the_record():
    explanation = fake(text=HOSTILE, score=float("nan"))
    text = page([explanation], "title")
    found = re.search(r'<script type="application/json" id="e1-json">(.*?)</script>', text, re.DOTALL)
    assert found
    loaded = json.loads(found.group(1))
    assert loaded == json.loads(strict_json(record(explanation)))
    assert loaded["text"] == HOSTILE
    assert loaded["score"] is None


def test_the_phrase_shows_what_the_parser_understood():
    text = "no effusion in the left base, opacity in the right apex"
    regions = (
        Mention("left base", 19, 28, "base", "left", True, False, False, 0.0),
        Mention("right apex", 45, 55, "apex", "right", False, True, False, 0.5),
    )
    made = page([fake(text=text, regions=regions)], "title")
    assert '<u class="off" title="base, patient&#x27;s left, negated">left base</u>' in made
    assert '<u class="on" title="apex, patient&#x27;s right, uncertain">right apex</u>' in made
    assert "<td>negated</td><td>0</td>" in made
    assert "<td>uncertain</td><td>0.5</td>" in made


def test_several_explanations_share_a_page_with_a_sheet_of_links():
    text = page([fake(), fake(method="rollout")], "two")
    assert text.count('<a class="thumb"') == 2
    assert 'href="#e2"' in text
    assert 'id="e2"' in text
    assert text.count("Content-Security-Policy") == 1


def test_boxes_that_people_drew_lie_in_original_pixels():
    wide = fake(film(300, 500))
    text = page([wide, fake()], "two", boxes=[[(10, 20, 60.5, 100)], []])
    assert text.count('viewBox="0 0 500 300"') == 2  # on the sheet and in its section
    assert text.count('<rect x="10.0" y="20.0" width="50.5" height="80.0"/>') == 2
    assert text.count("Dashed: marked by people") == 1


def test_a_report_marks_every_sentence_in_order(tmp_path):
    lines = [
        Line("Opacity at the left base.", "positive", 0),
        Line("No effusion.", "negated", why="too <long>"),
        Line("The heart is normal.", "normal", 1),
    ]
    path = write_report([fake(), fake(text="The heart is normal.")], tmp_path / "page.html", "Report", lines=lines)
    text = path.read_text(encoding="utf-8")
    places = [text.index(line.text) for line in lines]
    assert places == sorted(places)
    assert '<li class="line negated">' in text
    assert "not explained: too &lt;long&gt;" in text
    assert '<a href="#e2">The heart is normal.</a>' in text
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_saving_writes_the_five_files_and_nothing_else(tmp_path):
    explanation = fake(film(300, 500), resize="crop")
    assert explanation.save(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == sorted(NAMES)
    values = np.load(tmp_path / "a" / "b" / "image_map.npy")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, explanation.image.values)
    with Image.open(tmp_path / "a" / "b" / "panel.png") as picture:
        assert picture.width == 1920


def test_the_record_is_strict_json_with_sorted_keys():
    def refuse(constant):
        raise AssertionError(constant)

    explanation = fake(
        score=float("inf"), provenance={"path": Path("x"), "array": np.arange(2), "n": np.float32("nan")}
    )
    text = strict_json(record(explanation))
    loaded = json.loads(text, parse_constant=refuse)
    assert list(loaded) == sorted(loaded)
    assert loaded["score"] is None
    assert loaded["provenance"]["array"] == [0, 1]
    assert loaded["provenance"]["n"] is None
    assert loaded["words"][0] == {"score": 0.83, "word": "opacity"}
    assert loaded["regions"][0]["side"] == "left"
    assert loaded["components"]["gradient"]["weight"] == 0.5
    assert strict_json(record(explanation)) == text


def test_the_record_holds_no_path():
    text = strict_json(record(fake()))
    assert str(Path.cwd()) not in text
    assert "/" not in json.loads(text)["provenance"]["image"]["name"]


@pytest.mark.parametrize("stage", ["overlay", "panel", "page"])
def test_a_failure_while_writing_leaves_the_folder_as_it_was(tmp_path, monkeypatch, stage):
    fake().save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_, **__):
        raise RuntimeError("broken")

    where = {"overlay": "framed.framed_overlay", "panel": "panel.panel", "page": "report.page"}[stage]
    monkeypatch.setattr(f"matex.render.{where}", fail)
    with pytest.raises(RuntimeError, match="broken"):
        save(fake(text="another phrase"), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(RuntimeError, match="broken"):
        save(fake(), tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matex.render.files._write_map", full)
    with pytest.raises(InputError, match="No space left on device") as caught:
        save(fake(), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_under_the_map_is_called_full(tmp_path, monkeypatch):
    from matex.render import files

    def on_a_full_disk(explanation, folder):
        (folder / "image_map.npy").symlink_to("/dev/full")
        write(explanation, folder)

    write = files._write
    monkeypatch.setattr(files, "_write", on_a_full_disk)
    with pytest.raises(InputError, match="No space left on device"):
        save(fake(), tmp_path / "out")


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(InputError, match="is a file"):
            save(fake(), folder)
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_where_a_file_should_be_is_refused_before_anything_is_replaced(tmp_path):
    (tmp_path / "panel.png").mkdir()
    with pytest.raises(InputError, match=r"panel\.png"):
        save(fake(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["panel.png"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission"):
        check_folder(tmp_path / "out")


def test_writing_renames_all_files_or_none(tmp_path):
    def interrupted():
        with writing(tmp_path) as temporary:
            (temporary / "a").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with writing(tmp_path) as temporary:
        (temporary / "a").write_text("1")
        assert not (tmp_path / "a").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_holds_one_run(tmp_path):
    other = film(name="other", sha256="cd" * 32)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "mine.txt").write_text("mine")
    save_run({"one": fake(), "two": fake(method="rollout"), "three": fake()}, tmp_path, "page")
    assert json.loads((tmp_path / RUN).read_text())["folders"]["two"]["method"] == "rollout"
    save_run({"one": fake(other)}, tmp_path, "page")
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"notes.txt", "one/mine.txt", RUN, "report.html", *(f"one/{name}" for name in NAMES)}
    save(fake(), tmp_path)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"notes.txt", "one/mine.txt", *NAMES}
    save_run({"four": fake(other)}, tmp_path, "page")
    assert not (tmp_path / "explanation.json").exists()


def test_a_folder_of_folders_that_no_run_named_is_left_alone(tmp_path):
    save(fake(), tmp_path / "patient")
    kept = sorted(tmp_path.rglob("*"))
    (tmp_path / RUN).write_text(json.dumps({"format": "matex-run/1", "folders": {"..": {}, "": {}, ".": {}}}))
    save(fake(), tmp_path)
    assert set(kept) < set(tmp_path.rglob("*"))
    for odd in ("[]", "{", '{"format": "matex-run/1", "folders": 3}', "[" * 100_000):
        (tmp_path / RUN).write_text(odd)
        save(fake(), tmp_path)
    assert set(kept) < set(tmp_path.rglob("*"))


def test_a_run_that_fails_midway_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    from matex.render import panel as room

    save_run({"one": fake()}, tmp_path, "page")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    real, calls = room.panel, []

    def second_fails(explanation):
        calls.append(explanation)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(explanation)

    monkeypatch.setattr(room, "panel", second_fails)
    with pytest.raises(KeyboardInterrupt):
        save_run({"one": fake(text="other"), "two": fake()}, tmp_path, "other page")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_file_or_link_where_a_folder_should_be_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out" / "two").write_text("mine")
    for name in ("one", "two"):
        with pytest.raises(InputError, match="Move it away"):
            save_run({name: fake()}, tmp_path / "out", "page")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("tiny", "tiny"),
        ("hf:openai/clip-vit-base-patch32", "hf:openai/clip-vit-base-patch32"),
        ("hf:/home/doe/patients/clip/", "hf:clip"),
        ("hf:~/models/clip", "hf:clip"),
        ("hf:../clip", "hf:clip"),
        ("openai:models/chexzero.pt", "openai:chexzero.pt"),
        (r"openai:C:\Users\doe\chexzero.pt", "openai:chexzero.pt"),
    ],
)
def test_titles_name_no_folder_of_a_local_model(name, shown):
    explanation = fake(provenance={"model": {"name": name}})
    assert model_name(explanation) == shown
    assert f"model <b>{shown}</b>" in page([explanation], "title")


def test_the_footer_speaks_of_sides_only_where_letters_are_drawn():
    lateral = fake(film(view="LATERAL"))
    assert "R? and L?" in page([fake(), lateral], "title")
    assert "R and L" in page([fake(film(oriented=True)), lateral], "title")
    assert not re.search("R.? and L", page([lateral], "title"))


def test_words_without_a_score_are_undefined_in_pictures_and_null_in_the_record():
    explanation = fake(words=(("opacity", float("nan")),))
    assert 'class="chip plus0">opacity<small>undefined</small>' in page([explanation], "title")
    assert json.loads(strict_json(record(explanation)))["words"] == [{"word": "opacity", "score": None}]


def test_a_constant_map_is_called_so_everywhere():
    constant = fake(grid=np.full(GRID, 0.3, dtype=np.float32))
    assert record(constant)["image"]["degenerate"] is True
    assert record(fake())["image"]["degenerate"] is False


def test_mentions_are_worded_in_one_place():
    plain, past = (
        Mention("base", 0, 4, "base", None, False, False, False, 1.0),
        Mention("left base", 0, 9, "base", "left", True, False, True, 0.0),
    )
    assert understood(plain) == ("base", "no side", "stated")
    assert understood(past) == ("base", "patient's left", "negated and historical")


def test_regions_read_from_the_same_words_share_a_row():
    effusion = parse("left pleural effusion, no nodule in the right upper lobe")
    assert places(effusion) == [
        ("left pleural effusion", "lower zone and costophrenic angle", "patient's left", "stated", "1"),
        ("right upper lobe", "upper lobe", "patient's right", "negated", "0"),
    ]


def test_scores_of_words_are_told_as_finely_as_the_largest_needs():
    assert tell_scores([1.014, 9.68e-5, -1e-4, -0.2]) == ["+1.01", "0.00", "0.00", "-0.20"]
    assert tell_scores([0.0132, 0.0004, float("nan")]) == ["+0.0132", "+0.0004", "undefined"]
    assert tell_scores([2e-7, -1e-7]) == ["+2.00e-07", "-1.00e-07"]


def test_places_that_do_not_fit_beside_a_wide_film_stand_under_it():
    many = parse("nodules in the right apex, left apex, right base, left base, lingula, RUL, LUL and RML")
    words = tuple((f"word{i}", i / 9) for i in range(16))
    wide = [panel(fake(film(400, 700), words=words, regions=regions)).height for regions in (many[:1], many)]
    assert wide[1] - wide[0] < 300  # in one column beside the words they would take 560 more


def test_the_labels_of_both_narrow_bands_are_turned_alike():
    seen = np.ones((800, 1000), bool)
    seen[:, :90] = seen[:, -130:] = False
    plates = np.asarray(draw_unseen(seen).getchannel("R")) < 38  # darker than the hatching
    for band in (plates[:, :90], plates[:, -130:]):
        high, wide = np.ptp(np.flatnonzero(band.any(axis=1))), np.ptp(np.flatnonzero(band.any(axis=0)))
        assert high > 2 * wide > 0


def test_the_record_tells_the_film_once():
    text = strict_json(record(fake()))
    assert text.count(fake().film.sha256) == 1
    assert {"score", "words", "regions", "parameters", "provenance"} <= json.loads(text).keys()


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


def test_rendering_leaves_the_explanation_as_it_was():
    explanation = fake()
    before = {field.name: getattr(explanation, field.name) for field in dataclasses.fields(explanation)}
    pixels, grid = explanation.film.pixels.copy(), explanation.image.grid.copy()
    panel(explanation)
    page([explanation], "title")
    np.testing.assert_array_equal(explanation.film.pixels, pixels)
    np.testing.assert_array_equal(explanation.image.grid, grid)
    assert all(getattr(explanation, name) is value for name, value in before.items())
