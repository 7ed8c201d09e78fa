"""The name of the view a film was taken in, from what a file or a caller says: is it frontal or not?"""

import re

UNRECOGNISED = "UNRECOGNISED"
_FRONTAL = {
    "PA": "PA", "POSTEROANTERIOR": "PA", "POSTERO": "PA",
    "AP": "AP", "ANTEROPOSTERIOR": "AP", "ANTERO": "AP",
    "FRONTAL": "FRONTAL",
}  # fmt: skip
# DICOM's ViewPosition terms that are not frontal (PS3.3 C.8.1.2 and C.8.11.5), kept as they are.
_TURNED = frozenset({"LL", "RL", "LLD", "RLD", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO"})
_TURNED_WORDS = (
    (re.compile(r".*DECUB.*"), "DECUBITUS"),
    (re.compile(r".*OBL.*"), "OBLIQUE"),
    (re.compile(r"(?:[LRX]|XT)?LAT.*|.*LATERAL.*"), "LATERAL"),
)


def view_name(said: str | None) -> str | None:
    """One of a few known names, so that nothing else of a text gets through.

    Args:
        said: DICOM's ViewPosition, or words such as "PA ERECT", "left lateral", "postero-anterior".

    Returns:
        "PA", "AP", "FRONTAL"; a turned view ("LL", "RAO", ..., "LATERAL", "OBLIQUE", "DECUBITUS"), which any one
        word may say ("AP LAT" is lateral); UNRECOGNISED for other words; None when nothing is said.
    """
    words = re.findall(r"[A-Z]+", (said or "").upper())
    for word in words:
        if word in _TURNED:
            return word
    for pattern, name in _TURNED_WORDS:
        if any(pattern.fullmatch(word) for word in words):
            return name
    for word in words:
        if word in _FRONTAL:
            return _FRONTAL[word]
    return UNRECOGNISED if (said or "").strip() else None


def is_frontal(view: str | None) -> bool:
    """Whether a view is frontal, or nothing is said about it; sides and priors mean nothing on others."""
    return view_name(view) in {None, "PA", "AP", "FRONTAL"}
