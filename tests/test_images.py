"""Every kind of image a user may hand over, and every kind of file that is none."""

import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from matex import images
from matex.errors import InputError
from matex.images import Film, limits, pillow, read
from matex.samples import samples

HEIGHT, WIDTH = 23, 37
RNG = np.random.default_rng(0)
# Asymmetric: brighter to the right and, less, to the bottom, with one bright corner.
GREY = np.add.outer(np.arange(HEIGHT), 3 * np.arange(WIDTH)).astype(np.uint8)
GREY[:3, -4:] = 250
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)


def saved(path, image, **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def refused(source, *words):
    with pytest.raises(InputError) as caught:
        read(source)
    message = str(caught.value)
    assert "\n" not in message
    for word in ("Expected", "got", *words):
        assert word in message, message
    return message


@pytest.mark.parametrize("name", ["film.png", "film.tif", "film.bmp", "film.webp", "film.gif", "film.pgm", "film.jp2"])
def test_grey_files_come_back_pixel_for_pixel(tmp_path, name):
    options = {"webp": {"lossless": True}, "jp2": {"irreversible": False}}.get(name.split(".")[1], {})
    film = read(saved(tmp_path / name, GREY, **options))
    np.testing.assert_array_equal(film.pixels, GREY)
    assert film.pixels.dtype == np.uint8
    assert film.pixels.flags.c_contiguous
    assert (film.name, film.view, film.mirrored, film.notes) == ("film", None, False, ())
    assert not film.oriented


@pytest.mark.parametrize("name", ["film.png", "film.tif", "film.bmp", "film.webp"])
def test_colour_files_keep_their_colours(tmp_path, name):
    film = read(saved(tmp_path / name, COLOUR, **({"lossless": True} if name.endswith("webp") else {})))
    np.testing.assert_array_equal(film.pixels, COLOUR)


def test_a_jpeg_lies_as_it_was_saved(tmp_path):
    film = read(str(saved(tmp_path / "film.jpg", GREY, quality=95)))
    assert film.pixels.shape == (HEIGHT, WIDTH)
    assert np.abs(film.pixels.astype(int) - GREY).mean() < 3


def test_grey_stored_as_colour_becomes_grey(tmp_path):
    film = read(saved(tmp_path / "film.png", np.repeat(GREY[:, :, None], 3, axis=2)))
    np.testing.assert_array_equal(film.pixels, GREY)


def test_the_same_bytes_have_the_same_hash_under_any_name(tmp_path):
    one = read(saved(tmp_path / "one.png", GREY))
    two = read(saved(tmp_path / "two", GREY, format="PNG"))
    assert one.sha256 == two.sha256
    assert two.name == "two"
    assert one.sha256 != read(saved(tmp_path / "one.png", GREY[::-1])).sha256


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_wrapped(tmp_path, suffix):
    values = np.linspace(100, 4095, HEIGHT * WIDTH).round().astype(np.uint16).reshape(HEIGHT, WIDTH)
    film = read(saved(tmp_path / f"film.{suffix}", values))
    expected = np.rint((values.astype(float) - 100) * 255 / 3995)
    np.testing.assert_array_equal(film.pixels, expected)
    assert film.notes == ("16-bit integer values scaled linearly, 100 to black and 4095 to white",)


def test_a_big_endian_tiff_reads_like_a_little_endian_one(tmp_path):
    values = RNG.integers(0, 60000, (HEIGHT, WIDTH), np.uint16)
    values[0, 0] = 0
    (tmp_path / "big.tif").write_bytes(tiff16(values, ">"))
    (tmp_path / "little.tif").write_bytes(tiff16(values, "<"))
    big, little = read(tmp_path / "big.tif"), read(tmp_path / "little.tif")
    np.testing.assert_array_equal(big.pixels, little.pixels)
    np.testing.assert_array_equal(big.pixels, np.rint(values * (255 / values.max())))


def test_a_tiff_with_white_as_zero_is_inverted(tmp_path):
    values = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 50).astype(np.uint16)
    (tmp_path / "white.tif").write_bytes(tiff16(values, "<", photometric=0))
    film = read(tmp_path / "white.tif")
    assert film.pixels[0, 0] == 255
    assert film.pixels[-1, -1] == 0
    assert any("white as zero" in note for note in film.notes)


def tiff16(values, order, photometric=1):
    """A minimal TIFF written by hand: header, one strip, one directory."""
    height, width = values.shape
    strip = values.astype(f"{order}u2").tobytes()
    tags = [
        (256, 3, width), (257, 3, height), (258, 3, 16), (259, 3, 1), (262, 3, photometric),
        (273, 4, 8), (277, 3, 1), (278, 3, height), (279, 4, len(strip)),
    ]  # fmt: skip
    end = "little" if order == "<" else "big"
    body = (b"II" if order == "<" else b"MM") + (42).to_bytes(2, end) + (8 + len(strip)).to_bytes(4, end) + strip
    body += len(tags).to_bytes(2, end)
    for tag, kind, value in tags:
        field = value.to_bytes(2, end) + b"\0\0" if kind == 3 else value.to_bytes(4, end)
        body += tag.to_bytes(2, end) + kind.to_bytes(2, end) + (1).to_bytes(4, end) + field
    return body + bytes(4)


def test_a_float_tiff_in_zero_to_one_keeps_its_scale(tmp_path):
    values = (GREY / 510).astype(np.float32)  # at most about half: must not be stretched to white
    film = read(saved(tmp_path / "film.tif", values))
    np.testing.assert_array_equal(film.pixels, np.rint(values * 255))


def test_a_float_tiff_outside_zero_to_one_is_scaled(tmp_path):
    values = GREY.astype(np.float32) * 4 - 100
    film = read(saved(tmp_path / "film.tif", values))
    assert (film.pixels.min(), film.pixels.max()) == (0, 255)
    assert "32-bit float" in film.notes[0]


def test_one_bit_is_black_and_white(tmp_path):
    film = read(saved(tmp_path / "film.png", Image.fromarray(GREY > 60)))
    np.testing.assert_array_equal(film.pixels, np.where(GREY > 60, 255, 0))


def test_palette_colours_are_looked_up(tmp_path):
    image = Image.fromarray((GREY > 60).astype(np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 200, 100, 50] + [0] * 762)
    film = read(saved(tmp_path / "film.png", image))
    assert film.pixels[0, 0].tolist() == [10, 20, 30]
    assert film.pixels[0, -1].tolist() == [200, 100, 50]


def test_transparency_is_shown_on_black(tmp_path):
    rgba = np.dstack([COLOUR, np.full((HEIGHT, WIDTH), 255, np.uint8)])
    opaque = read(saved(tmp_path / "opaque.png", rgba))
    np.testing.assert_array_equal(opaque.pixels, COLOUR)
    assert opaque.notes == ()
    rgba[:, :5, 3] = 0
    film = read(saved(tmp_path / "film.png", rgba))
    assert (film.pixels[:, :5] == 0).all()
    np.testing.assert_array_equal(film.pixels[:, 5:], COLOUR[:, 5:])
    assert film.notes == ("transparency shown on black",)


def test_cmyk_is_converted_and_said(tmp_path):
    film = read(saved(tmp_path / "film.tif", Image.fromarray(COLOUR).convert("CMYK")))
    np.testing.assert_array_equal(film.pixels, COLOUR)
    assert film.notes == ("CMYK converted to RGB",)


def test_sixteen_bit_colour_keeps_its_upper_bits_and_says_so(tmp_path):
    """A PNG written by hand: bit depth 16, colour type 2."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    values = COLOUR.astype(np.uint16) * 256 + 17
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = WIDTH.to_bytes(4, "big") + HEIGHT.to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "film.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    film = read(tmp_path / "film.png")
    np.testing.assert_array_equal(film.pixels, COLOUR)
    assert film.notes == ("16-bit colour reduced to its upper 8 bits",)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize(
    ("orientation", "undo"),
    [
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.T),
        (6, lambda a: a.T[::-1]),
        (7, lambda a: a.T[::-1, ::-1]),
        (8, lambda a: a.T[:, ::-1]),
    ],
)
def test_exif_orientation_is_applied_once(tmp_path, suffix, orientation, undo):
    exif = Image.Exif()
    exif[0x0112] = orientation
    block = np.zeros((48, 80), np.uint8)
    block[:16, :16] = 240  # one corner, on JPEG's block borders
    film = read(saved(tmp_path / f"film.{suffix}", undo(block).copy(), exif=exif))
    assert film.pixels.shape == film.size == (48, 80)
    np.testing.assert_array_equal(film.pixels > 120, block > 120)
    assert film.notes == (f"EXIF orientation {orientation} applied",)


def test_a_constant_image_is_read_and_noted(tmp_path):
    film = read(saved(tmp_path / "film.png", np.full((20, 30), 77, np.uint8)))
    assert (film.pixels == 77).all()
    assert film.notes == ("constant image: nothing to see in it",)
    assert "constant" in read(np.full((20, 30), 3000, np.uint16)).notes[-1]


# Arrays and Pillow images


def test_an_array_is_copied_and_named_array():
    values = GREY.copy()
    film = read(values)
    values[:] = 0
    np.testing.assert_array_equal(film.pixels, GREY)
    assert film.name == "array"
    assert film.pixels.flags.writeable


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int64, np.float32, np.float64])
def test_arrays_of_any_number_type_are_scaled(dtype):
    values = np.array([[0, 1000], [2000, 4000]]).repeat(16, 0).repeat(16, 1).astype(dtype)
    pixels = read(values).pixels
    assert pixels[::16, ::16].tolist() == [[0, 64], [128, 255]]


def test_one_channel_three_channels_and_slices_work():
    np.testing.assert_array_equal(read(GREY[:, :, None]).pixels, GREY)
    np.testing.assert_array_equal(read(COLOUR).pixels, COLOUR)
    np.testing.assert_array_equal(read(GREY[::-1, ::-1]).pixels, GREY[::-1, ::-1])
    np.testing.assert_array_equal(read(GREY > 60).pixels, np.where(GREY > 60, 255, 0))


def test_arrays_that_are_no_image_are_refused():
    refused(np.zeros((3, 40, 50), np.uint8), "transpose")
    refused(np.zeros((40, 50, 4), np.uint8), "alpha")
    refused(np.zeros((40, 50, 2), np.uint8), "(40, 50, 2)")
    refused(np.zeros(40, np.uint8), "(40,)")
    refused(np.zeros((2, 40, 50, 3), np.uint8))
    refused(np.zeros((0, 0), np.uint8), "0 x 0")
    refused(np.zeros((40, 15), np.uint8), "40 x 15")
    refused(np.zeros((40, 50), complex), "complex128")
    refused(np.full((40, 50), "a"), "array of integers")
    refused(np.full((40, 50), None), "object")
    refused(np.full((40, 50), 1e308) * np.sign(np.arange(50) - 25), "range")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path, bad):
    values = GREY.astype(np.float32)
    values[4, 5] = bad
    refused(values, "NaN or infinity")
    refused(saved(tmp_path / "film.tif", values), "NaN or infinity")


def test_pillow_images_are_read_and_left_alone():
    image = Image.fromarray(COLOUR)
    film = read(image)
    np.testing.assert_array_equal(film.pixels, COLOUR)
    assert film.name == "image"
    assert image.size == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(read(Image.fromarray(GREY)).pixels, GREY)


def test_a_film_passes_through():
    film = Film(GREY, "mine", "0" * 64)
    assert read(film) is film


@pytest.mark.parametrize("source", [None, 3, b"bytes", [[1, 2], [3, 4]], io.BytesIO(b"")])
def test_other_objects_are_refused(source):
    refused(source, type(source).__name__)


# Files that are no image


def test_missing_paths_folders_and_empty_files_are_refused(tmp_path):
    refused(tmp_path / "none.png", "none.png", "Check the path")
    refused(tmp_path, "folder")
    refused("", "folder")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "empty")
    refused(tmp_path / "empty.png" / "film.png", "Not a directory")
    refused("film\0.png", "null byte")
    refused("https://example.org/film.png", "Download")
    assert len(refused("x" * 5000)) < 400


@pytest.mark.skipif(os.name == "nt", reason="no pipes in the file system")
def test_pipes_and_devices_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "film.png")
    refused(tmp_path / "film.png", "pipe or a device")
    refused("/dev/zero", "pipe or a device")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read everything")
def test_unreadable_files_are_refused(tmp_path):
    saved(tmp_path / "film.png", GREY).chmod(0)
    refused(tmp_path / "film.png", "Permission")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7])
def test_truncated_files_are_refused(tmp_path, suffix, kept):
    path = saved(tmp_path / f"film.{suffix}", RNG.integers(0, 256, (200, 300), np.uint8))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    refused(path, "damaged")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "group4", "zstd"])
def test_damage_that_the_tiff_decoder_reports_is_one_refusal(tmp_path, capfd, compression):
    values = RNG.integers(0, 9, (200, 300)) + np.add.outer(np.arange(200), np.arange(300)) // 3
    image = Image.fromarray(values.astype(np.uint8))
    image = image.convert("1") if compression == "group4" else image
    path = saved(tmp_path / "film.tif", image, compression=compression)
    whole, plain = path.read_bytes(), read(path).pixels
    refusals: list[str] = []
    for place in RNG.integers(400, len(whole) - 400, 40):
        data = bytearray(whole)
        data[place : place + 4] = RNG.bytes(4)
        path.write_bytes(data)
        try:
            read(path)
        except InputError as error:
            refusals.append(str(error))
    assert all("damaged" in refusal and "\n" not in refusal for refusal in refusals)
    least = {"tiff_lzw": 5, "tiff_adobe_deflate": 15, "group4": 15, "zstd": 0}
    assert len(refusals) >= least[compression]
    path.write_bytes(whole)
    np.testing.assert_array_equal(read(path).pixels, plain)
    assert capfd.readouterr().err == ""


def test_standard_error_stays_that_of_the_process(tmp_path, capfd, monkeypatch):
    path = saved(tmp_path / "film.tif", GREY, compression="tiff_lzw")
    load = TiffImageFile.load

    def noisy(image):
        os.write(2, b"another thread: speaks\nTIFFReadDirectory: damage.\n")
        return load(image)

    monkeypatch.setattr(TiffImageFile, "load", noisy)
    refused(path, "reports errors")
    assert set(capfd.readouterr().err.splitlines()) == {"another thread: speaks"}
    os.write(2, b"and goes on\n")
    assert capfd.readouterr().err == "and goes on\n"


def test_a_png_with_a_wrong_checksum_is_refused(tmp_path):
    path = saved(tmp_path / "film.png", GREY)
    data = bytearray(path.read_bytes())
    start = data.index(b"IDAT")
    data[start + 4 + int.from_bytes(data[start - 4 : start], "big")] ^= 1
    path.write_bytes(data)
    refused(path, "checksum")


@pytest.mark.parametrize("suffix", ["jp2", "gif", "pgm"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_other_truncated_files_are_refused(tmp_path, suffix, kept):
    path = saved(tmp_path / f"film.{suffix}", RNG.integers(0, 256, (200, 300), np.uint8))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    refused(path, "damaged")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"the lungs are clear\n" * 20, "text"),
        ("die Lungen sind frei – überall\n".encode() * 200, "text"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>', "SVG"),
        (pickle.dumps({"weights": [1, 2]}), "pickle"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\xffnot an image\x00\x01\x02", "unknown content"),
    ],
)
def test_other_content_is_named_and_not_quoted(tmp_path, content, word):
    path = tmp_path / "film.png"
    path.write_bytes(content)
    message = refused(path, word)
    assert "weights" not in message
    assert "lungs" not in message


def test_archives_and_arrays_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("model/data.pkl", b"x")
    refused(tmp_path / "model.pt", "checkpoint")
    np.save(tmp_path / "film.npy", GREY)
    refused(tmp_path / "film.npy", "numpy.load")
    (tmp_path / "film.dcm").write_text("nothing")
    refused(tmp_path / "film.dcm", "DICOM")


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_several_frames_are_refused(tmp_path, suffix):
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    path = saved(tmp_path / f"film.{suffix}", frames[0], save_all=True, append_images=frames[1:])
    refused(path, "2 frames")


def test_small_images_are_refused_and_the_smallest_is_read(tmp_path):
    refused(saved(tmp_path / "film.png", GREY[:15]), "15 x 37")
    assert read(saved(tmp_path / "film.png", GREY[:16, :16])).pixels.shape == (16, 16)


def test_huge_images_are_refused_by_their_header(tmp_path):
    path = saved(tmp_path / "film.png", GREY)
    data = bytearray(path.read_bytes())
    for width, height in ((100_000, 100_000), (17_800, 10_001)):
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        path.write_bytes(data)
        refused(path, "megapixels")


def test_between_pillows_warning_and_our_limit_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(saved(tmp_path / "film.png", GREY)).pixels.shape == (HEIGHT, WIDTH)


def test_what_pillow_warns_about_becomes_a_note(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a description that will be cut off"
    path = saved(tmp_path / "film.png", GREY, exif=exif)
    data = path.read_bytes()
    start = data.index(b"eXIf")
    block = bytearray(data[start : start + 4 + int.from_bytes(data[start - 4 : start], "big")])
    count = block.index((0x010E).to_bytes(2, "big")) if b"MM" in block else block.index(b"\x0e\x01")
    block[count + 4 : count + 8] = b"\x00\x00\xff\x00"  # more characters than there are
    end = start + len(block)
    path.write_bytes(data[:start] + block + zlib.crc32(block).to_bytes(4, "big") + data[end + 4 :])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        film = read(path)
    np.testing.assert_array_equal(film.pixels, GREY)
    assert film.notes
    assert all(note.startswith("Pillow: ") for note in film.notes)


def test_threads_read_side_by_side_and_leave_the_warning_filters(tmp_path):
    paths = [saved(tmp_path / f"{number}.png", np.roll(GREY, number)) for number in range(40)]
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        films = list(pool.map(read, paths))
    for number, film in enumerate(films):
        np.testing.assert_array_equal(film.pixels, np.roll(GREY, number))
    assert list(warnings.filters) == before


def test_large_arrays_and_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_PIXELS", 500)
    refused(GREY, "megapixels")
    refused(Image.fromarray(GREY), "megapixels")
    monkeypatch.setattr(limits, "MAX_BYTES", 100)
    refused(saved(tmp_path / "film.bmp", GREY), "MiB")


def big(height, width):
    """Smooth, asymmetric, with a bright corner."""
    values = np.add.outer(np.linspace(0, 90, height), np.linspace(0, 120, width))
    values[: height // 8, -width // 8 :] = 250
    return values.astype(np.uint8)


@pytest.mark.parametrize(("size", "scale"), [((100, 130), 1), ((127, 300), 1), ((128, 130), 2), ((300, 260), 4)])
def test_a_jpeg_is_decoded_at_a_fraction_of_its_size(tmp_path, size, scale):
    """By a power of two, so long as the shorter side keeps what is asked for; the size stays that of the file."""
    path = saved(tmp_path / "film.jpg", big(*size), quality=95)
    whole, film = read(path), read(path, side=64)
    assert film.size == whole.size == whole.pixels.shape == size
    assert film.pixels.shape == tuple(-(-length // scale) for length in size)
    assert (film.full is None) == (scale == 1)
    assert film.sha256 == whole.sha256
    if scale > 1:
        assert np.abs(images.block_means(whole.pixels, scale).astype(int) - film.pixels).mean() < 1


def test_a_reduced_jpeg_keeps_its_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    film = read(saved(tmp_path / "film.jpg", big(200, 300), exif=exif), side=64)
    assert film.size == (300, 200)
    assert film.pixels.shape == (150, 100)
    assert film.pixels[-5:, -5:].min() > 200  # the bright corner, turned clockwise


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "bmp"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colour", [False, True])
def test_large_files_are_read_as_means_over_blocks(tmp_path, monkeypatch, suffix, bits, colour):
    if bits == 16 and (suffix not in {"png", "tif"} or colour):
        pytest.skip("no such file")
    values = big(200, 331)
    values = np.stack([values, values[::-1], values], axis=2) if colour else values
    values = values.astype(np.uint16) * 201 if bits == 16 else values
    path = saved(tmp_path / f"film.{suffix}", values, **({"lossless": True} if suffix == "webp" else {}))
    monkeypatch.setattr(pillow, "_BAND", 331 * 7)  # several bands, none of whole blocks
    whole = read(path)
    np.testing.assert_array_equal(read(path, side=64).pixels, whole.pixels)  # small enough to be read whole
    monkeypatch.setattr(limits, "MAX_WHOLE", 1000)
    film = read(path, side=64)
    assert film.size == (200, 331)
    assert film.pixels.shape[:2] == (67, 111)
    np.testing.assert_array_equal(film.pixels, images.block_means(whole.pixels, 3))
    assert film.notes == whole.notes


@pytest.mark.parametrize(("levels", "shape"), [(6, (50, 83)), (2, (100, 166)), (1, (200, 331))])
def test_a_jpeg_2000_film_is_decoded_at_the_levels_it_has(tmp_path, levels, shape):
    path = saved(tmp_path / "film.jp2", big(200, 331), num_resolutions=levels)
    film = read(path, side=50)
    assert film.size == (200, 331)
    assert film.pixels.shape == shape


def test_block_means_are_those_of_a_loop():
    values = RNG.integers(0, 256, (7, 11, 3), np.uint8)
    for factor in (1, 2, 3, 7, 20):
        expected = [
            [values[y : y + factor, x : x + factor].mean(axis=(0, 1)) for x in range(0, 11, factor)]
            for y in range(0, 7, factor)
        ]
        np.testing.assert_array_equal(images.block_means(values, factor), np.rint(expected))


def test_colour_beyond_the_memory_bound_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_DECODED", 3 * GREY.size)
    refused(saved(tmp_path / "film.png", COLOUR), "in colour")
    assert read(saved(tmp_path / "film.png", GREY)).pixels.shape == GREY.shape


def test_reading_an_image_loads_neither_torch_nor_pydicom(tmp_path):
    path = saved(tmp_path / "film.png", GREY)
    code = f"import sys; from matex.images import read; read({str(path)!r}); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("'torch'", "'pydicom'", "'transformers'"):
        assert heavy not in done.stdout


# The films that ship with the package


def test_bundled_films_are_read_and_their_boxes_lie_inside():
    assert 8 <= len(samples()) <= 12
    for sample in samples():
        film = read(sample.path)
        assert film.pixels.shape == (sample.height, sample.width)
        assert film.pixels.std() > 20
        assert film.notes == ()
        for annotation in sample.annotations:
            for x0, y0, x1, y1 in annotation.boxes:
                assert 0 <= x0 < x1 <= sample.width
                assert 0 <= y0 < y1 <= sample.height


def test_bundled_phrases_name_the_side_on_which_the_boxes_lie():
    """The patient's right is on the image's left; the data sets' own phrases name no side."""
    named = 0
    for sample in samples():
        for annotation in sample.annotations:
            assert "left" not in annotation.phrase
            assert "right" not in annotation.phrase
            for side, centre in (("right", 0.25), ("left", 0.75)):
                if side in (annotation.demo_phrase or "") and annotation.boxes:
                    x0, _, x1, _ = annotation.boxes[0]
                    assert abs((x0 + x1) / 2 / sample.width - centre) < 0.2
                    named += 1
    assert named >= 8


def test_bundled_films_are_small_and_carry_their_licence():
    assert sum(sample.path.stat().st_size for sample in samples()) < 1_000_000
    assert sum(sample.normal for sample in samples()) == 4
    assert all("NIH Clinical Center" in sample.licence for sample in samples())
    folder = samples()[0].path.parent
    listed = json.loads((folder / "samples.json").read_text(encoding="utf-8"))["samples"]
    assert {row["file"] for row in listed} == {path.name for path in folder.glob("*.jpg")}
