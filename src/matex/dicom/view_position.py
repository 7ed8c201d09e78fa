"""Normalisation of view positions from a file or a caller to known names, frontal or not."""

import re
from collections.abc import Collection

from matex.errors import UnknownName

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

VIEWS = tuple(sorted({*_FRONTAL.values(), *_TURNED, *(name for _, name in _TURNED_WORDS)}))
"""Names of all known views."""


def view_name(stated: str | None) -> str | None:
    """Normalise a view position to a known name, so that no other text of a file reaches the results.

    Args:
        stated: DICOM's ViewPosition, or words such as "PA ERECT", "left lateral", "postero-anterior".

    Returns:
        "PA", "AP", "FRONTAL"; a turned view ("LL", "RAO", ..., "LATERAL", "OBLIQUE", "DECUBITUS"), which any one
        word may say ("AP LAT" is lateral); UNRECOGNISED for other words; None when it is empty.
    """
    words = re.findall(r"[A-Z]+", (stated or "").upper())
    for word in words:
        if word in _TURNED:
            return word
    for pattern, name in _TURNED_WORDS:
        if any(pattern.fullmatch(word) for word in words):
            return name
    for word in words:
        if word in _FRONTAL:
            return _FRONTAL[word]
    return UNRECOGNISED if (stated or "").strip() else None


def is_frontal(view: str | None) -> bool:
    """Whether a view is frontal or unstated; sides and priors are undefined on other views."""
    return view_name(view) in {None, "PA", "AP", "FRONTAL"}


def check_view(view: str | None, of_domain: Collection[str] = ()) -> None:
    """Refuse a view that a caller states and that is not known, since it would disable the prior.

    Views in files and data sets are not refused: `view_name` has UNRECOGNISED for them.

    Args:
        view: as stated; None for none.
        of_domain: views of a data pack, which count instead of those of films in general.

    Raises:
        UnknownName: no known view.
    """
    if not isinstance(view, str):
        return
    if of_domain:
        if "-".join(re.findall(r"[A-Z0-9]+", view.upper())) not in of_domain:
            raise UnknownName("view", view, tuple(of_domain))
    elif view_name(view) in {None, UNRECOGNISED}:
        raise UnknownName("view", view, VIEWS)
