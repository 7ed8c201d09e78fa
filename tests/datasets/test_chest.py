"""The chest collections, read from small trees of their true layout, and from such trees with something broken."""

import gzip
import json

import numpy as np
import pytest

import matex
from matex.datasets import open_dataset
from matex.datasets.chexlocalize import mask_of_runs, run_lengths
from matex.datasets.mimic_cxr import section_of
from matex.datasets.tables import Unusable
from matex.errors import InputError
from tests.datasets import layouts


def said(dataset):
    return [(problem.file, problem.row, problem.said) for problem in dataset.problems]


def replace(path, old, new, encoding="utf-8"):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding=encoding)


# MS-CXR


@pytest.mark.parametrize("write", [layouts.ms_cxr, layouts.ms_cxr_json])
def test_ms_cxr_groups_the_boxes_of_a_phrase_and_scales_them_to_the_jpg(tmp_path, write):
    write(tmp_path)
    dataset = open_dataset("ms-cxr", root=tmp_path)
    assert dataset.problems == ()
    first, second, third = dataset
    assert first.text == second.text == "Left basilar opacity, new."
    assert first.boxes == ((5, 10, 20, 14), (30, 20, 40, 25))  # drawn at twice the size
    assert second.boxes == ((0, 0, 60, 40),)
    assert [sample.group for sample in dataset] == ["Pneumonia", "Pleural Effusion", "Pneumothorax"]
    assert [sample.split for sample in dataset] == ["test", "test", "val"]
    assert matex.read(first.image).pixels.shape == (40, 60)
    assert third.boxes == ((2.5, 3, 6, 7),)


def test_ms_cxr_has_the_same_samples_in_both_forms(tmp_path):
    layouts.ms_cxr(tmp_path / "csv")
    layouts.ms_cxr_json(tmp_path / "json")
    one, other = (list(open_dataset("ms-cxr", root=tmp_path / name)) for name in ("csv", "json"))
    assert [(s.id, s.boxes, s.text, s.split) for s in one] == [(s.id, s.boxes, s.text, s.split) for s in other]


def test_ms_cxr_keeps_one_split_and_images_may_lie_elsewhere(tmp_path):
    layouts.ms_cxr(tmp_path / "jpg").rename(tmp_path / "MS_CXR_Local_Alignment_v1.1.0.csv")
    dataset = open_dataset("ms-cxr", root=tmp_path, images=tmp_path / "jpg", split="val")
    assert [sample.group for sample in dataset] == ["Pneumothorax"]


def test_ms_cxr_of_the_first_release_has_no_split(tmp_path):
    layouts.ms_cxr(tmp_path, version="1.0.0")
    assert {sample.split for sample in open_dataset("ms-cxr", root=tmp_path)} == {None}
    with pytest.raises(InputError, match=r"column split in MS_CXR_Local_Alignment_v1.0.0.csv, got none"):
        open_dataset("ms-cxr", root=tmp_path, split="test")


def test_identifiers_of_patients_reach_neither_ids_nor_messages(tmp_path):
    table = layouts.ms_cxr(tmp_path)
    replace(table, "60,40,20,10", "60,40,2000,10")
    (tmp_path / "files/p10/p10000012/s50000012/d2-bb.jpg").unlink()
    dataset = open_dataset("ms-cxr", root=tmp_path)
    assert len(dataset) == 1
    assert len(dataset.problems) == 2
    written = " ".join([sample.id for sample in dataset] + [problem.said for problem in dataset.problems])
    assert not any(secret in written for secret in ("d1-aa", "d2-bb", "p100000", "s500000", str(tmp_path)))


def test_a_box_outside_takes_its_whole_phrase_with_it(tmp_path):
    table = layouts.ms_cxr(tmp_path)
    replace(table, "60,40,20,10", "60,40,70,10")
    dataset = open_dataset("ms-cxr", root=tmp_path)
    assert [sample.group for sample in dataset] == ["Pleural Effusion", "Pneumothorax"]
    assert said(dataset) == [
        (table.name, 3, "Expected a box within the image of 80 x 120 (height x width), got (60, 40, 130, 50).")
    ]


@pytest.mark.parametrize(
    ("old", "new", "row", "message"),
    [
        (",5,6,7,8,", ",5,six,7,8,", 5, "Expected a number in column 'y', got something else."),
        (",5,6,7,8,", ",5,,7,8,", 5, "Expected a number in column 'y', got nothing."),
        (",5,6,7,8,", ",5,nan,7,8,", 5, "Expected a number in column 'y', got something else."),
        (",5,6,7,8,", ",5,6,0,8,", 5, "Expected a box with an area, got (5, 6, 5, 14)."),
        ("Small right apical pneumothorax", " ", 5, "Expected something in column 'label_text', got nothing."),
        ("files/p10/p10000012", "../../../../etc", 5, "got a path that leads out of it."),
        ("files/p10/p10000012", "/files/p10/p10000012", 5, "got a path that leads out of it."),
        ("files/p10/p10000012", "C:\\\\files", 5, "got a path that leads out of it."),
        ("d2-bb.jpg", "d3.jpg", 5, "found no such file."),
        ("120,80,val", "0,80,val", 5, "Expected a number of pixels in column 'image_width', got 0."),
        ('"Small right apical pneumothorax"', "Small, right", 5, "Expected 11 cells as in the header, got 12."),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_the_rest_goes_on(tmp_path, old, new, row, message):
    table = layouts.ms_cxr(tmp_path)
    replace(table, old, new)
    dataset = open_dataset("ms-cxr", root=tmp_path)
    assert [sample.group for sample in dataset] == ["Pneumonia", "Pleural Effusion"]
    ((file, number, text),) = said(dataset)
    assert (file, number) == (table.name, row)
    assert message in text


def test_a_row_that_comes_twice_counts_once_and_is_named(tmp_path):
    table = layouts.ms_cxr(tmp_path)
    rows = table.read_text().splitlines()
    layouts.text(table, *rows, rows[2])
    dataset = open_dataset("ms-cxr", root=tmp_path)
    assert len(dataset) == 3
    assert len(dataset[0].boxes) == 2
    ((_, row, text),) = said(dataset)
    assert (row, text) == (6, "Expected each row once, got one that is equal to a row before. It counts once.")


def test_a_quotation_mark_that_swallows_rows_says_how_many(tmp_path):
    table = layouts.ms_cxr(tmp_path)
    replace(table, '"Left basilar opacity, new.",files/p10/p10000011/s50000011/d1-aa.jpg,10', '"Left,10')
    dataset = open_dataset("ms-cxr", root=tmp_path)
    assert [sample.group for sample in dataset] == ["Pleural Effusion", "Pneumothorax"]
    ((_, row, text),) = said(dataset)
    assert row == 2
    assert "A quotation mark that opens here closes in line 3." in text


def test_a_damaged_image_is_named(tmp_path):
    table = layouts.ms_cxr(tmp_path)
    (tmp_path / "files/p10/p10000012/s50000012/d2-bb.jpg").write_bytes(b"nothing")
    dataset = open_dataset("ms-cxr", root=tmp_path)
    assert said(dataset) == [(table.name, 5, "Expected an image, got a file that cannot be read as one.")]


def test_a_renamed_column_is_refused_with_what_was_found(tmp_path):
    table = layouts.ms_cxr(tmp_path)
    replace(table, "label_text", "phrase")
    with pytest.raises(InputError) as caught:
        open_dataset("ms-cxr", root=tmp_path)
    message = str(caught.value)
    assert message.startswith("Expected columns dicom_id, category_name, label_text, path, x, y, w, h,")
    assert f"in {table.name}, got dicom_id, category_name, phrase, path" in message
    assert "no label_text." in message
    assert "\n" not in message


@pytest.mark.parametrize(("encoding", "separator"), [("utf-8-sig", ","), ("utf-8", ";"), ("utf-8-sig", "\t")])
def test_a_table_saved_again_by_a_spreadsheet_is_read(tmp_path, encoding, separator):
    table = layouts.ms_cxr(tmp_path)
    whole = table.read_text().replace("opacity, new", "opacity+ new").replace(",", separator).replace("+", ",")
    table.write_bytes(whole.replace("\n", "\r\n").encode(encoding))
    dataset = open_dataset("ms-cxr", root=tmp_path)
    assert dataset.problems == ()
    assert dataset[0].text == "Left basilar opacity, new."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (b"\xff\xfed\0i\0", "Expected UTF-8 text"),
        (layouts.MS_CXR_HEADER.encode() + b"\n", "Expected at least one usable sample, got none"),
        (layouts.MS_CXR_HEADER.encode() + b'\n"' + b"a" * 200_000, "field larger than field limit"),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "MS_CXR_Local_Alignment_v1.1.0.csv").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_dataset("ms-cxr", root=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"Expected JSON in MS_CXR_Local_Alignment_v1.1.0.json, got something else \(line 2: "),
        ("[]", "Expected an object at the top of MS_CXR_Local_Alignment_v1.1.0.json, got a list"),
        ("[" * 100_000, "nested too deep"),
        ('{"images": [], "categories": []}', "no annotations"),
        ('{"images": [], "categories": [], "annotations": [4]}', "row 1: Expected an object with named values"),
    ],
)
def test_json_that_is_something_else_is_refused(tmp_path, content, message):
    layouts.text(tmp_path / "MS_CXR_Local_Alignment_v1.1.0.json", content)
    with pytest.raises(InputError, match=message):
        open_dataset("ms-cxr", root=tmp_path)


def test_where_every_row_fails_the_first_says_why(tmp_path):
    layouts.ms_cxr(tmp_path)
    with pytest.raises(
        InputError, match=r"First of 4 problems, MS_CXR\S+ row 2: Expected the image of this row, found no"
    ):
        open_dataset("ms-cxr", root=tmp_path, images=tmp_path.parent)


# MIMIC-CXR


def test_mimic_cxr_joins_films_with_a_section_of_their_report(tmp_path):
    layouts.mimic_cxr(tmp_path)
    dataset = open_dataset("mimic-cxr", root=tmp_path)
    assert [sample.text for sample in dataset] == ["No acute cardiopulmonary process.", "Left basilar opacity."]
    assert [(sample.view, sample.split) for sample in dataset] == [("PA", "test"), ("AP", "test")]
    findings = open_dataset("mimic-cxr", root=tmp_path, section="findings")
    assert [sample.text for sample in findings] == ["The lungs are clear. There is no pleural effusion."]
    assert said(findings) == [
        ("mimic-cxr-2.0.0-metadata.csv.gz", None, "1 films left out: their report has no findings.")
    ]
    assert len(open_dataset("mimic-cxr", root=tmp_path, split="train")) == 1
    assert len(open_dataset("mimic-cxr", root=tmp_path, views=["AP", "PA", "LATERAL"])) == 3


def test_patients_of_ms_cxr_can_be_kept_out(tmp_path):
    layouts.mimic_cxr(tmp_path)
    table = layouts.ms_cxr(tmp_path / "ms-cxr")  # patients 10000011 and 10000012
    dataset = open_dataset("mimic-cxr", root=tmp_path, split=None, without=table)
    assert [sample.text for sample in dataset] == ["No acute cardiopulmonary process."] * 2


def test_a_patient_of_ms_cxr_that_cannot_be_told_is_not_passed_over(tmp_path):
    layouts.mimic_cxr(tmp_path)
    table = layouts.ms_cxr(tmp_path / "ms-cxr")
    whole = table.read_text()
    table.write_text(whole.replace("/", "\\"))
    assert len(open_dataset("mimic-cxr", root=tmp_path, split=None, without=table)) == 2
    table.write_text(whole.replace("files/p10/p10000012/", "12/"))
    with pytest.raises(InputError, match=r"Expected paths such as files/p10/p10000032/.* got another in row 5"):
        open_dataset("mimic-cxr", root=tmp_path, split=None, without=table)


def test_mimic_cxr_counts_films_without_a_split_and_names_rows_that_come_twice(tmp_path):
    layouts.mimic_cxr(tmp_path)
    splits, metadata = (tmp_path / f"mimic-cxr-2.0.0-{name}.csv.gz" for name in ("split", "metadata"))
    rows = gzip.decompress(splits.read_bytes()).decode().splitlines()
    splits.write_bytes(gzip.compress("\n".join(row for row in rows if "bb-1" not in row).encode()))
    rows = gzip.decompress(metadata.read_bytes()).decode().splitlines()
    metadata.write_bytes(gzip.compress("\n".join([*rows, rows[1]]).encode()))
    dataset = open_dataset("mimic-cxr", root=tmp_path)
    assert [sample.text for sample in dataset] == ["No acute cardiopulmonary process."]
    assert [(row, text.partition(":")[0]) for _, row, text in said(dataset)] == [
        (6, "Expected each image in one row, got this one again. The first row counts."),
        (None, "1 films left out"),
    ]


def test_mimic_cxr_says_when_reports_are_elsewhere(tmp_path):
    layouts.mimic_cxr(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"found no such file\. Check reports\."):
        open_dataset("mimic-cxr", root=tmp_path, reports=tmp_path / "empty")


def test_a_truncated_gzip_is_refused(tmp_path):
    layouts.mimic_cxr(tmp_path)
    table = tmp_path / "mimic-cxr-2.0.0-split.csv.gz"
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"got a damaged one: mimic-cxr-2.0.0-split.csv.gz"):
        open_dataset("mimic-cxr", root=tmp_path)


def test_a_section_ends_at_the_next_heading():
    assert section_of("FINDINGS: a\n b\nIMPRESSION: c", "findings") == "a b"
    assert section_of("FINDINGS AND IMPRESSION: both", "impression") == "both"
    assert section_of("WET READ: x\n the impression: y", "impression") == ""
    assert section_of("FINDINGS:\n LUNGS: a\n HEART: b\nIMPRESSION: c", "findings") == "LUNGS: a HEART: b"


# NIH, RSNA


def test_nih_reads_the_header_that_falls_apart(tmp_path):
    layouts.nih(tmp_path)
    dataset = open_dataset("nih", root=tmp_path)
    assert dataset.problems == ()
    first, second = dataset
    assert first.boxes == ((5.5, 3.625, 25.5, 8.625), (30, 1, 40.5, 7))
    assert second.boxes == ((0, 0, 128, 64),)
    assert (first.text, first.label, first.view, first.split) == ("atelectasis", "atelectasis", "PA", "train")
    assert (second.text, second.view, second.split) == ("infiltration", "AP", "test")  # boxes call it Infiltrate
    assert first.image.parent.parent.name == "images_001"
    assert len(dataset.labels) == 14
    assert set(dataset.labels) >= {sample.label for sample in dataset}


def test_nih_refuses_boxes_beyond_the_film_as_it_was_handed_out(tmp_path):
    layouts.nih(tmp_path)
    replace(tmp_path / "BBox_List_2017.csv", "240,16,84,96", "940,16,100,96")
    dataset = open_dataset("nih", root=tmp_path)
    assert len(dataset) == 1
    assert said(dataset) == [
        ("BBox_List_2017.csv", 3, "Expected a box within the image of 1024 x 1024 (height x width), got "
         "(940, 16, 1040, 112).")
    ]  # fmt: skip


def test_nih_gives_every_label_when_asked(tmp_path):
    layouts.nih(tmp_path)
    dataset = open_dataset("nih", root=tmp_path, films="all", template="chest film with {}")
    assert [(sample.text, len(sample.boxes)) for sample in dataset] == [
        ("chest film with atelectasis", 2),
        ("chest film with infiltration", 1),
        ("chest film with pleural thickening", 0),
    ]
    assert dataset.labels["mass"] == ("chest film with mass",)
    assert len(open_dataset("nih", root=tmp_path, split="test")) == 1


def test_nih_works_without_the_entries_but_not_without_a_split_that_was_asked_for(tmp_path):
    layouts.nih(tmp_path)
    (tmp_path / "Data_Entry_2017_v2020.csv").unlink()
    (tmp_path / "test_list.txt").unlink()
    assert [sample.view for sample in open_dataset("nih", root=tmp_path)] == [None, None]
    with pytest.raises(InputError, match=r"Expected the file test_list.txt, got none"):
        open_dataset("nih", root=tmp_path, split="test")


def test_nih_names_rows_whose_film_is_not_there(tmp_path):
    layouts.nih(tmp_path)
    (tmp_path / "images_002/images/00000003_001.png").unlink()
    dataset = open_dataset("nih", root=tmp_path)
    assert len(dataset) == 1
    ((file, row, text),) = said(dataset)
    assert (file, row) == ("BBox_List_2017.csv", 4)
    assert "found none" in text


def test_rsna_unites_the_boxes_of_a_film_and_scales_them_from_1024(tmp_path):
    layouts.rsna(tmp_path)
    dataset = open_dataset("rsna", root=tmp_path)
    assert dataset.problems == ()
    first, second = dataset
    assert first.boxes == ((132, 76, 238.5, 265.5), (281, 76, 409, 302.5))
    assert second.boxes == ((100, 200, 400, 600),)
    assert first.text == "lung opacity"
    assert matex.read(first.image).pixels.shape == (512, 512)


def test_rsna_passes_over_targets_that_a_spreadsheet_wrote(tmp_path):
    layouts.rsna(tmp_path)
    replace(tmp_path / "stage_2_train_labels.csv", ",,,,,0", ",,,,,0.0")
    assert open_dataset("rsna", root=tmp_path).problems == ()


def test_rsna_names_a_dicom_that_cannot_be_read(tmp_path):
    layouts.rsna(tmp_path)
    (tmp_path / "stage_2_train_images/0004cfab-14fd.dcm").write_bytes(b"SECRET")
    dataset = open_dataset("rsna", root=tmp_path)
    assert len(dataset) == 1
    assert [row for _, row, _ in said(dataset)] == [2, 4]
    assert "SECRET" not in str(said(dataset))


# ChestX-Det, VinDr-CXR


@pytest.mark.parametrize("folder", ["test_data/test", "test"])
def test_chestx_det_finds_images_wherever_the_archive_was_unpacked(tmp_path, folder):
    layouts.chestx_det(tmp_path)
    (tmp_path / "test_data").rename(tmp_path / "moved")
    (tmp_path / folder).parent.mkdir(exist_ok=True)
    (tmp_path / "moved").rename(tmp_path / folder)
    assert len(open_dataset("chestx-det", root=tmp_path)) == 2


def test_chestx_det_gives_boxes_and_a_mask_for_each_finding(tmp_path):
    layouts.chestx_det(tmp_path)
    dataset = open_dataset("chestx-det", root=tmp_path)
    assert dataset.problems == ()
    nodules, effusion = dataset
    assert nodules.boxes == ((4, 6, 14, 12), (20, 2, 26, 10))
    expected = np.zeros((40, 60), bool)
    expected[6:12, 4:14] = expected[2:10, 20:26] = True
    np.testing.assert_array_equal(nodules.mask, expected)
    assert effusion.text == "pleural effusion"
    assert effusion.mask[39, 31]
    assert effusion.mask[21, 59]
    assert not effusion.mask[21, 31]
    assert len(dataset.labels) == 13
    assert [sample.split for sample in open_dataset("chestx-det", root=tmp_path, split=None)] == [
        "train",
        "test",
        "test",
    ]


def test_chestx_det_takes_a_film_once(tmp_path):
    layouts.chestx_det(tmp_path)
    table = tmp_path / "ChestX_Det_test.json"
    table.write_text(json.dumps(2 * json.loads(table.read_text())))
    dataset = open_dataset("chestx-det", root=tmp_path)
    assert len(dataset) == 2
    assert [row for _, row, _ in said(dataset)] == [3, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": [[4, 6, 140, 12]]}, "Expected a box within the image of 40 x 60"),
        ({"boxes": [[4, 6, 12]]}, "Expected four numbers for a box, got 3."),
        ({"boxes": ["x"]}, "Expected numbers in boxes, got something else."),
        ({"boxes": []}, "Expected as many syms as boxes and polygons."),
        ({"syms": None}, "Expected as many syms as boxes and polygons."),
        ({"polygons": [[[1, 1], [2, 2]]]}, "Expected an outline of at least three corners"),
        ({"polygons": [[[1, 1], [2, 2], [900, 3]]]}, "Expected an outline of (x, y) within the image"),
        ({"polygons": [[[1, 1], [2, 2], [3]]]}, "Expected an outline of (x, y) within the image"),
        ({"file_name": "../ChestX_Det_test.json"}, "leads out of it"),
        ({"file_name": "gone.png"}, "found no such file"),
    ],
)
def test_chestx_det_names_entries_that_cannot_be_used(tmp_path, change, message):
    layouts.chestx_det(tmp_path)
    table = tmp_path / "ChestX_Det_test.json"
    good = json.loads(table.read_text())
    bad = {"file_name": "36200.png", "syms": ["Mass"], "boxes": [[1, 2, 9, 8]], "polygons": [[[1, 2], [8, 2], [8, 7]]]}
    table.write_text(json.dumps([{**bad, **change}, *good]))
    dataset = open_dataset("chestx-det", root=tmp_path)
    assert len(dataset) == 2
    ((file, row, text),) = said(dataset)
    assert (file, row) == (table.name, 1)
    assert message in text


def test_vindr_unites_readers_in_both_forms(tmp_path):
    layouts.vindr(tmp_path / "physionet")
    layouts.vindr(tmp_path / "kaggle", kaggle=True)
    tables = sorted((tmp_path / "physionet").glob("*.csv"))
    (tmp_path / "physionet/annotations").mkdir()
    tables[0].rename(tmp_path / "physionet/annotations" / tables[0].name)
    for name in ("physionet", "kaggle"):
        dataset = open_dataset("vindr", root=tmp_path / name, split="train")
        assert dataset.problems == ()
        first, second = dataset
        assert first.text == "nodule or mass"
        assert first.boxes == ((10, 20, 25, 30.5), (11, 21, 26, 31))
        assert second.text == "aortic enlargement"
    both = open_dataset("vindr", root=tmp_path / "physionet", split=None)
    assert [sample.split for sample in both] == ["train", "train", "test"]
    assert both[2].text == "interstitial lung disease"
    assert len(open_dataset("vindr", root=tmp_path / "kaggle", split=None)) == 2
    with pytest.raises(InputError, match=r"or annotations_test\.csv in "):
        open_dataset("vindr", root=tmp_path / "kaggle")


def test_vindr_takes_no_converted_films(tmp_path):
    layouts.vindr(tmp_path)
    film = tmp_path / "test/002a34c58c5b758217ed1f584ccbcfe9.dicom"
    film.unlink()
    layouts.picture(film.with_suffix(".png"))
    with pytest.raises(InputError, match=r"annotations_test.csv row 2: Expected the image of this row, found no such"):
        open_dataset("vindr", root=tmp_path)


# CheXlocalize


def test_chexlocalize_unpacks_masks(tmp_path):
    masks = layouts.chexlocalize(tmp_path)
    dataset = open_dataset("chexlocalize", root=tmp_path, split="val")
    assert dataset.problems == ()
    heart, edema = dataset
    np.testing.assert_array_equal(heart.mask, masks["Cardiomegaly"])
    np.testing.assert_array_equal(edema.mask, masks["Edema"])
    assert heart.boxes == ((20, 10, 45, 30),)
    assert edema.boxes == ((0, 0, 60, 40),)
    assert (heart.text, heart.group, heart.view) == ("cardiomegaly", "cardiomegaly", "FRONTAL")
    assert len(dataset.labels) == 10


def test_chexlocalize_draws_outlines(tmp_path):
    masks = layouts.chexlocalize(tmp_path)
    (heart,) = open_dataset("chexlocalize", root=tmp_path, split="val", table="gt_annotations")
    np.testing.assert_array_equal(heart.mask, masks["Cardiomegaly"])


def test_chexlocalize_refuses_films_of_another_size(tmp_path):
    layouts.chexlocalize(tmp_path)
    layouts.picture(tmp_path / "CheXpert/val/patient64541/study1/view1_frontal.jpg", 30, 45)
    with pytest.raises(InputError, match=r"Expected an image of 40 x 60 \(height x width\) as outlined, got 30 x 45"):
        open_dataset("chexlocalize", root=tmp_path, split="val")


def test_chexlocalize_with_renamed_findings_is_refused(tmp_path):
    layouts.text(tmp_path / "gt_segmentations_val.json", '{"patient1_study1_view1_frontal": {"Heart": {}}}')
    with pytest.raises(InputError, match=r"in gt_segmentations_val\.json, got Heart: no Enlarged"):
        open_dataset("chexlocalize", root=tmp_path, split="val")


def test_run_lengths_written_by_hand():
    # 2 rows, 3 columns, outside for 1, inside for 2, outside for 3, column by column
    runs = run_lengths("123", (2, 3))
    np.testing.assert_array_equal(mask_of_runs(runs, (2, 3)), [[False, True, False], [True, False, False]])
    np.testing.assert_array_equal(run_lengths([1, 2, 3], (2, 3)), runs)
    # 40 takes two characters: 8 and "more follows" (48 + 8 + 32 is X), then 1 of 32; the fourth number, 1, is written
    # as its difference to the second, -2, which is 30 in five bits (48 + 30 is N)
    np.testing.assert_array_equal(run_lengths("X131N", (5, 9)), [40, 3, 1, 1])


def test_run_lengths_of_the_published_sample_fill_their_films():
    # empty masks out of sample/gt_segmentations_val.json of rajpurkarlab/cheXlocalize
    for counts, size in (("PVWX6", (2320, 2828)), ("nefl3", (2022, 2021))):
        np.testing.assert_array_equal(run_lengths(counts, size), [size[0] * size[1]])


@pytest.mark.parametrize("seed", range(6))
def test_run_lengths_come_back_for_any_mask(seed):
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(1, 40)), int(rng.integers(1, 300)))
    mask = rng.random(size) < rng.random()
    np.testing.assert_array_equal(mask_of_runs(run_lengths(layouts.packed_runs(mask), size), size), mask)


@pytest.mark.parametrize(
    "counts", [None, "", "12", "1Z3", "12é", "oooooooooooo", "12P", [1, -2, 7], [True, 5], ["6"], [6.0]]
)
def test_damaged_run_lengths_are_refused(counts):
    with pytest.raises(Unusable):
        run_lengths(counts, (2, 3))


# Open-i


def test_open_i_joins_projections_and_reports(tmp_path):
    layouts.open_i(tmp_path)
    dataset = open_dataset("open-i", root=tmp_path)
    (first,) = dataset
    assert (first.text, first.group, first.view) == ("Heart is enlarged, mildly.", "Cardiomegaly", "FRONTAL")
    assert said(dataset) == [("indiana_projections.csv", 4, "Expected something in column 'findings', got nothing.")]
    assert len(open_dataset("open-i", root=tmp_path, section="impression", frontal=False)) == 3


def test_open_i_takes_a_film_once(tmp_path):
    layouts.open_i(tmp_path)
    table = tmp_path / "indiana_projections.csv"
    layouts.text(table, *table.read_text().splitlines(), "1,1_IM-0001-4001.dcm.png,Frontal")
    dataset = open_dataset("open-i", root=tmp_path)
    assert len(dataset) == 1
    assert said(dataset)[-1][:2] == (table.name, 5)
    layouts.open_i_nlm(tmp_path / "nlm")
    text = (tmp_path / "nlm/ecgen-radiology/1.xml").read_text()
    layouts.text(tmp_path / "nlm/ecgen-radiology/2.xml", text)
    dataset = open_dataset("open-i", root=tmp_path / "nlm", frontal=False)
    assert len(dataset) == 2
    assert [file for file, _, _ in said(dataset)] == ["2.xml", "2.xml"]


def test_open_i_reads_the_xml_of_the_nlm(tmp_path):
    layouts.open_i_nlm(tmp_path)
    with pytest.raises(InputError, match="set frontal = false"):
        open_dataset("open-i", root=tmp_path)
    dataset = open_dataset("open-i", root=tmp_path, frontal=False)
    assert [sample.text for sample in dataset] == ["Heart is enlarged & the lungs are clear."] * 2
    assert {sample.group for sample in dataset} == {"Cardiomegaly"}
    assert {sample.view for sample in dataset} == {None}


def test_open_i_joins_a_section_that_comes_in_two_parts_and_knows_its_other_names(tmp_path):
    layouts.open_i_nlm(tmp_path)
    report = tmp_path / "ecgen-radiology/1.xml"
    parts = '<AbstractText Label="findings">Left effusion.</AbstractText><AbstractText Label="Conclusion">Bad.'
    report.write_text(report.read_text().replace('<AbstractText Label="IMPRESSION"/>', f"{parts}</AbstractText>"))
    findings = open_dataset("open-i", root=tmp_path, frontal=False)
    assert [sample.text for sample in findings] == ["Heart is enlarged & the lungs are clear. Left effusion."] * 2
    impression = open_dataset("open-i", root=tmp_path, frontal=False, section="impression")
    assert [sample.text for sample in impression] == ["Bad."] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY b "x">]><a>&b;</a>', "got one that declares entities"),
        ("<a><b></a>", "got a damaged one"),
        ("<a>" + " " * (1 << 20) + "</a>", "of at most 1 MiB"),
    ],
)
def test_open_i_refuses_xml_that_could_unpack_to_anything(tmp_path, content, message):
    layouts.open_i_nlm(tmp_path)
    layouts.text(tmp_path / "ecgen-radiology/2.xml", content)
    dataset = open_dataset("open-i", root=tmp_path, frontal=False)
    assert len(dataset) == 2
    ((file, _, text),) = said(dataset)
    assert file == "2.xml"
    assert message in text
