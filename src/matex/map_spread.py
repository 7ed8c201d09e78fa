"""Spread of a map over seeds, noise in the input and paraphrases of the phrase."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matex.adapters.model import Model
from matex.audits.regions import likeness
from matex.checks import as_path, check, count, is_object
from matex.domains import read_places
from matex.errors import InputError, shown
from matex.files import writing
from matex.geometry import Resize
from matex.phrases.paraphrases import paraphrases as reworded
from matex.pipeline import explain
from matex.protocols import Method, make, stochastic
from matex.queries import Domain
from matex.raw_maps import image_maps
from matex.request_checks import check_phrase
from matex.results import DISCLAIMER, Explanation, SaliencyMap
from matex.yardstick import is_readable

SOURCES = ("seeds", "noise", "paraphrases")


@dataclass(frozen=True, eq=False)
class Spread:
    """Maps of one source of chance.

    Args:
        image: standard deviation at each place of the maps, the explanation's own among them, each scaled to [0, 1].
        mean: of these deviations over the film, in parts of a map's range.
        likeness: mean rank correlation of the maps with the explanation's; NaN where one is constant.
        maps: how many there are besides the explanation's.
    """

    image: SaliencyMap
    mean: float
    likeness: float
    maps: int


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Spread of an explanation's map by source.

    Args:
        explanation: whose map it is.
        spreads: by source; a source that does not apply is missing.
        skipped: why a source does not apply, by source.
        phrases: the paraphrases.
    """

    explanation: Explanation
    spreads: Mapping[str, Spread]
    skipped: Mapping[str, str]
    phrases: tuple[str, ...] = ()

    @property
    def completeness(self) -> Mapping[str, float | None]:
        """Relative completeness error of the map and of the word scores of path methods, by side; None if undefined."""
        report = self.explanation.provenance.get("report")
        errors: dict[str, float | None] = {}
        for side, values in report.items() if is_object(report) else ():
            if is_object(values) and "completeness_error" in values:
                error = values["completeness_error"]
                errors[side] = error if isinstance(error, float) else None
        return errors

    def to_dict(self) -> dict[str, object]:
        """Plain values, without the maps."""
        return {
            "disclaimer": DISCLAIMER,
            "text": self.explanation.text,
            "method": self.explanation.method,
            "parameters": dict(self.explanation.parameters),
            "score": self.explanation.score,
            "spreads": {
                name: {"mean": one.mean, "likeness": one.likeness, "maps": one.maps}
                for name, one in self.spreads.items()
            },
            "skipped": dict(self.skipped),
            "paraphrases": list(self.phrases),
            "completeness_error": dict(self.completeness),
            "provenance": dict(self.explanation.provenance),
        }

    def save(self, folder: str | Path) -> Path:
        """Write uncertainty.json, uncertainty.npz (the deviations on the grid) and uncertainty.png into the folder.

        Raises:
            InputError: a folder that cannot be made or written to.
        """
        from matex.render.uncertainty import picture
        from matex.serialise import strict_json

        with writing(target := as_path(folder, "a folder"), alone=True) as temporary:
            (temporary / "uncertainty.json").write_text(strict_json(self.to_dict()) + "\n", encoding="utf-8")
            arrays = {name: one.image.grid for name, one in self.spreads.items()}
            np.savez_compressed(temporary / "uncertainty.npz", allow_pickle=False, **arrays)
            titles = {f"spread over {name}": one.image for name, one in self.spreads.items()}
            picture(self.explanation, titles).save(temporary / "uncertainty.png", "PNG")
        return target


def uncertainty(
    model: Model,
    image: object,
    text: str,
    method: str = "matex",
    *,
    seeds: int = 5,
    noise: int = 5,
    noise_level: float = 0.02,
    paraphrases: Sequence[str] | None = None,
    resize: Resize = "model",
    domain: Domain = "chest",
    lung_mask: NDArray[np.generic] | None = None,
    view: str | None = None,
    mirrored: bool | None = None,
    **parameters: Any,
) -> Uncertainty:
    """Measure how a map changes with the seed, with noise in the film and with the wording of the phrase.

    Args:
        model, image, text, method, resize, domain, lung_mask, view, mirrored, **parameters: see `matex.explain`.
        seeds: further seeds of a stochastic method; 0 leaves them out.
        noise: films with added noise; 0 leaves them out.
        noise_level: standard deviation of the Gaussian noise, share of the range from black to white.
        paraphrases: other wordings of the phrase; None for the phrase in five frames such as "there is ...".

    Raises:
        InputError: see `matex.explain`; numbers outside their range; a paraphrase that is empty, given twice, or too
            long for the model.

    Examples:
        >>> found = matex.uncertainty(model, film, phrase, "grad-eclip", noise=2)
        >>> sorted(found.spreads), found.skipped["seeds"]
        (['noise', 'paraphrases'], 'the method is deterministic')
    """
    check_phrase(text)
    for name, value in (("seeds", seeds), ("noise", noise)):
        count(value, name, 0, 1000)
    check(0 < noise_level < 1, "noise_level", "above 0 and below 1", noise_level)
    explanation = explain(
        model,
        image,
        text,
        method,
        resize=resize,
        domain=domain,
        lung_mask=lung_mask,
        view=view,
        mirrored=mirrored,
        **parameters,
    )
    if paraphrases is None:
        phrases = tuple(phrase for phrase in reworded(text) if is_readable(model, phrase))
    else:
        phrases = tuple(paraphrases)
        _check_paraphrases(model, text, phrases)
    chosen = make(method, parameters)
    maps: dict[str, list[NDArray[np.float32]]] = {}
    skipped: dict[str, str] = {}
    if stochastic(chosen) and not seeds:
        skipped["seeds"] = "seeds is 0"
    elif stochastic(chosen):
        first = int(getattr(chosen, "seed", 0))
        others = [make(method, {**parameters, "seed": first + number}) for number in range(1, seeds + 1)]
        maps["seeds"] = _maps(model, explanation, others, None, [text])
    else:
        skipped["seeds"] = "the method is deterministic"
    pixels = _noisy(model, explanation, noise, noise_level) if noise else None
    if not noise:
        skipped["noise"] = "noise is 0"
    elif pixels is None:
        skipped["noise"] = "the model does not state its black and white"
    else:
        maps["noise"] = _maps(model, explanation, [chosen], pixels, [text])
    if phrases:
        maps["paraphrases"] = _maps(model, explanation, [chosen], None, phrases)
    else:
        skipped["paraphrases"] = "the model can read none" if paraphrases is None else "none are given"
    if not maps:
        reasons = "; ".join(f"{name}: {why}" for name, why in skipped.items())
        raise InputError(f"Expected seeds, noise or paraphrases that change the input, got none ({reasons}).")
    spreads = {name: _spread(explanation, maps[name]) for name in SOURCES if name in maps}
    return Uncertainty(explanation, spreads, skipped, phrases)


def _check_paraphrases(model: Model, text: str, phrases: Sequence[str]) -> None:
    """Refuse paraphrases that would be missing in the spread, or enter it as maps that cannot differ.

    Raises:
        InputError: an empty paraphrase, one that the model cannot read, the phrase itself, or one paraphrase twice.
    """
    known = [text.split()]
    for phrase in phrases:
        check_phrase(phrase)
        if not phrase.strip():
            raise InputError("Expected paraphrases as text, got an empty one. Leave it out.")
        if phrase.split() in known:
            twice = "the phrase itself" if known[0] == phrase.split() else "one twice"
            raise InputError(f"Expected paraphrases that differ, got {twice}: {shown(phrase)}. Leave it out.")
        model.encode(phrase)
        known.append(phrase.split())


def _noisy(model: Model, explanation: Explanation, noise: int, level: float) -> Tensor | None:
    """The film with noise added, [film, channel, height, width]; grey noise, as films are."""
    if model.preprocessing is None or model.preprocessing.levels is None:
        return None
    query = explanation.query
    pixels, _ = model.prepare(query.film, query.resize)
    low, high = (end[:, None, None].to(pixels) for end in model.preprocessing.levels)
    generator = torch.Generator().manual_seed(0)
    added = torch.randn(noise, 1, *pixels.shape[-2:], generator=generator).to(pixels)
    return torch.clamp(pixels + level * (high - low) * added, low, high)


def _maps(
    model: Model, explanation: Explanation, methods: Sequence[Method], pixels: Tensor | None, phrases: Sequence[str]
) -> list[NDArray[np.float32]]:
    """Maps of every film with every phrase by every method, over one trace.

    Args:
        pixels: of the films; None for the film itself.
        phrases: whose places the prior takes.
    """
    query = explanation.query
    if pixels is None:
        pixels, _ = model.prepare(query.film, query.resize)
    pairs = [(film, phrase) for film in range(len(pixels)) for phrase in range(len(phrases))]
    found = image_maps(
        model,
        pixels,
        [model.encode(phrase) for phrase in phrases],
        pairs,
        [query.context(explanation.image.placement, read_places(phrases[p], query.domain)) for _, p in pairs],
        methods,
    )
    return [grid for maps in found for grid in maps.grids]


def _spread(explanation: Explanation, maps: Sequence[NDArray[np.float32]]) -> Spread:
    images = [dataclasses.replace(explanation.image, grid=grid) for grid in maps]
    scaled = np.stack([_scaled(one.grid) for one in (explanation.image, *images)])
    deviation = scaled.std(axis=0).astype(np.float32)
    alike = [likeness(explanation.image, one) for one in images]
    spread = dataclasses.replace(explanation.image, grid=deviation)
    return Spread(spread, float(np.nanmean(spread.raw)), float(np.mean(alike)), len(maps))


def _scaled(grid: NDArray[np.float32]) -> NDArray[np.float64]:
    """A grid scaled to [0, 1]; zeros where it is constant."""
    low, high = float(grid.min()), float(grid.max())
    return (grid.astype(np.float64) - low) / (high - low) if high > low else np.zeros(grid.shape)
