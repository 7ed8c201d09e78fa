"""Contents of an explanation: maps in original pixels, word scores, and their provenance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from matex.checks import as_path
from matex.confidence import Confidence
from matex.errors import InputError, shortened
from matex.geometry import Placement
from matex.images import Film
from matex.phrases import Mention
from matex.registry import Parameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from matex.adapters.model import Model
    from matex.audit_results import Audit
    from matex.queries import Query
    from matex.serialise import Json

KEPT = 40_000_000
"""Pixels of a film whose map in original pixels is kept once it was read; float32, so 160 MB."""
State = Literal["pass", "warn", "fail", "skipped"]
"""Result of a check; "skipped" where it does not apply."""
DISCLAIMER = "Evidence about a model, not a finding about a patient. Not for diagnosis."


@dataclass(frozen=True)
class SaliencyMap:
    """One attribution on the image: the raw grid and, derived from it, the map in original pixels.

    Args:
        grid: float32 [rows, columns] for patch methods, [height, width] in model pixels for pixel methods; raw,
            signed. In the standard frame, as the model saw the film: upright, the patient's right on the left.
        placement: where the grid lies in the original image; turns and flips it back for a film that lies otherwise.

    Examples:
        >>> image = explanation.image
        >>> image.grid.shape == image.placement.grid, image.values.shape == film.size
        (True, True)
        >>> float(image.values.min()), float(image.values.max()), image.degenerate
        (0.0, 1.0, False)
    """

    grid: NDArray[np.float32]
    placement: Placement
    _arrays: dict[str, NDArray[np.float32]] = field(
        default_factory=dict[str, NDArray[np.float32]], init=False, repr=False, compare=False
    )

    @property
    def raw(self) -> NDArray[np.float32]:
        """float32 [height, width], original pixels: the grid interpolated, still signed; NaN where not seen."""
        return self._kept("raw", lambda: self.placement.map_to_original(self.grid))

    @property
    def values(self) -> NDArray[np.float32]:
        """float32 [height, width], original pixels: `raw` scaled to [0, 1] by minimum and maximum; NaN where not seen.

        A constant map is all zeros; `degenerate` says so. Computed when it is read and kept, as `raw` is, but of films
        beyond `KEPT` pixels computed at every reading.
        """
        return self._kept("values", self._normalised)

    def bands(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """`values`, some rows at a time, for films whose map is too large to hold.

        Yields:
            (top, rows): number of the first row, and float32 [band, width]; from top to bottom.
        """
        low, high = (np.float32(end) for end in self.range)
        for top, raw in self.placement.map_bands(self.grid):
            if self.degenerate:
                yield top, np.where(np.isnan(raw), raw, np.float32(0))
            else:
                yield top, np.clip((raw - low) / (high - low), 0, 1)

    def _normalised(self) -> NDArray[np.float32]:
        whole = np.empty(self.placement.original, np.float32)
        for top, rows in self.bands():
            whole[top : top + len(rows)] = rows
        return whole

    def _kept(self, name: str, compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """An array of the film's size, computed once; of a huge film at every reading, since none is kept."""
        if math.prod(self.placement.original) > KEPT:
            return compute()
        if name not in self._arrays:
            self._arrays[name] = compute()
        return self._arrays[name]

    @cached_property
    def degenerate(self) -> bool:
        """True when the map is constant or nowhere defined: it says nothing about where."""
        low, high = self.range
        return not high - low > 1e-8 * max(1e-30, abs(low), abs(high))

    @cached_property
    def range(self) -> tuple[float, float]:
        """Minimum and maximum of `raw` where the model saw the image, found on the grid; NaN where it is undefined."""
        return self.placement.map_range(self.grid)


@dataclass(frozen=True)
class Token:
    """One token of the phrase as the model read it.

    Args:
        text: the piece of the phrase.
        start: first character in the phrase.
        end: one past the last character.
        score: raw attribution.
    """

    text: str
    start: int
    end: int
    score: float


class Scored(NamedTuple):
    """A phrase of the yardstick: what it is, its text, its score, and its probability by a model that states one."""

    kind: str
    text: str
    score: float
    probability: float | None = None


class Yardstick(NamedTuple):
    """Scores that a phrase's score is compared with.

    Args:
        rows: the phrase itself, mirrored, denied, an unrelated phrase and no words, as far as they exist.
        rank: of the phrase among the zero-shot phrases of chest findings, 1 the highest; None without them.
        among: how many phrases are ranked, itself included.
        highest: the finding with the highest score.
    """

    rows: tuple[Scored, ...]
    rank: int | None = None
    among: int = 0
    highest: Scored | None = None

    @property
    def placed(self) -> str:
        """The rank in words; empty without one."""
        if self.rank is None or self.highest is None:
            return ""
        best = "" if self.rank == 1 else f"; the highest is “{self.highest.text}” with {self.highest.score:.3f}"
        return f"rank {self.rank} of {self.among} among phrases of chest findings{best}"


class Computation(NamedTuple):
    """Model and method that computed an explanation.

    Args:
        matex: version of the package.
        model: name, as given to `matex.load`.
        weights_sha256: of the model; None for a black box.
        seconds: of the method, the passes that methods share not counted.
    """

    matex: str
    model: str
    weights_sha256: str | None
    seconds: float


UNKNOWN = Computation("", "", "", math.nan)
"""Of maps that no model computed."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """Explanation of the score of an image and a text: maps, word scores, provenance.

    Args:
        query: film, phrase, and how the model took them.
        token_ids: the phrase as the model reads it, special tokens included.
        method: registered name.
        parameters: every parameter of the method, defaults included.
        score: cosine similarity of image and text, or what `score_kind` names.
        image: the saliency map.
        tokens: content tokens with their scores, empty for a method without a text side.
        words: (word, sum of its tokens' scores), in reading order.
        components: the method's terms before their weights, each [rows, columns]; empty when it has none.
        weights: the weight of each component in the map.
        prior: the text's spatial prior M on the grid [rows, columns], 1 = neutral; None for a method without one.
            Like the components it lies in the frame of `image.grid`.
        regions: what the anatomy parser understood.
        notes: what a reader must know: assumptions, degenerate terms, neutral prior and why.
        computation: what computed it.
        provenance: everything needed to run it again, as the record holds it.
        target: the map on the other side, where an image or a sound was compared with; None for a phrase, or where its
            encoder does not serve the method.
        probability: that image and text belong together, of a model with a sigmoid for each pair (SigLIP); None for
            others, and where another score than the similarity is explained.
        yardstick: scores of other phrases on this film; None where they were not requested.
        confidence: calibrated, from `Calibration.apply`; None without a calibration.

    Examples:
        >>> explanation.method, explanation.parameters["alpha"], len(explanation.words)
        ('matex', 0.5, 6)
        >>> sorted(explanation.components)
        ['consistency', 'flow', 'gradient', 'prior']
        >>> [(place.region, place.side) for place in explanation.regions]
        [('lower zone', 'left')]
        >>> (explanation.save("out") / "report.html").is_file()
        True
        >>> explanation  # doctest: +ELLIPSIS
        Explanation('opacity in the left lower lung' on 'left-lower-opacity', matex of tiny, score ...)
    """

    query: Query
    token_ids: tuple[int, ...]
    method: str
    parameters: Parameters
    score: float
    image: SaliencyMap
    tokens: tuple[Token, ...]
    words: tuple[tuple[str, float], ...]
    components: Mapping[str, NDArray[np.float32]] = field(default_factory=dict[str, NDArray[np.float32]])
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    prior: NDArray[np.float32] | None = None
    regions: tuple[Mention, ...] = ()
    notes: tuple[str, ...] = ()
    computation: Computation = UNKNOWN
    provenance: Mapping[str, object] = field(default_factory=dict[str, object])
    target: SaliencyMap | None = None
    probability: float | None = None
    yardstick: Yardstick | None = None
    confidence: Confidence | None = None

    @property
    def film(self) -> Film:
        """The image as read."""
        return self.query.film

    @property
    def text(self) -> str:
        """The phrase."""
        return self.query.text

    @property
    def score_kind(self) -> str:
        """The explained score in words."""
        objective = self.query.objective
        return "cosine similarity" if objective is None else objective.name

    @property
    def score_meaning(self) -> str:
        """The explained score in words, with the probability where the model states one."""
        likely = "" if self.probability is None else f", probability {self.probability:.3g}"
        return self.score_kind + likely

    def __repr__(self) -> str:
        """One line: what was explained, by which method and model, and the score."""
        return (
            f"Explanation({shortened(self.text)!r} on {self.film.name!r}, {self.method} of {self.computation.model}, "
            f"score {self.score:.4f})"
        )

    def save(self, folder: str | Path) -> Path:
        """Write explanation.json, image_map.npy, overlay.png, panel.png and report.html into the folder.

        Every file is written under a temporary name and renamed, so that no half-written file is left.
        """
        from matex.render.save import save

        return save(self, as_path(folder, "a folder to write to"))

    def to_dicom(
        self,
        folder: str | Path,
        source: str | Path | None = None,
        *,
        audit: Audit | None = None,
        new_study: bool = False,
        threshold: float = 0.5,
    ) -> Path:
        """Write DICOM objects of the map into the folder, in the study of the film (extra `dicom`).

        Secondary Capture, two segmentations, presentation state, structured report and parametric map; see
        docs/dicom.md. They hold the film's patient module, for the archive that it came from.

        Args:
            folder: what an earlier export left in it is replaced.
            source: the DICOM film that was explained, or the image file, for `new_study`.
            audit: of this explanation, for the report.
            new_study: of a film that is no DICOM: write it too, in a study of its own without a patient.
            threshold: of `image.values` from which a pixel belongs to the highlighted region, in (0, 1].

        Raises:
            InputError: another film than the one that was explained, one that objects cannot refer to, a sound, a film
                that was compared with another file, or a folder that cannot be written to.
            MissingExtra: highdicom is not installed.

        Examples:
            >>> folder = explanation.to_dicom("objects", new_study=True)
            >>> sorted(file.stem for file in folder.glob("*.dcm"))[:3]
            ['film', 'parametric_map', 'presentation_state']
        """
        from matex.dicom_export import write

        target = as_path(folder, "a folder to write to")
        origin = None if source is None else as_path(source, "a film")
        write(self, target, origin, audit=audit, new_study=new_study, threshold=threshold)
        return target

    @classmethod
    def load(cls, folder: str | Path, image: str | Path | None = None) -> Explanation:
        """Read an explanation back from the folder that `save` wrote.

        Args:
            folder: that was written to.
            image: the film; None to search for it by checksum next to the folder, in the current folder and among the
                bundled films.

        Raises:
            InputError: files that are missing or damaged, or a film that is not found.

        Examples:
            >>> folder = explanation.save("out")
            >>> matex.Explanation.load(folder).words == explanation.words
            True
        """
        from matex.saved import load

        return load(as_path(folder, "a folder"), None if image is None else as_path(image, "a film"))

    def to_dict(self) -> dict[str, Json]:
        """Plain values, as explanation.json holds them: scores, words, regions, notes, provenance; no maps.

        Examples:
            >>> values = explanation.to_dict()
            >>> values["text"], values["method"], len(values["words"])
            ('opacity in the left lower lung', 'matex', 6)
        """
        from matex.serialise import plain, to_dict

        return plain(to_dict(self))

    def to_frame(self) -> Any:
        """A pandas table with one row per word: film, text, method, score, word, word_score.

        Raises:
            MissingExtra: pandas is not installed.
        """
        from matex.serialise import words_frame

        return words_frame(self)

    def audit(self, model: Model, lung_mask: NDArray[np.generic] | None = None) -> Audit:
        """Compare the map with controls: does it reflect the model, or the prior? See `matex.audit`.

        Args:
            model: the one that was explained.
            lung_mask: another than the one it was explained with, which is the default.

        Raises:
            InputError: a sound, a reading of a sensor, an image that was compared with another input, or a score of
                several phrases.
        """
        from matex.audits import audit

        query = self.query
        if query.objective is not None:
            raise InputError(
                "Expected an explanation of the score of one phrase, got one with against or labels. Audit the phrase."
            )
        if query.domain in ("sound", "sensor") or query.target is not None:
            raise InputError("Expected an explanation of an image and a phrase, whose audit changes both, got another.")
        mask = query.lung_mask if lung_mask is None else lung_mask
        return audit(
            model,
            query.film,
            query.text,
            self.method,
            resize=query.resize,
            domain=query.domain,
            lung_mask=mask,
            **self.parameters,
        )

    def plot(self) -> Figure:
        """Film and overlay side by side as a matplotlib figure (extra `plots`)."""
        from matex.render.plot import plot

        return plot(self)

    def _repr_html_(self) -> str:
        from matex.render.report import fragment

        return fragment(self)
