"""Evaluation of the bundled model on unseen films: retrieval, side, zone, real opacities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, CLIPModel

from matex.simulation.chest import Lungs, find_lungs
from matex.simulation.film import PlacedFinding, SimulatedFilm, simulate
from matex.simulation.phrases import FINDINGS, SIDES, all_canonical, canonical
from matex.simulation.training.families import Family, load
from matex.simulation.training.pool import read_grey, read_manifest, read_normals

TIERS = ("obvious", "moderate", "subtle")
OPACITY = ("lung opacity", "no finding")
"""The pair of phrases whose difference scores a real film."""
SIZES = (0.0, 2.0, 3.0, 5.0, 30.0)
Candidate = tuple[str, str, str | None, str | None]  # phrase, finding, side, zone
CONTRASTS = (0.0, 0.1, 0.2, 0.3, 5.0)


@dataclass(frozen=True)
class TrainedModel:
    """Trained model with its tokenizer and image processor."""

    family: Family
    model: Any
    tokenizer: Any
    processor: Any

    @classmethod
    def load(cls, folder: Path) -> TrainedModel:
        family, model = load(folder)
        processor = cast(Any, type(family.processor()))
        return cls(family, model, AutoTokenizer.from_pretrained(folder), processor.from_pretrained(folder))

    @torch.no_grad()
    def images(self, films: Sequence[np.ndarray]) -> Tensor:
        """Unit embeddings of films [film, dim]."""
        return torch.cat([self.family.images(self.model, pixels)[0] for pixels in self._pixels(films)])

    @torch.no_grad()
    def patches(self, films: Sequence[np.ndarray]) -> Tensor | None:
        """Unit embeddings of the films' patches [film, patch, dim]; None where the projection reads a pooled vector."""
        if not isinstance(self.model, CLIPModel):
            return None
        vision, project = self.model.vision_model, self.model.visual_projection
        hidden = [vision(pixels).last_hidden_state[:, 1:] for pixels in self._pixels(films)]
        return torch.cat([F.normalize(project(vision.post_layernorm(one)), dim=-1) for one in hidden])

    def _pixels(self, films: Sequence[np.ndarray]) -> Iterator[Tensor]:
        for start in range(0, len(films), 50):
            batch = [Image.fromarray(one).convert("RGB") for one in films[start : start + 50]]
            yield self.processor(batch, return_tensors="pt").pixel_values

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings [text, dim]."""
        return self.family.texts(self.model, self.family.tokens(self.tokenizer, texts))


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Area under the ROC curve: probability that a positive scores above a negative, ties half."""
    order = np.sort(negative)
    below = np.searchsorted(order, positive, "left") + np.searchsorted(order, positive, "right")
    return float(below.mean() / (2 * len(negative)))


def simulated_films(
    backgrounds: Sequence[tuple[np.ndarray, Lungs]], count: int, tier: str, findings: int, seed: int
) -> list[SimulatedFilm]:
    """Films with every canonical finding, side and zone equally often, on the backgrounds in turn."""
    places = [place for _, *place in all_canonical()]
    films: list[SimulatedFilm] = []
    attempt = 0
    while len(films) < count:
        finding, side, zone = places[len(films) % len(places)]
        normal, lungs = backgrounds[attempt % len(backgrounds)]
        key = seed * 1_000_003 + 10 * attempt + findings
        attempt += 1
        try:
            film = simulate(
                normal, key, findings=findings, tier=tier, finding=finding, side=side, zone=zone, lungs=lungs
            )
        except ValueError:  # no room for it on this film
            continue
        films.append(film)
    return films


class BinShare(TypedDict):
    """Accuracy in one bin; None without films."""

    films: int
    top1: float | None


class PatchMaps(TypedDict):
    """Pointing accuracy of patch embeddings; None for models without them."""

    maps: int
    peak_on_finding: float | None
    patch_auc: float | None


def retrieval(encoder: TrainedModel, films: Sequence[SimulatedFilm]) -> tuple[dict[str, object], np.ndarray]:
    """Accuracy of the best of all canonical phrases, and of its finding, side and zone.

    Returns:
        Shares: `top1`, `finding`, `side` and `zone` of the best phrase, the last two over films that have one;
        `side_given_finding` and `zone_given_finding`, the same of the best phrase among those of the true finding;
        and which films were right [film].
    """
    candidates = all_canonical()
    similarity = encoder.images([film.image for film in films]) @ encoder.texts([c[0] for c in candidates]).T
    best = [candidates[i] for i in cast(list[int], similarity.argmax(dim=1).tolist())]
    truth = [film.findings[0] for film in films]
    right = np.array([(b[1], b[2], b[3]) == (t.finding, t.side, t.zone) for b, t in zip(best, truth, strict=True)])
    of_finding = {name: [i for i, c in enumerate(candidates) if c[1] == name] for name in FINDINGS}
    best_of_finding = [
        candidates[max(of_finding[t.finding], key=row.__getitem__)]
        for row, t in zip(cast(list[list[float]], similarity.tolist()), truth, strict=True)
    ]

    def placed(phrases: Sequence[Candidate]) -> tuple[float, float]:
        sided = [p[2] == t.side for p, t in zip(phrases, truth, strict=True) if t.side in SIDES]
        zoned = [p[3] == t.zone for p, t in zip(phrases, truth, strict=True) if FINDINGS[t.finding].names_zone]
        return float(np.mean(sided)), float(np.mean(zoned))

    (side, zone), (side_given, zone_given) = placed(best), placed(best_of_finding)
    by_finding = {
        name: float(right[[t.finding == name for t in truth]].mean())
        for name in FINDINGS
        if any(t.finding == name for t in truth)
    }
    return {
        "films": len(films),
        "top1": float(right.mean()),
        "finding": float(np.mean([b[1] == t.finding for b, t in zip(best, truth, strict=True)])),
        "side": side,
        "zone": zone,
        "side_given_finding": side_given,
        "zone_given_finding": zone_given,
        "top1_by_finding": by_finding,
    }, right


def in_bins(values: Iterable[float], right: np.ndarray, edges: Sequence[float]) -> dict[str, BinShare]:
    """Accuracy in bins of a value."""
    value = np.array(list(values))
    result: dict[str, BinShare] = {}
    for low, high in pairwise(edges):
        inside = (value >= low) & (value < high)
        share = float(right[inside].mean()) if inside.any() else None
        result[f"{low:g}-{high:g}"] = {"films": int(inside.sum()), "top1": share}
    return result


def two_findings(encoder: TrainedModel, films: Sequence[SimulatedFilm]) -> dict[str, object]:
    """Accuracy of each finding's phrase against the other side, and against all absent findings."""
    images = encoder.images([film.image for film in films])
    phrases = all_canonical()
    candidates = [place for _, *place in phrases]
    similarity = images @ encoder.texts([phrase for phrase, *_ in phrases]).T
    sides: list[bool] = []
    both: list[bool] = []
    for row, film in enumerate(films):
        there = [[one.finding, one.side, one.zone] for one in film.findings]
        for finding, side, zone in there:
            other = [finding, "left" if side == "right" else "right", zone]
            if side in SIDES and other not in there:
                score = similarity[row, candidates.index([finding, side, zone])]
                sides.append(bool(score > similarity[row, candidates.index(other)]))
        top = cast(list[int], similarity[row].topk(2).indices.tolist())
        both.append(all(candidates[i] in there for i in top))
    return {
        "films": len(films),
        "named_above_other_side": float(np.mean(sides)),
        "both_on_top_of_all_phrases": float(np.mean(both)),
    }


def patch_maps(encoder: TrainedModel, films: Sequence[SimulatedFilm]) -> PatchMaps:
    """Pointing accuracy of patch embeddings for the finding's phrase; empty for models without them."""
    patches = encoder.patches([film.image for film in films])
    if patches is None:
        return {"maps": 0, "peak_on_finding": None, "patch_auc": None}
    hits: list[bool] = []
    areas: list[float] = []
    side = round(patches.shape[1] ** 0.5)  # the processor squashes every film to a square
    for film, tokens in zip(films, patches, strict=True):
        texts = encoder.texts([canonical(one.finding, one.side, one.zone) for one in film.findings])
        for one, text in zip(film.findings, texts, strict=True):
            covered = _on_grid(one, side)
            scores = (tokens @ text).numpy()
            hits.append(bool(covered.ravel()[scores.argmax()] > 0.1))
            inside = covered.ravel() >= 0.5
            if inside.any():
                areas.append(auc(scores[inside], scores[covered.ravel() == 0]))
    return {"maps": len(hits), "peak_on_finding": float(np.mean(hits)), "patch_auc": float(np.mean(areas))}


def _on_grid(placed: PlacedFinding, side: int) -> np.ndarray:
    """Share of each patch that the finding covers [side, side]."""
    mask = Image.fromarray(placed.mask.astype(np.uint8) * 255)
    return np.asarray(mask.resize((side, side), Image.Resampling.BOX)) / 255


def real_films(encoder: TrainedModel, data: Path, normals: Sequence[np.ndarray]) -> dict[str, object]:
    """Area under the ROC curve of "lung opacity" minus "no finding" on real films."""
    opacity, clear = encoder.texts(OPACITY)

    def score(films: Sequence[np.ndarray]) -> np.ndarray:
        return (encoder.images(films) @ (opacity - clear)).numpy()

    rows = read_manifest(data / "boxes")
    names = sorted({row["image"] for row in rows if row["group"] == "rsna-opacity"})
    boxes = score([read_grey(data / "boxes" / name) for name in names])
    result: dict[str, object] = {
        "phrases": list(OPACITY),
        "boxes_against_normals": {
            "films": [len(names), len(normals)],
            "auc": auc(boxes, score(normals)),
        },
    }
    ill = {"nih": ("Infiltration", "Pneumonia", "Consolidation"), "kermany": ("bacterial pneumonia", "viral pneumonia")}
    for name, labels in ill.items():
        rows = [row for row in read_manifest(data / name) if row["split"] == "val"]
        groups = [
            [read_grey(data / name / row["image"]) for row in rows if set(row["labels"]) & set(wanted)]
            for wanted in (labels, ("No Finding", "normal"))
        ]
        result[f"{name}_val"] = {"films": [len(group) for group in groups], "auc": auc(*map(score, groups))}
    return result


def evaluate(data: Path, folder: Path, count: int, seed: int, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The full protocol, on normal films of the val split and real films outside the training.

    Args:
        data: folder with `normals`, `boxes`, `nih` and `kermany`.
        folder: the model.
        count: simulated films per tier.
        seed: of the simulated films.
        without: normal films that are kept for a final test, by their names in the manifest.
    """
    encoder = TrainedModel.load(folder)
    normals = read_normals(data, "val", without)
    # Where the lungs were not found nobody can say which zone a finding lies in.
    backgrounds = [(normal, lungs) for normal in normals if (lungs := find_lungs(normal)).measured]
    result: dict[str, Any] = {"seed": seed, "phrases": len(all_canonical()), "backgrounds": len(backgrounds)}
    placed: list[PlacedFinding] = []
    correct: list[np.ndarray] = []
    for tier in TIERS:
        films = simulated_films(backgrounds, count, tier, 1, seed)
        shares, right = retrieval(encoder, films)
        result[tier] = {**shares, "patch_maps": patch_maps(encoder, films[:300])}
        placed += [film.findings[0] for film in films]
        correct.append(right)
    result["top1_by_size_cm"] = in_bins((one.size for one in placed), np.concatenate(correct), SIZES)
    result["top1_by_contrast"] = in_bins((one.contrast for one in placed), np.concatenate(correct), CONTRASTS)
    pairs = simulated_films(backgrounds, count // 2, "obvious", 2, seed)
    result["two_findings"] = {**two_findings(encoder, pairs), "patch_maps": patch_maps(encoder, pairs[:300])}
    result["real"] = real_films(encoder, data, normals)
    return result
