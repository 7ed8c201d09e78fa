"""Coded concepts: DICOM's own where there is one, else those of the private scheme 99MATEX."""

from __future__ import annotations

from highdicom import AlgorithmIdentificationSequence
from highdicom.sr import AlgorithmIdentification, CodedConcept
from pydicom import Dataset
from pydicom.sr.coding import Code

from matex.dicom.write.saliency import SaliencyContent

SALIENCY = Code("130404", "DCM", "Saliency")  # PS3.16 CID 217, Visual Explanation
QUANTITY = Code("246205007", "SCT", "Quantity")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
ARTIFICIAL_INTELLIGENCE = Code("110999", "DCM", "Artificial Intelligence")
NO_UNITS = Code("1", "UCUM", "no units")
SPATIAL = Code("309825002", "SCT", "Spatial and Relational Concept")

SCHEME = "99MATEX"
SIMILARITY = Code("similarity", SCHEME, "Cosine similarity of image and phrase")
WORD = Code("word", SCHEME, "Attribution of a word of the phrase")
PRIOR_SHARE = Code("prior-share", SCHEME, "Share of the map that the text prior contributes")
CONTROL = Code("control", SCHEME, "Cosine similarity of the image with a control phrase")
AREA_SHARE = Code("area-share", SCHEME, "Share of the image area")
PHRASE = Code("phrase", SCHEME, "Phrase that was explained")
PLACE = Code("place", SCHEME, "Place in the phrase as the parser reads it")
VERDICT = Code("audit-verdict", SCHEME, "Verdict of the audit of the map")
SUMMARY = Code("audit-summary", SCHEME, "Summary of the audit of the map")
PURPOSE = Code("purpose", SCHEME, "Intended use")
VERDICTS = {
    "pass": Code("audit-pass", SCHEME, "No check raises a concern"),
    "warn": Code("audit-warn", SCHEME, "A check warns"),
    "fail": Code("audit-fail", SCHEME, "A check fails"),
    "none": Code("audit-none", SCHEME, "Not audited"),
}


def algorithm_parameters(saliency: SaliencyContent) -> dict[str, str]:
    """Everything that the map depends on, by name."""
    return {
        "model": saliency.model,
        "weights_sha256": saliency.weights_sha256 or "unknown",
        **saliency.parameters,
    }


def algorithm_sequence(saliency: SaliencyContent) -> AlgorithmIdentificationSequence:
    """Algorithm Identification Sequence (PS3.3 10.16) of images."""
    return AlgorithmIdentificationSequence(
        name=saliency.method[:64],
        family=ARTIFICIAL_INTELLIGENCE,
        version=saliency.version,
        source="matex",
        parameters=algorithm_parameters(saliency),
    )


def algorithm_content(saliency: SaliencyContent) -> AlgorithmIdentification:
    """Algorithm identification (PS3.16 TID 4019) of reports."""
    return AlgorithmIdentification(
        name=saliency.method,
        version=saliency.version,
        parameters=[f"{name}={value}" for name, value in algorithm_parameters(saliency).items()],
        family=ARTIFICIAL_INTELLIGENCE,
        manufacturer="matex",
    )


def coded(concept: Code) -> Dataset:
    """A code as the item of a sequence (PS3.3 8.8)."""
    return CodedConcept(concept.value, concept.scheme_designator, concept.meaning)
