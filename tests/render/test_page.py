import subprocess
import sys

import jinja2
import pytest

from matex.render import page
from matex.render.page import TEMPLATES, ContinuedLines, environment, render


def compact(source):
    """The source of a template without its layout."""
    return ContinuedLines(environment()).preprocess(source, None)


def test_indentation_of_a_template_is_not_written_into_the_page():
    assert compact("<ul>\n  <li>\n    one\n    two\n  </li>\n</ul>\n<p>") == "<ul><li> one two </li></ul>\n<p>"
    assert compact("<p>a\n  <b>c</b>\n  d") == "<p>a <b>c</b> d"
    assert compact("{% if a %}\n  {{ b }}\n  {{ c }}\n{% endif %}") == "{% if a %}{{ b }}{{ c }}\n{% endif %}"


def test_a_page_without_the_values_of_its_template_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="explanation"):
        render("audit.html", "title")


@pytest.mark.parametrize("name", sorted(path.name for path in TEMPLATES.glob("*.html")))
def test_a_template_compiles_and_escapes_all_but_what_is_declared_safe(name):
    """Only parts that are HTML or JSON already are exempt, and they are named here."""
    source = (TEMPLATES / name).read_text(encoding="utf-8")
    environment().get_template(name)
    exempt = {"explanation.html": 1, "benchmark.html": 1, "viewer.html": 1, "closer.html": 1, "fragment.html": 2}
    exempt["reader_study.html"] = 1  # JSON that `embedded` escaped
    assert source.count("safe") <= exempt.get(name, 0)
    assert "autoescape" not in source


def test_every_value_is_escaped_once():
    html = render(
        "report.html",
        "<b> & \"'",
        lead="<i>",
        lines=(),
        left_out={},
        sections=(),
        one_phrase=True,
        one_film=True,
        legends=[],
    )
    assert "<title>&lt;b&gt; &amp; &quot;&#x27;</title>" in html
    assert '<p class="lead">&lt;i&gt;</p>' in html
    assert "&amp;lt;" not in html


def test_jinja2_is_imported_where_a_page_is_written_and_not_before():
    code = "import sys, matex, matex.cli, matex.pipeline, matex.files; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert page.environment() is page.environment()
