"""The sentences of the simulated films: which findings exist where, and how radiologists say it.

Pure Python and data, so that the simulator, the trainer and the tests read one table. A side is the patient's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Where one finding occurs and what it is called."""

    name: str
    sides: tuple[str | None, ...]
    """"right", "left", "both"; None: the finding has no side."""
    zones: tuple[str | None, ...]
    """"upper", "mid", "lower"; None: no zone."""
    names_zone: bool
    """Whether the canonical phrase says the zone (an effusion lies low without saying so)."""
    words: tuple[str, ...]
    """Ways to say it, the canonical one first, without side and zone."""


ZONES = ("upper", "mid", "lower")
SIDES = ("right", "left")

FINDINGS: dict[str, Finding] = {
    finding.name: finding
    for finding in (
        Finding(
            "nodule",
            SIDES,
            ZONES,
            True,
            (
                "nodule",
                "pulmonary nodule",
                "lung nodule",
                "nodular opacity",
                "small round opacity",
                "solitary nodule",
            ),
        ),
        Finding(
            "mass",
            SIDES,
            ZONES,
            True,
            ("mass", "lung mass", "pulmonary mass", "large rounded mass", "mass-like opacity"),
        ),
        Finding(
            "consolidation",
            SIDES,
            ZONES,
            True,
            (
                "consolidation",
                "airspace consolidation",
                "focal consolidation",
                "dense consolidation",
                "pneumonia",
            ),
        ),
        Finding(
            "opacity",
            SIDES,
            ZONES,
            True,
            (
                "opacity",
                "hazy opacity",
                "ground-glass opacity",
                "lung opacity",
                "ill-defined opacity",
                "infiltrate",
            ),
        ),
        Finding(
            "pleural effusion",
            SIDES,
            ("lower",),
            False,
            (
                "pleural effusion",
                "effusion",
                "pleural fluid",
                "blunted costophrenic angle",
                "layering effusion",
            ),
        ),
        Finding(
            "pneumothorax",
            SIDES,
            ("upper",),
            False,
            ("pneumothorax", "apical pneumothorax", "pleural air", "collapsed lung"),
        ),
        Finding(
            "atelectasis",
            SIDES,
            ("mid", "lower"),
            True,
            (
                "atelectasis",
                "linear atelectasis",
                "plate-like atelectasis",
                "band of atelectasis",
                "linear opacity",
            ),
        ),
        Finding(
            "cardiomegaly",
            (None,),
            (None,),
            False,
            ("cardiomegaly", "enlarged heart", "enlarged cardiac silhouette", "cardiac enlargement"),
        ),
        Finding(
            "interstitial pattern",
            ("both",),
            (None,),
            False,
            (
                "interstitial pattern",
                "interstitial markings",
                "reticular opacities",
                "increased interstitial markings",
            ),
        ),
    )
}


def canonical(finding: str, side: str | None = None, zone: str | None = None) -> str:
    """The plain phrase of a finding at a place: "nodule in the right upper lung", "left pleural effusion"."""
    entry = FINDINGS[finding]
    where = f"{zone} " if zone and entry.names_zone else ""
    if entry.names_zone and side in SIDES:
        return f"{entry.words[0]} in the {side} {where}lung"
    if side == "both":
        return f"bilateral {entry.words[0]}"
    return f"{side} {entry.words[0]}" if side else entry.words[0]


def all_canonical() -> list[tuple[str, str, str | None, str | None]]:
    """Every (phrase, finding, side, zone) of the table; the candidates of the retrieval benchmark."""
    return [
        (canonical(entry.name, side, zone), entry.name, side, zone)
        for entry in FINDINGS.values()
        for side in entry.sides
        for zone in entry.zones
    ]
