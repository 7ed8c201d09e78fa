"""Tables of one's own, folders, and the tables underneath."""

import csv
import gzip
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from matex.datasets import open_dataset
from matex.datasets.boxes import box_of, mask_of_polygons, scaled, within
from matex.datasets.pictures import inside, size_of
from matex.datasets.tables import Unusable, read_rows
from matex.errors import InputError
from matex.images import read
from tests.datasets import layouts

ROW = {"image": "a.png", "text": "nodule", "boxes": [[6, 4, 12, 10]]}


def boxes(tmp_path, row, **fields):
    layouts.manifest(tmp_path, [row])
    (sample,) = open_dataset("manifest", root=tmp_path, **fields)
    return sample.boxes


# Boxes


@pytest.mark.parametrize(
    ("given_boxes", "fields"),
    [
        ([[6, 4, 12, 10]], {}),
        ([6, 4, 12, 10], {}),
        ([[6, 4, 6, 6]], {"box_format": "xywh"}),
        ([[9, 7, 6, 6]], {"box_format": "cxcywh"}),
        ([[0.1, 0.1, 0.2, 0.25]], {"box_frame": "fractions"}),
        ([[12, 20, 24, 50]], {"box_frame": "120x200"}),  # width and height; the image is 60 x 40
        ([[0.15, 0.175, 0.1, 0.15]], {"box_frame": "fractions", "box_format": "cxcywh"}),
        ("[[6, 4, 12, 10]]", {}),
    ],
)
def test_boxes_of_every_format_and_frame_are_the_same_box(tmp_path, given_boxes, fields):
    assert boxes(tmp_path, ROW | {"boxes": given_boxes}, **fields) == (pytest.approx((6, 4, 12, 10)),)
    assert boxes(tmp_path, ROW | {"boxes": given_boxes} | fields) == (pytest.approx((6, 4, 12, 10)),)


@given(
    st.tuples(*[st.floats(0, 50)] * 2, *[st.floats(0.01, 50)] * 2),
    st.tuples(*[st.integers(1, 5000)] * 4),
)
def test_formats_agree_and_scaling_comes_back(box, sizes):
    x, y, width, height = box
    corners = box_of([x, y, x + width, y + height])
    assert box_of([x, y, width, height], "xywh") == corners
    assert box_of([x + width / 2, y + height / 2, width, height], "cxcywh") == pytest.approx(corners, abs=1e-9)
    there = scaled(corners, sizes[:2], sizes[2:])
    assert scaled(there, sizes[2:], sizes[:2]) == pytest.approx(corners, abs=1e-9)


def test_rounding_beyond_the_edge_is_cut_and_more_is_refused():
    assert within((-0.5, 0, 60.9, 40), (40, 60)) == (0, 0, 60, 40)
    for box in ((-1.5, 0, 5, 5), (0, -1.5, 5, 5), (0, 0, 61.5, 5), (0, 0, 5, 41.5), (0, 0, 40, 60)):
        with pytest.raises(Unusable, match=r"within the image of 40 x 60 \(height x width\)"):
            within(box, (40, 60))
    with pytest.raises(Unusable, match="with an area"):
        within((60.2, 0, 60.9, 5), (40, 60))


def test_rows_of_one_image_and_phrase_are_one_sample(tmp_path):
    rows = [ROW, ROW | {"text": "mass"}, ROW | {"boxes": [[20, 20, 30, 31]]}]
    layouts.manifest(tmp_path, rows)
    nodule, mass = open_dataset("manifest", root=tmp_path)
    assert nodule.boxes == ((6, 4, 12, 10), (20, 20, 30, 31))
    assert mass.boxes == ((6, 4, 12, 10),)
    assert nodule.id != mass.id


def test_polygons_fill_their_outline():
    mask = mask_of_polygons([[(2, 1), (5, 1), (5, 3), (2, 3)]], (6, 9))
    assert mask.sum() == 12
    assert mask[1:4, 2:6].all()


# Rows


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW | {"boxes": [[6, 4, 120, 10]]}, "Expected a box within the image of 40 x 60 (height x width)"),
        (ROW | {"boxes": [[12, 4, 6, 10]]}, "Expected a box with an area"),
        (ROW | {"boxes": [[1, 2, 3]]}, "Expected four numbers for a box, got 3."),
        (ROW | {"boxes": [["1", "2", "x", "4"]]}, "Expected a number in boxes, got something else."),
        (ROW | {"boxes": [[1, 2, True, 4]]}, "Expected a number in boxes, got something else."),
        (ROW | {"boxes": [[1, 2, None, 4]]}, "Expected a number in boxes, got nothing."),
        (ROW | {"boxes": [[1, 2, 1e999, 4]]}, "Expected a number in boxes, got something else."),
        (ROW | {"boxes": 10**400}, "Expected a list of boxes, got something else."),
        (ROW | {"boxes": [[10**400, 2, 3, 4]]}, "Expected a number in boxes, got something else."),
        (ROW | {"boxes": "1 2 3 4"}, "Expected boxes as JSON"),
        (ROW | {"box_format": "yxyx"}, "Expected a box_format among xyxy, xywh, cxcywh, got another."),
        (ROW | {"box_frame": "metres"}, 'Expected a box_frame of "pixels"'),
        (ROW | {"image": "gone/../../../etc/passwd"}, "leads out of it"),
        (ROW | {"image": "..\\..\\etc\\passwd"}, "leads out of it"),
        (ROW | {"image": "/etc/passwd"}, "leads out of it"),
        (ROW | {"image": "x" * 5000}, "found no such file"),
        (ROW | {"image": "a\0.png"}, "found no such file"),
        (ROW | {"image": None}, "Expected something in column 'image', got nothing."),
        (ROW | {"image": ["a.png"]}, "Expected something in column 'image', got nothing."),
        (ROW | {"text": " \n\t"}, "Expected something in column 'text', got nothing."),
        (ROW | {"text": "\udcff"}, "Expected text, got halves of characters"),
        ({"image": "a.png"}, "Expected something in column 'text', got nothing."),
    ],
)
def test_rows_that_cannot_be_used_are_named_and_the_rest_goes_on(tmp_path, row, message):
    layouts.picture(tmp_path / "a.png")
    layouts.text(tmp_path / "manifest.jsonl", json.dumps(ROW | {"text": "mass"}), json.dumps(row))
    dataset = open_dataset("manifest", root=tmp_path)
    assert [sample.text for sample in dataset] == ["mass"]
    (problem,) = dataset.problems
    assert (problem.file, problem.row) == ("manifest.jsonl", 2)
    assert message in problem.said
    assert "\n" not in problem.said


@pytest.mark.parametrize("line", ["{", "[1]", "null", "[" * 100_000, '{"image": "a.png", "text": nodule}'])
def test_a_line_that_is_no_json_object_is_named(tmp_path, line):
    layouts.picture(tmp_path / "a.png")
    layouts.text(tmp_path / "manifest.jsonl", line, "", json.dumps(ROW))
    dataset = open_dataset("manifest", root=tmp_path)
    assert len(dataset) == 1
    assert [(problem.row, problem.said) for problem in dataset.problems] == [
        (1, "Expected a JSON object on this line, got something else.")
    ]


def test_columns_may_have_other_names_and_missing_ones_are_refused(tmp_path):
    layouts.manifest(tmp_path, [{"image": "a.png", "phrase": "nodule", "where": [1, 2, 3, 4], "kind": "small"}])
    fields = {"root": tmp_path, "text": "phrase", "boxes": "where", "box_format": "xywh"}
    (sample,) = open_dataset("manifest", group="kind", **fields)
    assert (sample.text, sample.boxes, sample.group) == ("nodule", ((1, 2, 4, 6),), "small")
    with pytest.raises(InputError, match=r"got image, phrase, where, kind: no text."):
        open_dataset("manifest", root=tmp_path)
    with pytest.raises(InputError, match=r"Expected columns image, phrase, bbox in manifest.jsonl"):
        open_dataset("manifest", **fields | {"boxes": "bbox"})
    with pytest.raises(InputError, match=r"no split."):
        open_dataset("manifest", split="val", **fields)


def test_a_csv_a_json_list_and_a_gzip_give_the_same_samples(tmp_path):
    rows = [
        ROW | {"split": "val", "group": "g", "label": "l", "view": "PA"},
        {"image": "b.png", "text": 'say "a, b"', "boxes": [], "split": "test", "group": "", "label": "", "view": ""},
    ]
    layouts.manifest(tmp_path, rows)
    (tmp_path / "list.json").write_text(json.dumps(rows))
    with (tmp_path / "table.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(row | {"boxes": json.dumps(row["boxes"])} for row in rows)
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress((tmp_path / "table.csv").read_bytes()))
    expected = list(open_dataset("manifest", root=tmp_path))
    assert (expected[0].split, expected[0].group, expected[0].label, expected[0].view) == ("val", "g", "l", "PA")
    assert (expected[1].text, expected[1].label, expected[1].boxes) == ('say "a, b"', None, ())
    for name in ("list.json", "table.csv", "table.csv.gz"):
        found = list(open_dataset("manifest", root=tmp_path / name))
        assert [vars(sample) for sample in found] == [vars(sample) for sample in expected]
    assert len(open_dataset("manifest", root=tmp_path, split="val")) == 1


def test_a_row_is_named_by_the_line_that_it_begins_on(tmp_path):
    layouts.picture(tmp_path / "a.png")
    layouts.text(tmp_path / "manifest.csv", "image,text", 'a.png,"two', 'lines"', "", 'gone.png,"three', "", 'lines"')
    dataset = open_dataset("manifest", root=tmp_path)
    assert dataset[0].text == "two lines"
    assert [problem.row for problem in dataset.problems] == [5]


def test_the_boxes_of_the_development_data_are_read():
    from pathlib import Path

    root = Path(__file__).parents[2] / "../shared/data/boxes"
    if not root.exists():
        pytest.skip("no development data beside the repository")
    dataset = open_dataset("manifest", root=root, text="phrase", box_format="xywh")
    assert dataset.problems == ()
    assert len(dataset) == 126
    assert dataset[0].boxes == ((86, 243.5, 236, 372.5), (310, 251, 453.5, 387))


# Images


def test_a_name_may_not_leave_the_folder(tmp_path):
    layouts.picture(tmp_path / "root/images/a.png")
    layouts.picture(tmp_path / "elsewhere/a.png")
    assert inside(tmp_path / "root", "images/a.png").is_file()
    assert inside(tmp_path / "root", "./images/./a.png").is_file()
    with pytest.raises(Unusable, match="leads out"):
        inside(tmp_path / "root", "../elsewhere/a.png")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_the_size_is_that_of_the_image_as_read(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.arange(2400, dtype=np.uint8).reshape(40, 60)).save(tmp_path / name, exif=exif)
    assert size_of(tmp_path / name) == read(tmp_path / name).pixels.shape[:2]
    assert size_of(tmp_path / name) == ((60, 40) if orientation > 4 else (40, 60))


def test_the_size_of_a_png_is_read_from_its_header_alone(tmp_path):
    path = layouts.picture(tmp_path / "a.png", 512, 512)
    path.write_bytes(path.read_bytes()[:100])
    assert size_of(path) == (512, 512)


def test_the_size_of_a_dicom_film_is_read_from_its_header(tmp_path):
    assert size_of(layouts.dicom(tmp_path / "a.dicom", 50, 70)) == (50, 70)


# Folders


def test_a_folder_gives_a_sample_for_each_line_beside_an_image(tmp_path):
    layouts.folder(tmp_path)
    dataset = open_dataset("folder", root=tmp_path)
    assert [(sample.text, sample.group) for sample in dataset] == [
        ("a nodule in the left lung", ""),
        ("two blanks", ""),
        ("cardiomegaly", "ward"),
    ]
    (problem,) = dataset.problems
    assert (problem.file, problem.said) == (
        "ward/c.png",
        "Expected its phrases in c.txt, found no such file. Write it or set phrase.",
    )


def test_a_folder_takes_one_phrase_for_all(tmp_path):
    layouts.folder(tmp_path)
    dataset = open_dataset("folder", root=tmp_path, phrase="no  finding", domain="natural")
    assert [sample.text for sample in dataset] == ["no finding"] * 3
    assert len({sample.id for sample in dataset}) == 3
    assert dataset.domain == "natural"
    with pytest.raises(InputError, match="Expected a phrase, got an empty one"):
        open_dataset("folder", root=tmp_path, phrase=" ")


def test_a_text_file_that_is_none_is_named(tmp_path):
    layouts.folder(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "ward/b.txt").write_text("\n")
    layouts.text(tmp_path / "ward/c.txt", "mass")
    dataset = open_dataset("folder", root=tmp_path)
    assert [sample.text for sample in dataset] == ["mass"]
    assert [problem.file for problem in dataset.problems] == ["a.png", "ward/b.JPG"]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="Expected at least one usable sample, got none"):
        open_dataset("folder", root=tmp_path)


def test_masks_keep_height_and_width_apart():
    assert mask_of_polygons([], (3, 7)).shape == (3, 7)
    assert mask_of_polygons([], (3, 7)).dtype == np.bool_


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
@pytest.mark.parametrize("name", ["manifest.jsonl", "manifest.csv", "manifest.json", "manifest.csv.gz"])
def test_a_pipe_or_a_device_is_no_manifest(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="pipe or device"):
        list(read_rows(tmp_path / name, ("image", "text"), []))
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match="pipe or device"):
        list(read_rows(tmp_path / name, ("image", "text"), []))
