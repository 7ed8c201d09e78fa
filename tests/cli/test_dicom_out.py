"""matex explain and compare --dicom-out: what is written, and what is refused before any work."""

import pytest

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")

import matex  # noqa: E402
from tests.cli.command_line import FILM, PHRASE, refused  # noqa: E402
from tests.dicom.exported import NAMES, objects  # noqa: E402
from tests.dicom.films import SECRETS, dx, gradient, written  # noqa: E402


@pytest.fixture
def film(tmp_path):
    return written(dx(gradient((96, 80))), tmp_path / "film.dcm")


def test_explain_writes_the_objects_with_the_verdict_of_the_audit(command, film, tmp_path):
    code, out, err = command("explain", film, PHRASE, "-m", "rollout", "--dicom-out", "pacs")
    assert code == 0, err
    assert "pacs/: DICOM objects" in out
    found = objects(tmp_path / "pacs")
    assert set(found) == set(NAMES)
    assert "audit-none" not in found["report"].to_json()
    assert not any(secret in out + err for secret in SECRETS)
    assert (tmp_path / "out" / "explanation.json").is_file()


def test_an_explanation_read_back_from_its_folder_is_exported_alike(command, film, tmp_path):
    assert command("explain", film, PHRASE, "-m", "rollout")[0] == 0
    matex.Explanation.load("out", film).to_dicom("pacs", film)
    found = objects(tmp_path / "pacs")
    assert PHRASE in found["report"].to_json()
    assert found["parametric_map"].StudyInstanceUID == pydicom.dcmread(film).StudyInstanceUID


def test_compare_writes_a_folder_of_objects_for_each_method(command, film, tmp_path):
    code, _, err = command("compare", film, PHRASE, "-m", "rollout,raw-attention", "--dicom-out", "pacs")
    assert code == 0, err
    folders = [tmp_path / "pacs" / name for name in ("rollout", "raw-attention")]
    assert [set(objects(folder)) for folder in folders] == [set(NAMES)] * 2
    studies = {data.StudyInstanceUID for folder in folders for data in objects(folder).values()}
    assert studies == {pydicom.dcmread(film).StudyInstanceUID}
    code, _, err = command("explain", film, PHRASE, "-m", "rollout", "--dicom-out", "pacs")
    assert code == 0, err
    assert {file.name for file in (tmp_path / "pacs").iterdir()} == {
        "matex-dicom.json",
        *(f"{name}.dcm" for name in NAMES),
    }


def test_a_film_that_is_no_dicom_needs_a_new_study(command, tmp_path):
    assert refused(command("explain", FILM, PHRASE, "--dicom-out", "pacs"), "no DICOM", "--new-study")
    code, _, err = command("explain", FILM, PHRASE, "-m", "rollout", "--dicom-out", "pacs", "--new-study")
    assert code == 0, err
    assert set(objects(tmp_path / "pacs")) == {"film", *NAMES}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--new-study"], "--dicom-out"),
        (["--dicom-threshold", "0.7"], "--dicom-out"),
        (["--dicom-out", "pacs", "--dicom-threshold", "1.5"], "--dicom-threshold"),
        (["--dicom-out", "pacs", "--new-study"], "got DICOM"),
        (["--dicom-out", "out"], "another folder"),
        (["--dicom-out", "film.dcm/x"], "is a file"),
    ],
)
def test_unusable_options_are_refused_before_any_work(options, words, command, film, tmp_path):
    assert refused(command("explain", film, PHRASE, *options), words)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "pacs").exists()


def test_films_too_large_and_files_in_place_of_the_phrase_are_refused_before_any_work(
    command, film, tmp_path, monkeypatch
):
    for name in ("explain", "compare"):
        assert refused(command(name, film, FILM, "--dicom-out", "pacs"), "Expected a phrase with --dicom-out")
    monkeypatch.setattr("matex.dicom_export.KEPT", 96 * 80 - 1)
    assert refused(command("explain", film, PHRASE, "--dicom-out", "pacs"), "megapixels for DICOM objects")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "pacs").exists()


def test_tables_and_reports_write_no_objects(command, film, tmp_path):
    (tmp_path / "pairs.csv").write_text("image,text\nfilm.dcm,opacity\n")
    assert refused(command("explain", "pairs.csv", "--dicom-out", "pacs"), "one film and one phrase")
    (tmp_path / "report.txt").write_text("Opacity in the left lower lung.")
    assert refused(command("explain", film, "--report", "report.txt", "--dicom-out", "p"), "one film and one phrase")
