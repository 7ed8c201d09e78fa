"""Finding the image that a row names, and its size, without reading its pixels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from matex.datasets.tables import Unusable
from matex.geometry import Size
from matex.images import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".dcm", ".dicom")
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap height and width


def inside(folder: Path, name: str) -> Path:
    """The file that a table names, never outside the folder, whatever the table says.

    Raises:
        Unusable: the name leads out of the folder, or there is no such file.
    """
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or PureWindowsPath(name).drive or ".." in parts.parts or "\0" in name:
        raise Unusable("Expected an image within the data set's folder, got a path that leads out of it.")
    path = folder / parts
    try:
        there = path.is_file()
    except OSError:  # a name that is too long
        there = False
    if not there:
        raise Unusable("Expected the image of this row, found no such file.")
    return path


def first_inside(folder: Path, names: Sequence[str]) -> Path:
    """The first of several possible files.

    Raises:
        Unusable: there is none.
    """
    for name in names[:-1]:
        try:
            return inside(folder, name)
        except Unusable:
            continue
    return inside(folder, names[-1])


def size_of(path: Path) -> Size:
    """(height, width) of the image as `matex.read` gives it, from the file's header.

    Raises:
        Unusable: not an image.
        InputError: DICOM without pydicom.
    """
    if path.suffix.lower() in (".dcm", ".dicom"):
        return _dicom_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                width, height = image.size
                if isinstance(image, TiffImageFile):  # whose size Pillow gives as turned already, from some release on
                    width, height = (int(image.tag_v2[tag]) for tag in (256, 257))
                # asking a PNG for EXIF decodes all of it, so only where it announced some
                asked = image.format != "PNG" or "exif" in image.info or "Raw profile type exif" in image.info
                turned = asked and image.getexif().get(0x0112, 1) in _TURNED
    except Exception:  # Pillow's readers raise nearly every built-in exception on a damaged header
        raise Unusable("Expected an image, got a file that cannot be read as one.") from None
    return (width, height) if turned else (height, width)


def _dicom_size(path: Path) -> Size:
    try:
        from pydicom import dcmread
    except ModuleNotFoundError:
        raise InputError("Reading DICOM needs pydicom: pip install matex[dicom]") from None
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
        return int(header.Rows), int(header.Columns)
    except Exception:  # what pydicom raises can quote elements
        raise Unusable("Expected a DICOM image, got a file that cannot be read as one.") from None


def folder_of(root: Path, names: Sequence[str]) -> Path:
    """The first of these folders that exists under root; root itself when none does."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def table_of(root: Path, patterns: Sequence[str]) -> Path:
    """The one table under root that goes by these names, the first pattern that fits.

    Raises:
        InputError: none, or several.
    """
    for pattern in patterns:
        found = sorted(root.glob(pattern))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise InputError(f"Expected one table named {pattern}, got {names}. Keep one of them in the folder.")
        if found:
            return found[0]
    raise InputError(f"Expected a table named {' or '.join(patterns)} in {str(root)!r}, got none. Check root.")
