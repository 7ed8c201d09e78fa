"""Types of the entries of explanation.json from which an explanation is loaded; the other entries are for readers."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from matex.geometry import Resize, Size
from matex.phrases import Side


class TokenRecord(TypedDict):
    """A token of the phrase; an undefined score is null."""

    text: str
    start: int
    end: int
    score: float | None


class WordRecord(TypedDict):
    """A word of the phrase; an undefined score is null."""

    word: str
    score: float | None


class MentionRecord(TypedDict):
    """A place that the phrase names."""

    text: str
    start: int
    end: int
    region: str
    side: Side | None
    negated: bool
    uncertain: bool
    historical: bool
    weight: float
    normal: bool


class TermRecord(TypedDict):
    """A term of the map."""

    weight: float | None


class PlacementRecord(TypedDict):
    """Where a map lies, see `Placement`; `cells` and `overlap` where it has them."""

    original: Size
    resized: Size
    offset: Size
    model: Size
    patch: Size
    turns: int
    mirrored: bool
    cells: NotRequired[Size]
    overlap: NotRequired[Size]


class ScoredRecord(TypedDict):
    """A phrase of the yardstick."""

    kind: str
    text: str
    score: float | None
    probability: float | None


class YardstickRecord(TypedDict):
    """Scores of other phrases."""

    phrases: tuple[ScoredRecord, ...]
    rank: int | None
    among: int
    highest: ScoredRecord | None


class ConfidenceRecord(TypedDict):
    """Calibrated confidence, see `Confidence`."""

    probability: float
    answer: str
    confidence: float
    threshold: float | None
    risk: float
    among: int
    films: int


class ModelRecord(TypedDict):
    """The explained model."""

    name: str
    weights_sha256: str | None


class TargetRecord(TypedDict):
    """The image or sound that the film was compared with."""

    placement: PlacementRecord


class ProvenanceRecord(TypedDict):
    """What computed the explanation, and where its map lies."""

    matex: str
    model: ModelRecord
    placement: PlacementRecord
    seconds: float
    token_ids: tuple[int, ...]
    resize: Resize
    target: NotRequired[TargetRecord]
    objective: NotRequired[object]


class ExplanationRecord(TypedDict):
    """explanation.json; undefined numbers are null."""

    text: str
    method: str
    score: float | None
    tokens: tuple[TokenRecord, ...]
    words: tuple[WordRecord, ...]
    components: dict[str, TermRecord]
    regions: tuple[MentionRecord, ...]
    notes: tuple[str, ...]
    provenance: ProvenanceRecord
    probability: NotRequired[float | None]
    yardstick: NotRequired[YardstickRecord]
    confidence: NotRequired[ConfidenceRecord]
