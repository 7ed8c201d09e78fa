"""Depth maps, thermal images and IMU recordings as films: what ImageBind reads, with a picture for the map.

ImageBind's code (data.py) publishes no preprocessing for these three, so that values are read as they are stored and
standardised as the caller states; nothing is resized, cropped or resampled.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from matex.audio.sound import Tick
from matex.checks import number, parse_array, read_bytes
from matex.errors import InputError, shown
from matex.images import Film
from matex.images.contents import check_png

SensorModality = Literal["depth", "thermal", "imu"]
MODALITIES: tuple[SensorModality, ...] = get_args(SensorModality)
CHANNELS = 6
"""Of an IMU recording: three axes of the accelerometer and three of the gyroscope."""
MAX_BYTES = 64 << 20
MAX_SIDE = 4096

_FORMS = {
    "depth": "disparity as numbers [height, width] (.npy), or a grey .png of 8 or 16 bits",
    "thermal": "a grey image of 8 bits [height, width] (.png, or .npy of uint8)",
    "imu": "numbers of shape (6, steps) (.npy, or .csv of six lines without a header)",
}
_BAND = 100  # rows of the picture for each channel of a recording
_WIDTH = 1000  # columns of the picture at least
_PNG = b"\x89PNG"


@dataclass(frozen=True, eq=False)
class SensorFilm(Film):
    """A reading as a model takes it.

    `pixels` is a picture of it, uint8 [height, width]: a depth or thermal image from its lowest (black) to its highest
    value, a recording as one curve per channel, time to the right, each in its own range.

    Args:
        modality: which sensor.
        values: standardised, float32 [channel, height, width]; of a recording [6, 1, step].
        mean: that was subtracted from the values as stored.
        std: that they were divided by.
        channels: marks at the curves of a recording, by the channel's number from 1.
        steps: marks on the time axis of a recording, in steps from its start.
    """

    modality: SensorModality = field(kw_only=True)
    values: NDArray[np.float32] = field(kw_only=True)
    mean: float = field(kw_only=True)
    std: float = field(kw_only=True)
    channels: tuple[Tick, ...] = field(kw_only=True)
    steps: tuple[Tick, ...] = field(kw_only=True)

    @property
    def is_as_drawn(self) -> bool:
        """Whether the picture is that of the values: False where somebody painted on it."""
        return np.array_equal(self.pixels, _picture(self.modality, self.values))


def read_sensor(
    source: str | Path | NDArray[np.generic], modality: str, *, mean: float = 0.0, std: float = 1.0
) -> SensorFilm:
    """Read a depth map, a thermal image or an IMU recording for an encoder of it (ImageBind).

    Values are (stored - mean) / std. Integers are divided by the largest value of their type before; floats are taken
    as they are. The defaults suit values that were prepared before. Height, width and steps must be those of the model.

    Args:
        source: an array, or a file.
        modality: "depth": disparity, floats (.npy) or a grey PNG of 8 or 16 bits. "thermal": a grey image of 8 bits
            (.png, .npy). "imu": six channels of floats, (6, steps) (.npy, .csv without a header).
        mean: subtracted, in units of the values.
        std: divisor, in units of the values, above 0.

    Raises:
        InputError: another modality or form, values that are not finite, a mean or std that is no finite number.

    Examples:
        >>> film = read_sensor(np.linspace(0, 1, 224 * 224).reshape(224, 224), "depth", mean=0.5, std=0.25)
        >>> film.values.shape, float(film.values.max())
        ((1, 224, 224), 2.0)
    """
    if modality not in MODALITIES:
        raise InputError(f"Expected a modality among {', '.join(MODALITIES)}, got {shown(modality)}.")
    mean, std = number(mean, "mean"), number(std, "std")
    if std <= 0:
        raise InputError(f"Expected std above 0, got {std:g}.")
    if isinstance(source, str | Path):
        data = read_bytes(source, f"a file of {modality} values", MAX_BYTES)
        where, name, digest = shown(str(source)), Path(source).stem, hashlib.sha256(data).hexdigest()
        stored = _decode(data, Path(source).suffix.lower(), modality, where)
    else:
        stored, where, name = np.asarray(source), "an array", "array"
        digest = hashlib.sha256(f"{stored.dtype.str} {stored.shape}".encode() + stored.tobytes()).hexdigest()
    values = ((_checked(stored, modality, where) - mean) / std).astype(np.float32)
    values = values[:, None] if modality == "imu" else values[None]
    imu = modality == "imu"
    notes = [
        f"{modality} values standardised with mean {mean:g} and std {std:g}, as the caller states: ImageBind publishes "
        "no preprocessing for them."
    ]
    if np.ptp(values) == 0:
        notes.append("The reading is constant.")
    return SensorFilm(
        pixels=_picture(modality, values),
        name=name,
        sha256=digest,
        notes=tuple(notes),
        modality=modality,
        values=values,
        mean=mean,
        std=std,
        channels=tuple(Tick((i + 0.5) / CHANNELS, f"{i + 1}") for i in range(CHANNELS)) if imu else (),
        steps=_steps(values.shape[-1]) if imu else (),
    )


def _decode(data: bytes, suffix: str, modality: SensorModality, where: str) -> NDArray[np.generic]:
    """The values in a file as they are stored.

    Raises:
        InputError: another format than those of the modality, or a damaged file.
    """
    if suffix == ".npy":
        return parse_array(data, f"{_FORMS[modality]}, {where}")
    if suffix == ".csv" and modality == "imu":
        return _decode_csv(data, where)
    if suffix == ".png" and modality != "imu":
        return _decode_png(data, modality, where)
    raise _refused(modality, f"a file with the suffix {shown(suffix)}", where)


def _decode_csv(data: bytes, where: str) -> NDArray[np.float64]:
    try:
        lines = data.decode("utf-8-sig").splitlines()
        return np.array([[float(cell) for cell in line.split(",")] for line in lines], np.float64)
    except ValueError:  # a cell that is no number, bytes that are no text, lines of several lengths
        raise _refused("imu", "lines of different lengths, or cells that are no numbers", where) from None


def _decode_png(data: bytes, modality: SensorModality, where: str) -> NDArray[np.generic]:
    if not data.startswith(_PNG):
        raise _refused(modality, "a file that is no PNG", where)
    check_png(data, where)
    try:
        image = Image.open(io.BytesIO(data), formats=["PNG"])
        if max(image.size) > MAX_SIDE:
            raise _refused(modality, f"{image.height} x {image.width} pixels", where)
        if image.mode not in ("L", "I;16"):
            raise _refused(modality, f"a PNG of mode {image.mode}", where)
        return np.asarray(image)
    except InputError:
        raise
    except Exception:  # Pillow's readers raise nearly every built-in exception on a damaged file
        raise _refused(modality, "a damaged PNG", where) from None


def _checked(stored: NDArray[np.generic], modality: SensorModality, where: str) -> NDArray[np.float64]:
    """Values of the form that a modality has, as floats; integers in [0, 1] of their type's range.

    Raises:
        InputError: another form.
    """
    kind, got = stored.dtype, f"{stored.dtype} of shape {stored.shape}"
    allowed = {"depth": ("f", "uint8", "uint16"), "thermal": ("uint8",), "imu": ("f",)}[modality]
    if kind.kind not in allowed and kind.name not in allowed:
        raise _refused(modality, got, where)
    if modality == "imu" and (stored.ndim != 2 or stored.shape[0] != CHANNELS or not stored.shape[1]):
        turned = stored.ndim == 2 and stored.shape[1] == CHANNELS
        raise _refused(modality, got, where, "Transpose it." if turned else "")
    if stored.ndim != 2 or 0 in stored.shape or max(stored.shape[0], stored.shape[1]) > 1 << 20:
        raise _refused(modality, got, where)
    values = stored.astype(np.float64)
    if not np.isfinite(values).all():
        raise _refused(modality, "NaN or infinity", where, "Fill the gaps.")
    return values if kind.kind == "f" else values / np.iinfo(kind.name).max


def _refused(modality: SensorModality, got: str, where: str, advice: str = "") -> InputError:
    end = advice or "Prepare it in this form."
    return InputError(f"Expected {modality} as {_FORMS[modality]}, got {got}: {where}. {end}")


def _picture(modality: SensorModality, values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture of standardised values, uint8 [height, width]."""
    if modality == "imu":
        return np.concatenate([_curve(channel[0]) for channel in values])
    return (_scaled(values[0]) * 255).round().astype(np.uint8)


def _scaled(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Lowest value to 0, highest to 1; a constant to 0."""
    wide = values.astype(np.float64)
    low, high = wide.min(), wide.max()
    return (wide - low) / (high - low) if high > low else np.zeros_like(wide)


def _curve(channel: NDArray[np.float32]) -> NDArray[np.uint8]:
    """One channel [step] as a white curve on black, uint8 [_BAND, width]."""
    margin = _BAND // 10
    rows = np.round(_BAND - 1 - margin - _scaled(channel) * (_BAND - 1 - 2 * margin))
    rows = np.repeat(rows, max(1, -(-_WIDTH // len(channel))))
    following = np.append(rows[1:], rows[-1])
    row = np.arange(_BAND)[:, None]
    # From each column's value to the next one's, so that the curve has no gaps.
    on = (row >= np.minimum(rows, following)) & (row <= np.maximum(rows, following))
    return np.where(on, 255, 0).astype(np.uint8)


def _steps(count: int) -> tuple[Tick, ...]:
    """Marks at round numbers of steps, at most eight of them between the ends."""
    apart = next(step * 10**power for power in range(7) for step in (1, 2, 5) if count / (step * 10**power) <= 8)
    return tuple(Tick(mark / count, f"{mark}") for mark in range(apart, count, apart))
