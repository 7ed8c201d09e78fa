"""matex reader-study pages and agreement."""

import json
import shutil

from matex.samples import samples
from tests.cli.command_line import refused


def test_pages_are_written_and_their_answers_analysed(command, tmp_path):
    films = samples()[:3]
    for film in films:
        shutil.copy(film.path, tmp_path)
    (tmp_path / "pairs.csv").write_text("\n".join(["image,text", *(f"{film.path.name},nodule" for film in films)]))
    code, out, _ = command("reader-study", "pages", "pairs.csv", "-m", "rollout,raw-attention", "--repeats", "0.2")
    assert code == 0
    assert "2 pages of 7 cases" in out
    key = json.loads((tmp_path / "reader-study-key.json").read_text())
    for reader, cases in enumerate(key["readers"], start=1):
        answers = {one["case"]: {"q1": 1 + one["item"] % 5} for one in cases}
        record = {"format": "matex-reader-answers/1", "study": key["study"], "reader": reader, "answers": answers}
        (tmp_path / f"{reader}.json").write_text(json.dumps(record))
    code, out, _ = command("reader-study", "agreement", "1.json", "2.json")
    assert code == 0
    assert "kappa, quadratic, readers 1, 2" in out
    assert "ICC(2,1)" in out
    assert "raw-attention" in out
    assert "(no interval)" in out
    assert "nan" not in out
    assert refused(command("reader-study", "agreement", "1.json", "--key", "none.json"), "none.json")
    pages = ("reader-study", "pages", "pairs.csv", "-m", "rollout")
    assert refused(command(*pages, "--key", "reader-study/key.json"), "outside the folder")
    assert refused(command(*pages, "--repeats", "0.5"), "repeats")
