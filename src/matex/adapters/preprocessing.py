"""Preprocessing of films as in a checkpoint's training, with the Placement that maps results back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, SupportsFloat, SupportsInt

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from matex.checks import is_list, is_mapping
from matex.errors import InputError, shown
from matex.geometry import Placement, Resize, Size
from matex.images import Film

Resampling = Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]
_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_PIL_NUMBERS: dict[int, Resampling] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop or pad, scale and normalise a film.

    Args:
        size: (height, width) of the model's input, pixels.
        resize: how the checkpoint meets that size: "squash", "pad" (black) or "crop" (centre).
        resampling: filter of the resizing.
        scale: factor on the 0-255 values before normalisation; 1/255, or 1 where a model takes raw values.
        mean: per channel, after scaling.
        std: per channel, after scaling.
        by_way_of: size of a square the film is fitted into first (Lanczos), as some checkpoints were trained; None.
        resize_to: what the film is resized to before its centre of `size` is cropped, where that is another
            size: (height, width), or the length of its shorter side; None where only what exceeds `size`
            is cropped. Where it is smaller than `size`, the film is padded with black. With "pad", the side of
            the square that the film is padded to before the centre is cropped.
        stretch: whether the film's darkest value becomes black and its brightest white first.
        half_even: whether a centre that starts at half a pixel is rounded to the even number, as torchvision does.
        max_patches: largest number of patches of a film that is resized to its own aspect ratio (`flexible_size`);
            `size` is then only that of the other kinds of resizing. None where all films are brought to `size`.

    Raises:
        InputError: numbers without finite, increasing pixel values: a deviation of 0, infinity, a scale of 1e308.
    """

    size: Size
    resize: Literal["squash", "pad", "crop"]
    resampling: Resampling
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    by_way_of: int | None = None
    resize_to: Size | int | None = None
    stretch: bool = False
    half_even: bool = False
    max_patches: int | None = None

    def __post_init__(self) -> None:
        # Normalisation is affine, so checking black and white covers every 8-bit value between them.
        ends = [
            (level * self.scale - mean) / std if std else math.nan
            for mean, std in zip(self.mean, self.std, strict=True)
            for level in (0.0, 255.0)
        ]
        rising = all(white - black >= _LEAST_CONTRAST for black, white in zip(ends[::2], ends[1::2], strict=True))
        if not rising or not all(math.isfinite(end) and abs(end) <= _LARGEST_PIXEL for end in ends):
            raise InputError(
                "Expected a preprocessor that takes black to white into a rising range of finite numbers, got "
                f"rescale_factor {self.scale:g}, image_mean {_few(self.mean)}, image_std {_few(self.std)}. "
                "Correct preprocessor_config.json."
            )

    def __call__(self, film: Film, patch: Size, resize: Resize = "model") -> tuple[Tensor, Placement]:
        """Pixels float32 [1, 3, height, width] and their Placement; `resize` other than "model" overrides how they fit.

        A film that lies turned or mirrored is brought into the standard frame first (see Placement).

        Raises:
            InputError: the film cannot be brought to the model's size by this kind of resizing.
        """
        mode = self.resize if resize == "model" else resize
        resize_to = self.resize_to if resize == "model" else None
        size = self.size
        if self.max_patches is not None and resize == "model":
            height, width = film.size
            standard = (width, height) if film.turns % 2 else film.size
            size = flexible_size(standard, patch, self.max_patches)
        try:
            placement = Placement.fit(
                film.size,
                size,
                patch,
                mode,
                resize_to,
                half_even=self.half_even and resize == "model",
                turns=film.turns,
                mirrored=film.mirrored,
            )
        except ValueError as error:
            raise InputError(str(error)) from None
        filter = _RESAMPLING[self.resampling]
        pixels = placement.to_standard(film.pixels)
        image = Image.fromarray(np.ascontiguousarray(_stretched(pixels) if self.stretch else pixels))
        if self.by_way_of and resize == "model":
            stop = Placement.fit(placement.standard, (self.by_way_of, self.by_way_of), patch, "pad")
            image = image.resize((stop.resized[1], stop.resized[0]), Image.Resampling.LANCZOS)
        image = image.resize((placement.resized[1], placement.resized[0]), filter)
        top, left = placement.offset
        window = image.crop((left, top, left + size[1], top + size[0]))  # outside is black
        values = np.asarray(window.convert("RGB"), dtype=np.float32) * np.float32(self.scale)
        normalised = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return torch.from_numpy(normalised.transpose(2, 0, 1).copy())[None], placement

    @property
    def levels(self) -> Tensor:
        """Values of black and white after normalisation, float64 [2, channel]."""
        ends = torch.tensor([[0.0], [255 * self.scale]], dtype=torch.float64)
        return (ends - torch.tensor(self.mean)) / torch.tensor(self.std)

    def describe(self) -> dict[str, object]:
        """The parameters as plain data, for the provenance; those of few families only where they are set."""
        rare = ("stretch", "half_even", "max_patches")
        return {key: value for key, value in asdict(self).items() if value or key not in rare}

    @classmethod
    def from_processor(cls, config: Mapping[str, object], size: Size) -> Preprocessing:
        """Read a Hugging Face preprocessor_config.json as a CLIP image processor understands it.

        Args:
            config: the file's content.
            size: (height, width) the model takes.

        Raises:
            InputError: a configuration that cannot be read, or whose result would not have the model's size.
        """
        try:
            return cls._read(config, size)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"Expected a CLIP preprocessor_config.json, got one with {type(error).__name__}: {error}. "
                "Correct size, crop_size, resample, image_mean or image_std."
            ) from None

    @classmethod
    def _read(cls, config: Mapping[str, object], size: Size) -> Preprocessing:
        for key in _FOREIGN:
            if config.get(key):
                raise InputError(f"Expected a CLIP image processor, got one with {key}={shown(config[key])}.")
        target = _size(config.get("size", {"shortest_edge": size[0]}), shortest=True)
        cropped = _size(config["crop_size"]) if config.get("do_center_crop", True) and "crop_size" in config else None
        crops = config.get("do_center_crop", True)
        squashes = isinstance(target, tuple)
        result = (cropped or (target if squashes else size)) if crops else target
        sides = target if isinstance(target, tuple) else (target, target)
        within = all(1 <= side <= _LARGEST_RESIZE * max(size) for side in sides)
        if not config.get("do_resize", True) or result != size or not within:
            raise InputError(
                f"Expected a preprocessor that yields {size[0]}x{size[1]} pixels by resizing and cutting out the "
                f"centre, got size={shown(config.get('size'))}, crop_size={shown(config.get('crop_size'))}, "
                f"do_center_crop={config.get('do_center_crop', True)}, do_resize={config.get('do_resize', True)}. "
                "Correct preprocessor_config.json."
            )
        resize_to = None if target in (size, min(size)) else target
        if not squashes and size[0] != size[1]:
            resize_to = target
        scale = _real(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
        normalise = bool(config.get("do_normalize", True))
        mean = config.get("image_mean", CLIP_MEAN) if normalise else (0.0, 0.0, 0.0)
        std = config.get("image_std", CLIP_STD) if normalise else (1.0, 1.0, 1.0)
        resampling = _PIL_NUMBERS[_whole(config.get("resample", 3))]
        mode: Literal["squash", "crop"] = "squash" if squashes and resize_to is None else "crop"
        return cls(size, mode, resampling, scale, _triple(mean), _triple(std), resize_to=resize_to)


def flexible_size(size: Size, patch: Size, max_patches: int) -> Size:
    """The largest (height, width) in complete patches that keeps an image's aspect ratio, pixels.

    Each side is rounded up to patches, so that the ratio is kept up to one patch.

    Args:
        size: (height, width) of the image, pixels.
        patch: (height, width) of one patch, pixels.
        max_patches: upper limit of the number of patches.

    Source:
        transformers' Siglip2ImageProcessor: a bisection of the scale between 1e-6 and 100 down to an interval of 1e-5,
        followed here so that both agree where two grids are nearly as large.
    """

    def grid(scale: float) -> Size:
        rows, columns = (max(1, math.ceil(side * scale / cell)) for side, cell in zip(size, patch, strict=True))
        return rows, columns

    fits, exceeds = 1e-6, 100.0
    while exceeds - fits >= 1e-5:
        scale = (fits + exceeds) / 2
        if math.prod(grid(scale)) <= max_patches:
            fits = scale
        else:
            exceeds = scale
    rows, columns = grid(fits)
    return rows * patch[0], columns * patch[1]


def _stretched(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """8-bit values with the darkest at 0 and the brightest at 255, rounded down; a constant film as it is."""
    low, high = float(pixels.min()), float(pixels.max())
    return pixels if low == high else ((pixels - low) / (high - low) * 255).astype(np.uint8)


_FOREIGN = ("do_pad", "crop_pct", "do_flip_channel_order", "do_grayscale", "do_split_image", "do_image_splitting")
"""Settings of other image processors that change the pixels."""
_LARGEST_PIXEL = 1e4  # after normalisation; models that take raw values read 255
_LARGEST_RESIZE = 8  # times the model's own side, before the centre is cropped
_LEAST_CONTRAST = 1e-3  # between black and white after normalisation
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def unstated(config: Mapping[str, object]) -> list[str]:
    """The settings that a processor omits, for which transformers has a default in each kind of processor."""
    needed = ("size", *(("image_mean", "image_std") if config.get("do_normalize", True) else ()))
    return [name for name in needed if name not in config]


def note_unstated(config: Mapping[str, object]) -> tuple[str, ...]:
    """Note the settings that a CLIP processor omits and that transformers replaces by those of OpenAI's CLIP."""
    absent = unstated(config)
    if not absent:
        return ()
    return (f"the image processor does not state {', '.join(absent)}: OpenAI CLIP's own taken, as transformers does",)


def _few(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _triple(values: object) -> tuple[float, float, float]:
    if is_list(values):
        r, g, b = values
    else:
        r = g = b = values
    return (_real(r), _real(g), _real(b))


def _size(value: object, shortest: bool = False) -> Size | int:
    """A processor's size entry: {"height", "width"}, {"shortest_edge"}, or the old bare number."""
    if is_mapping(value):
        if "shortest_edge" in value:
            return _whole(value["shortest_edge"])
        return (_whole(value["height"]), _whole(value["width"]))
    return _whole(value) if shortest else (_whole(value), _whole(value))


def _real(value: object) -> float:
    """A setting as a number.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not isinstance(value, SupportsFloat | str):
        raise TypeError(f"expected a number, got {type(value).__name__}")
    return float(value)


def _whole(value: object) -> int:
    """A setting as a whole number.

    Raises:
        TypeError, ValueError, OverflowError: it is none.
    """
    if not isinstance(value, SupportsInt | str):
        raise TypeError(f"expected a number, got {type(value).__name__}")
    return int(value)
