"""Films to pixels as a checkpoint was trained to see them, with the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from matex.geometry import Placement, Resize, Size
from matex.images import Film, InputError

Resampling = Literal["nearest", "bilinear", "bicubic", "lanczos"]
_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_PIL_NUMBERS: dict[int, Resampling] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class Preprocessing:
    """Resize, cut or pad, scale, normalise.

    Args:
        size: (height, width) of the model's input, pixels.
        resize: how the checkpoint meets that size: "squash", "pad" (black) or "crop" (centre).
        resampling: filter of the resizing.
        scale: factor on the 0-255 values before normalisation; 1/255, or 1 where a model takes raw values.
        mean: per channel, after scaling.
        std: per channel, after scaling.
        by_way_of: size of a square the film is fitted into first (Lanczos), as some checkpoints were trained; None.
    """

    size: Size
    resize: Literal["squash", "pad", "crop"]
    resampling: Resampling
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    by_way_of: int | None = None

    def __call__(self, film: Film, patch: Size, resize: Resize = "model") -> tuple[Tensor, Placement]:
        """Pixels float32 [1, 3, height, width] and their Placement; `resize` other than "model" overrides the way.

        A film that lies turned or mirrored is brought into the standard frame first (see Placement).

        Raises:
            InputError: the film cannot be brought to the model's size this way.
        """
        way = self.resize if resize == "model" else resize
        try:
            placement = Placement.fit(film.size, self.size, patch, way, turns=film.turns, mirrored=film.mirrored)
        except ValueError as error:
            raise InputError(str(error)) from None
        filter = _RESAMPLING[self.resampling]
        image = Image.fromarray(np.ascontiguousarray(placement.to_standard(film.pixels)))
        if self.by_way_of and resize == "model":
            stop = Placement.fit(placement.standard, (self.by_way_of, self.by_way_of), patch, "pad")
            image = image.resize((stop.resized[1], stop.resized[0]), Image.Resampling.LANCZOS)
        image = image.resize((placement.resized[1], placement.resized[0]), filter)
        top, left = placement.offset
        window = image.crop((left, top, left + self.size[1], top + self.size[0]))  # outside is black
        values = np.asarray(window.convert("RGB"), dtype=np.float32) * np.float32(self.scale)
        normalised = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return torch.from_numpy(normalised.transpose(2, 0, 1).copy())[None], placement

    @property
    def levels(self) -> Tensor:
        """Black and white after normalisation, float64 [2, channel]."""
        ends = torch.tensor([[0.0], [255 * self.scale]], dtype=torch.float64)
        return (ends - torch.tensor(self.mean)) / torch.tensor(self.std)

    def describe(self) -> dict[str, Any]:
        """As plain data, for the provenance."""
        return asdict(self)

    @classmethod
    def from_processor(cls, config: Mapping[str, Any], size: Size) -> Preprocessing:
        """Read a Hugging Face preprocessor_config.json as a CLIP image processor understands it.

        Args:
            config: the file's content.
            size: (height, width) the model takes.

        Raises:
            InputError: a configuration that cannot be read, or whose result would not have the model's size.
        """
        try:
            return cls._read(config, size)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"Expected a CLIP preprocessor_config.json, got one with {type(error).__name__}: {error}. "
                "Correct size, crop_size, resample, image_mean or image_std."
            ) from None

    @classmethod
    def _read(cls, config: Mapping[str, Any], size: Size) -> Preprocessing:
        resize: Literal["squash", "pad", "crop"] = "crop"
        asked = _size(config.get("size", {"shortest_edge": size[0]}), shortest=True)
        cropped = _size(config["crop_size"]) if config.get("do_center_crop", True) and "crop_size" in config else None
        if config.get("do_resize", True) and isinstance(asked, tuple):
            resize = "squash"
            result = cropped or asked
            consistent = result == asked == size
        else:
            result = cropped or size
            consistent = result == size and asked == min(size) and config.get("do_center_crop", True)
        if not consistent:
            raise InputError(
                f"Expected a preprocessor that yields {size[0]}x{size[1]} pixels by squashing or by shortest edge and "
                f"centre crop, got size={config.get('size')}, crop_size={config.get('crop_size')}, "
                f"do_center_crop={config.get('do_center_crop', True)}. Correct preprocessor_config.json."
            )
        scale = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
        normalise = bool(config.get("do_normalize", True))
        mean = config.get("image_mean", CLIP_MEAN) if normalise else (0.0, 0.0, 0.0)
        std = config.get("image_std", CLIP_STD) if normalise else (1.0, 1.0, 1.0)
        resampling = _PIL_NUMBERS[int(config.get("resample", 3))]
        return cls(size, resize, resampling, scale, _triple(mean), _triple(std))


CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def _triple(values: Any) -> tuple[float, float, float]:
    r, g, b = (float(v) for v in (values if isinstance(values, (list, tuple)) else [values] * 3))
    return (r, g, b)


def _size(value: Any, shortest: bool = False) -> Size | int:
    """A processor's size entry: {"height", "width"}, {"shortest_edge"}, or the old bare number."""
    if isinstance(value, Mapping):
        if "shortest_edge" in value:
            return int(value["shortest_edge"])
        return (int(value["height"]), int(value["width"]))
    return int(value) if shortest else (int(value), int(value))
