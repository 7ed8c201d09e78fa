"""Deletion and insertion of words, measured by the recall of phrase-to-image and image-to-phrase retrieval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matex.checks import check
from matex.metrics.confidence import highest_first
from matex.metrics.deletion import area_under
from matex.metrics.embedding import embed_images, embed_texts
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need

RECALL = (1, 5)
PERCENTS = tuple(range(0, 101, 10))
_Phrase = tuple[tuple[int, ...], tuple[bool, ...], tuple[float, ...]]  # token ids, which are content, scores of these
_ROWS = 512  # queries compared with all candidates at a time


@METRICS("retrieval")
@dataclass(frozen=True)
class Retrieval:
    """Recall at 1 and 5 as the tokens of all phrases are deleted, or inserted, highest-scored first.

    Every case is one phrase of one image; cases of the same film share it (data set `coco` with captions="each").
    Phrases look for their image among all images (`ir`), images for any of their phrases among all phrases, all
    degraded alike (`tr`). Columns are `deletion_ir1_auc`, the curves `deletion_ir1_at_<percent of tokens>`, and so on,
    as shares in [0, 1], and `cases`, the number of cases evaluated: those without token scores are neither queries nor
    candidates.

    Candidates with equal scores, as all phrases have when no words are left, count as in random order: the recall is
    its expectation. Phrases that occur with several images can find one of them only by chance; a data set of few
    phrases has a ceiling well below 1.

    Args:
        batch_size: images or phrases run at once.

    Source:
        MMEL table 3 reports this; no code or protocol was published. Ours, METHODS 17.6: 0, 10, ..., 100 % of a
        phrase's content tokens, rounded to whole tokens with halves up, taken out so that the phrase becomes shorter;
        begin and end stay. The area is normalised over the eleven points.
    """

    batch_size: int = 64

    needs: ClassVar[tuple[Need, ...]] = ("text",)
    dataset_level: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {
        **{
            f"{side}_{direction}{k}_{last}": "lower" if side == "deletion" else "higher"
            for side in ("deletion", "insertion")
            for direction in ("ir", "tr")
            for k in RECALL
            for last in ("auc", *[f"at_{percent}" for percent in PERCENTS])
        },
        "cases": "neither",
    }
    source: ClassVar[str] = "MMEL table 3"

    def __post_init__(self) -> None:
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        phrases, owner, shown = _gather(cases)
        columns = {name: np.array([np.nan]) for name in self.better}
        columns["cases"] = np.array([float(len(phrases))])
        if phrases:
            columns |= self._recalls(cases, phrases, owner, shown)
        return columns

    def _recalls(
        self, cases: Sequence[Case], phrases: Sequence[_Phrase], owner: Sequence[int], shown: Sequence[int]
    ) -> Columns:
        model = cases[shown[0]].model
        owners = torch.tensor(owner, device=model.device)

        def image(i: int) -> Tensor:  # not Case.pixels, which would keep every image of the data set
            explanation = cases[shown[i]].explanation
            return model.prepare(explanation.film, explanation.query.resize)[0][0]

        images = embed_images(model, len(shown), image, self.batch_size)
        points: Columns = {}
        curves: dict[str, list[float]] = {}
        for percent in PERCENTS:
            for side in ("deletion", "insertion"):
                left = [degraded(*phrase, percent, side == "insertion") for phrase in phrases]
                different = list(dict.fromkeys(left))
                place = {ids: i for i, ids in enumerate(different)}
                texts = embed_texts(model, different, self.batch_size)
                which = torch.tensor([place[ids] for ids in left], device=model.device)
                for name, value in _recall(images, texts, which, owners).items():
                    curves.setdefault(f"{side}_{name}", []).append(value)
                    points[f"{side}_{name}_at_{percent}"] = np.array([value])
        return points | {f"{name}_auc": np.array([area_under(np.array(c))]) for name, c in curves.items()}


def _gather(cases: Sequence[Case]) -> tuple[list[_Phrase], list[int], list[int]]:
    """Phrases with token scores, the image of each, and one case of each image.

    Cases are read one at a time: those of a large data set may be computed on access.
    """
    phrases: list[_Phrase] = []
    owner: list[int] = []
    shown: list[int] = []
    number: dict[str, int] = {}
    models: set[int] = set()
    for i, case in enumerate(cases):
        scores = case.token_scores
        if scores is None:
            continue
        models.add(id(case.model))
        film = case.explanation.film.sha256
        if film not in number:
            number[film] = len(number)
            shown.append(i)
        owner.append(number[film])
        phrases.append((case.token_ids, case.content, scores))
    if len(models) > 1:
        raise ValueError(f"Expected cases of one model, got {len(models)} models. Call the metric once per model.")
    return phrases, owner, shown


def degraded(
    ids: Sequence[int], content: Sequence[bool], scores: Sequence[float], percent: int, insertion: bool
) -> tuple[int, ...]:
    """Token ids of a phrase without its highest-scored content tokens, or with them alone; special tokens remain."""
    count = int(percent * len(scores) / 100 + 0.5)
    chosen = np.zeros(len(scores), dtype=bool)
    chosen[highest_first(scores)[:count]] = True
    taken = iter(chosen)
    return tuple(i for i, word in zip(ids, content, strict=True) if not word or next(taken) == insertion)


def expected_hit(
    above: NDArray[np.float64], tied: NDArray[np.float64], own: NDArray[np.float64], k: int
) -> NDArray[np.float64]:
    """Probability that a correct candidate ranks among the first k, ties in random order, [query].

    Args:
        above: number of candidates with a higher score than the best correct one, [query].
        tied: number of candidates with its score, the correct ones included, [query].
        own: number of correct candidates among these, at least 1, [query].
        k: rank up to which a candidate counts.
    """
    missed = np.ones_like(above)
    for place in range(k):  # one place after the other goes to a wrong candidate
        wrong = np.maximum(tied - own - place, 0) / np.maximum(tied - place, 1)
        missed *= np.where(place < k - above, wrong, 1.0)
    return 1 - missed


def _recall(images: Tensor, texts: Tensor, which: Tensor, owner: Tensor) -> dict[str, float]:
    """Recall of phrases for their images and of images for any of their phrases.

    Args:
        images: [image, joint].
        texts: embeddings of the different phrases, [text, joint].
        which: text of each case, [case].
        owner: image of each case, [case].
    """
    copies = torch.bincount(which, minlength=len(texts)).double()  # cases that have this text
    sides: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {"ir": [], "tr": []}
    for rows in torch.split(torch.arange(len(which), device=which.device), _ROWS):
        scores = texts[which[rows]].double() @ images.double().T  # [case, image]
        best = scores.gather(1, owner[rows, None])
        above, tied = (scores > best).sum(1), (scores == best).sum(1)
        sides["ir"].append((above, tied, torch.ones_like(above)))
    for rows in torch.split(torch.arange(len(images), device=which.device), _ROWS):
        scores = images[rows].double() @ texts.double().T  # [image, text]
        right = torch.zeros_like(scores)  # cases of this image that have this text
        queries = ((owner >= rows[0]) & (owner <= rows[-1])).nonzero()[:, 0]
        right.index_put_((owner[queries] - rows[0], which[queries]), right.new_ones(len(queries)), accumulate=True)
        best = scores.masked_fill(right == 0, -torch.inf).amax(1, keepdim=True)
        equal = (scores == best).double()
        sides["tr"].append(((scores > best).double() @ copies, equal @ copies, (equal * right).sum(1)))
    recalls: dict[str, float] = {}
    for direction, parts in sides.items():
        above, tied, own = (torch.cat(column).double().cpu().numpy() for column in zip(*parts, strict=True))
        for k in RECALL:
            recalls[f"{direction}{k}"] = float(expected_hit(above, tied, own, k).mean())
    return recalls
