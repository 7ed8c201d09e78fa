"""Size of an image after resizing and the offset of a model's window in it, as the model libraries compute both."""

from __future__ import annotations

from typing import Literal

Size = tuple[int, int]  # (height, width) in pixels, or (rows, columns) in patches


def resized_and_offset(
    upright: Size,
    model: Size,
    resize: Literal["squash", "pad", "crop"],
    resize_to: Size | int | None = None,
    half_even: bool = False,
) -> tuple[Size, Size]:
    """Size of the resized image, and (top, left) of the model's window in it; see `Placement.fit`.

    Raises:
        ValueError: an unknown `resize`, or an image so narrow that it would resize to nothing.
    """
    height, width = upright
    if resize == "squash":
        return model, (0, 0)
    if resize not in ("pad", "crop"):
        raise ValueError(f"Expected resize 'squash', 'pad' or 'crop', got {resize!r}.")
    if resize == "crop" and resize_to is not None:
        return _cropped(upright, model, resize_to, half_even)
    if resize == "pad" and isinstance(resize_to, int):
        return _padded(upright, model, resize_to)
    ratios = (model[0] / height, model[1] / width)
    ratio = min(ratios) if resize == "pad" else max(ratios)
    # The governing side is exact and the other rounds down, as CLIP's own resizing of the shortest edge does.
    resized = (
        model[0] if ratios[0] == ratio else int(height * ratio + 1e-9),
        model[1] if ratios[1] == ratio else int(width * ratio + 1e-9),
    )
    if min(resized) < 1:
        raise ValueError(
            f"Expected an image that keeps at least one pixel per side at {model[0]}x{model[1]}, "
            f"got {height}x{width} (height x width). Use resize='squash' or cut the image."
        )
    # int() rounds an odd remainder towards zero for crops and for padding, as the model libraries do.
    rounded = round if half_even and resize == "crop" else int
    return resized, (rounded((resized[0] - model[0]) / 2), rounded((resized[1] - model[1]) / 2))


def _cropped(upright: Size, model: Size, resize_to: Size | int, half_even: bool) -> tuple[Size, Size]:
    """Size and offset of an image resized first and cropped then, as transformers' or torchvision's functions do."""
    if isinstance(resize_to, int):
        # The shorter side is exact and the other rounds down, in transformers' order of operations.
        other = int(resize_to * max(upright) / min(upright))
        resized = (resize_to, other) if upright[0] <= upright[1] else (other, resize_to)
    else:
        resized = resize_to
    if half_even:
        return resized, (round((resized[0] - model[0]) / 2), round((resized[1] - model[1]) / 2))
    # Rounded down where it is negative too: center_crop rounds its padding up.
    return resized, ((resized[0] - model[0]) // 2, (resized[1] - model[1]) // 2)


def _padded(upright: Size, model: Size, side: int) -> tuple[Size, Size]:
    """Size and offset of an image fitted into a square of `side` pixels of which the centre is cropped then."""
    resized = (max(1, int(upright[0] * side / max(upright))), max(1, int(upright[1] * side / max(upright))))
    top, left = ((side - seen) // 2 - (side - length) // 2 for seen, length in zip(model, resized, strict=True))
    return resized, (top, left)
