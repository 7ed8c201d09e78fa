"""Formatting of a measure's values: label, unit, scale and decimals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from matex.benchmark.report.section import TUNED, Better, Measure

ARROWS: Mapping[Better, str] = {"higher": "↑", "lower": "↓", "neither": ""}


@dataclass(frozen=True)
class Style:
    """Format of a measure's values.

    Args:
        label: heading.
        scale: values are multiplied by it.
        decimals: after the point.
        unit: behind the heading.
    """

    label: str
    scale: float = 1.0
    decimals: int = 3
    unit: str = ""

    def number(self, value: float, signed: bool = False) -> str:
        """A value as it is printed; an en dash where there is none."""
        if not math.isfinite(value):
            return "–"
        text = f"{value * self.scale:{'+' if signed else ''}.{self.decimals}f}"
        return text.replace("-", "−") if float(text) else text.lstrip("+-")

    def interval(self, low: float, high: float, signed: bool = False) -> str:
        """An interval as it is printed; empty where there is none."""
        return f"[{self.number(low, signed)}, {self.number(high, signed)}]" if math.isfinite(low) else ""


STYLES: Mapping[tuple[str, str], Style] = {
    ("pointing", "pointing"): Style("Pointing game", 100, 1, "%"),
    ("pointing", "pointing_within"): Style("Pointing within {within} px", 100, 1, "%"),
    ("energy", "energy"): Style("Energy inside", 100, 1, "%"),
    ("iou", "iou"): Style("IoU at {threshold:g} ({by})", 1, 1, "%"),
    ("miou", TUNED): Style("mIoU, tuned threshold", 1, 1, "%"),
    ("miou", "hit"): Style("Hit rate", 100, 1, "%"),
    ("named-over-other", "points_named"): Style("Points at the named finding", 100, 1, "%"),
    ("named-over-other", "points_other"): Style("Points at the other finding", 100, 1, "%"),
    ("named-over-other", "named_above_other"): Style("Mean of map higher on the named", 100, 1, "%"),
    ("named-over-other", "energy_share"): Style("Named finding’s share of the energy in both", 100, 1, "%"),
    ("confidence-image", "drop"): Style("Drop", 1, 2, "cosine × 100"),
    ("confidence-image", "drop_relative"): Style("Drop, relative", 1, 1, "% of the score"),
    ("confidence-image", "increase"): Style("Increase", 1, 1, "% of samples"),
    ("confidence-image", "removed_drop"): Style("Drop when removed", 1, 2, "cosine × 100"),
    ("confidence-image", "removed_drop_relative"): Style("Drop when removed, relative", 1, 1, "% of the score"),
    ("confidence-image", "removed_increase"): Style("Increase when removed", 1, 1, "% of samples"),
    ("confidence-image", "mass"): Style("Mean of the mask", 1, 3),
    ("confidence-text", "drop"): Style("Drop", 1, 2, "cosine × 100"),
    ("confidence-text", "drop_relative"): Style("Drop, relative", 1, 1, "% of the score"),
    ("confidence-text", "increase"): Style("Increase", 1, 1, "% of samples"),
    ("confidence-text", "kept"): Style("Share of tokens kept", 1, 2),
    ("deletion-insertion", "deletion_auc"): Style("Deletion AUC", unit="cosine"),
    ("deletion-insertion", "insertion_auc"): Style("Insertion AUC", unit="cosine"),
    ("retrieval", "cases"): Style("Phrases", 1, 0),
    ("roar-plus", "roar_image"): Style("ROAR+ of images", 1, 1, "% of the loss"),
    ("roar-plus", "roar_text"): Style("ROAR+ of text", 1, 1, "% of the loss"),
    ("road", "road"): Style("ROAD", unit="cosine"),
    ("road", "road_morf_auc"): Style("ROAD, most relevant first, AUC", unit="cosine"),
    ("road", "road_lerf_auc"): Style("ROAD, least relevant first, AUC", unit="cosine"),
    ("infidelity", "infidelity"): Style("Infidelity", 1, 2, "(cosine × 100) squared"),
    ("stability", "stability"): Style("Stability", unit="rank correlation"),
}
WORDS: Mapping[str, str] = {
    "auc": "AUC",
    "iou": "IoU",
    "ir1": "image retrieval @1",
    "ir5": "image retrieval @5",
    "tr1": "text retrieval @1",
    "tr5": "text retrieval @5",
    "top1": "@1",
    "top5": "@5",
    "top10": "@10",
    "ssim": "SSIM",
    "abs": "(absolute)",
    "x100": "× 100",
    "morf": "most relevant first",
    "lerf": "least relevant first",
    "max": "maximum",
    "roar": "ROAR+",
    "road": "ROAD",
}


def style_of(measure: Measure) -> Style:
    """Format of a measure; unknown ones, as of a plug-in, appear under their own name."""
    known = STYLES.get((measure.name, measure.column))
    label = measure.column.replace("_", " ")
    if known:
        label = known.label.format(**measure.parameters)
    else:
        label = " ".join(WORDS.get(word, word) for word in label.split())
        label = label[:1].upper() + label[1:]
    if measure.metric != measure.name:  # the configuration runs a metric more than once
        label = f"{label} ({measure.metric})"
    return Style(label, known.scale, known.decimals, known.unit) if known else Style(label)


def heading(measure: Measure) -> str:
    """Label and unit of a measure."""
    style = style_of(measure)
    return f"{style.label}, {style.unit}" if style.unit else style.label
