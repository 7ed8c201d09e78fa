"""Deletion and insertion: change of the score as pixels are removed, or inserted, in the order of the map."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from matex.checks import check, check_seed
from matex.errors import InputError
from matex.images import Film
from matex.metrics.embedding import embed_images, model_of, paired_scores
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need, faded
from matex.metrics.shrunk import coloured, shrunk
from matex.metrics.target_class import (
    check_explained,
    class_embeddings,
    explained_class,
    explains_own_class,
)
from matex.results import SaliencyMap

Curve = NDArray[np.float64]  # one value per recorded point
TOP = (1, 5, 10)
POINTS = 10  # recorded points after the start, to half of the pixels
_STEPS = 100  # steps to half of the pixels, of which every tenth is recorded
_KERNEL, _SIGMA = 11, 5  # of RISE's blur, pixels


def area_under(curve: Curve) -> float:
    """Normalised area under equally spaced values: the mean of the trapezoids, so that a constant is its own area.

    Source:
        RISE, evaluation.py; METHODS 17.5.
    """
    return float((curve.sum() - curve[0] / 2 - curve[-1] / 2) / (len(curve) - 1))


def _directions() -> dict[str, Direction]:
    """Better direction of every column of every protocol."""
    sides: tuple[tuple[str, Direction], ...] = (("deletion", "lower"), ("insertion", "higher"))
    quantities = [("", ""), *[(start, f"_top{k}") for start in ("", "script_") for k in TOP]]
    quantities += [("rise_", ""), ("rise_", "_probability")]
    return {
        f"{start}{side}{quantity}_{last}": better
        for start, quantity in quantities
        for side, better in sides
        for last in ("auc", *[f"at_{percent}" for percent in range(0, 101, 5)])
    }


@METRICS("deletion-insertion")
@dataclass(frozen=True)
class DeletionInsertion:
    """Areas under the score curves as pixels are deleted, or inserted, in the map's order, highest first.

    Args:
        protocol: "grad-eclip": noise in place of pixels of the original image, or pixels onto black, to half of the
            image; then the model's own preprocessing; a hit when the class is among its top 1, 5, 10 of zero-shot
            classification. "gradeclip_script": the same with the points that the published script stores for
            insertion, 5 % to 50 % and then the whole image, without the black one. "similarity": the same images, and
            instead of a class the score of the phrase. "rise": pixels of the model's input, one image row's number of
            them at a time, to the end; deletion to the mean colour, insertion onto a blurred image; the probability of
            the class whose phrase was explained, or the score where the data set has no classes. "auto": "grad-eclip"
            where the data set has classes and the explained phrases are phrases of them, else "similarity".
        target: class whose rank is measured: the "truth" or what the model "predicted" for the original image. The map
            must be that of a phrase of this class: for "predicted", explain a phrase of the predicted class first.
        seed: of the noise, which depends on it and on the sample's id alone.
        batch_size: images run at once, of whatever case.

    Columns are `deletion_auc`, `insertion_auc` and the curves `deletion_at_<percent>`, `insertion_at_<percent>`;
    with a class `deletion_top1_auc` and so on; columns of these two protocols begin with `script_` and `rise_`. NaN for
    constant maps, for samples without a label, and for a top k that holds every class there is.

    Raises:
        InputError: a map of a phrase of another class than the target. Its areas would measure how well the map of one
            class explains another: measured on one film, an insertion AUC of .20 instead of .80.

    Source:
        Grad-ECLIP, arXiv:2502.18816, and its imagenet_eval_deletion.py and imagenet_eval_insertion.py; RISE,
        arXiv:1806.07421, and its evaluation.py; METHODS 17.5. Films whose shorter side is above 640 pixels are shrunk
        to it before anything else, as the script does. Percent are of the pixels that the model sees. Steps are of
        max(1, int(pixels / 200)) pixels, so that small images stop short of the percent in the name.
    """

    protocol: Literal["auto", "similarity", "grad-eclip", "gradeclip_script", "rise"] = "auto"
    target: Literal["truth", "predicted"] = "truth"
    seed: int = 0
    batch_size: int = 64

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    better: ClassVar[Mapping[str, Direction]] = _directions()
    source: ClassVar[str] = "Grad-ECLIP; RISE, arXiv:1806.07421"

    def __post_init__(self) -> None:
        known = ("auto", "similarity", "grad-eclip", "gradeclip_script", "rise")
        check(self.protocol in known, "protocol", f"among {', '.join(known)}", self.protocol)
        check(self.target in ("truth", "predicted"), "target", "'truth' or 'predicted'", self.target)
        check_seed(self.seed)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)

    @property
    def on_sounds(self) -> bool:
        """The other protocols paint on the original image."""
        return self.protocol == "rise"

    def __call__(self, cases: Sequence[Case]) -> Columns:
        classes = bool(cases) and bool(cases[0].labels)
        protocol = self.protocol
        if protocol == "auto":
            protocol = "grad-eclip" if classes and all(map(explains_own_class, cases)) else "similarity"
        if protocol in ("grad-eclip", "gradeclip_script") and cases and not classes:
            raise InputError(
                f"Expected a data set with classes for protocol {protocol!r}, got one without. "
                "Use protocol='similarity'."
            )
        blank = self._blank(protocol, classes)
        at = [i for i, case in enumerate(cases) if not case.constant]
        table = {name: np.full(len(cases), np.nan) for name in blank}
        if at:
            some = [cases[i] for i in at]
            columns = self._rise(some, classes) if protocol == "rise" else self._original(some, protocol)
            for name, values in columns.items():
                table[name][at] = values
        return table

    def _blank(self, protocol: str, classes: bool) -> list[str]:
        """Names of the columns of a protocol, in order."""
        if protocol == "rise":
            start, quantities, points = "rise_", ("_probability",) if classes else ("",), (range(0, 101, 10),) * 2
        else:
            start = "script_" if protocol == "gradeclip_script" else ""
            quantities = ("",) if protocol == "similarity" else tuple(f"_top{k}" for k in TOP)
            halves = range(0, 51, 5)
            points = (halves, _script_points() if protocol == "gradeclip_script" else halves)
        return [
            f"{start}{side}{quantity}_{last}"
            for quantity in quantities
            for side, percents in zip(("deletion", "insertion"), points, strict=True)
            for last in ("auc", *[f"at_{percent}" for percent in percents])
        ]

    def _original(self, cases: Sequence[Case], protocol: str) -> Columns:
        """Pixels of the original image; curves of 11 points each."""
        model = model_of(cases)
        points = range(POINTS + 1)
        rows = [(i, side, point) for i in range(len(cases)) for side in ("deletion", "insertion") for point in points]

        @lru_cache(maxsize=1)
        def canvas(i: int) -> PixelOrder:
            return PixelOrder.of(cases[i], self.seed)

        def image(row: int) -> Tensor:
            i, side, point = rows[row]
            return _prepare(cases[i], canvas(i).picture_at(side, point))

        if protocol == "similarity":
            phrases = [cases[i].token_ids for i, _, _ in rows]
            values = paired_scores(model, len(rows), image, phrases, self.batch_size)
            values = values.reshape(len(cases), 2, POINTS + 1)  # [case, side, point]
            return _columns("", "", values[:, 0], values[:, 1], range(0, 51, 5), range(0, 51, 5))
        seen = embed_images(model, len(rows), image, self.batch_size)
        seen = seen.reshape(len(cases), 2, POINTS + 1, -1)  # [case, side, point, joint]
        names, classes = class_embeddings(model, cases[0].labels, self.batch_size)
        similarity = seen.cpu().double() @ classes.cpu().double().T  # [case, side, point, class]
        target = self._targets(cases, names, similarity[:, 0, 0])
        check_explained(cases, names, target)
        of_target = similarity.gather(-1, target.clamp(min=0)[:, None, None, None].expand(*similarity.shape[:3], 1))
        above = (similarity > of_target).sum(-1)
        columns: Columns = {}
        script = protocol == "gradeclip_script"
        for k in TOP:
            hits = (above < k).double()
            hits[target < 0] = torch.nan
            if k >= len(names):
                hits[:] = torch.nan
            down, up = hits.numpy().transpose(1, 0, 2)
            if script:
                up = np.concatenate([up[:, 1:], down[:, :1]], axis=1)
            percents = _script_points() if script else range(0, 51, 5)
            columns |= _columns("script_" if script else "", f"_top{k}", down, up, range(0, 51, 5), percents)
        return columns

    def _targets(self, cases: Sequence[Case], names: Sequence[str], similarity: Tensor) -> Tensor:
        """Number of the target class, -1 where the sample has none, [case]; similarity [case, class]."""
        if self.target == "predicted":
            return similarity.argmax(-1)
        number = {name: i for i, name in enumerate(names)}
        return torch.tensor([number.get(case.sample.label or "", -1) for case in cases])

    def _rise(self, cases: Sequence[Case], classes: bool) -> Columns:
        """Pixels of the model's input; one forward per row of pixels."""
        model = model_of(cases)
        height, width = cases[0].pixels.shape[-2:]
        rows = [
            (i, side, n) for i in range(len(cases)) for side in ("deletion", "insertion") for n in range(height + 1)
        ]

        @lru_cache(maxsize=1)
        def prepared(i: int) -> tuple[Tensor, Tensor]:
            return falling(cases[i].raw.to(model.device)), blurred(cases[i].pixels)

        def image(row: int) -> Tensor:
            i, side, n = rows[row]
            rank, blur = prepared(i)
            changed, pixels = rank < n * width, cases[i].pixels
            if side == "deletion":
                return faded(cases[i], ~changed)
            return torch.where(changed, pixels, blur)

        if classes:
            seen = embed_images(model, len(rows), image, self.batch_size)
            seen = seen.reshape(len(cases), 2, height + 1, -1)  # [case, side, point, joint]
            names, weights = class_embeddings(model, cases[0].labels, self.batch_size)
            similarity = seen.cpu().double() @ weights.cpu().double().T
            number = {name: i for i, name in enumerate(names)}
            target = torch.tensor([number.get(explained_class(case) or "", -1) for case in cases])
            index = target.clamp(min=0)[:, None, None, None].expand(*similarity.shape[:3], 1)
            values = (model.logit_scale * similarity).softmax(-1).gather(-1, index)[..., 0].numpy()
            values[target.numpy() < 0] = np.nan
        else:
            phrases = [cases[i].token_ids for i, _, _ in rows]
            values = paired_scores(model, len(rows), image, phrases, self.batch_size)
            values = values.reshape(len(cases), 2, height + 1)  # [case, side, point]
        percents = range(0, 101, 10)
        return _columns("rise_", "_probability" if classes else "", values[:, 0], values[:, 1], percents, percents)


@dataclass(frozen=True, eq=False)
class PixelOrder:
    """A picture and the order in which its pixels are replaced.

    Args:
        picture: uint8 [height, width, 3].
        noise: values of deleted pixels, uint8 [height, width, 3].
        rank: place of each pixel in the order, [height, width]; those that the model does not see come last.
        seen: how many pixels the model sees.
    """

    picture: NDArray[np.uint8]
    noise: NDArray[np.uint8]
    rank: NDArray[np.intp]
    seen: int

    @classmethod
    def of(cls, case: Case, seed: int) -> PixelOrder:
        pixels = shrunk(case.explanation.film.pixels)
        saliency = case.explanation.image
        if pixels.shape[:2] != case.explanation.film.size:
            film = dataclasses.replace(case.explanation.film, pixels=pixels, full=None)
            _, placement = case.model.prepare(film, case.explanation.query.resize)
            saliency = SaliencyMap(saliency.grid, placement)
        seen = np.isfinite(saliency.raw)
        order = np.argsort(-np.where(seen, saliency.raw, -np.inf), axis=None, kind="stable")
        rank = np.empty(order.size, dtype=np.intp)
        rank[order] = np.arange(order.size)
        picture = coloured(pixels)
        return cls(picture, noise(case.sample.id, seed, seen.shape), rank.reshape(seen.shape), int(seen.sum()))

    def picture_at(self, side: str, point: int) -> NDArray[np.uint8]:
        """The picture at a recorded point of "deletion" or "insertion", 0 to POINTS."""
        step = max(1, int(self.seen / (2 * _STEPS)))
        gone = (self.rank < point * _STEPS // POINTS * step)[..., None]
        if side == "deletion":
            return np.where(gone, self.noise, self.picture)
        return np.where(gone, self.picture, np.uint8(0))


def noise(sample: str, seed: int, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Uniform noise of each colour by itself, uint8 [height, width, 3]; the same for a sample in every run."""
    digest = hashlib.sha256(sample.encode()).digest()
    random = np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
    return (random.random((*size, 3)) * 255).astype(np.uint8)


def falling(values: Tensor) -> Tensor:
    """Rank of each value [height, width], 0 for the highest, equal values in reading order."""
    order = values.flatten().argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    return rank.reshape(values.shape)


def blurred(pixels: Tensor) -> Tensor:
    """Pixels [channel, height, width] under RISE's Gaussian of 11 x 11, sigma 5, zeros beyond the border.

    RISE filters a unit impulse of 11 pixels with mirrored borders: what would lie outside of the kernel is folded back
    into it, and it sums to 1.
    """
    reach = 4 * _SIGMA
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    weights /= weights.sum()
    mirror = np.arange(_KERNEL)[:, None] + offsets
    period = mirror % (2 * _KERNEL)
    folded = np.where(period < _KERNEL, period, 2 * _KERNEL - 1 - period)
    line = torch.from_numpy((weights * (folded == _KERNEL // 2)).sum(1)).to(pixels)
    kernel = (line[:, None] * line)[None, None].expand(len(pixels), 1, -1, -1)
    return F.conv2d(pixels[None], kernel, padding=_KERNEL // 2, groups=len(pixels))[0]


def _prepare(case: Case, pixels: NDArray[np.uint8]) -> Tensor:
    """A changed picture at the model's input, [channel, height, width]."""
    film: Film = dataclasses.replace(case.explanation.film, pixels=pixels, full=None)
    return case.model.prepare(film, case.explanation.query.resize)[0][0]


def _script_points() -> tuple[int, ...]:
    return (*range(5, 51, 5), 100)


def _columns(
    start: str,
    quantity: str,
    down: NDArray[np.float64],
    up: NDArray[np.float64],
    down_percents: Sequence[int],
    up_percents: Sequence[int],
) -> Columns:
    """Areas and values of curves [case, point]; curves of more points than percents are read between their points."""
    columns: Columns = {}
    for side, curves, percents in (("deletion", down, down_percents), ("insertion", up, up_percents)):
        name = f"{start}{side}{quantity}"
        columns[f"{name}_auc"] = np.array([area_under(curve) for curve in curves])
        last = curves.shape[1] - 1
        exact = last + 1 == len(percents)
        for n, percent in enumerate(percents):
            place = n if exact else percent / 100 * last
            below = int(place)
            share = place - below
            above = min(below + 1, last)
            columns[f"{name}_at_{percent}"] = (1 - share) * curves[:, below] + share * curves[:, above]
    return columns
