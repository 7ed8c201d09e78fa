"""Places of the regions of a frontal chest film, as data, in the patient's coordinates.

u runs from the patient's right edge of the film (0) to the patient's left edge (1), y from top to bottom. On
a displayed film u is the image's x; a mirrored film has x = 1 - u. Every box is a heuristic, from the
measurements named next to it; a mask of this patient's lungs (lungs.py) places the lung regions better than any
average.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from matex.phrases.anatomy import CHEST

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1)."""


@dataclass(frozen=True)
class Collection:
    """Mean boxes of the lungs and of the heart in one public collection of frontal films of adults.

    Boxes are fractions of the film in patient coordinates, None where the collection has no such contours.
    """

    films: int
    right: Box | None
    left: Box | None
    heart: Box | None


COLLECTIONS: Mapping[str, Collection] = MappingProxyType(
    {
        "V7 COVID-19": Collection(435, (0.082, 0.112, 0.451, 0.807), (0.542, 0.111, 0.916, 0.834), None),
        "Montgomery": Collection(138, (0.129, 0.146, 0.459, 0.802), (0.526, 0.141, 0.861, 0.802), None),
        "Shenzhen": Collection(390, (0.159, 0.131, 0.464, 0.789), (0.542, 0.132, 0.837, 0.795), None),
        "PadChest": Collection(
            137, (0.124, 0.166, 0.449, 0.786), (0.546, 0.162, 0.878, 0.772), (0.361, 0.408, 0.775, 0.748)
        ),
        "JSRT": Collection(
            246, (0.105, 0.081, 0.458, 0.841), (0.559, 0.080, 0.903, 0.844), (0.387, 0.448, 0.761, 0.762)
        ),
        "NIH ChestX-ray14": Collection(146, None, None, (0.340, 0.383, 0.809, 0.755)),  # boxes of cardiomegaly
    }
)


def _mean(boxes: Iterable[Box | None]) -> Box:
    """The mean of the boxes that were measured, each counted once, to three digits."""
    known = [box for box in boxes if box is not None]
    x0, y0, x1, y1 = (round(sum(edges) / len(known), 3) for edges in zip(*known, strict=True))
    return (x0, y0, x1, y1)


LUNGS: Mapping[str, Box] = MappingProxyType(
    {
        "right": _mean(collection.right for collection in COLLECTIONS.values()),
        "left": _mean(collection.left for collection in COLLECTIONS.values()),
    }
)
"""Mean lung boxes, fractions of the film, patient coordinates: each collection counts alike, whatever its size.

Collections differ by up to .08 in u and .09 in y (how tightly films are collimated, how deeply patients breathe in);
within one the edges vary by about .05 in u, .06 at the apex and .1 at the base."""

HEART: Box = _mean(collection.heart for collection in COLLECTIONS.values())
"""Mean heart box; the NIH boxes are of enlarged hearts."""


@dataclass(frozen=True)
class Region:
    """Place of one region, its ids in RadLex and SNOMED CT, and the source of the numbers."""

    key: str
    box: Box
    """Sided: relative to the lung box of its side, 0 = outer edge, 1 = edge towards the midline, 0 = top, 1 =
    bottom; may reach beyond the lung. Midline: fractions of the film in patient coordinates."""
    paper: Box
    """The box for the paper's parabola, patient coordinates, of the right side if sided. The paper gives those
    of apex and base; the others follow their pattern."""
    inside: bool = False
    """Lies in the lung: its soft edges end with the average lung, and a lung mask is multiplied in."""
    hidden: bool = False
    """Reaches behind the heart and below the dome of the diaphragm, where the lung mask of a frontal film ends."""
    soft: tuple[float, float] = (0.06, 0.05)
    """Standard deviation of the fall-off outside the box (kind "atlas"), in the units of the box."""
    radlex: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """RadLex ids by side, "" without side; only where public term lists agree."""
    snomed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """SNOMED CT ids by side, "" without side; from pydicom's code dictionary."""
    source: str = "heuristic"

    @property
    def sided(self) -> bool:
        """Whether it exists on the patient's right or left; otherwise it lies in the midline."""
        return CHEST.is_sided(self.key)

    @property
    def only(self) -> str | None:
        """The one side on which it exists; None for both, or for a midline region."""
        return CHEST.only_side(self.key)


_LOBE = (0.06, 0.11)  # lobes cannot be distinguished on one frontal film: they fade over about .08 of its height
_MIDLINE = (0.03, 0.04)
_NODULES = "where radiologists place nodules of this lobe: mean height +- 2 sd"
_ZONES = "lung box cut in overlapping zones"

REGIONS: Mapping[str, Region] = MappingProxyType(
    {
        region.key: region
        for region in (
            Region(
                "lung",
                (0, 0, 1, 1),
                (0, 0, 0.5, 1),
                inside=True,
                radlex={"": "RID1301", "right": "RID1302", "left": "RID1326"},
                snomed={"": "39607008"},
                source="mean lung boxes of five collections",
            ),
            Region(
                "apex",
                (0.1, 0, 1, 0.2),
                (0, 0, 0.5, 0.4),
                inside=True,
                snomed={"": "86598002"},
                source="top of the lung box; the paper's own example",
            ),
            Region(
                "upper zone",
                (0, 0, 1, 0.42),
                (0, 0, 0.5, 0.4),
                inside=True,
                snomed={"": "281392002"},
                source=_ZONES,
            ),
            Region(
                "mid zone",
                (0, 0.28, 1, 0.72),
                (0, 0.3, 0.5, 0.7),
                inside=True,
                snomed={"": "281393007"},
                source=_ZONES,
            ),
            Region(
                "lower zone",
                (0, 0.55, 1, 1),
                (0, 0.6, 0.5, 1),
                inside=True,
                hidden=True,
                snomed={"": "281394001"},
                source=_ZONES + "; the paper's own example",
            ),
            Region(
                "upper lobe",
                (0, 0, 1, 0.57),
                (0, 0, 0.5, 0.4),
                inside=True,
                soft=_LOBE,
                radlex={"right": "RID1303", "left": "RID1327"},
                snomed={"": "45653009", "left": "44714003"},
                source=_NODULES + " (.29 +- .11)",
            ),
            Region(
                "middle lobe",
                (0, 0.42, 1, 0.79),
                (0, 0.3, 0.5, 0.7),
                inside=True,
                soft=_LOBE,
                radlex={"right": "RID1310"},
                snomed={"right": "72481006"},
                source=_NODULES + " (.54 +- .07)",
            ),
            Region(
                "lower lobe",
                (0, 0.37, 1, 1),
                (0, 0.6, 0.5, 1),
                inside=True,
                hidden=True,
                soft=_LOBE,
                radlex={"right": "RID1315", "left": "RID1338"},
                snomed={"": "90572001"},
                source=_NODULES + " (.58 +- .11), down to the diaphragm",
            ),
            Region("lingula", (0.25, 0.42, 1, 0.82), (0, 0.45, 0.5, 0.75), inside=True, soft=_LOBE),
            Region("hilum", (0.62, 0.3, 1.05, 0.62), (0.3, 0.3, 0.5, 0.6), snomed={"": "46750007"}),
            Region("perihilar", (0.4, 0.22, 1.05, 0.72), (0, 0.3, 0.5, 0.7)),
            Region("costophrenic angle", (-0.04, 0.8, 0.35, 1.05), (0, 0.8, 0.25, 1)),
            Region("cardiophrenic angle", (0.6, 0.75, 1.05, 1.02), (0.25, 0.7, 0.5, 1)),
            Region("peripheral lung", (0, 0.05, 0.35, 0.98), (0, 0, 0.25, 1), inside=True),
            Region("central lung", (0.5, 0.18, 1.05, 0.82), (0.25, 0.2, 0.5, 0.8)),
            Region(
                "pleura",
                (-0.05, 0, 0.22, 1),
                (0, 0, 0.25, 1),
                radlex={"": "RID1362"},
                snomed={"": "3120008", "right": "44788007", "left": "53727004"},
            ),
            Region("paratracheal", (0.72, 0, 1.1, 0.36), (0.3, 0, 0.5, 0.35)),
            Region("paramediastinal", (0.65, 0, 1.05, 0.75), (0.3, 0, 0.5, 0.7)),
            Region("paracardiac", (0.6, 0.45, 1.05, 0.98), (0.25, 0.45, 0.5, 0.9)),
            Region("hemidiaphragm", (0, 0.85, 1.05, 1.12), (0, 0.7, 0.5, 1), snomed={"": "5798000"}),
            Region("minor fissure", (0, 0.42, 0.9, 0.58), (0, 0.4, 0.5, 0.6)),
            Region("major fissure", (0, 0.3, 1, 0.95), (0, 0.3, 0.5, 0.9)),
            Region("clavicle", (-0.05, -0.02, 1.1, 0.16), (0, 0, 0.5, 0.25), snomed={"": "51299004"}),
            Region("rib", (-0.12, 0, 0.9, 1), (0, 0, 0.5, 1), snomed={"": "113197003"}),
            Region("shoulder", (-0.25, -0.12, 0.2, 0.18), (0, 0, 0.25, 0.3), snomed={"": "16982005"}),
            Region("chest wall", (-0.22, 0.05, 0.1, 1.05), (0, 0, 0.15, 1), snomed={"": "78904004"}),
            Region(
                "main bronchus",
                (0.8, 0.28, 1.08, 0.44),
                (0.35, 0.25, 0.5, 0.5),
                snomed={"right": "70074004", "left": "75245000"},
            ),
            Region(
                "heart",
                HEART,
                (0.35, 0.45, 0.8, 0.9),
                soft=_MIDLINE,
                radlex={"": "RID1385"},
                snomed={"": "80891009"},
                source="mean heart boxes of three collections",
            ),
            Region(
                "mediastinum",
                (0.37, 0.12, 0.64, 0.7),
                (0.35, 0, 0.65, 0.7),
                soft=_MIDLINE,
                radlex={"": "RID1384"},
                snomed={"": "72410000"},
            ),
            Region(
                "upper mediastinum",
                (0.39, 0.11, 0.61, 0.36),
                (0.35, 0, 0.65, 0.35),
                soft=_MIDLINE,
            ),
            Region(
                "trachea",
                (0.45, 0.07, 0.55, 0.35),
                (0.4, 0, 0.6, 0.35),
                soft=_MIDLINE,
                radlex={"": "RID1247"},
                snomed={"": "44567001"},
            ),
            Region(
                "carina",
                (0.44, 0.3, 0.56, 0.42),
                (0.4, 0.2, 0.6, 0.5),
                soft=_MIDLINE,
                snomed={"": "28700002"},
            ),
            Region(
                "aortic arch",
                (0.5, 0.23, 0.63, 0.38),
                (0.45, 0.1, 0.7, 0.4),
                soft=_MIDLINE,
                snomed={"": "57034009"},
            ),
            Region(
                "descending aorta",
                (0.49, 0.32, 0.63, 0.72),
                (0.45, 0.2, 0.7, 0.8),
                soft=_MIDLINE,
                snomed={"": "281130003"},
            ),
            Region(
                "aortopulmonary window",
                (0.51, 0.31, 0.63, 0.43),
                (0.45, 0.25, 0.7, 0.5),
                soft=_MIDLINE,
            ),
            Region(
                "superior vena cava",
                (0.39, 0.21, 0.5, 0.43),
                (0.3, 0.1, 0.55, 0.5),
                soft=_MIDLINE,
                snomed={"": "48345005"},
            ),
            Region(
                "cavoatrial junction",
                (0.38, 0.38, 0.5, 0.5),
                (0.3, 0.3, 0.55, 0.6),
                soft=_MIDLINE,
            ),
            Region("retrocardiac", (0.52, 0.46, 0.73, 0.79), (0.5, 0.5, 0.75, 0.9), soft=_MIDLINE),
            Region(
                "spine",
                (0.44, 0, 0.56, 1),
                (0.4, 0, 0.6, 1),
                soft=_MIDLINE,
                snomed={"": "421060004"},
            ),
            Region(
                "upper abdomen",
                (0.05, 0.8, 0.95, 1),
                (0, 0.75, 1, 1),
                soft=_MIDLINE,
                snomed={"": "80581009"},
            ),
        )
    }
)


def flipped_box(box: Box, flipped: bool) -> Box:
    """The box mirrored at the vertical midline of the film, if `flipped`."""
    return (1 - box[2], box[1], 1 - box[0], box[3]) if flipped else box


def names(region: str, side: str | None) -> str:
    """The name of a region in a sentence: "right lower zone", "heart"."""
    return f"{side} {region}" if side else region
