"""Every object before a validator, and dcmtk's readers on what they read."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("highdicom")

from matex.images import read
from matex.samples import samples
from tests.dicom.exported import NAMES, explained, objects
from tests.dicom.films import SIZE, cr, dx, gradient, lut, written
from tests.dicom.test_objects import audited
from tests.dicom.tools import errors, needs, run

FILMS = {
    "cr": cr,
    "dx": dx,
    "cr inverted": lambda: cr(PhotometricInterpretation="MONOCHROME1"),
    "dx mirrored": lambda: dx(PatientOrientation=["R", "F"]),
    "cr bare": lambda: cr(
        PixelSpacing=None, PatientOrientation="", ViewPosition="", WindowCenter=None, WindowWidth=None,
        BodyPartExamined=None,
    ),
}  # fmt: skip


@needs("dciodvfy")
@pytest.mark.parametrize("name", FILMS)
def test_objects_pass_the_validator(name, tmp_path):
    path = written(FILMS[name](), tmp_path / "film.dcm")
    explanation = explained(path, "opacity in the left lower lung, µ左")
    explanation.to_dicom(tmp_path / "out", path, audit=audited(explanation))
    assert {file: errors(tmp_path / "out" / f"{file}.dcm") for file in NAMES} == {file: [] for file in NAMES}


@needs("dciodvfy")
def test_objects_of_a_new_study_and_of_a_constant_map_pass_the_validator(tmp_path):
    film = samples()[1].path
    explained(film, grid=np.zeros((24, 28))).to_dicom(tmp_path / "out", film, new_study=True)
    assert {name: errors(tmp_path / "out" / f"{name}.dcm") for name in objects(tmp_path / "out")} == {
        name: [] for name in ("film", *NAMES)
    }


@needs("dciodvfy")
def test_the_validator_notices_a_missing_element(tmp_path):
    path = written(dx(), tmp_path / "film.dcm")
    explained(path).to_dicom(tmp_path / "out", path)
    broken = objects(tmp_path / "out")["parametric_map"]
    del broken.FrameOfReferenceUID
    assert any("FrameOfReferenceUID" in line for line in errors(written(broken, tmp_path / "broken.dcm")))


@needs("dcm2pnm")
def test_dcmtk_shows_pictures_and_segmentations_as_they_are(tmp_path):
    path = written(dx(), tmp_path / "film.dcm")
    explained(path).to_dicom(tmp_path / "out", path)
    found = objects(tmp_path / "out")
    run("dcm2pnm", tmp_path / "out" / "secondary_capture.dcm", tmp_path / "picture.ppm")
    picture = np.asarray(Image.open(tmp_path / "picture.ppm"))
    np.testing.assert_array_equal(picture, found["secondary_capture"].pixel_array)
    run("dcm2pnm", "+Wm", tmp_path / "out" / "segmentation_fractional.dcm", tmp_path / "map.pgm")
    shown = np.asarray(Image.open(tmp_path / "map.pgm").convert("L")).astype(int)
    assert np.abs(shown - found["segmentation_fractional"].pixel_array.reshape(SIZE)).max() <= 1


@needs("dsrdump")
def test_dcmtk_reads_the_report(tmp_path):
    path = written(cr(), tmp_path / "film.dcm")
    explanation = explained(path)
    explanation.to_dicom(tmp_path / "out", path, audit=audited(explanation))
    text = run("dsrdump", "+Pl", tmp_path / "out" / "report.dcm")
    for part in (explanation.text, '(130404,DCM,"Saliency")', "audit-warn", "0.3127", "SCOORD"):
        assert part in text


ODD = {
    "rescaled": lambda: cr(RescaleSlope="2", RescaleIntercept="-100", RescaleType="US", WindowCenter="4000"),
    "VOI LUT": lambda: cr(VOILUTSequence=[lut(np.arange(4096)[::-1], 12)], WindowCenter=None, WindowWidth=None),
    "modality LUT": lambda: cr(
        ModalityLUTSequence=[lut(np.arange(4096) * 3 // 4 + 9, 12)], WindowCenter="1550", WindowWidth="3000"
    ),
    "second window": lambda: cr(WindowCenter=["2048", "2048"], WindowWidth=["0", "4096"]),
}


@needs("dcmp2pgm")
@pytest.mark.parametrize("name", [*FILMS, *ODD])
def test_the_presentation_state_shows_the_film_as_matex_does(name, tmp_path):
    """Films of every kind as dcmtk renders them through the presentation state."""
    values = (gradient() * 0.8 + 300).astype(np.uint16)
    dataset = {**FILMS, **ODD}[name]()
    dataset.PixelData = values.tobytes()
    path = written(dataset, tmp_path / "film.dcm")
    explained(path).to_dicom(tmp_path / "out", path)
    assert errors(tmp_path / "out" / "presentation_state.dcm") == []
    run("dcmp2pgm", "-p", tmp_path / "out" / "presentation_state.dcm", path, tmp_path / "film.pgm")
    shown = np.asarray(Image.open(tmp_path / "film.pgm").convert("L"))
    height, width = SIZE
    if shown.shape != SIZE:  # dcmtk stretches pixels that are not square
        shown = np.asarray(Image.fromarray(shown).resize((width, height), Image.Resampling.NEAREST))
    assert np.abs(shown.astype(int) - read(path).pixels).mean() < 2
