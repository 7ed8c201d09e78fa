"""What matex writes is not read again as a film, unless that is asked for."""

import numpy as np
import pytest

pytest.importorskip("highdicom")

from matex.errors import InputError
from matex.images import read
from tests.dicom.exported import explained, objects
from tests.dicom.films import SECRETS, dx, written


@pytest.fixture
def out(tmp_path):
    path = written(dx(), tmp_path / "film.dcm")
    explained(path).to_dicom(tmp_path / "out", path)
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("secondary_capture", "a picture of a saliency map"),
        ("segmentation_fractional", "a segmentation"),
        ("segmentation_binary", "a segmentation"),
        ("parametric_map", "Parametric Map"),
        ("presentation_state", "Presentation State"),
        ("report", "Comprehensive SR"),
    ],
)
def test_no_object_is_read_as_a_film(name, words, out):
    with pytest.raises(InputError, match=words):
        read(out / f"{name}.dcm")


def test_a_picture_of_a_map_is_read_when_asked_for(out):
    film = read(out / "secondary_capture.dcm", derived=True)
    np.testing.assert_array_equal(film.pixels, objects(out)["secondary_capture"].pixel_array)
    assert "not a film" in " ".join(film.notes)
    assert read(out / "segmentation_fractional.dcm", derived=True).size == (120, 90)


def test_a_picture_that_contradicts_its_header_is_refused(out, tmp_path):
    capture = objects(out)["secondary_capture"]
    capture.Rows -= 1
    with pytest.raises(InputError, match="uncompressed RGB"):
        read(written(capture, tmp_path / "sheared.dcm"), derived=True)


def test_films_of_other_makers_are_read_whatever_they_were_derived_from(tmp_path):
    assert read(written(dx(ImageType=["DERIVED", "PRIMARY"]), tmp_path / "film.dcm")).size == (120, 90)


def test_uids_are_kept_on_request_alone(tmp_path):
    dataset = dx()
    path = written(dataset, tmp_path / "film.dcm")
    assert read(path).uids == ()
    assert dict(read(path, keep_uids=True).uids) == {
        keyword: dataset[keyword].value for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    }
    assert not any(secret in repr(read(path, keep_uids=True)) for secret in SECRETS)
