"""Files of an explanation, written in memory on request."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from matex.dicom_export import contents
from matex.render.figure import Format, comparison_figure
from matex.render.framed import framed_overlay
from matex.render.page import PNG_LEVEL
from matex.render.panel import panel
from matex.render.report import page
from matex.results import Explanation
from matex.serialise import grids, strict_json, to_dict


class Download(NamedTuple):
    """A file for the browser to save."""

    name: str
    media: str
    content: bytes


def _picture(draw: Callable[[Explanation], Image.Image]) -> Callable[[Explanation], bytes]:
    def encode(explanation: Explanation) -> bytes:
        stream = io.BytesIO()
        draw(explanation).save(stream, "PNG", compress_level=PNG_LEVEL)
        return stream.getvalue()

    return encode


def _array(explanation: Explanation) -> bytes:
    stream = io.BytesIO()
    np.save(stream, explanation.image.values, allow_pickle=False)
    return stream.getvalue()


KINDS: Mapping[str, tuple[str, Callable[[Explanation], bytes]]] = {
    "report.html": ("text/html", lambda explanation: page([explanation], "Explanation").encode()),
    "overlay.png": ("image/png", _picture(framed_overlay)),
    "panel.png": ("image/png", _picture(panel)),
    "image_map.npy": ("application/octet-stream", _array),
    "explanation.json": ("application/json", lambda explanation: strict_json(to_dict(explanation)).encode()),
    "grids.npz": ("application/octet-stream", grids),
}
"""Files by their names in a folder that `Explanation.save` writes: media type, and what makes the content."""


FIGURES: Mapping[Format, str] = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
"""Formats of the figure of a comparison, with their media types."""


DICOM = "dicom.zip"
"""The DICOM objects of an explanation, see `Explanation.to_dicom`."""


def download(explanation: Explanation, kind: str, dicom: bytes | None = None) -> Download:
    """A file of an explanation, named after its film and method.

    Args:
        explanation: that is kept.
        kind: one of `KINDS`, or `DICOM`.
        dicom: content of the film's file where that is DICOM.

    Raises:
        InputError: a film that DICOM objects cannot refer to.
        MissingExtra: highdicom is not installed.
    """
    if kind == DICOM:
        name = file_name(explanation.film.name, explanation.method, kind)
        return Download(name, "application/zip", _zipped(contents(explanation, dicom)))
    media, make = KINDS[kind]
    return Download(file_name(explanation.film.name, explanation.method, kind), media, make(explanation))


def _zipped(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def figure(explanations: Sequence[Explanation], kind: Format) -> Download:
    """A comparison as one figure, named after its film."""
    name = file_name(explanations[0].film.name, "comparison")
    return Download(f"{name}.{kind}", FIGURES[kind], comparison_figure(explanations, kind))


def file_name(*parts: str) -> str:
    """A file name of letters, digits, dots and dashes."""
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part)[:60].strip("-.") or "film" for part in parts)
