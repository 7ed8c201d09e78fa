"""The whole circle: film to objects, objects to a real archive over DICOMweb, and back byte for byte."""

import pydicom
import pytest
import requests

pytest.importorskip("highdicom")
pytest.importorskip("dicomweb_client")

from matex.cli import run
from matex.dicom import web
from matex.errors import InputError
from tests.dicom.exported import NAMES, explained, objects
from tests.dicom.films import SECRETS, cr, dx, written
from tests.dicom.orthanc import PASSWORD, USER, needs_orthanc, running
from tests.dicom.test_objects import audited

pytestmark = needs_orthanc


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with running(tmp_path_factory.mktemp("orthanc")) as url:
        yield url


@pytest.fixture(autouse=True)
def credentials(monkeypatch, request):
    monkeypatch.setenv(web.USER, USER)
    monkeypatch.setenv(web.PASSWORD, PASSWORD)
    monkeypatch.delenv(web.TOKEN, raising=False)
    monkeypatch.setattr(web, "WAIT", 1)


def rest(archive, path):
    answer = requests.get(archive + path, auth=(USER, PASSWORD), timeout=10)
    answer.raise_for_status()
    return answer


@pytest.mark.parametrize("make", [cr, dx])
def test_film_and_objects_come_back_as_they_were_stored(make, archive, tmp_path, capsys):
    path = written(make(), tmp_path / "film.dcm")
    explanation = explained(path)
    explanation.to_dicom(tmp_path / "out", path, audit=audited(explanation))
    server = f"{archive}/dicom-web"
    assert run(["dicom", "push", str(path), str(tmp_path / "out"), "--server", server]) == 0
    study = pydicom.dcmread(path).StudyInstanceUID
    assert run(["dicom", "pull", study, "--server", server, "-o", str(tmp_path / "back")]) == 0
    output = "".join(capsys.readouterr())
    assert "stored   7 objects" in output
    assert "fetched  7 objects" in output
    assert not any(secret in output for secret in (*SECRETS, study))
    sent = {data.SOPInstanceUID: data for data in (pydicom.dcmread(path), *objects(tmp_path / "out").values())}
    back = {data.SOPInstanceUID: data for data in objects(tmp_path / "back").values()}
    assert set(back) == set(sent)
    for uid, data in sent.items():
        assert back[uid] == data, data.SOPClassUID.name
        for keyword in ("PixelData", "FloatPixelData"):
            assert back[uid].get(keyword) == data.get(keyword)


def test_the_archive_keeps_the_very_bytes_and_lists_one_series_for_each_object(archive, tmp_path):
    path = written(dx(), tmp_path / "film.dcm")
    explained(path).to_dicom(tmp_path / "out", path)
    server = f"{archive}/dicom-web"
    assert web.push(server, [tmp_path / "out", path]) == 7
    study = pydicom.dcmread(path).StudyInstanceUID
    series = rest(archive, f"/dicom-web/studies/{study}/series").json()
    assert sorted(item["00080060"]["Value"][0] for item in series) == ["DX", "OT", "OT", "PR", "SEG", "SEG", "SR"]
    for name in NAMES:
        file = tmp_path / "out" / f"{name}.dcm"
        uid = pydicom.dcmread(file).SOPInstanceUID
        (found,) = requests.post(f"{archive}/tools/lookup", uid, auth=(USER, PASSWORD), timeout=10).json()
        assert rest(archive, f"/instances/{found['ID']}/file").content == file.read_bytes(), name


def test_storing_again_changes_nothing(archive, tmp_path):
    path = written(dx(), tmp_path / "film.dcm")
    server = f"{archive}/dicom-web"
    assert web.push(server, [path]) == web.push(server, [path]) == 1


def test_a_study_that_the_archive_has_not_is_refused_and_leaves_nothing(archive, tmp_path):
    with pytest.raises(InputError, match=r"without instances|404"):
        web.pull(f"{archive}/dicom-web", "1.2.3.4", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_wrong_password_is_refused_in_one_line(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(web.PASSWORD, "wrong-password")
    path = written(dx(), tmp_path / "film.dcm")
    assert run(["dicom", "push", str(path), "--server", f"{archive}/dicom-web"]) == 2
    message = capsys.readouterr().err
    assert "401" in message
    assert message.count("\n") == 1
    assert not any(word in message for word in (*SECRETS, "wrong-password", USER))


def test_another_path_than_that_of_the_service_is_refused(archive, tmp_path):
    path = written(dx(), tmp_path / "film.dcm")
    with pytest.raises(InputError, match=r"status|404|DICOMweb"):
        web.push(f"{archive}/elsewhere", [path])
