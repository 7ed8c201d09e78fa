"""Synthesised CR and DX with values worked out by hand, and the real files that pydicom ships."""

import contextlib
import logging
import os
import subprocess
import sys
import traceback
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.pixels.decoders.base import get_decoder  # noqa: E402
from pydicom.uid import (  # noqa: E402
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from matex.dicom import grey, pixel_data  # noqa: E402
from matex.dicom.view_position import is_frontal  # noqa: E402
from matex.errors import InputError  # noqa: E402
from matex.images import read  # noqa: E402
from matex.phrases import parse  # noqa: E402
from matex.priors.spatial import spatial_prior  # noqa: E402

SECRET = "ZZTOP^SECRETA"
FILES = Path(pydicom.__file__).parent / "data" / "test_files"
HEIGHT, WIDTH = 17, 29
# Asymmetric in both directions: 12-bit values from 0 to 4095, rising to the right and, less, downwards.
RAMP = np.rint(np.add.outer(np.arange(HEIGHT) * 4, np.arange(WIDTH) * 10) * (4095 / 344)).astype(np.uint16)


def film(values=RAMP, **elements):
    """A DX data set around the values; None removes an element."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID, dataset.StudyDate = SECRET, SECRET, "19991231"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.PatientOrientation = ["L", "F"]
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = 8 * values.dtype.itemsize
    dataset.BitsStored = 12 if values.dtype.itemsize == 2 else 8
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            with warnings.catch_warnings():  # some values are wrong on purpose
                warnings.simplefilter("ignore")
                setattr(dataset, keyword, value)
    dataset.HighBit = elements.get("HighBit", dataset.BitsStored - 1)
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def written(dataset, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def load(tmp_path):
    def load(dataset):
        return read(written(dataset, tmp_path / "film.dcm"))

    return load


@pytest.fixture
def refuse(tmp_path):
    def refuse(dataset, *words):
        path = dataset if isinstance(dataset, Path) else written(dataset, tmp_path / "film.dcm")
        with pytest.raises(InputError) as caught:
            read(path)
        message = str(caught.value)
        assert "\n" not in message
        for word in ("Expected", "got", *words):
            assert word in message, message
        assert "ZZTOP" not in "".join(traceback.format_exception(caught.value))
        return message

    return refuse


def shows(film, expected):
    np.testing.assert_array_equal(film.pixels, np.rint(np.asarray(expected, float)))


def table(values, first=0, bits=8, vr="OW"):
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(values), first, bits])
    item.add_new("LUTData", vr, np.asarray(values, "<u2").tobytes() if vr == "OW" else [int(v) for v in values])
    return item


# Grey values


def test_a_window_over_all_values_is_a_linear_scale(load):
    shown = load(film())
    shows(shown, RAMP * (255 / 4095))  # (v - 2047.5) / 4095 + 0.5 = v / 4095
    assert shown.pixels[0, 0] == 0
    assert shown.pixels[-1, -1] == 255
    assert shown.notes == ("window 2048/4096 LINEAR",)


def test_the_name_is_a_hash_and_not_the_file_name(load):
    shown = load(film())
    assert shown.name == "dicom" + shown.sha256[:8]


def test_linear_windows_follow_the_standard(load):
    """PS3.3 C.11.2.1.2.1: center 1000, width 401 is black up to 799.5, white above 1199.5."""
    values = np.full((16, 16), 500, np.uint16)
    values[0, :6] = [799, 800, 1000, 1100, 1199, 1200]
    shown = load(film(values, WindowCenter=1000, WindowWidth=401))
    assert shown.pixels[0, :6].tolist() == [0, 0, 128, 192, 255, 255]
    # 800: (800 - 999.5) / 400 + .5 = .00125 -> 0;  1000: .50125 -> 127.8;  1100: .75125 -> 191.6


def test_exact_and_sigmoid_windows_follow_the_standard(load):
    values = np.full((16, 16), 1000, np.uint16)
    values[0, :4] = [800, 900, 1100, 1200]
    exact = load(film(values, WindowCenter=1000, WindowWidth=400, VOILUTFunction="LINEAR_EXACT"))
    assert exact.pixels[0, :5].tolist() == [0, 64, 191, 255, 128]
    sigmoid = load(film(values, WindowCenter=1000, WindowWidth=400, VOILUTFunction="SIGMOID"))
    # 1 / (1 + exp(-4 (v - 1000) / 400)): exp(2) = 7.389, exp(1) = 2.718
    assert sigmoid.pixels[0, :5].tolist() == [30, 69, 186, 225, 128]
    assert "SIGMOID" in sigmoid.notes[0]


def test_the_first_of_several_windows_is_used_and_said(load):
    shown = load(film(WindowCenter=[1000, 3000], WindowWidth=[2001, 101]))
    shows(shown, np.clip((RAMP - 999.5) / 2000 + 0.5, 0, 1) * 255)
    assert shown.notes == ("window 1000/2001 LINEAR (first of 2)",)


def test_rescale_comes_before_the_window(load):
    shown = load(film(RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=3096, WindowWidth=8192))
    shows(shown, np.clip((RAMP * 2.0 - 1000 - 3095.5) / 8191 + 0.5, 0, 1) * 255)


def test_a_modality_table_comes_before_the_window(load):
    curve = np.arange(4096)[::-1] // 2
    shown = load(film(ModalityLUTSequence=[table(curve, bits=16)], WindowCenter=1024, WindowWidth=2048))
    shows(shown, np.clip(curve[RAMP] / 2047, 0, 1) * 255)


@pytest.mark.parametrize("vr", ["OW", "US"])
def test_a_voi_table_beats_the_window(load, vr):
    curve = np.rint(255 * (np.arange(4096) / 4095) ** 2)  # 4096 entries of 8 bits
    shown = load(film(VOILUTSequence=[table(curve, vr=vr)], WindowCenter=100, WindowWidth=50))
    shows(shown, curve[RAMP])
    assert shown.notes == ("VOI LUT applied",)


def test_values_outside_a_voi_table_take_its_ends(load):
    curve = np.arange(0, 1024, 2)  # first value mapped 1000, 512 entries of 10 bits
    shown = load(film(VOILUTSequence=[table(curve, first=1000, bits=10)]))
    shows(shown, curve[np.clip(RAMP.astype(int) - 1000, 0, 511)] / 1023 * 255)


def test_a_voi_table_that_declares_too_many_bits_is_not_shown_black(load):
    shown = load(film(VOILUTSequence=[table(np.arange(4096), bits=16)]))
    shows(shown, RAMP * (255 / 4095))
    assert "VOI LUT declares 16 bits and uses 12" in shown.notes


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_voi_table_that_declares_too_few_bits_does_not_wrap(load, bits, photometric):
    item = table(np.arange(4096), bits=bits)
    shown = load(film(VOILUTSequence=[item], PhotometricInterpretation=photometric))
    expected = RAMP * (255 / 4095)
    shows(shown, expected if photometric == "MONOCHROME2" else 255 - expected)
    assert f"VOI LUT declares {bits} bits and uses 12" in shown.notes


def test_display_values_out_of_range_are_clipped_not_wrapped(load, monkeypatch):
    monkeypatch.setattr(grey, "_voi", lambda rescaled, *_: (rescaled.values / 2000 - 0.5, 0))
    shows(load(film()), np.clip(RAMP / 2000 - 0.5, 0, 1) * 255)
    shows(load(film(PhotometricInterpretation="MONOCHROME1")), 255 - np.clip(RAMP / 2000 - 0.5, 0, 1) * 255)


def test_a_table_of_the_wrong_length_is_not_applied(load, refuse):
    item = table(np.arange(4096), bits=12)
    item.LUTDescriptor = [5000, 0, 12]
    shown = load(film(VOILUTSequence=[item]))
    shows(shown, RAMP * (255 / 4095))
    assert shown.notes == ("VOI LUT unusable: 4096 entries instead of 5000", "window 2048/4096 LINEAR")
    refuse(film(ModalityLUTSequence=[item]), "4096 entries instead of 5000")


def test_a_table_that_shows_all_pixels_alike_gives_way_to_the_next(load):
    shown = load(film(VOILUTSequence=[table([5] * 4096), table(np.arange(4096), bits=12)]))
    shows(shown, RAMP * (255 / 4095))
    assert shown.notes == ("VOI LUT unusable: it shows all pixels alike", "VOI LUT applied (2 of 2)")


@pytest.mark.parametrize("shape", [None, "INVERSE", "IDENTITY"])
def test_monochrome1_is_inverted_once_and_after_the_window(load, shape):
    elements = {"PresentationLUTShape": shape} if shape else {}
    shown = load(film(PhotometricInterpretation="MONOCHROME1", WindowCenter=1000, WindowWidth=2001, **elements))
    shows(shown, 255 - np.clip((RAMP - 999.5) / 2000 + 0.5, 0, 1) * 255)
    assert any("inverted" in note for note in shown.notes)


def test_monochrome1_is_inverted_after_a_voi_table(load):
    curve = np.rint(255 * (np.arange(4096) / 4095) ** 2)
    shows(load(film(PhotometricInterpretation="MONOCHROME1", VOILUTSequence=[table(curve)])), 255 - curve[RAMP])


def test_without_a_window_outliers_do_not_set_the_scale(load):
    values = np.random.default_rng(0).integers(1000, 2001, (40, 60)).astype(np.uint16)
    values[0, 0], values[-1, -1] = 0, 4095
    shown = load(film(values, WindowCenter=None, WindowWidth=None))
    low, high = np.percentile(values, (0.5, 99.5))
    shows(shown, np.clip((values - low) / (high - low), 0, 1) * 255)
    assert low > 990
    assert high < 2010
    assert any("no window" in note for note in shown.notes)


@pytest.mark.parametrize(("center", "width"), [(2048, 0), (2048, -5), (50000, 100), (-50000, 100)])
def test_an_unusable_window_falls_back_to_percentiles(load, center, width):
    shown = load(film(WindowCenter=center, WindowWidth=width))
    assert "the window in the file is unusable" in shown.notes
    assert np.ptp(shown.pixels) == 255


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_any_number_of_stored_bits_reaches_black_and_white(load, bits):
    values = np.rint(RAMP / 4095.0 * (2**bits - 1)).astype(np.uint16)
    shown = load(film(values, BitsStored=bits, WindowCenter=None, WindowWidth=None))
    assert (shown.pixels[0, 0], shown.pixels[-1, -1]) == (0, 255)
    assert (np.diff(shown.pixels.astype(int), axis=1) >= 0).all()


def test_eight_bits_are_read(load):
    values = (RAMP // 16).astype(np.uint8)
    shows(load(film(values, WindowCenter=128, WindowWidth=256)), values)


def test_signed_values_keep_their_order(load):
    values = RAMP.astype(np.int16) - 2048
    shows(load(film(values, WindowCenter=0, WindowWidth=4096)), np.clip((values + 0.5) / 4095 + 0.5, 0, 1) * 255)


def test_signed_values_without_sign_extension_are_extended(load):
    values = RAMP.astype(np.int16) - 2048
    packed = (values & 0x0FFF).astype(np.int16)  # the upper four bits are not part of the value
    shown = load(film(packed, WindowCenter=0, WindowWidth=4096))
    shows(shown, np.clip((values + 0.5) / 4095 + 0.5, 0, 1) * 255)
    assert "bits outside the 12 stored ones dropped" in shown.notes


def test_an_overlay_in_the_unused_bits_does_not_show(load):
    values = RAMP.copy()
    values[3:6, 4:9] |= 0xF000
    shows(load(film(values)), RAMP * (255 / 4095))


def test_values_in_the_upper_bits_are_shifted_down(load):
    shows(load(film(RAMP << 4, HighBit=15)), RAMP * (255 / 4095))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_background_and_does_not_set_the_scale(load, photometric):
    values = np.clip(RAMP, 1000, 2000)
    values[:, :4] = 4000
    elements = {"PhotometricInterpretation": photometric, "WindowCenter": None, "WindowWidth": None}
    shown = load(film(values, PixelPaddingValue=4000, **elements))
    assert (shown.pixels[:, :4] == 0).all()
    assert np.ptp(shown.pixels[:, 4:]) == 255
    assert any("padding" in note for note in shown.notes)


def test_a_range_of_padding_is_background(load):
    values = np.clip(RAMP, 1000, 2000)
    values[:, 0], values[:, 1], values[:, 2] = 3900, 4000, 3890
    shown = load(film(values, PixelPaddingValue=4000, PixelPaddingRangeLimit=3900))
    assert (shown.pixels[:, :2] == 0).all()
    assert (shown.pixels[:, 2] > 200).all()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("window", [None, 2000])
@pytest.mark.parametrize(
    ("padding", "dtype", "bits", "written"),
    [
        (-2000, np.int16, 16, [("SS", -2000), ("US", 63536)]),
        (65535, np.uint16, 16, [("US", 65535), ("SS", -1)]),
        (40000, np.uint16, 16, [("US", 40000), ("SS", 40000 - 65536), ("DS", "40000")]),
        (-2048, np.int16, 12, [("SS", -2048), ("US", 63488), ("US", 2048)]),
        (-128, np.int8, 8, [("SS", -128), ("US", 65408), ("US", 128)]),
        (200, np.uint8, 8, [("US", 200), ("SS", -56)]),
    ],
)
def test_padding_has_the_sign_of_the_pixels(load, photometric, window, padding, dtype, bits, written):
    low = max(-100, np.iinfo(dtype).min)
    values = np.tile(np.linspace(low, low + 200, WIDTH), (HEIGHT, 1)).astype(dtype)
    if padding == 200:
        values = np.minimum(values, 100)
    values[:, :5] = padding
    center = None if window is None else 0
    shown = []
    for vr, value in written:
        elements = {"PhotometricInterpretation": photometric, "WindowCenter": center, "WindowWidth": window}
        dataset = film(values, BitsStored=bits, **elements)
        dataset.add_new("PixelPaddingValue", vr, value)
        shown.append(load(dataset))
    for other in shown:
        np.testing.assert_array_equal(other.pixels, shown[0].pixels)
        assert (other.pixels[:, :5] == 0).all()
        assert any("padding (17.2%" in note for note in other.notes)


@pytest.mark.parametrize("vrs", [("SS", "US"), ("US", "SS"), ("US", "US"), ("SS", "SS")])
def test_both_ends_of_a_padding_range_have_the_sign_of_the_pixels(load, vrs):
    values = np.tile(np.linspace(-1000, 1000, WIDTH), (HEIGHT, 1)).astype(np.int16)
    values[:, 0], values[:, 1], values[:, 2] = -2000, -1500, -1499
    dataset = film(values, BitsStored=16)
    for keyword, vr, value in zip(("PixelPaddingValue", "PixelPaddingRangeLimit"), vrs, (-2000, -1500), strict=True):
        dataset.add_new(keyword, vr, value % 65536 if vr == "US" else value)
    shown = load(dataset)
    assert any("padding (6.9%" in note for note in shown.notes)
    assert (shown.pixels[:, :2] == 0).all()


@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize("vr", ["SS", "US"])
@pytest.mark.parametrize(("first", "dtype"), [(-2048, np.int16), (40000, np.uint16)])
def test_the_first_value_mapped_has_the_sign_of_what_is_mapped(load, sequence, vr, first, dtype):
    values = (RAMP.astype(np.int64) + first).astype(dtype)
    item = Dataset()
    written = [4096, first % 65536, 12] if vr == "US" else [4096, (first + 32768) % 65536 - 32768, 12]
    item.add_new("LUTDescriptor", vr, written)
    item.add_new("LUTData", "OW", np.arange(4096, dtype="<u2").tobytes())
    shown = load(film(values, BitsStored=16, WindowCenter=2048, WindowWidth=4096, **{sequence: [item]}))
    shows(shown, RAMP * (255 / 4095))


def test_a_voi_table_after_a_negative_intercept_maps_negative_values(load):
    """Unsigned pixels: the sign is that of the rescaled values (PS3.3 C.11.2.1.1)."""
    for first, vr in ((64512, "US"), (-1024, "SS")):
        item = table(np.arange(4096), bits=12)
        item.add_new("LUTDescriptor", vr, [4096, first, 12])
        shows(load(film(RescaleIntercept=-1024, RescaleSlope=1, VOILUTSequence=[item])), RAMP * (255 / 4095))


def raw(dataset, keyword, text):
    """The element with exactly these characters, valid or not."""
    tag = pydicom.tag.Tag(pydicom.datadict.tag_for_keyword(keyword))
    data = text.encode() + b" " * (len(text) % 2)
    dataset[tag] = pydicom.dataelem.RawDataElement(
        tag, pydicom.datadict.dictionary_VR(keyword).split(" or ")[0], len(data), data, 0, False, True
    )
    return dataset


@pytest.mark.parametrize(
    ("center", "width", "note"),
    [
        ("2048", "4096", "window 2048/4096 LINEAR"),
        ("\\2048", "\\4096", "window 2048/4096 LINEAR (2 of 2)"),
        ("2048\\", "4096\\", "window 2048/4096 LINEAR (first of 2)"),
        ("nan\\2048", "4096\\4096", "window 2048/4096 LINEAR (2 of 2)"),
        ("2048\\2048", "inf\\4096", "window 2048/4096 LINEAR (2 of 2)"),
        ("2048\\2048", "0\\4096", "window 2048/4096 LINEAR (2 of 2)"),
        ("2048,0", "4096,0", "window 2048/4096 LINEAR"),
        ("2048, 40", "4096, 80", "window 2048/4096 LINEAR (first of 2)"),
        ("[2048, 40]", "[4096, 80]", "window 2048/4096 LINEAR (first of 2)"),
        ("[2048]", "(4096)", "window 2048/4096 LINEAR"),
        ("2048;40", "4096;80", "window 2048/4096 LINEAR (first of 2)"),
        ("+2.048e3", "4096.", "window 2048/4096 LINEAR"),
    ],
)
def test_windows_are_read_however_they_are_written(load, center, width, note):
    shown = load(raw(raw(film(), "WindowCenter", center), "WindowWidth", width))
    shows(shown, RAMP * (255 / 4095))
    assert shown.notes[-1] == note


@pytest.mark.parametrize(
    ("center", "width"),
    [
        ("-", "-"),
        ("abc", "4096"),
        ("nan", "4096"),
        ("2048", "inf"),
        ("1e999", "1"),
        ("2,048", "4,096"),
        ("2048 HU", "1"),
    ],
)
def test_windows_that_are_no_numbers_give_way_to_percentiles(load, center, width):
    shown = load(raw(raw(film(), "WindowCenter", center), "WindowWidth", width))
    assert np.ptp(shown.pixels) == 255
    assert shown.notes[0] == "the window in the file is unusable"
    assert "percentiles" in shown.notes[1]


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowCenter": None, "WindowWidth": None, "VOILUTSequence": []},
        {"WindowCenter": None, "WindowWidth": None, "VOILUTSequence": [Dataset()]},
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"RescaleSlope": "", "RescaleIntercept": "-1024", "WindowCenter": 1024},
        {"ModalityLUTSequence": []},
        {"VOILUTFunction": ""},
        {"NumberOfFrames": ""},
        {"PresentationLUTShape": ""},
        {"PatientOrientation": ""},
        {"ViewPosition": ""},
        {"PixelSpacing": ""},
        {"BodyPartExamined": "", "Modality": ""},
    ],
)
def test_empty_elements_cost_a_film_nothing(load, elements):
    shown = load(film(**elements))
    assert (np.diff(shown.pixels.astype(int), axis=1) >= 0).all()
    assert (shown.pixels.min(), shown.pixels.max()) == (0, 255)


@pytest.mark.parametrize(
    ("spelling", "inverted"),
    [("monochrome2", False), ("MONOCHROME 2", False), ("MONOCHROME_2\0", False), ("Monochrome1", True), ("", True)],
)
def test_the_photometric_interpretation_is_read_however_it_is_spelled(load, spelling, inverted):
    dataset = raw(film(), "PhotometricInterpretation", spelling)
    dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    expected = RAMP * (255 / 4095)
    shows(load(dataset), 255 - expected if inverted else expected)


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("RescaleSlope", "abc"),
        ("RescaleIntercept", "-"),
        ("PixelPaddingValue", "x"),
        ("VOILUTFunction", "linear"),
        ("NumberOfFrames", " 1 "),
        ("PixelSpacing", "0,143\\0,143"),
        ("FieldOfViewRotation", "none"),
        ("ImagerPixelSpacing", "a\\b"),
    ],
)
def test_optional_elements_that_cannot_be_read_cost_a_film_nothing(load, keyword, text):
    shown = load(raw(film(), keyword, text))
    assert (shown.pixels.min(), shown.pixels.max()) == (0, 255)
    assert not any("ZZTOP" in note for note in shown.notes)


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [
        ("nan", "0"),
        ("inf", "0"),
        ("1", "nan"),
        ("1", "-inf"),
        ("0", "0"),
        ("1e308", "0"),
        ("1", "1e308"),
        ("1e-320", "1"),
    ],
)
def test_a_rescale_that_loses_the_pixels_is_refused(refuse, slope, intercept):
    refuse(raw(raw(film(), "RescaleSlope", slope), "RescaleIntercept", intercept), "RescaleSlope", "Correct")


@pytest.mark.parametrize(("slope", "intercept"), [("1e-9", "0"), ("-2,5", "100"), ("1e300", "0"), ("0.5", "-1024")])
def test_an_unusual_rescale_is_applied(load, slope, intercept):
    dataset = film(WindowCenter=None, WindowWidth=None)
    shown = load(raw(raw(dataset, "RescaleSlope", slope), "RescaleIntercept", intercept))
    rising = np.diff(shown.pixels.astype(int), axis=1) * (-1 if slope.startswith("-") else 1)
    assert (rising >= 0).all()
    assert np.ptp(shown.pixels) == 255


def test_percentiles_of_counted_values_are_numpys():
    generator = np.random.default_rng(0)
    for size in (1, 2, 7, 100, 1001, 5000):
        values, counts = np.unique(generator.integers(-50, 300, size), return_counts=True)
        values = -0.37 * values + 2
        expected = np.percentile(np.repeat(values, counts), (0.5, 99.5))
        assert grey._percentiles(values, counts) == tuple(expected)


def test_a_constant_film_is_read_and_noted(load):
    shown = load(film(np.full((16, 16), 700, np.uint16), WindowCenter=None, WindowWidth=None))
    assert any("constant" in note for note in shown.notes)


# Orientation


@pytest.mark.parametrize(
    ("orientation", "turns", "mirrored", "edges"),
    [
        ("L F", 0, False, "RL"), ("R F", 0, True, "LR"), ("R H", 2, False, "LR"), ("L H", 2, True, "RL"),
        ("H L", 1, False, None), ("H R", 1, True, None), ("F R", 3, False, None), ("F L", 3, True, None),
        ("l f", 0, False, "RL"), ("Right Feet", 0, True, "LR"),
        ("A F", 0, False, "RL"), ("P H", 2, False, "LR"), ("H A", 1, False, None),
    ],
)  # fmt: skip
def test_a_film_is_known_however_it_lies(load, orientation, turns, mirrored, edges):
    """Turned and flipped back, the right edge is the patient's left and the bottom the feet."""
    shown = load(film(PatientOrientation=orientation.split()))
    assert (shown.turns, shown.mirrored) == (turns, mirrored)
    assert shown.edges == (edges and tuple(edges))
    assert shown.oriented
    shows(shown, RAMP * (255 / 4095))
    assert any("turned upright" in note for note in shown.notes) == bool(turns)
    assert any("flipped for the model" in note for note in shown.notes) == mirrored


def test_a_mirrored_film_is_flagged_and_its_pixels_are_left_alone(load):
    shown = load(film(PatientOrientation=["R", "F"]))
    assert shown.mirrored
    assert shown.oriented
    assert shown.view == "PA"
    shows(shown, RAMP * (255 / 4095))
    assert any("mirrored" in note for note in shown.notes)


@pytest.mark.parametrize("orientation", [["L", "F"], ["LP", "FP"], ["LH", "F"]])
def test_a_standard_film_needs_no_remark(load, orientation):
    shown = load(film(PatientOrientation=orientation))
    assert not shown.mirrored
    assert shown.oriented
    assert not any("rientation" in note for note in shown.notes)


@pytest.mark.parametrize("orientation", [None, "", []])
def test_a_missing_orientation_is_assumed_and_said(load, orientation):
    shown = load(film(PatientOrientation=orientation))
    assert not shown.mirrored
    assert not shown.oriented
    assert any("no PatientOrientation: standard display assumed" in note for note in shown.notes)


@pytest.mark.parametrize(
    "orientation",
    [["L", "P"], ["H", "F"], ["A", "R"], ["F", "F"]],
)
def test_films_without_head_and_feet_at_opposite_edges_are_refused(refuse, orientation):
    refuse(film(PatientOrientation=orientation), "\\".join(orientation), "feet")


@pytest.mark.parametrize("orientation", [["L"], ["L", "F", "F"], ["ZZTOP", "F"], ["L", ""], ["LR", "F"], ["L", "FH"]])
def test_unreadable_orientations_are_refused_and_not_quoted(refuse, orientation):
    refuse(film(PatientOrientation=orientation), "PatientOrientation")


@pytest.mark.parametrize(
    ("orientation", "position", "view"),
    [
        (["A", "F"], None, "LATERAL"),
        (["P", "F"], "LL", "LL"),
        (["A", "F"], "PA", "LATERAL"),
        (["P", "F"], "LATERAL", "LATERAL"),
        (["A", "F"], "ZZTOP", "LATERAL"),
    ],
)
def test_a_lateral_film_is_known_by_its_orientation(load, orientation, position, view):
    shown = load(film(PatientOrientation=orientation, ViewPosition=position))
    assert shown.view == view
    assert not shown.mirrored


@pytest.mark.parametrize(
    ("position", "view"),
    [
        *[("AP", "AP"), ("pa ", "PA"), ("PA ERECT", "PA"), ("CHEST_AP_PORTABLE", "AP"), ("AP/SUPINE", "AP")],
        *[("POSTERO-ANTERIOR", "PA"), ("FRONTAL", "FRONTAL"), ("", None)],
        *[("LL", "LL"), ("RLD", "RLD"), ("LEFT LATERAL", "LATERAL"), ("LLAT", "LATERAL"), ("LAT L", "LATERAL")],
        *[
            ("AP FLAT", "AP"),
            ("AP LAT", "LATERAL"),
            ("RLATERAL", "LATERAL"),
            ("PA OBLIQUE", "OBLIQUE"),
            ("R OBL", "OBLIQUE"),
        ],
        *[("DECUBITUS AP", "DECUBITUS"), ("LEFT LATERAL DECUB", "DECUBITUS"), (["PA", "LL"], "LL")],
        *[("ZZTOP", "UNRECOGNISED"), ("UNKNOWN", "UNRECOGNISED"), ("12", "UNRECOGNISED"), ("PAZZTOP", "UNRECOGNISED")],
    ],
)
def test_known_views_are_read_and_others_are_not_quoted(load, position, view):
    shown = load(film(ViewPosition=position))
    assert shown.view == view
    assert is_frontal(shown.view) == (view in {"AP", "PA", "FRONTAL", None})
    assert any("ViewPosition" in note for note in shown.notes) == (view in {None, "UNRECOGNISED"})
    assert any("frontal assumed" in note for note in shown.notes) == (view is None)
    assert not any("ZZTOP" in note for note in shown.notes)


@pytest.mark.parametrize("position", ["LEFT LATERAL", "LLAT", "LAT L", "ZZTOP"])
def test_a_view_that_is_not_known_as_frontal_has_no_prior_and_says_why(load, position):
    centres = (np.arange(7) + 0.5) / 7
    shown = load(film(ViewPosition=position, PatientOrientation=None))
    prior = spatial_prior(parse("opacity in the left base"), centres, centres, view=shown.view)
    assert prior.neutral
    assert "not frontal" in prior.reason
    assert not any("assumed" in note for note in shown.notes)


@pytest.mark.parametrize("view", ["UNKNOWN", "AP LATERAL", "UNRECOGNISED", "PA oblique", "LEFT", "SWIMMERS"])
def test_a_view_is_frontal_only_where_every_word_allows_it(view):
    assert not is_frontal(view)


@pytest.mark.parametrize(
    ("code", "view"),
    [("272479007", "PA"), ("R-10206", "AP"), ("399173006", "LL"), ("1", "UNRECOGNISED"), ("", None)],
)
@pytest.mark.parametrize("position", [None, "", "ZZTOP"])
def test_the_view_may_be_a_code(load, code, view, position):
    item = Dataset()
    item.CodeValue = code
    expected = "UNRECOGNISED" if position == "ZZTOP" and view is None else view
    assert load(film(ViewPosition=position, ViewCodeSequence=[item])).view == expected


def test_a_flipped_field_of_view_without_orientation_is_noted(load):
    shown = load(film(PatientOrientation=None, FieldOfViewHorizontalFlip="YES"))
    assert any("flipped or turned" in note for note in shown.notes)
    assert not any("flipped" in note for note in load(film(FieldOfViewHorizontalFlip="YES")).notes)


@pytest.mark.parametrize(
    ("elements", "word"),
    [
        ({"Modality": "CT"}, "modality CT"),
        ({"Modality": SECRET}, "modality unknown"),
        ({"BodyPartExamined": "HAND"}, "not the chest"),
        ({"ImageLaterality": "L"}, "Laterality L"),
        ({"PixelSpacing": [0.2, 0.1]}, "not square (height / width 2)"),
        ({"PixelAspectRatio": [3, 4]}, "not square"),
        ({"BurnedInAnnotation": "YES"}, "burned-in"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING"),
    ],
)
def test_what_the_pixels_do_not_tell_is_noted(load, elements, word):
    notes = load(film(**elements)).notes
    assert any(word in note for note in notes)
    assert not any("ZZTOP" in note for note in notes)


# What is refused


def test_objects_that_are_no_single_grey_film_are_refused(refuse):
    refuse(film(np.stack([RAMP, RAMP]).reshape(-1, WIDTH), Rows=HEIGHT, NumberOfFrames=2), "2")
    refuse(film((RAMP // 16).astype(np.uint8), SamplesPerPixel=3, PhotometricInterpretation="RGB"), "colour")
    refuse(film((RAMP // 16).astype(np.uint8), PhotometricInterpretation="PALETTE COLOR"), "colour")
    refuse(film(RAMP[:15]), "15 x 29")
    refuse(film(Rows=60000, Columns=60000), "megapixels")
    pdf = film()
    del pdf.PixelData
    pdf.SOPClassUID = pdf.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    refuse(pdf, "Encapsulated PDF Storage")


@pytest.mark.parametrize("keyword", ["Rows", "BitsStored", "PhotometricInterpretation"])
def test_a_header_without_what_pixels_need_is_refused(refuse, keyword):
    dataset = film()
    delattr(dataset, keyword)
    refuse(dataset, "damaged")


@pytest.mark.parametrize(
    "wrong",
    [
        {"Columns": 3}, {"Columns": WIDTH - 1}, {"Columns": WIDTH + 1}, {"Columns": 20}, {"Columns": 1},
        {"Rows": HEIGHT - 1}, {"Rows": HEIGHT + 1}, {"Rows": 16, "Columns": 20},
        {"BitsAllocated": 8, "BitsStored": 8}, {"BitsAllocated": 32, "BitsStored": 12}, {"BitsAllocated": 12},
        {"SamplesPerPixel": 3}, {"NumberOfFrames": 2}, {"PhotometricInterpretation": "RGB"},
        {"Rows": 0}, {"Columns": 0}, {"BitsStored": 17}, {"BitsStored": 0, "HighBit": 0}, {"HighBit": 3},
        {"HighBit": 16}, {"PixelRepresentation": 2},
    ],
)  # fmt: skip
def test_a_header_that_contradicts_the_pixels_is_refused(refuse, wrong):
    refuse(film(**wrong))


@pytest.mark.parametrize("frames", [2, 3, 20])
def test_more_frames_than_the_header_says_are_refused(refuse, frames):
    dataset = film()
    dataset.PixelData = RAMP.tobytes() * frames
    refuse(dataset, "NumberOfFrames")
    dataset.NumberOfFrames = "1"
    refuse(dataset, "NumberOfFrames")


@pytest.mark.parametrize(("extra", "read_"), [(b"", True), (b"\0", True), (b"\0\0", False), (b"\0\0\0", False)])
def test_one_padding_byte_behind_an_odd_number_is_allowed(load, refuse, extra, read_):
    values = (RAMP // 16).astype(np.uint8)  # 17 x 29 = 493 bytes
    dataset = film(values, WindowCenter=128, WindowWidth=256)
    dataset.PixelData = values.tobytes() + extra
    if read_:
        shows(load(dataset), values)
    else:
        refuse(dataset, "493 bytes")


def encapsulated(dataset, frames, table=False):
    dataset.PixelData = pydicom.encaps.encapsulate(frames, has_bot=table)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
@pytest.mark.parametrize("table", [False, True])
def test_compressed_frames_beyond_the_first_are_refused(refuse, tmp_path, name, table):
    dataset = pydicom.dcmread(FILES / name)
    whole = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    refuse(encapsulated(dataset, [whole, whole, whole], table), "one frame")
    if "RLE" not in name:
        refuse(encapsulated(dataset, [whole + whole]), "one frame")


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"Rows": 32},
        {"Columns": 32},
        {"Rows": 32, "Columns": 128},
        {"Columns": 65},
        {"BitsAllocated": 8, "BitsStored": 8},
    ],
)
def test_a_header_that_contradicts_compressed_pixels_is_refused(refuse, name, wrong):
    if "RLE" in name and wrong == {"Rows": 32, "Columns": 128}:
        pytest.skip("as many pixels: RLE segments say nothing of their shape")
    dataset = pydicom.dcmread(FILES / name)
    for keyword, value in wrong.items():
        setattr(dataset, keyword, value)
    dataset.HighBit = dataset.BitsStored - 1
    refuse(dataset)


def test_compressed_values_beyond_the_stored_bits_are_refused(refuse):
    dataset = pydicom.dcmread(FILES / "MR_small_jp2klossless.dcm")
    dataset.BitsStored, dataset.HighBit = 10, 9
    refuse(dataset, "values of 10 bits")


def test_a_fragmented_frame_is_one_frame(tmp_path):
    plain = read(FILES / "MR_small_jp2klossless.dcm").pixels
    dataset = pydicom.dcmread(FILES / "MR_small_jp2klossless.dcm")
    whole = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = pydicom.encaps.encapsulate([whole], fragments_per_frame=4)
    np.testing.assert_array_equal(read(written(dataset, tmp_path / "film.dcm")).pixels, plain)


def test_pixel_data_cut_short_are_refused(refuse):
    dataset = film()
    dataset.PixelData = dataset.PixelData[:-100]
    refuse(dataset, "truncated")


@pytest.mark.parametrize("kept", [0.1, 0.3, 0.5, 0.9])
def test_files_cut_short_are_refused(tmp_path, refuse, kept):
    path = written(film(), tmp_path / "whole.dcm")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    refuse(path)


def test_random_damage_is_read_or_refused_and_nothing_else(tmp_path):
    whole = bytearray(written(film(), tmp_path / "film.dcm").read_bytes())
    generator = np.random.default_rng(0)
    refusals = []
    for _ in range(200):
        data = bytearray(whole)
        for place in generator.integers(132, len(data) - RAMP.nbytes, 3):
            data[place] = generator.integers(256)
        (tmp_path / "film.dcm").write_bytes(data)
        try:
            read(tmp_path / "film.dcm")
        except InputError as error:
            refusals.append("".join(traceback.format_exception(error)))
    assert refusals
    assert not any("ZZTOP" in refusal for refusal in refusals)


def test_a_missing_decoder_is_named(tmp_path, refuse, monkeypatch):
    class Missing:
        is_available = False
        missing_dependencies = ("pylibjpeg - requires pylibjpeg-openjpeg>=2.0",)

    monkeypatch.setattr(pixel_data, "get_decoder", lambda syntax: Missing)
    refuse(FILES / "JPEG2000.dcm", "JPEG 2000", "pip install matex[dicom]", "pylibjpeg-openjpeg")


def test_an_unknown_compression_is_refused(tmp_path, refuse):
    dataset = film()
    dataset.file_meta.TransferSyntaxUID = "1.2.3.4"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(tmp_path / "film.dcm", implicit_vr=False, little_endian=True)
    refuse(tmp_path / "film.dcm", "unknown transfer syntax")


def test_without_pydicom_the_package_is_named(tmp_path):
    path = written(film(), tmp_path / "film.dcm")
    code = (
        "import sys; sys.modules['pydicom'] = None\n"
        "from matex.images import InputError, read\n"
        f"try: read({str(path)!r})\n"
        "except InputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Reading DICOM needs pydicom: pip install matex[dicom]"


# Privacy


def test_nothing_in_a_film_names_the_patient(load):
    shown = load(film())
    text = repr((shown.name, shown.view, shown.notes))
    assert "ZZTOP" not in text
    assert "1999" not in text


def test_what_pydicom_says_reaches_neither_warnings_nor_logs(tmp_path, caplog):
    path = written(film(SpecificCharacterSet="zztop"), tmp_path / "film.dcm")
    with pytest.warns(UserWarning, match="zztop"):
        pydicom.dcmread(path).PatientName.family_name
    caplog.clear()
    logger = logging.getLogger("pydicom")
    with caplog.at_level(logging.DEBUG, logger="pydicom"), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        read(path)
        assert logger.level == logging.DEBUG
    assert said == []
    assert caplog.text == ""


# Encodings


def test_content_decides_and_not_the_extension(tmp_path):
    path = written(film(), tmp_path / "film.png")
    shows(read(path), RAMP * (255 / 4095))


@pytest.mark.parametrize("implicit", [False, True])
def test_a_file_without_preamble_is_recognised(tmp_path, implicit):
    dataset = film()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    buffer = BytesIO()
    del dataset.file_meta
    pydicom.dcmwrite(buffer, dataset, implicit_vr=implicit, little_endian=True)
    data = buffer.getvalue()
    assert data[128:132] != b"DICM"
    (tmp_path / "IM0001").write_bytes(data)
    shown = read(tmp_path / "IM0001")
    shows(shown, RAMP * (255 / 4095))
    assert "no transfer syntax in the file: uncompressed assumed" in shown.notes


def test_run_length_encoding_gives_the_same_pixels(load):
    dataset = film()
    dataset.compress(RLELossless)
    shows(load(dataset), RAMP * (255 / 4095))


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
    ],
)
def test_every_lossless_encoding_of_one_image_reads_alike(name):
    """MR_small: signed 16 bit, window 600/1600, its first values taken from the bytes of the file."""
    stored = np.frombuffer(pydicom.dcmread(FILES / "MR_small.dcm").PixelData, "<i2")
    assert stored[:3].tolist() == [905, 1019, 1227]
    plain = read(FILES / "MR_small.dcm").pixels
    # (905 - 599.5) / 1599 + .5 = .69106; 1019: .76235; 1227: .89243
    assert plain[0, :3].tolist() == [176, 194, 228]
    np.testing.assert_array_equal(read(FILES / name).pixels, plain)


def test_lossy_jpeg_2000_is_decoded():
    shown = read(FILES / "JPEG2000.dcm")
    assert shown.pixels.shape == (1024, 256)
    assert np.ptp(shown.pixels) == 255


def test_extended_jpeg_of_12_bits_needs_a_package_that_is_named(refuse):
    """The one decoder for it is under the GPL, so that no extra installs it; who has it can read the film."""
    if "pylibjpeg" in get_decoder(pydicom.uid.JPEGExtended12Bit).available_plugins:
        assert read(FILES / "JPGExtended.dcm").pixels.shape == (1024, 256)
    else:
        refuse(FILES / "JPGExtended.dcm", "pylibjpeg-libjpeg (GPL v3)")


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "syntax",
    ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEGLSNearLossless", "JPEG2000Lossless",
     "RLELossless", "JPEGBaselineProcess1", "JPEGExtendedProcess2_4"],
)  # fmt: skip
def test_every_transfer_syntax_is_read(tmp_path, bits, signed, syntax):
    gdcm = pytest.importorskip("gdcm")
    lossy = syntax in {"JPEGBaselineProcess1", "JPEGExtendedProcess2_4"}
    if (lossy and bits > 8) or (signed and bits == 8):
        pytest.skip("GDCM writes no such film")
    low = 2 ** (bits - 1) if signed else 0
    values = np.rint(np.add.outer(np.arange(48) * 4, np.arange(64) * 10) * ((2**bits - 1) / 818)) - low
    values = values.astype(np.uint8 if bits == 8 else np.int16 if signed else np.uint16)
    plain = written(film(values, BitsStored=bits, WindowCenter=None, WindowWidth=None), tmp_path / "plain.dcm")
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(plain))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(tmp_path / "film.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    assert pydicom.dcmread(tmp_path / "film.dcm").file_meta.TransferSyntaxUID.is_compressed
    difference = read(tmp_path / "film.dcm").pixels.astype(int) - read(plain).pixels
    assert np.abs(difference).max() <= (3 if lossy else 0)


@pytest.mark.parametrize(("name", "view", "stored"), [("CR1/6154", "LL", 1994), ("CR2/6247", "AP", 1488)])
def test_real_computed_radiographs_are_inverted(name, view, stored):
    """MONOCHROME1, slope .684 and intercept 200 as in the file, window 1600/2800."""
    path = FILES / "dicomdirtests" / "77654033" / name
    dataset = pydicom.dcmread(path)
    assert dataset.pixel_array[0, 0] == stored
    rescaled = stored * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    expected = 255 * (1 - ((rescaled - 1599.5) / 2799 + 0.5))
    shown = read(path)
    assert abs(int(shown.pixels[0, 0]) - expected) <= 0.5
    assert shown.view == view


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_compressed_pixels_that_stop_in_the_middle_are_refused(tmp_path, refuse, name):
    dataset = pydicom.dcmread(FILES / name)
    whole = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    for length in (len(whole) // 2, len(whole) * 9 // 10):
        dataset.PixelData = pydicom.encaps.encapsulate([whole[:length]])
        dataset.save_as(tmp_path / name)
        refuse(tmp_path / name, "truncated")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("MR_truncated.dcm", "truncated"),
        ("MR_small_padded.dcm", "8320 bytes"),
        ("rtplan.dcm", "RT Plan Storage"),
        ("test-SR.dcm", "SR Storage"),
        ("SC_rgb_rle.dcm", "colour"),
        ("examples_palette.dcm", "colour"),
        ("rtdose.dcm", "15"),
        ("badVR.dcm", "damaged"),
        ("image_dfl.dcm", "deflated"),
        ("waveform_ecg.dcm", "Waveform"),
        ("JPEG2000-embedded-sequence-delimiter.dcm", "damaged"),
    ],
)
def test_real_files_that_are_no_film_are_refused(refuse, name, word):
    refuse(FILES / name, word)


def test_every_file_that_pydicom_ships_is_read_or_refused_in_one_line():
    read_ones, refusals = [], []
    for folder, _, names in os.walk(FILES):
        for name in sorted(names):
            try:
                read_ones.append(repr(read(os.path.join(folder, name)).notes))
            except InputError as error:
                refusals.append(str(error))
    assert len(read_ones) > 25
    assert not any("\n" in line for line in refusals)


@pytest.mark.parametrize(
    "syntax", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless", "JPEGBaselineProcess1"]
)
def test_a_damaged_frame_does_not_end_the_process(tmp_path, syntax):
    """GDCM, which pydicom tries first, aborts or faults on some of these; it decodes in a process of its own."""
    gdcm = pytest.importorskip("gdcm")
    values = (np.add.outer(np.arange(48) * 3, np.arange(64) * 2) % 256).astype(np.uint8)
    written(film(values, WindowCenter=128, WindowWidth=256), tmp_path / "plain.dcm")
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(tmp_path / "plain.dcm"))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(tmp_path / "film.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    data = (tmp_path / "film.dcm").read_bytes()
    start = data.rindex(b"\xff\xd8" if b"\xff\x4f\xff\x51" not in data else b"\xff\x4f\xff\x51")
    generator = np.random.default_rng(0)
    for number in range(4 if syntax == "JPEGLosslessProcess14_1" else 200):
        damaged = bytearray(data)
        for place in generator.integers(start, len(data), 1 + number % 7):
            damaged[place] = generator.integers(256)
        (tmp_path / "damaged.dcm").write_bytes(damaged)
        with contextlib.suppress(InputError):
            assert read(tmp_path / "damaged.dcm").pixels.shape == values.shape


# ------------------------------------------------------------------------------------- mammograms and axial slices


@pytest.fixture
def opened(tmp_path):
    return lambda dataset: read(written(dataset, tmp_path / "film.dcm"))


@pytest.mark.parametrize(
    ("orientation", "side", "position", "facing"),
    [
        (["P", "L"], "R", "CC", "left"),
        (["A", "R"], "L", "CC", "right"),
        (["P", "F"], "R", "MLO", "left"),
        (["A", "FR"], "L", "MLO", "right"),
    ],
)
def test_a_mammogram_has_the_view_of_its_breast(opened, orientation, side, position, facing):
    found = opened(
        film(
            Modality="MG",
            BodyPartExamined="BREAST",
            ViewPosition=position,
            ImageLaterality=side,
            PatientOrientation=orientation,
        )
    )
    assert (found.view, found.facing) == (f"{side}{position}", facing)
    assert (found.turns, found.mirrored, found.oriented) == (0, False, True)


def test_a_mammogram_is_known_by_its_view_code_too(opened):
    item = Dataset()
    item.CodeValue = "399368009"
    found = opened(film(Modality="MG", ViewPosition="", ViewCodeSequence=[item], ImageLaterality="L"))
    assert found.view == "LMLO"
    assert opened(film(Modality="MG", ViewPosition="CC", ImageLaterality="")).view == "UNRECOGNISED"


@pytest.mark.parametrize(
    ("orientation", "turns", "mirrored"),
    [
        (["L", "P"], 0, False),
        (["R", "P"], 0, True),
        (["R", "A"], 2, False),
        (["P", "R"], 3, False),
        (["A", "L"], 1, False),
    ],
)
def test_an_axial_slice_is_turned_to_the_front_at_the_top(opened, orientation, turns, mirrored):
    found = opened(film(Modality="MR", ViewPosition=None, PatientOrientation=orientation))
    assert (found.view, found.turns, found.mirrored, found.oriented) == ("AXIAL", turns, mirrored, True)


@pytest.mark.parametrize(
    ("cosines", "expected"),
    [
        ([1, 0, 0, 0, 1, 0], ("AXIAL", False, True)),
        ([-1, 0, 0, 0, 1, 0], ("AXIAL", True, True)),
        ([0.98, 0.17, 0, -0.17, 0.98, 0], ("AXIAL", False, True)),
        ([0.6, 0.6, 0.53, 0, 1, 0], (None, False, False)),  # more than 45 degrees off every axis
        ([1, 0, 0, 0, 1], (None, False, False)),
    ],
)
def test_the_orientation_of_a_slice_follows_from_its_cosines(opened, cosines, expected):
    """Rows towards x and columns towards y: x runs to the patient's left, y to the back (PS3.3 C.7.6.2.1.1)."""
    found = opened(film(Modality="CT", ViewPosition=None, PatientOrientation=None, ImageOrientationPatient=cosines))
    assert (found.view, found.mirrored, found.oriented) == expected
