"""Prompt sets: phrases by class, and templates for the names of classes. Data alone; no torch.

The findings are the fourteen labels of ChestX-ray14. Phrases and templates are our own wording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matex.errors import InputError, UnknownName, shown
from matex.registry import Registry

Prompts = Mapping[str, tuple[str, ...]]

PROMPT_SETS: Registry[Prompts] = Registry("prompt set")
"""Prompts by class, by the name of the set."""

CHEST14: Prompts = {
    "atelectasis": (
        "atelectasis",
        "linear atelectasis at the lung base",
        "volume loss from atelectasis",
        "plate-like atelectasis",
        "a collapsed segment of the lung",
        "bibasilar atelectasis",
        "subsegmental atelectasis",
        "partial collapse of a lobe",
        "band-like opacity of atelectasis",
        "the lung is not fully expanded, atelectasis",
    ),
    "cardiomegaly": (
        "cardiomegaly",
        "enlarged heart",
        "the heart is enlarged",
        "the cardiac silhouette is enlarged",
        "increased cardiothoracic ratio",
        "wide heart shadow",
        "moderate cardiomegaly",
        "large cardiac silhouette",
        "the heart is bigger than normal",
        "cardiac enlargement",
    ),
    "pleural effusion": (
        "pleural effusion",
        "fluid in the pleural space",
        "blunted costophrenic angle from effusion",
        "small pleural effusion",
        "large pleural effusion",
        "layering pleural fluid",
        "pleural fluid at the lung base",
        "a meniscus of pleural effusion",
        "effusion obscures the diaphragm",
        "effusion at the base",
    ),
    "infiltration": (
        "infiltrate",
        "pulmonary infiltrate",
        "patchy infiltrate in the lung",
        "infiltration of the lung",
        "ill-defined infiltrate",
        "hazy pulmonary infiltrate",
        "an area of infiltration",
        "new infiltrate",
        "scattered infiltrates",
        "interstitial infiltrate",
    ),
    "mass": (
        "mass",
        "lung mass",
        "a mass in the lung",
        "large rounded mass",
        "pulmonary mass",
        "mass larger than three centimetres",
        "mass-like opacity",
        "a suspicious lung mass",
        "well-defined mass",
        "tumour mass in the lung",
    ),
    "nodule": (
        "nodule",
        "lung nodule",
        "pulmonary nodule",
        "small round nodule",
        "solitary pulmonary nodule",
        "a nodule in the lung",
        "nodular opacity",
        "a well-defined nodule",
        "multiple lung nodules",
        "small rounded opacity, a nodule",
    ),
    "pneumonia": (
        "pneumonia",
        "findings of pneumonia",
        "lobar pneumonia",
        "opacity consistent with pneumonia",
        "infection in the lung, pneumonia",
        "focal pneumonia",
        "multifocal pneumonia",
        "pneumonia at the lung base",
        "airspace disease of pneumonia",
        "infectious consolidation, pneumonia",
    ),
    "pneumothorax": (
        "pneumothorax",
        "air in the pleural space",
        "apical pneumothorax",
        "collapsed lung with pneumothorax",
        "a visible pleural line of pneumothorax",
        "small pneumothorax",
        "large pneumothorax",
        "tension pneumothorax",
        "no lung markings beyond the pleural edge, pneumothorax",
        "pleural air at the apex",
    ),
    "consolidation": (
        "consolidation",
        "airspace consolidation",
        "dense consolidation of the lung",
        "lobar consolidation",
        "focal consolidation",
        "consolidation with air bronchograms",
        "consolidated lung",
        "patchy consolidation",
        "dense airspace opacity, consolidation",
        "consolidation of the lower lobe",
    ),
    "edema": (
        "pulmonary edema",
        "pulmonary oedema",
        "interstitial edema",
        "alveolar edema",
        "vascular congestion with edema",
        "perihilar edema",
        "fluid overload with pulmonary edema",
        "edema with septal lines",
        "mild pulmonary edema",
        "diffuse edema of both lungs",
    ),
    "emphysema": (
        "emphysema",
        "hyperinflated lungs of emphysema",
        "flattened diaphragms, emphysema",
        "emphysematous lungs",
        "bullous emphysema",
        "overexpanded lucent lungs",
        "severe emphysema",
        "apical emphysema",
        "chronic obstructive disease with emphysema",
        "large lucent lungs with few vessels, emphysema",
    ),
    "fibrosis": (
        "fibrosis",
        "pulmonary fibrosis",
        "fibrotic scarring",
        "reticular opacities of fibrosis",
        "basal fibrosis",
        "apical fibrosis",
        "fibrotic bands",
        "honeycomb pattern of fibrosis",
        "chronic fibrotic change",
        "interstitial fibrosis",
    ),
    "pleural thickening": (
        "pleural thickening",
        "thickened pleura",
        "apical pleural thickening",
        "pleural scar",
        "thickening along the chest wall",
        "chronic pleural thickening",
        "pleural plaque",
        "diffuse pleural thickening",
        "the pleura is thickened",
        "pleural thickening at the apex",
    ),
    "hernia": (
        "hiatal hernia",
        "hernia",
        "diaphragmatic hernia",
        "large hiatal hernia",
        "retrocardiac air-fluid level of a hernia",
        "stomach above the diaphragm",
        "bowel herniated into the chest",
        "a hernia behind the heart",
        "intrathoracic stomach",
        "hernia through the diaphragm",
    ),
}
"""Ten phrases for each of the fourteen findings."""

ABSENCE = (
    "no {}",
    "without {}",
    "no evidence of {}",
    "no sign of {}",
    "there is no {}",
    "{} is not seen",
    "no visible {}",
    "negative for {}",
    "absence of {}",
    "free of {}",
)
"""Templates that deny a finding."""

NATURAL = (
    "a photo of a {}",
    "a picture of a {}",
    "an image showing a {}",
    "a close view of a {}",
    "a {} seen from afar",
    "a blurry picture of a {}",
    "a black and white picture of a {}",
    "a bright photo of a {}",
    "a dark photo of a {}",
    "part of a {} in the picture",
    "a drawing of a {}",
    "a small {} in the picture",
)
"""Templates of photographs, for the names of classes of natural images."""

TEMPLATES: Mapping[str, tuple[str, ...]] = {"natural": NATURAL, "absence": ABSENCE}


def fill(templates: str | Sequence[str], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Prompts of classes from templates with a place for the class's name.

    Args:
        templates: a name of `TEMPLATES`, or templates, each with "{}" where the name goes.
        names: of the classes.

    Raises:
        UnknownName: no templates of this name.
        InputError: a template without a place for the name.

    Examples:
        >>> from matex.prompts import fill
        >>> fill("natural", ["cat", "dog"])["dog"][0]
        'a photo of a dog'
    """
    known = _known(templates) if isinstance(templates, str) else tuple(templates)
    if wrong := [one for one in known if "{}" not in one]:
        raise InputError(f"Expected templates with {{}} for the name of the class, got {shown(wrong[0])} without.")
    return {name: tuple(one.replace("{}", name) for one in known) for name in names}


def _known(name: str) -> tuple[str, ...]:
    if name not in TEMPLATES:
        raise UnknownName("set of templates", name, tuple(TEMPLATES))
    return TEMPLATES[name]


def present_or_absent(finding: str) -> dict[str, tuple[str, ...]]:
    """Two classes, a finding of `CHEST14` present and absent, with ten phrases each.

    Raises:
        UnknownName: no such finding.

    Examples:
        >>> from matex.prompts import present_or_absent
        >>> {name: len(phrases) for name, phrases in present_or_absent("nodule").items()}
        {'nodule': 10, 'no nodule': 10}
    """
    if finding not in CHEST14:
        raise UnknownName("finding", finding, tuple(CHEST14))
    return {finding: CHEST14[finding], f"no {finding}": fill(ABSENCE, [finding])[finding]}


PROMPT_SETS("chest14")(CHEST14)
PROMPT_SETS("chest14-absent")(fill(ABSENCE, list(CHEST14)))
for _finding in CHEST14:
    PROMPT_SETS(f"chest14:{_finding}")(present_or_absent(_finding))
