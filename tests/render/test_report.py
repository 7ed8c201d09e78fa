import dataclasses
import html
import json
import re

import numpy as np
import pytest
from PIL import Image

from matex.phrases import Mention
from matex.render.framed import framed_overlay
from matex.render.page import STYLE
from matex.render.panel import model_name, panel
from matex.render.report import Line, duration, fragment, page, write_report
from matex.serialise import strict_json, to_dict
from tests.fake_explanation import GRID, bipolar, blob, fake, film

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \" ' & 左肺 \u2028"


def test_assumed_sides_are_questioned_on_every_picture():
    text = page([fake()], "title")
    assert '<b class="mark assumed">R?</b><b class="mark right assumed">L?</b>' in text
    assert "R? and L?" in text
    stated = page([fake(film(oriented=True))], "title")
    assert '<b class="mark">R</b><b class="mark right">L</b>' in stated
    assert "R?" not in re.sub(r"data:[^\"]+", "", stated)


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
    value, unit = duration(seconds).split()
    assert float(value) * {"ms": 1e-3, "s": 1}[unit] == pytest.approx(seconds, rel=0.1)


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
    assert len(re.findall(r"<script", text)) == 3  # the record, the film's maps, and our own
    assert len(re.findall(r"<script", fragment(fake(text=HOSTILE)))) == 2  # the film's maps, and our own


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
    assert loaded == json.loads(strict_json(to_dict(explanation)))
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
    assert text.count("Dashed: marked by readers") == 1


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
    assert json.loads(strict_json(to_dict(explanation)))["words"] == [{"word": "opacity", "score": None}]


def test_rendering_leaves_the_explanation_as_it_was():
    explanation = fake()
    before = {field.name: getattr(explanation, field.name) for field in dataclasses.fields(explanation)}
    pixels, grid = explanation.film.pixels.copy(), explanation.image.grid.copy()
    panel(explanation)
    page([explanation], "title")
    np.testing.assert_array_equal(explanation.film.pixels, pixels)
    np.testing.assert_array_equal(explanation.image.grid, grid)
    assert all(getattr(explanation, name) is value for name, value in before.items())
