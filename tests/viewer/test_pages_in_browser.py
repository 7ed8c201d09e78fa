"""The pages that are saved: one file, offline, with the viewer's film component; complete without scripts too."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

import matex
from matex.audit_results import Audit, Check, Control
from matex.datasets import Sample
from matex.geometry import Placement
from matex.reader_study import make_study
from matex.reader_study.answers import read_answers, read_key
from matex.render.audit import page as audit_page
from matex.render.colormap import ColourScale
from matex.render.overlay import layered
from matex.render.report import fragment
from matex.render.report import page as report_page
from matex.results import SaliencyMap
from matex.samples import samples
from tests.fake_explanation import bipolar, blob, fake, film


@pytest.fixture
def saved(open_page, tmp_path):
    """Open a page from its file."""

    def opened(html, **options):
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        return open_page(path.as_uri(), **options)

    return opened


def view(page, expression, number=0):
    return page.evaluate(f"document.querySelectorAll('.film-host')[{number}].filmView.{expression}")


@pytest.mark.parametrize("grid", [None, bipolar()], ids=["positive", "signed"])
@pytest.mark.parametrize("changes", [{}, {"mirrored": True}, {"turns": 2}], ids=["standard", "mirrored", "turned"])
def test_the_canvas_shows_what_the_pictures_show(saved, grid, changes):
    placement = Placement.fit((512, 512), (192, 224), (16, 16), "squash", **changes)
    plain = fake(film(**changes), grid=grid)
    explanation = dataclasses.replace(plain, image=SaliencyMap(plain.image.grid, placement))
    page = saved(report_page([explanation], "title"))
    page.evaluate(
        """() => {
          const view = document.querySelector(".film-host").filmView;
          view.stage.style.cssText = "position:fixed;z-index:9;left:0;top:0;width:512px;height:512px";
          view.setLook({lines: false});
          view.film.sides = null;
        }"""
    )
    page.wait_for_timeout(100)
    shown = np.asarray(Image.open(io.BytesIO(page.locator(".film-stage").screenshot())).convert("RGB")).astype(int)
    image = explanation.image
    expected = layered(explanation.film, image.grid, image.placement, ColourScale(*image.range), (512, 512))
    difference = np.abs(shown - np.asarray(expected).astype(int))[8:-8, 8:-8]
    assert difference.mean() < 3  # the film of a page is a JPEG
    assert np.quantile(difference, 0.999) < 25


def test_maps_of_a_page_are_linked_and_chosen_by_the_same_buttons(saved):
    page = saved(report_page([fake(), fake(method="rollout", grid=blob(0.3, 0.3, 0.1))], "two"))
    page.locator(".film-stage").nth(1).focus()
    page.keyboard.press("+")
    assert view(page, "view.zoom") == view(page, "view.zoom", 1) == 1.25
    before = view(page, "map.name")
    page.locator(".picks label").nth(1).click()
    assert (before, view(page, "map.name")) == ("Map", "Gradient")
    page.locator(".picks label", has_text="Film only").first.click()
    assert view(page, "map") is None
    page.locator(".film-stage").first.hover(position={"x": 200, "y": 250})
    assert "x " in page.locator(".film-readout").first.inner_text()


def test_an_audit_shows_every_control_on_the_film(saved):
    explanation = fake()
    control = Control("other side", "opacity in the right lower lung", 0.1, fake(grid=bipolar()).image, 0.1, 0.2)
    check = Check("Does it?", "pass", "It does.", {})
    page = saved(audit_page(Audit(explanation, {"map": check, "prior_share": check}, {"other_side": control})))
    page.locator(".picks label", has_text="other side").click()
    assert view(page, "map.name") == "other side"


def test_a_page_is_complete_without_scripts(saved):
    page = saved(report_page([fake()], "title"), java_script_enabled=False)
    assert page.locator(".stage .film").is_visible()
    assert page.locator(".stage .map.layer0").is_visible()
    assert page.locator(".slider").is_hidden()


def test_a_printed_page_shows_the_pictures(saved):
    page = saved(report_page([fake()], "title"))
    page.emulate_media(media="print")
    assert page.locator(".stage .film").is_visible()
    assert page.locator(".film-host").is_hidden()


@pytest.mark.parametrize(
    ("spacing", "words"),
    [((0.7, 0.7, False), "at the detector"), ((0.7, 0.7, True), "cm"), (None, None)],
)
def test_a_scale_is_drawn_where_the_spacing_is_known(saved, spacing, words):
    page = saved(report_page([fake(film(spacing=spacing))], "title"))
    written = page.evaluate(
        """() => {
          const view = document.querySelector(".film-host").filmView, texts = [];
          const context = view.marks.getContext("2d"), original = context.fillText.bind(context);
          context.fillText = (text, ...at) => { texts.push(text); original(text, ...at); };
          view.draw("marks");
          view.drawNow();
          return texts;
        }"""
    )
    assert [text for text in written if "cm" in text and words and words in text] or spacing is None
    assert spacing is not None or not any("cm" in text for text in written)


def test_a_notebook_shows_the_film_component_in_the_place_of_the_picture(saved):
    """Two outputs, the second one added by a script after the first has run, as notebooks do."""
    first, second = fragment(fake()), fragment(fake(method="rollout", grid=bipolar()))
    page = saved(f"<!doctype html><title>notebook</title><body>{first}")
    page.wait_for_selector("figure img", state="hidden")
    page.evaluate(
        """(html) => {
          const cell = document.createElement("div");
          cell.innerHTML = html;
          document.body.append(cell);
          for (const old of cell.querySelectorAll("script")) {
            const script = document.createElement("script");
            script.type = old.type;
            script.className = old.className;
            script.textContent = old.textContent;
            old.replaceWith(script);
          }
        }""",
        second,
    )
    page.wait_for_function("() => document.querySelectorAll('figure img[hidden]').length === 2")
    assert page.locator("figure .film-host").count() == 2
    page.locator("figure .film-stage").first.hover()
    assert "map" in page.locator("figure .film-view .film-readout").first.inner_text()
    page.locator("figure button", has_text="Gradient under the prior").first.click()
    assert (
        page.locator("figure button", has_text="Gradient under the prior").first.get_attribute("aria-pressed") == "true"
    )


def test_a_notebook_without_scripts_shows_the_picture(saved):
    page = saved(f"<!doctype html><title>notebook</title>{fragment(fake())}", java_script_enabled=False)
    assert page.locator("figure img").is_visible()


def test_a_reader_answers_and_saves_a_file_that_the_analysis_reads(open_page, tmp_path):
    film = samples()[0]
    pairs = [Sample(str(number), film.path, text) for number, text in enumerate(("nodule", "clear lungs"))]
    study = make_study(matex.load("tiny"), pairs, ["rollout"], readers=1, repeats=0)
    study.save(tmp_path / "pages", tmp_path / "key.json")
    page = open_page((tmp_path / "pages" / "reader-1.html").as_uri())
    cases = [one.case for one in study.order[0]]
    page.check(f'input[name="{cases[0]}.q1"][value="4"]')
    page.fill(f'input[name="{cases[1]}.comment"]', '=a "quoted" remark')
    assert page.inner_text("#progress") == "1 of 2 cases answered"
    for ending in ("json", "csv"):
        with page.expect_download() as waiting:
            page.click(f"#save-{ending}")
        file = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(file)
        _, (ratings,) = read_answers([file], read_key(tmp_path / "key.json"))
        assert ratings.first[study.order[0][0].item, 0] == 4
        assert np.isnan(ratings.first[study.order[0][1].item, 0])
    assert '"\'=a ""quoted"" remark"' in file.read_text()
