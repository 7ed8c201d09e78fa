"""Location and size of the image that a row names, without reading its pixels.

No file outside the folder that the user named is opened: neither a path nor a symbolic link may lead out of it, since
images and phrases of a data set end up in reports that are passed on.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from matex.datasets.tables import Unusable
from matex.errors import InputError, shortened, shown
from matex.geometry import Size

FOLLOW_LINKS = "MATEX_FOLLOW_LINKS"
"""Environment variable: "1" lets links lead out of a data set's folder."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".dcm", ".dicom")
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap height and width


def inside(folder: Path, name: str) -> Path:
    """Resolve a file named in a table, never outside the folder, through links included.

    Args:
        folder: as the user named it; may itself be a link. Folders in it belong to `name`, so that a link among them
            is seen.
        name: path relative to the folder.

    Raises:
        Unusable: the name, or a link in its path, leads out of the folder, or there is no such file.
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
    return contained(folder, path)


def contained(folder: Path, path: Path) -> Path:
    """Check that a path in a folder does not leave the folder through a symbolic link.

    Raises:
        Unusable: one does.
    """
    if os.environ.get(FOLLOW_LINKS) == "1":
        return path
    between = [path, *path.parents][: len(path.parts) - len(folder.parts)]
    linked = any(map(os.path.islink, between))  # without a link there is nothing to resolve, which takes longer
    if linked and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise Unusable(
            "Expected a file within the data set's folder, got a link that leads out of it. Copy the file into the "
            f"folder, or set {FOLLOW_LINKS}=1 if you created the link."
        )
    return path


def first_inside(folder: Path, names: Sequence[str]) -> Path:
    """First of several possible files that exists.

    Raises:
        Unusable: there is none, or it leads out of the folder.
    """
    there = (name for name in names if os.path.isfile(folder / name.replace("\\", "/")))
    return inside(folder, next(there, names[-1]))


def size_of(path: Path) -> Size:
    """(height, width) of the image as `matex.read` gives it, from the file's header.

    Raises:
        Unusable: not an image.
        InputError: DICOM without pydicom.
    """
    if not path.is_file():  # a pipe or a device, which may never end
        raise Unusable("Expected an image, got what is no regular file.")
    if path.suffix.lower() in (".dcm", ".dicom"):
        return _dicom_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                width, height = image.size
                if isinstance(image, TiffImageFile):  # whose size newer releases of Pillow give after rotation
                    width, height = (int(image.tag_v2[tag]) for tag in (256, 257))
                # asking a PNG for EXIF decodes all of it, so only where it announced some
                may_rotate = image.format != "PNG" or "exif" in image.info or "Raw profile type exif" in image.info
                turned = may_rotate and image.getexif().get(0x0112, 1) in _TURNED
    except Exception:  # Pillow's readers raise nearly every built-in exception on a damaged header
        raise Unusable("Expected an image, got a file that cannot be read as one.") from None
    return (width, height) if turned else (height, width)


def _dicom_size(path: Path) -> Size:
    try:
        import pydicom
    except ModuleNotFoundError:
        raise InputError("Reading DICOM needs pydicom: pip install matex[dicom]") from None
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
        return int(header.Rows), int(header.Columns)
    except Exception:  # what pydicom raises can quote elements
        raise Unusable("Expected a DICOM image, got a file that cannot be read as one.") from None


def subfolder(root: Path, names: Sequence[str]) -> str:
    """First of these names that is a folder under root, with a slash; empty when none is."""
    return next((f"{name}/" for name in names if (root / name).is_dir()), "")


def table(root: Path, name: str) -> Path:
    """Path of a table with a fixed name under root; its existence is checked when it is opened.

    Raises:
        InputError: a link that leads out of root.
    """
    try:
        return contained(root, root / name)
    except Unusable as error:
        raise InputError(f"{shortened(name)}: {error}") from None


def table_of(root: Path, patterns: Sequence[str]) -> Path:
    """Path of the one table under root that matches a pattern, the first that does.

    Raises:
        InputError: none, several, or a link that leads out of root.
    """
    for pattern in patterns:
        found = sorted(root.glob(pattern))
        if len(found) > 1:
            names = ", ".join(shortened(path.name) for path in found[:5])
            raise InputError(f"Expected one table named {pattern}, got {names}. Keep one of them in the folder.")
        if found:
            return table(root, found[0].name)
    raise InputError(f"Expected a table named {' or '.join(patterns)} in {shown(root)}, got none. Check root.")
