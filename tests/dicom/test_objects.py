"""What the objects say: patient and study of the film, references to it, and the explanation in codes."""

import logging
import re
import traceback
from dataclasses import replace

import numpy as np
import pydicom
import pytest

pytest.importorskip("highdicom")

from matex.audio.kinds import KINDS
from matex.audio.recording import from_samples
from matex.audit_results import Audit, Check, Control
from matex.errors import InputError
from matex.geometry import Placement
from matex.images import read
from matex.results import SaliencyMap
from matex.samples import samples
from tests.dicom.exported import NAMES, explained, objects
from tests.dicom.films import SECRETS, cr, dx, gradient, written
from tests.dicom.test_placement import walk

SHARED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyInstanceUID", "StudyDate",
    "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyDescription",
)  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return written(dx(), tmp_path / "film.dcm")


@pytest.fixture
def export(path, tmp_path):
    def export(explanation=None, **options):
        (explanation or explained(path)).to_dicom(tmp_path / "out", path, **options)
        return objects(tmp_path / "out")

    return export


def audited(explanation):
    check = Check("Does it?", "warn", "The prior makes 40 % of the map.", {"prior_share": 0.4})
    swapped = Control("sides exchanged", "opacity in the right lower lung", 0.21, explanation.image, 0.1, 0.2)
    random = Control("random weights", explanation.text, 0.01, explanation.image, 0.1, 0.2)
    return Audit(explanation, {"prior_share": check}, {"side": swapped, "random": random})


def codes(item):
    return {child.ConceptNameCodeSequence[0].CodeValue: child for child in walk(item)}


def test_objects_belong_to_the_patient_and_study_of_the_film(export, path):
    film = pydicom.dcmread(path)
    found = export()
    assert set(found) == set(NAMES)
    for name, dataset in found.items():
        assert {keyword: dataset[keyword].value for keyword in SHARED} == {
            keyword: film[keyword].value for keyword in SHARED
        }, name
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
        assert "Jürgen" in str(dataset.PatientName)
    uids = [dataset[keyword].value for dataset in found.values() for keyword in ("SOPInstanceUID", "SeriesInstanceUID")]
    assert len(set(uids) | {film.SOPInstanceUID, film.SeriesInstanceUID}) == 2 * len(NAMES) + 2


def test_every_object_refers_to_the_film_and_is_marked_as_research(export, path):
    film = pydicom.dcmread(path)
    for name, dataset in export().items():
        assert film.SOPInstanceUID in dataset.to_json(), name
        assert "not for diagnosis" in dataset.SeriesDescription
        assert "Not for diagnosis" in dataset.to_json()
        if name not in {"report", "presentation_state"}:
            assert dataset.ContentQualification == "RESEARCH"
            assert dataset.ImageType[0] == "DERIVED"


def test_the_report_holds_phrase_score_words_yardstick_and_verdict(export, path):
    explanation = explained(path)
    report = export(explanation, audit=audited(explanation))["report"]
    by_code = codes(report)
    assert by_code["phrase"].TextValue == explanation.text
    assert float(by_code["similarity"].MeasuredValueSequence[0].NumericValue) == pytest.approx(0.3127)
    words = [item for item in walk(report) if item.ConceptNameCodeSequence[0].CodeValue == "word"]
    read_back = [
        (item.ContentSequence[0].TextValue, float(item.MeasuredValueSequence[0].NumericValue)) for item in words
    ]
    assert read_back == list(explanation.words)
    assert by_code["audit-verdict"].ConceptCodeSequence[0].CodeValue == "audit-warn"
    assert "prior makes 40 %" in by_code["audit-summary"].TextValue
    assert float(by_code["prior-share"].MeasuredValueSequence[0].NumericValue) == 0.4
    controls = [item for item in walk(report) if item.ConceptNameCodeSequence[0].CodeValue == "control"]
    assert [item.ContentSequence[0].TextValue for item in controls] == [
        "sides exchanged: opacity in the right lower lung"
    ]
    parameters = {item.TextValue for item in walk(report) if item.ConceptNameCodeSequence[0].CodeValue == "111002"}
    assert {"alpha=0.5", "model=tiny", f"weights_sha256={'ab' * 32}"} <= parameters


def test_a_map_that_was_not_audited_is_reported_as_such(export):
    found = export()
    assert codes(found["report"])["audit-verdict"].ConceptCodeSequence[0].CodeValue == "audit-none"
    (caption,) = captions(found)
    assert "not audited" in caption


def captions(found):
    return [
        item.UnformattedTextValue
        for one in found["presentation_state"].GraphicAnnotationSequence
        for item in one.get("TextObjectSequence", [])
    ]


def test_the_quantity_of_the_parametric_map_is_saliency(export):
    shared = export()["parametric_map"].SharedFunctionalGroupsSequence[0]
    mapping = shared.RealWorldValueMappingSequence[0]
    quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert (quantity.CodeValue, quantity.CodingSchemeDesignator) == ("130404", "DCM")
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)


def test_pixel_spacing_is_the_films(tmp_path):
    path = written(cr(), tmp_path / "film.dcm")
    explained(path).to_dicom(tmp_path / "out", path)
    found = objects(tmp_path / "out")
    for name in ("segmentation_fractional", "parametric_map"):
        measures = found[name].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        assert [float(value) for value in measures.PixelSpacing] == [0.2, 0.3]
    area = found["presentation_state"].DisplayedAreaSelectionSequence[0]
    assert [float(value) for value in area.PresentationPixelSpacing] == [0.2, 0.3]


def test_what_the_model_did_not_see_is_padding_and_never_highlighted(tmp_path):
    path = written(dx(gradient((200, 90))), tmp_path / "film.dcm")
    placement = Placement.fit((200, 90), (192, 192), (8, 8), "crop")
    image = SaliencyMap(np.linspace(-1, 1, 576, dtype=np.float32).reshape(24, 24), placement)
    replace(explained(path), image=image).to_dicom(tmp_path / "out", path)
    found = objects(tmp_path / "out")
    unseen = np.isnan(image.raw)
    assert unseen.any()
    assert not found["segmentation_fractional"].pixel_array.reshape(200, 90)[unseen].any()
    map_ = found["parametric_map"]
    values = map_.pixel_array.reshape(200, 90)
    assert (values[unseen] == map_.FloatPixelPaddingValue).all()
    assert map_.FloatPixelPaddingValue < values[~unseen].min()


def test_a_constant_map_is_exported_without_regions(export, path):
    found = export(explained(path, grid=np.zeros((24, 28), np.float32)))
    assert not found["segmentation_binary"].pixel_array.any()
    assert not any(item.ValueType == "SCOORD" for item in walk(found["report"]))
    assert "no region to outline" in captions(found)[0]


def test_an_undefined_score_is_left_out_of_the_report(export, path):
    assert "similarity" not in codes(export(explained(path, score=float("nan")))["report"])


def test_phrases_of_any_script_survive(export, path):
    phrase = "Verschattung im linken Unterfeld, 左下肺野の陰影"
    found = export(explained(path, phrase))
    assert codes(found["report"])["phrase"].TextValue == phrase
    assert phrase in captions(found)[0]


def test_damaged_elements_that_objects_do_not_need_cost_nothing(tmp_path):
    path = written(dx(), tmp_path / "film.dcm")
    damaged = path.read_bytes().replace(b"\x28\x00\x53\x10DS", b"\x28\x00\x53\x10FD")  # RescaleSlope, 2 bytes
    (tmp_path / "damaged.dcm").write_bytes(damaged)
    assert damaged != path.read_bytes()
    explained(tmp_path / "damaged.dcm").to_dicom(tmp_path / "out", tmp_path / "damaged.dcm")
    assert set(objects(tmp_path / "out")) == set(NAMES)


def test_text_in_the_items_of_sequences_keeps_its_letters(tmp_path):
    procedure = pydicom.Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator, procedure.CodeMeaning = "1", "99X", "Röntgen"
    path = written(dx(ProcedureCodeSequence=[procedure]), tmp_path / "film.dcm")
    explained(path).to_dicom(tmp_path / "out", path)
    assert {data.ProcedureCodeSequence[0].CodeMeaning for data in objects(tmp_path / "out").values()} == {"Röntgen"}


def test_a_sigmoid_window_is_taken_over(tmp_path):
    path = written(dx(VOILUTFunction="SIGMOID"), tmp_path / "film.dcm")
    explained(path).to_dicom(tmp_path / "out", path)
    (window,) = objects(tmp_path / "out")["presentation_state"].SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth, window.VOILUTFunction) == (2048, 4096, "SIGMOID")


def test_a_declared_orientation_replaces_the_files(tmp_path):
    path = written(dx(), tmp_path / "film.dcm")
    explanation = explained(read(path).known_as(view=None, mirrored=True))
    explanation.to_dicom(tmp_path / "out", path)
    assert list(objects(tmp_path / "out")["secondary_capture"].PatientOrientation) == ["R", "F"]


def test_an_oblique_orientation_is_kept_as_the_file_spells_it(tmp_path):
    path = written(dx(PatientOrientation=["LF", "FR"]), tmp_path / "film.dcm")
    explained(path).to_dicom(tmp_path / "out", path)
    assert list(objects(tmp_path / "out")["secondary_capture"].PatientOrientation) == ["LF", "FR"]


def test_a_film_that_is_no_dicom_gets_a_study_of_its_own(tmp_path):
    film = samples()[1].path
    explained(film).to_dicom(tmp_path / "out", film, new_study=True)
    found = objects(tmp_path / "out")
    assert set(found) == {"film", *NAMES}
    np.testing.assert_array_equal(found["film"].pixel_array, read(film).pixels)
    assert len({dataset.StudyInstanceUID for dataset in found.values()}) == 1
    for dataset in found.values():
        assert not dataset.PatientName
        assert not dataset.PatientID
        assert not dataset.get("StudyDate")
    explained(film).to_dicom(tmp_path / "again", film, new_study=True)
    assert objects(tmp_path / "again")["film"].StudyInstanceUID != found["film"].StudyInstanceUID
    np.testing.assert_array_equal(read(tmp_path / "out" / "film.dcm").pixels, read(film).pixels)


def test_the_name_of_a_file_is_not_burned_into_the_picture(tmp_path):
    pictures = []
    for name in ("DOE_JANE_1951-02-03.jpg", "film.jpg"):
        film = tmp_path / name
        film.write_bytes(samples()[1].path.read_bytes())
        explained(film).to_dicom(tmp_path / name.partition(".")[0], film, new_study=True)
        pictures.append(objects(tmp_path / name.partition(".")[0])["secondary_capture"].PixelData)
    assert pictures[0] == pictures[1]
    assert not any(b"DOE_JANE" in file.read_bytes() for file in (tmp_path / "DOE_JANE_1951-02-03").iterdir())


def test_a_new_study_of_pixels_in_memory_needs_no_file(tmp_path):
    explained(read(np.asarray(gradient() >> 4, np.uint8))).to_dicom(tmp_path / "out", new_study=True)
    assert "film" in objects(tmp_path / "out")


def test_an_earlier_export_is_replaced_and_other_files_stay(path, tmp_path):
    film = samples()[1].path
    out = tmp_path / "out"
    explained(film).to_dicom(out, film, new_study=True)
    (out / "mine.dcm").write_bytes(b"mine")
    explained(path).to_dicom(out, path)
    assert {file.name for file in out.iterdir()} == {"mine.dcm", "matex-dicom.json", *(f"{name}.dcm" for name in NAMES)}
    assert not re.search(r"\d\.\d+\.\d+|ZZ", (out / "matex-dicom.json").read_text())


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (None, {}, "Expected the DICOM film .* got none"),
        ("png", {}, "got another one"),
        ("other", {}, "got another one"),
        ("film", {"new_study": True}, "got DICOM"),
        ("film", {"threshold": 0}, "threshold"),
        ("film", {"threshold": 1.5}, "threshold"),
        ("missing", {}, "there is none"),
    ],
)
def test_a_wrong_source_is_refused_and_leaves_nothing(source, options, words, path, tmp_path):
    other = written(dx(), tmp_path / "other.dcm")
    paths = {"png": samples()[0].path, "film": path, "other": other, "missing": tmp_path / "missing.dcm"}
    with pytest.raises(InputError, match=words):
        explained(path).to_dicom(tmp_path / "out", None if source is None else paths[source], **options)
    assert not (tmp_path / "out").exists()


def test_an_image_that_is_no_dicom_needs_a_new_study(tmp_path):
    film = samples()[1].path
    with pytest.raises(InputError, match="is no DICOM"):
        explained(film).to_dicom(tmp_path / "out", film)


def test_an_audit_of_another_explanation_is_refused(path, tmp_path):
    with pytest.raises(InputError, match="audit"):
        explained(path).to_dicom(tmp_path / "out", path, audit=audited(explained(path, "mass")))


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_film_that_nothing_can_refer_to_is_refused(missing, tmp_path):
    dataset = dx()
    delattr(dataset, missing)
    path = tmp_path / "film.dcm"
    dataset.save_as(path)
    with pytest.raises(InputError, match=missing):
        explained(path).to_dicom(tmp_path / "out", path)


@pytest.mark.filterwarnings("ignore")
def test_unusual_patient_values_are_taken_over_and_never_quoted(tmp_path, caplog, capfd):
    dataset = dx()
    with pydicom.config.disable_value_validation():
        dataset.PatientSex, dataset.PatientBirthDate, dataset.PatientID = "ZZTOP?", "1942-11-01", "ZZID77" * 20
        dataset.AccessionNumber = "ZZACC9 far too long for an accession number"
        path = written(dataset, tmp_path / "film.dcm")
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        explained(path).to_dicom(tmp_path / "out", path)
    assert "ZZ" not in caplog.text + "".join(capfd.readouterr())
    with pydicom.config.disable_value_validation():
        found = objects(tmp_path / "out")
        assert {data.PatientSex for data in found.values()} == {"ZZTOP?"}
        assert {data.PatientID for data in found.values()} == {"ZZID77" * 20}


@pytest.mark.parametrize("kind", [ValueError, OSError])  # pydicom raises the latter with the element in it
def test_a_header_that_cannot_be_taken_over_is_refused_without_quoting_it(kind, tmp_path, monkeypatch):
    path = written(dx(), tmp_path / "film.dcm")
    explanation = explained(path)

    def fail(self, target):
        raise kind(f"cannot encode {self.header.PatientName}")

    monkeypatch.setattr("matex.dicom.write.source.Source.adopt", fail)
    with pytest.raises(InputError) as caught:
        explanation.to_dicom(tmp_path / "out", path)
    text = "".join(traceback.format_exception(caught.value))
    assert not any(secret in text for secret in SECRETS)
    assert not (tmp_path / "out").exists()


def test_explanations_of_sounds_and_of_two_images_are_refused(path, tmp_path):
    explanation = explained(path)
    two = replace(explanation, query=replace(explanation.query, target=read(path)))
    recording = from_samples(np.sin(np.arange(16000) / 7), 16000)
    sound = replace(explanation, query=replace(explanation.query, film=KINDS["imagebind"].sound(recording)))
    for other, words in ((two, "two files"), (sound, "a sound")):
        for new_study in (False, True):
            with pytest.raises(InputError, match=words):
                other.to_dicom(tmp_path / "out", path, new_study=new_study)
    assert not (tmp_path / "out").exists()
