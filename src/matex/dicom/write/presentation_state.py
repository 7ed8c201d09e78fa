"""Grayscale Softcopy Presentation State: contours of the map and a caption on the untouched film."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from highdicom import PresentationLUTTransformation
from highdicom.color import CIELabColor
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from matex.dicom.elements import words
from matex.dicom.grey import Curve, Look
from matex.dicom.write.contours import outlines
from matex.dicom.write.equipment import Identity
from matex.dicom.write.saliency import DISCLAIMER, SaliencyContent
from matex.dicom.write.source import Source

LEVELS = (0.5, 0.75, 0.9)  # of the map's range, as in overlay.png
CONTOURS, CAPTION = "MATEX CONTOURS", "MATEX CAPTION"
COLOURS = {CONTOURS: (240, 147, 43), CAPTION: (236, 200, 96)}


def presentation_state(source: Source, saliency: SaliencyContent, look: Look, identity: Identity) -> Dataset:
    """Contours at `LEVELS` of the map's range and a caption at the lower edge (PS3.3 A.33.1).

    Args:
        source: the film.
        saliency: the map.
        look: of the film, as matex read it.
        identity: see `matex.dicom.write.equipment`.
    """
    layers = {
        name: GraphicLayer(name, order, display_color=CIELabColor.from_rgb(*colour))
        for order, (name, colour) in enumerate(COLOURS.items(), start=1)
    }
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[source.template()],
        content_label="SALIENCY",
        content_description=f"{saliency.method}, contours at 50, 75 and 90 % of its range"[:64],
        graphic_annotations=_annotations(source, saliency, layers),
        graphic_layers=list(layers.values()),
        presentation_lut_transformation=PresentationLUTTransformation("INVERSE" if source.inverted else "IDENTITY"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **identity,
    )
    _add_film_look(state, look)
    _keep_proportions(state, source)
    return source.adopt(state)


def _annotations(
    source: Source, saliency: SaliencyContent, layers: Mapping[str, GraphicLayer]
) -> list[GraphicAnnotation]:
    film = [source.template()]
    lines = [
        GraphicObject("POLYLINE", polygon, units="PIXEL")
        for level in LEVELS
        for polygon in outlines(saliency.known, level)
    ]
    caption = TextObject(
        _caption(saliency, bool(lines)),
        units="DISPLAY",
        bounding_box=(0.01, 0.86, 0.99, 0.99),
        text_justification="LEFT",
    )
    annotations = [GraphicAnnotation(film, layers[CAPTION], text_objects=[caption])]
    if lines:
        annotations.insert(0, GraphicAnnotation(film, layers[CONTOURS], graphic_objects=lines))
    return annotations


def _caption(saliency: SaliencyContent, has_lines: bool) -> str:
    what = "lines at 50, 75, 90 % of the map's range" if has_lines else "the map has no region to outline"
    phrase = saliency.phrase if len(saliency.phrase) <= 300 else saliency.phrase[:297] + "..."
    score = "undefined" if not np.isfinite(saliency.score) else f"{saliency.score:.3f}"
    audit = "not audited" if saliency.audit is None else f"audit {saliency.audit.state}"
    lines = (
        f'"{phrase}"',
        f"{saliency.method} of {saliency.model}, score {score}, {audit}; {what}"[:400],
        DISCLAIMER,
    )
    return "\r\n".join(lines)


def _add_film_look(state: Dataset, look: Look) -> None:
    """Add modality and VOI transformation of the film (PS3.3 C.11.1, C.11.8): without them stored values are shown."""
    if look.rescale is not None and look.rescale != (1, 0):
        state.RescaleSlope, state.RescaleIntercept = (format_number_as_ds(float(value)) for value in look.rescale)
        state.RescaleType = "US"
    item = Dataset()
    if isinstance(look.voi, Curve):
        item.VOILUTSequence = [_table(look.voi)]
    else:
        center, width, function = look.voi
        item.WindowCenter, item.WindowWidth = format_number_as_ds(float(center)), format_number_as_ds(float(width))
        item.VOILUTFunction = function
    state.SoftcopyVOILUTSequence = Sequence([item])


def _table(curve: Curve) -> Dataset:
    """A VOI LUT of 16 bits, one of the two depths that a presentation state may have (PS3.3 C.11.8)."""
    item = Dataset()
    count = len(curve.entries) & 0xFFFF  # 65536 entries are written as 0
    item.add_new("LUTDescriptor", "SS" if curve.first < 0 else "US", [count, curve.first, 16])
    item.add_new("LUTData", "OW", np.rint(curve.entries * 65535).clip(0, 65535).astype("<u2").tobytes())
    return item


def _keep_proportions(state: Dataset, source: Source) -> None:
    """The size or the proportions of a pixel, for films whose pixels are not square (PS3.3 C.10.4)."""
    area = state.DisplayedAreaSelectionSequence[0]
    del area.PixelOriginInterpretation  # of tiled images alone
    if source.spacing is not None:
        del area.PresentationPixelAspectRatio
        area.PresentationPixelSpacing = [format_number_as_ds(spacing) for spacing in source.spacing]
    elif len(ratio := words(source.header, "PixelAspectRatio")) == 2 and all(part.isdigit() for part in ratio):
        area.PresentationPixelAspectRatio = [int(part) for part in ratio]
