"""A model of which only scores are known: a function of images and texts, local or behind a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from matex.adapters.checkpoint import first_line
from matex.adapters.encoder import TokenAxis
from matex.adapters.inputs import Pixels, Words, patch_axis
from matex.adapters.model import Model, Similarity, TokenIds
from matex.adapters.preprocessing import Preprocessing
from matex.checks import count
from matex.errors import InputError, shown
from matex.geometry import Size

ScoreFunction: TypeAlias = Callable[[Sequence[NDArray[np.uint8]], Sequence[str]], ArrayLike | Tensor]
"""images, each uint8 [height, width, 3], and texts -> scores [image, text]"""
_ONLY_SCORES = {
    "readout": "only its scores are known",
    "attention": "only its scores are known",
    "gradient": "only its scores are known",
    "features": "only its scores are known",
    "relu": "only its scores are known",
    "joint tokens": "only its scores are known",
}
_MOST_WORDS = 256
_MOST_DIFFERENT = 1 << 20  # words in all phrases of a model


class WordTokenizer:
    """Words between spaces as tokens, numbered in the order in which they are first seen; 0 is padding."""

    all_special_ids: Sequence[int] = (0,)
    unk_token_id = None

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._words: list[str] = [""]

    def convert_ids_to_tokens(self, ids: int) -> str:
        return self._words[ids]

    def __call__(self, text: str, **options: bool) -> TokenIds:
        found = list(re.finditer(r"\S+", text))
        ids = [self._number(match.group()) for match in found]
        return {"input_ids": ids, "offset_mapping": [match.span() for match in found]}

    def text(self, ids: Sequence[int]) -> str:
        """The phrase of some words, one space between them."""
        return " ".join(self._words[number] for number in ids if number)

    def _number(self, word: str) -> int:
        if word not in self._numbers:
            self._numbers[word] = len(self._words)
            self._words.append(word)
        return self._numbers[word]


@dataclass(frozen=True, eq=False)
class ImageSide(Pixels):
    """Images of a black box, of which places can be faded out."""

    patch: Size
    missing: Mapping[str, str] = field(default_factory=lambda: dict(_ONLY_SCORES))
    modality: Literal["image"] = "image"

    def axis(self, inputs: Tensor) -> TokenAxis:
        return patch_axis(inputs, self.patch)


@dataclass(frozen=True, eq=False)
class TextSide(Words):
    """Phrases of a black box, of which words can be removed."""

    missing: Mapping[str, str] = field(default_factory=lambda: dict(_ONLY_SCORES))
    modality: Literal["text"] = "text"

    def axis(self, inputs: Tensor) -> TokenAxis:
        return TokenAxis(inputs != 0, inputs != 0)

    def collate(self, rows: Sequence[Sequence[int]]) -> Tensor:
        longest = max(len(ids) for ids in rows)
        return torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in rows], dtype=torch.long)


@dataclass(frozen=True, eq=False, repr=False)
class BlackBox(Model):
    """A model of which only scores are known.

    Args:
        function: of images and texts.
    """

    function: ScoreFunction = field(kw_only=True)

    def scores(self, pixels: Tensor, token_ids: Tensor) -> Tensor:
        """Score of every image with every phrase, float64 [image, phrase].

        Args:
            pixels: as `prepare` gives them, [image, 3, height, width].
            token_ids: as `batch` gives them, [phrase, token].

        Raises:
            InputError: scores of another shape, or that are no finite numbers.
        """
        assert isinstance(self.preprocessing, Preprocessing)
        assert isinstance(self.tokenizer, WordTokenizer)
        mean = torch.tensor(self.preprocessing.mean, dtype=pixels.dtype)[:, None, None]
        std = torch.tensor(self.preprocessing.std, dtype=pixels.dtype)[:, None, None]
        grey = ((pixels.detach().cpu() * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
        images = [image.permute(1, 2, 0).contiguous().numpy() for image in grey]
        texts = [self.tokenizer.text(ids) for ids in cast(list[list[int]], token_ids.tolist())]
        try:
            found = np.asarray(self.function(images, texts), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Expected scores [image, text] as numbers from {self.name!r}, got: {first_line(error)}."
            ) from error
        if found.shape != (len(images), len(texts)):
            raise InputError(
                f"Expected scores [image, text] of shape {(len(images), len(texts))} from {self.name!r}, got "
                f"{found.shape}. Return one row for each image."
            )
        if not np.isfinite(found).all():
            raise InputError(f"Expected finite scores from {self.name!r}, got NaN or infinity.")
        return torch.from_numpy(found)


def from_score(
    function: ScoreFunction,
    *,
    size: Size | int = 224,
    patch: int | None = None,
    fill: float = 0.5,
    name: str = "black box",
) -> Model:
    """A model of which only scores are known, such as a service behind a network.

    RISE, KernelSHAP and occlusion explain it, `matex.audit` questions the map, and the metrics that hide and show parts
    of the input measure it; every other method refuses.

    Args:
        function: takes images, each uint8 [height, width, 3], and texts; returns a score for each pair, [image, text].
            It is called with batches, from one thread at a time.
        size: (height, width) of the images that it is given, or the side of squares; films are squashed to it.
        patch: side of the squares that occlusion and KernelSHAP remove, pixels; a fourteenth of the height otherwise.
        fill: grey that removed places take, from 0 (black) to 1 (white).
        name: shown in outputs.

    Raises:
        InputError: no function, or a size, patch or fill outside its range.

    Examples:
        >>> def brightness_of_the_left(images, texts):
        ...     return [[float(image[:, :16].mean()) / 255 for _ in texts] for image in images]
        >>> model = matex.from_score(brightness_of_the_left, size=32, patch=8)
        >>> explanation = matex.explain(model, film, "opacity", method="occlusion")
        >>> bool(explanation.image.grid[:, 16:].any())  # nothing on the right matters to it
        False
    """
    if not callable(function):
        raise InputError(f"Expected a function of images and texts, got {shown(function)}.")
    if not isinstance(name, str) or not name.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"Expected name as text, got {shown(name)}.")
    height, width = (size, size) if isinstance(size, int) else size
    for side, value in (("height", height), ("width", width)):
        count(value, side, 8, 1 << 14)
    side = max(1, height // 14) if patch is None else patch
    count(side, "patch", 1, min(height, width))
    if isinstance(fill, bool) or not isinstance(fill, int | float) or not 0 <= fill <= 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"Expected fill from 0 (black) to 1 (white), got {shown(fill)}.")
    grey = (float(fill), float(fill), float(fill))
    return BlackBox(
        name=name,
        module=nn.Module(),
        encoders={"image": ImageSide((side, side)), "text": TextSide()},
        patch=(side, side),
        preprocessing=Preprocessing((height, width), "squash", "bicubic", 1 / 255, grey, (1.0, 1.0, 1.0)),
        tokenizer=WordTokenizer(),
        context=_MOST_WORDS,
        vocabulary=_MOST_DIFFERENT,
        similarity=Similarity(scale=1.0, kind="score"),
        function=function,
    )
