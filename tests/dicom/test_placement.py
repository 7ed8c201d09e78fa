"""A bright patch in a corner of the film, found in every object where the film's own pixels have it."""

import numpy as np
import pydicom
import pytest

pytest.importorskip("highdicom")

from tests.dicom.exported import explained, objects
from tests.dicom.films import SIZE, cr, dx, written

CORNERS = {"top left": (8, 6), "top right": (8, 66), "bottom left": (96, 6), "bottom right": (96, 66)}  # row, column
PATCH = (16, 18)  # rows, columns
ORIENTATIONS = (["L", "F"], ["R", "F"], ["R", "H"], ["L", "H"], ["F", "R"], ["H", "L"])


def planted(corner, inverted):
    values = np.full(SIZE, 400, np.uint16)
    row, column = CORNERS[corner]
    values[row : row + PATCH[0], column : column + PATCH[1]] = 3600
    return 4095 - values if inverted else values


def centre(weights):
    rows, columns = np.indices(weights.shape)
    return np.array([(rows * weights).sum(), (columns * weights).sum()]) / weights.sum() + 0.5


def centre_of_points(data):
    points = np.array(data, float).reshape(-1, 2)
    return (points.min(axis=0) + points.max(axis=0))[::-1] / 2  # (row, column)


def bright(film):
    """Centre of the patch by the stored values alone."""
    pixels = film.pixel_array.astype(float)
    pixels = 4095 - pixels if film.PhotometricInterpretation == "MONOCHROME1" else pixels
    return centre(pixels > 2000)


def coloured(capture, film):
    """Centre of the coloured region, carried to film pixels by the two pixel spacings."""
    pixels = capture.pixel_array.astype(float)
    scale = [
        theirs / own
        for theirs, own in zip(film.get("PixelSpacing") or film.ImagerPixelSpacing, capture.PixelSpacing, strict=True)
    ]
    pixels = pixels[: round(film.Rows * scale[0]), : round(film.Columns * scale[1])]
    return centre(np.ptp(pixels, axis=2) > 60) / scale


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids="".join)
@pytest.mark.parametrize("corner", CORNERS)
def test_every_object_has_the_patch_where_the_film_has_it(corner, orientation, tmp_path):
    inverted = corner.startswith("bottom")
    make = dx if corner.endswith("left") else cr
    dataset = make(
        planted(corner, inverted),
        PatientOrientation=orientation,
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
        **({"PresentationLUTShape": "INVERSE"} if inverted and make is dx else {}),
    )
    path = written(dataset, tmp_path / "film.dcm")
    film = pydicom.dcmread(path)
    explained(path).to_dicom(tmp_path / "out", path)
    found = objects(tmp_path / "out")
    expected = bright(film)
    for name in ("segmentation_fractional", "segmentation_binary", "parametric_map"):
        pixels = found[name].pixel_array.astype(float)
        assert pixels.shape[-2:] == SIZE
        pixels = pixels.reshape(SIZE)
        assert np.abs(centre(pixels > (pixels.min() + pixels.max()) / 2) - expected).max() < 1.5, name
    state = found["presentation_state"]
    lines = [item for one in state.GraphicAnnotationSequence for item in one.get("GraphicObjectSequence", [])]
    assert len(lines) == 3
    for line in lines:
        assert line.GraphicAnnotationUnits == "PIXEL"
        assert np.abs(centre_of_points(line.GraphicData) - expected).max() < 1.5
    regions = [item for item in walk(found["report"]) if item.get("ValueType") == "SCOORD"]
    assert len(regions) == 1
    assert np.abs(centre_of_points(regions[0].GraphicData) - expected).max() < 1.5
    assert np.abs(coloured(found["secondary_capture"], film) - expected).max() < 2
    assert list(found["secondary_capture"].PatientOrientation) == orientation


def test_the_binary_region_is_what_lies_at_or_above_the_threshold(tmp_path):
    path = written(dx(planted("top left", False)), tmp_path / "film.dcm")
    explanation = explained(path)
    explanation.to_dicom(tmp_path / "out", path, threshold=0.8)
    found = objects(tmp_path / "out")
    values = explanation.image.values
    np.testing.assert_array_equal(found["segmentation_binary"].pixel_array.reshape(SIZE), values >= 0.8)
    assert "80%" in found["segmentation_binary"].SegmentSequence[0].SegmentLabel
    fractions = found["segmentation_fractional"].pixel_array.reshape(SIZE) / 255
    assert np.abs(fractions - values).max() <= 0.5 / 255 + 1e-6
    np.testing.assert_array_equal(found["parametric_map"].pixel_array.reshape(SIZE), explanation.image.raw)


@pytest.mark.parametrize(("threshold", "label"), [(0.5, "50%"), (0.625, "62.5%"), (0.004, "0.4%"), (0.999, "99.9%")])
def test_labels_state_the_threshold_exactly(threshold, label, tmp_path):
    path = written(dx(planted("top left", False)), tmp_path / "film.dcm")
    explained(path).to_dicom(tmp_path / "out", path, threshold=threshold)
    found = objects(tmp_path / "out")
    expected = f" at or above {label} of the map's range"
    assert found["segmentation_binary"].SegmentSequence[0].SegmentLabel.endswith(expected)
    identifiers = [item.TextValue for item in walk(found["report"]) if item.get("ValueType") == "TEXT"]
    assert f"region 1{expected}" in identifiers


def test_outlines_follow_the_binary_border_within_a_pixel(tmp_path):
    path = written(dx(planted("bottom right", False)), tmp_path / "film.dcm")
    explained(path).to_dicom(tmp_path / "out", path)
    found = objects(tmp_path / "out")
    (region,) = (item for item in walk(found["report"]) if item.get("ValueType") == "SCOORD")
    points = np.array(region.GraphicData).reshape(-1, 2)
    rows, columns = np.nonzero(found["segmentation_binary"].pixel_array.reshape(SIZE))
    assert abs(points[:, 0].min() - columns.min()) <= 1
    assert abs(points[:, 0].max() - (columns.max() + 1)) <= 1
    assert abs(points[:, 1].min() - rows.min()) <= 1
    assert abs(points[:, 1].max() - (rows.max() + 1)) <= 1


def walk(item):
    for child in item.get("ContentSequence", []):
        yield child
        yield from walk(child)
