"""Explanations as DICOM objects: what matex.dicom.write needs to know of an explanation, and the folder of files."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from matex.audio.sound import Sound
from matex.audit_results import Audit
from matex.checks import number, read_bytes, read_json
from matex.dicom.view_position import is_frontal
from matex.errors import InputError, MissingExtra, shown
from matex.files import writing
from matex.images import FILTERS, MAX_BYTES, Film, is_dicom, read
from matex.render.framed import framed_overlay
from matex.render.overlay import SIDE, fit
from matex.render.panel import model_name, places
from matex.results import KEPT, Explanation
from matex.sensors.reading import SensorFilm
from matex.serialise import strict_json, version_of

if TYPE_CHECKING:
    from pydicom import Dataset

    from matex.dicom.grey import Look
    from matex.dicom.write.saliency import AuditVerdict, SaliencyContent
    from matex.dicom.write.source import Source

T = TypeVar("T")
INDEX = "matex-dicom.json"  # which files of a folder an export wrote; holds no identifiers
FORMAT = "matex-dicom/1"
CONTENT = {
    "film": "the film, imported into a study of its own",
    "secondary_capture": "Secondary Capture: overlay with caption, RGB",
    "segmentation_fractional": "Segmentation, FRACTIONAL: the map from minimum to maximum in 8 bits",
    "segmentation_binary": "Segmentation, BINARY: the highlighted region",
    "presentation_state": "Grayscale Softcopy Presentation State: contours on the film",
    "report": "Comprehensive SR, TID 1500: phrase, scores, words, verdict, regions",
    "parametric_map": "Parametric Map: raw values, float32",
}
_OWN_FILE = re.compile(rf"(?:[\w.-]+/)?(?:{'|'.join(CONTENT)})\.dcm")


@dataclass(frozen=True, eq=False)
class Origin:
    """The film that objects refer to.

    Args:
        source: its identity, geometry and patient.
        look: how its stored values become the grey ones that were explained.
        imported: data set of a film that was no DICOM.
    """

    source: Source
    look: Look
    imported: Dataset | None = None


def write(
    explanation: Explanation,
    folder: Path,
    source: Path | None = None,
    *,
    audit: Audit | None = None,
    new_study: bool = False,
    threshold: float = 0.5,
) -> None:
    """Write the objects of one explanation: all of them or none. See `Explanation.to_dicom`."""
    audits = {} if audit is None else {"": audit}
    write_several({"": explanation}, folder, source, audits=audits, new_study=new_study, threshold=threshold)


def write_several(
    explanations: Mapping[str, Explanation],
    folder: Path,
    source: Path | None = None,
    *,
    audits: Mapping[str, Audit] | None = None,
    new_study: bool = False,
    threshold: float = 0.5,
) -> None:
    """Write the objects of several explanations of one film, a folder for each name: all of them or none.

    Args:
        explanations: by the names of their folders; "" for the folder itself.
        folder: see `Explanation.to_dicom`.
        source: likewise.
        audits: by the same names, where there are any.
        new_study: see `Explanation.to_dicom`.
        threshold: likewise.

    Raises:
        InputError, MissingExtra: see `Explanation.to_dicom`.
    """
    threshold = number(threshold, "threshold", np.nextafter(0, 1), 1)
    film = next(iter(explanations.values())).film
    for explanation in explanations.values():
        _check_explanation(explanation)
    for name, audit in (audits or {}).items():
        _check_same(explanations[name], audit)

    def encode() -> dict[str, bytes]:
        origin = _origin(film, source, new_study)
        files = {} if origin.imported is None else _encoded({"film": origin.imported}, "")
        for name, explanation in explanations.items():
            content = saliency(explanation, threshold, (audits or {}).get(name))
            files |= _encoded(_objects(origin, explanation, content), name)
        return files

    files = _guarded(encode)
    with writing(folder, replaced=_earlier(folder)) as temporary:
        for path, data in files.items():
            (temporary / path).parent.mkdir(exist_ok=True)
            (temporary / path).write_bytes(data)
        content = {path: CONTENT[Path(path).stem] for path in files}
        index = {"format": FORMAT, "purpose": "Research. Not for diagnosis.", "files": content}
        (temporary / INDEX).write_text(strict_json(index), encoding="utf-8")


def contents(explanation: Explanation, data: bytes | None, threshold: float = 0.5) -> dict[str, bytes]:
    """The objects of one explanation as the content of files, without writing any.

    Args:
        explanation: that was computed.
        data: content of the DICOM file of its film; None imports the film into a study of its own.
        threshold: see `Explanation.to_dicom`.

    Returns:
        Content by the name of the file.

    Raises:
        InputError, MissingExtra: see `Explanation.to_dicom`.
    """

    _check_explanation(explanation)

    def build() -> dict[str, bytes]:
        origin = _imported(explanation.film, None) if data is None else _stored(data, explanation.film)
        objects = {} if origin.imported is None else {"film": origin.imported}
        objects |= _objects(origin, explanation, saliency(explanation, threshold, None))
        return _encoded(objects, "")

    return _guarded(build)


def check(film: Film, source: Path, new_study: bool) -> None:
    """Refuse a film that objects could not refer to, before any long work.

    Raises:
        InputError, MissingExtra: see `Explanation.to_dicom`.
    """
    _check_film(film)
    _guarded(lambda: _origin(film, source, new_study))


def _check_explanation(explanation: Explanation) -> None:
    """Raises InputError for what is no explanation of one film and one phrase, which the objects describe."""
    if explanation.query.target is not None:
        raise InputError("Expected an explanation of a film and a phrase for DICOM objects, got one of two files.")
    if explanation.query.objective is not None:
        raise InputError("Expected the score of one phrase for DICOM objects, got one with against or labels.")
    _check_film(explanation.film)


def _check_film(film: Film) -> None:
    """Raises InputError for sounds, readings of sensors, and films whose map would not be kept."""
    if isinstance(film, Sound):
        raise InputError("Expected an explanation of a film for DICOM objects, got one of a sound.")
    if isinstance(film, SensorFilm):
        raise InputError(f"Expected an explanation of a film for DICOM objects, got one of {film.modality}.")
    if math.prod(film.size) > KEPT:
        raise InputError(
            f"Expected a film of at most {KEPT // 1_000_000} megapixels for DICOM objects, got "
            f"{film.size[0]} x {film.size[1]} pixels. Scale it down."
        )


def saliency(explanation: Explanation, threshold: float, audit: Audit | None) -> SaliencyContent:
    """Content of an explanation's DICOM objects, as plain data."""
    from matex.dicom.write.saliency import SaliencyContent

    image = explanation.image
    return SaliencyContent(
        raw=image.raw,
        values=image.values,
        threshold=threshold,
        phrase=explanation.text,
        score=explanation.score,
        words=explanation.words,
        places=tuple(f"{words}: {', '.join(place[:-1])}" for words, *place in places(explanation.regions)),
        method=explanation.method,
        parameters={name: str(value) for name, value in explanation.parameters.items()},
        model=model_name(explanation),
        weights_sha256=explanation.computation.weights_sha256 or "",
        version=explanation.computation.matex,
        audit=None if audit is None else _verdict(audit),
    )


def _verdict(audit: Audit) -> AuditVerdict:
    """Verdict and yardstick: the controls that score another phrase."""
    from matex.dicom.write.saliency import AuditVerdict

    phrases = [control for control in audit.controls.values() if control.text != audit.explanation.text]
    yardstick = tuple((control.title, control.text, control.score) for control in phrases)
    return AuditVerdict(audit.verdict, audit.summary, audit.prior_share, yardstick)


def _check_same(explanation: Explanation, audit: Audit) -> None:
    """Raises InputError for an audit of something else."""
    audited = audit.explanation
    same = (audited.film.sha256, audited.text, audited.method) == (
        explanation.film.sha256,
        explanation.text,
        explanation.method,
    )
    if not same:
        raise InputError(
            f"Expected the audit of {explanation.method} on {shown(explanation.text)}, got that of {audited.method} on "
            f"{shown(audited.text)}. Audit this explanation: explanation.audit(model)."
        )


def _objects(origin: Origin, explanation: Explanation, content: SaliencyContent) -> dict[str, Dataset]:
    from matex.dicom.write.bundle import objects

    # Not the name of the file, which may be a patient's.
    picture = np.asarray(framed_overlay(explanation, explanation.film.sha256[:12]))
    return objects(origin.source, content, picture, fit(explanation.image.placement.original, SIDE, SIDE), origin.look)


def _origin(film: Film, source: Path | None, new_study: bool) -> Origin:
    """The film as it is stored, or imported.

    Raises:
        InputError: no source, another film, or `new_study` for a DICOM film.
    """
    data = None if source is None else read_bytes(source, "an image file", MAX_BYTES)
    if data is not None and hashlib.sha256(data).hexdigest() != film.sha256:
        raise InputError(f"Expected the film that was explained, got another one: {shown(source)}. Check the path.")
    stored = data is not None and is_dicom(data)
    if new_study and stored:
        raise InputError(
            "Expected a film that is no DICOM for a new study, got DICOM. Leave out new_study (--new-study)."
        )
    if new_study:
        return _imported(film, source)
    if data is None or not stored:
        got = "none" if data is None else "an image that is no DICOM"
        raise InputError(
            f"Expected the DICOM film that the objects belong to, got {got}. Name it, or use new_study (--new-study) "
            "for a study of its own."
        )
    return _stored(data, film)


def _stored(data: bytes, film: Film) -> Origin:
    """A DICOM film; what the caller stated of its orientation wins over the file."""
    from matex.dicom.write.source import Source, read_header, read_look

    source = Source.of(read_header(data), _orientation(film) if film.oriented else None)
    return Origin(source, read_look(data))


def _imported(film: Film, path: Path | None) -> Origin:
    """A film that was no DICOM, in a study of its own."""
    from matex.dicom.grey import Look
    from matex.dicom.write.secondary_capture import film_header, film_image
    from matex.dicom.write.source import Source

    if film.full is not None and path is None:
        raise InputError("Expected the image file, since the film was read reduced, got none. Name it in source.")
    pixels = film.pixels if film.full is None or path is None else read(path).pixels
    grey = _grey(pixels)
    orientation = _orientation(film) if film.oriented else None
    source = Source.of(film_header((grey.shape[0], grey.shape[1]), orientation), orientation)
    identity = Look(None, (128.0, 256.0, "LINEAR"))
    return Origin(source, identity, film_image(source, grey, version_of("matex")))


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One channel: presentation states refer to grey images alone. Luma by ITU-R BT.601, as Pillow has it."""
    if pixels.ndim == 2:
        return pixels
    return np.rint(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def _orientation(film: Film) -> tuple[str, str] | None:
    """Patient Orientation of a frontal film that stands upright or on its head; None for others."""
    if film.edges is None or not is_frontal(film.view):
        return None
    return film.edges[1], "H" if film.turns == 2 else "F"


def _encoded(objects: Mapping[str, Dataset], folder: str) -> dict[str, bytes]:
    """Data sets as the content of files, by their paths."""
    files: dict[str, bytes] = {}
    for name, dataset in objects.items():
        stream = BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        files[(Path(folder) / f"{name}.dcm").as_posix()] = stream.getvalue()
    return files


def _earlier(folder: Path) -> list[Path]:
    """The files that an earlier export lists in the folder, as far as they are there."""
    index = folder / INDEX
    if not index.is_file():
        return []
    try:
        record = read_json(index, "a record")
    except InputError:
        return []
    listed: object = record.get("files")
    if record.get("format") != FORMAT or not isinstance(listed, dict):
        return []
    own = [Path(name) for name in cast(dict[str, object], listed) if _OWN_FILE.fullmatch(name)]
    return [
        path for path in [*own, Path(INDEX)] if (folder / path).is_file() and not (folder / path.parent).is_symlink()
    ]


def _guarded(action: Callable[[], T]) -> T:
    """Call, holding back what the DICOM libraries say: it can quote elements, so no chain of causes may keep it.

    Raises:
        InputError: also for whatever the libraries raise on the header.
        MissingExtra: they are not installed.
    """
    try:
        from matex.dicom.elements import UnsupportedDicom
        from matex.dicom.quiet import quiet
        from matex.dicom.write import bundle  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"pydicom", "highdicom", "contourpy"}:
            raise
        raise MissingExtra("Writing DICOM needs pydicom and highdicom: pip install matex[dicom]") from None
    with FILTERS, quiet():
        try:
            return action()
        except (InputError, MemoryError):
            raise
        except UnsupportedDicom as error:
            refusal = str(error)
        except Exception as error:
            refusal = (
                f"Expected a DICOM header that objects can take over, got a damaged or unusual one "
                f"({type(error).__name__}). Correct it, or save the film as PNG and use new_study (--new-study)."
            )
    raise InputError(refusal)
