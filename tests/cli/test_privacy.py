"""Planted patient data, searched for in every byte that the commands write or print."""

import base64
import io
import re
import zipfile
import zlib
from pathlib import Path

import pytest

pydicom = pytest.importorskip("pydicom")

from tests.cli.command_line import PHRASE  # noqa: E402
from tests.dicom.films import SECRETS, dx, gradient, written  # noqa: E402

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@pytest.fixture
def film(tmp_path):
    return written(dx(gradient((96, 80))), tmp_path / "film.dcm")


def contents(data):
    """Everything that some bytes hold: chunks of a PNG, members of an archive, text in base64, each unpacked."""
    yield data
    if data.startswith(b"\x89PNG"):
        for kind, chunk in png_chunks(data):
            yield chunk
            start = {b"zTXt": chunk.find(b"\0") + 2, b"IDAT": None, b"iCCP": chunk.find(b"\0") + 2}.get(kind)
            if start is not None:
                yield zlib.decompress(chunk[start:])
        yield zlib.decompress(b"".join(chunk for kind, chunk in png_chunks(data) if kind == b"IDAT"))
    elif data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from contents(archive.read(name))
    else:
        for text in re.findall(rb"[A-Za-z0-9+/]{40,}={0,2}", data):
            with_padding = text[: len(text) // 4 * 4]
            yield from contents(base64.b64decode(with_padding))


def png_chunks(data):
    at = 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def found(words, folder):
    """(file, word) for each word in a file's name or anywhere in its bytes, in any of the usual encodings."""
    hits = set()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        parts = [path.name.encode(), *contents(path.read_bytes())]
        for word in words:
            forms = {word.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be")}
            if any(form in part for form in forms for part in parts):
                hits.add((path.name, word))
    return hits


def test_the_search_finds_what_is_hidden_in_chunks_archives_and_base64(tmp_path):
    from PIL import Image, PngImagePlugin

    about = PngImagePlugin.PngInfo()
    about.add_text("Comment", "ZZTOP" * 30, zip=True)
    Image.new("L", (4, 4)).save(tmp_path / "a.png", pnginfo=about)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", "ZZTOP" * 30)
    picture = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    (tmp_path / "a.html").write_text(f'<img src="data:image/png;base64,{picture}">')
    (tmp_path / "clean.txt").write_text("nothing")
    assert found(["ZZTOP"], tmp_path) == {("a.png", "ZZTOP"), ("a.npz", "ZZTOP"), ("a.html", "ZZTOP")}


def test_no_command_writes_or_prints_who_the_patient_is(command, film, tmp_path):
    header = pydicom.dcmread(film, stop_before_pixels=True)
    words = [*SECRETS, *(str(header[keyword].value) for keyword in UIDS)]
    Path("report.txt").write_text("Opacity in the left lower lung. No effusion.")
    Path("pairs.csv").write_text(f"image,text\nfilm.dcm,{PHRASE}\n")
    runs = (
        ["explain", film, PHRASE, "-o", "made/explain"],
        ["explain", film, PHRASE, "-m", "rollout", "--json", "-o", "made/json"],
        ["explain", film, "--report", "report.txt", "-m", "rollout", "-o", "made/report"],
        ["explain", "pairs.csv", "-m", "rollout", "-o", "made/table"],
        ["compare", film, PHRASE, "-m", "rollout,raw-attention", "-o", "made/compare"],
        ["audit", film, PHRASE, "-m", "rollout", "-o", "made/audit"],
        ["verify", "made/json", "--image", film],
    )
    for arguments in runs:
        code, out, err = command(*arguments)
        assert code == 0, err
        assert not any(word in out + err for word in words), arguments
    names = {path.suffix for path in (tmp_path / "made").rglob("*") if path.is_file()}
    assert names == {".json", ".npy", ".npz", ".png", ".html", ".csv"}
    assert found(words, tmp_path / "made") == set()


def test_uids_are_written_on_request_and_nothing_else_of_the_patient(command, film, tmp_path):
    header = pydicom.dcmread(film, stop_before_pixels=True)
    uids = {str(header[keyword].value) for keyword in UIDS}
    code, out, err = command("explain", film, PHRASE, "-m", "rollout", "--keep-uids", "-o", "made")
    assert code == 0
    assert not any(uid in out + err for uid in uids)
    hits = found([*SECRETS, *uids], tmp_path / "made")
    assert {word for _, word in hits} == uids
    assert ("explanation.json", header.StudyInstanceUID) in hits
    assert command("verify", "made", "--image", film)[0] == 0


def test_a_refused_film_is_not_quoted(command, film, tmp_path):
    broken = pydicom.dcmread(film)
    broken.Rows = 97
    path = written(broken, tmp_path / "broken.dcm")
    for arguments in (["explain", path, PHRASE], ["explain", path, PHRASE, "--dicom-out", "pacs"]):
        code, out, err = command(*arguments)
        assert code == 2
        assert not any(secret in out + err for secret in SECRETS)


def test_the_index_of_an_export_names_no_patient(command, film, tmp_path):
    header = pydicom.dcmread(film, stop_before_pixels=True)
    assert command("explain", film, PHRASE, "-m", "rollout", "--dicom-out", "pacs")[0] == 0
    for path in (tmp_path / "pacs").glob("*.dcm"):
        path.unlink()
    assert found([*SECRETS, str(header.StudyInstanceUID)], tmp_path / "pacs") == set()


def test_derived_pictures_are_explained_when_asked_for(command, film):
    assert command("explain", film, PHRASE, "-m", "rollout", "--dicom-out", "pacs")[0] == 0
    code, _, err = command("explain", "pacs/secondary_capture.dcm", PHRASE, "-m", "rollout", "-o", "again")
    assert code == 2
    assert "--derived" in err
    code, out, err = command(
        "explain", "pacs/secondary_capture.dcm", PHRASE, "-m", "rollout", "-o", "again", "--derived"
    )
    assert code == 0, err
    assert "not a film" in out
