"""matex explain --report."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from matex.files import RUN
from tests.cli.command_line import FILM


def test_a_report_is_explained_sentence_by_sentence(command):
    sentences = ["No pleural effusion.", "Possible opacity at the left base.", "Lungs are clear. "]
    Path("report.txt").write_text(
        f"FINDINGS: {sentences[0]} {'Word ' * 99}.\n{sentences[1]}\nIMPRESSION: {sentences[2]}"
    )
    code, out, err = command("explain", FILM, "--report", "report.txt", "-o", "all")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in Path("all").iterdir()) == [
        RUN,
        "report.html",
        *(f"sentence-0{i}" for i in (1, 2, 3)),
    ]
    kinds = [line.split()[1] for line in out.splitlines()[:4]]
    assert kinds == ["negated", "positive", "uncertain", "normal"]
    assert out.splitlines()[1].lstrip().startswith("- ")
    page = Path("all/report.html").read_text()
    places = [page.index(sentence.strip()) for sentence in sentences]
    assert places == sorted(places)
    assert "not explained: Expected a phrase of at most" in page
    second = json.loads(Path("all/sentence-02/explanation.json").read_text())
    assert second["text"] == sentences[1]
    assert second["regions"][0]["uncertain"]
    code, out, err = command("explain", FILM, "--report", "report.txt", "-o", "all", "--json")
    assert [entry["text"] for entry in json.loads(out)] == [sentence.strip() for sentence in sentences]


def test_sentences_without_a_finding_get_no_map(command):
    Path("report.txt").write_text(
        "TECHNIQUE: PA and lateral views of the chest.\nFINDINGS: ET tube in situ. The lungs are clear."
    )
    code, out, _ = command("explain", FILM, "--report", "report.txt", "-o", "all")
    assert code == 0
    kinds = [line[:20].split(maxsplit=1)[:2] for line in out.splitlines()[:3]]
    assert [kind[0] for kind in kinds[:2]] == ["-", "-"]
    assert ["no finding" in line for line in out.splitlines()[:3]] == [True, True, False]
    assert "2 of 3 sentences describe no finding" in out
    assert sorted(path.name for path in Path("all").iterdir()) == [RUN, "report.html", "sentence-01"]
    page = Path("all/report.html").read_text()
    assert page.count('<li class="line no-finding"><span class="kind">no finding</span>') == 2
    assert '<u class="normal" title="lung, no side, normal">lungs</u>' in page
    assert '<u class="off"' not in page


def test_a_report_without_any_finding_is_written_without_a_map(command):
    Path("report.txt").write_text("Portable AP film. Right PICC with its tip in the SVC.")
    code, out, _ = command("explain", FILM, "--report", "report.txt", "-o", "all")
    assert (code, sorted(path.name for path in Path("all").iterdir())) == (0, [RUN, "report.html"])
    assert "2 of 2 sentences describe no finding" in out
    assert "<img" not in Path("all/report.html").read_text()
    assert json.loads(command("explain", FILM, "--report", "report.txt", "-o", "all", "--json")[1]) == []


def test_a_report_takes_a_lung_mask(command):
    with Image.open(FILM) as film:
        width, height = film.size
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2], mask[:, width // 2 :] = 1, 2
    np.save("lungs.npy", mask)
    Path("report.txt").write_text("Opacity at the left base.")
    code, _, err = command("explain", FILM, "--report", "report.txt", "--lung-mask", "lungs.npy", "-o", "all")
    assert (code, err) == (0, "")
    record = json.loads(Path("all/sentence-01/explanation.json").read_text())
    assert record["provenance"]["lung_mask"]
