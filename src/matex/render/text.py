"""Text on pictures: choice of a typeface, line breaks, and replacement of characters without a glyph."""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont

Face = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Typefaces of common systems, tried in this order where Pillow's own lacks a letter.
SYSTEM_FACES = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial.ttf",
    "arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "msyh.ttc",
    "malgun.ttf",
    "Arial Unicode.ttf",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
)


def font(size: int, text: str = "") -> Face:
    """The first typeface with a glyph for every character of the text, or else the one missing the fewest."""
    return _face(_best(frozenset(text)), size)


def drawable(text: str) -> str:
    """Replace the characters for which no installed typeface has a glyph.

    An accented letter becomes its base letter, other runs their number and script: "[2 CJK characters]". A picture
    that shows an empty box for a letter would hide what the phrase was.
    """
    name = _best(frozenset(text))
    result = ""
    for kind, run in groupby(text, lambda character: _replacement(name, character)):
        count = len(list(run))
        result += f"[{count} {kind[1:]} character{'s' if count > 1 else ''}]" if kind.startswith("\0") else kind * count
    return result


def wrap(text: str, size: int, width: float, lines: int = 6) -> list[str]:
    """Break text into lines of at most `width` pixels, between words or inside wide ones; ends in … when cut."""
    face = font(size, text)
    wrapped: list[str] = []
    line = ""
    for word in drawable(text).split():
        while True:
            longer = f"{line} {word}" if line else word
            if face.getlength(longer) <= width:
                line = longer
                break
            if not line:
                keep = max(1, sum(face.getlength(word[:stop]) <= width for stop in range(1, len(word) + 1)))
                wrapped.append(word[:keep])
                word = word[keep:]
            else:
                wrapped.append(line)
                line = ""
            if len(wrapped) > lines:
                break
        if len(wrapped) > lines:
            break
    wrapped += [line] if line else []
    if len(wrapped) > lines:
        last = wrapped[lines - 1]
        while last and face.getlength(last + "…") > width:
            last = last[:-1]
        wrapped = [*wrapped[: lines - 1], last.rstrip() + "…"]
    return wrapped


@cache
def _face(name: str, size: int) -> Face:
    """A typeface by its file name, "" for Pillow's own."""
    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)


@cache
def _best(characters: frozenset[str]) -> str:
    """File name of the typeface missing the fewest of the characters, "" for Pillow's own."""
    missing = {"": sum(not _has("", character) for character in characters)}
    for name in SYSTEM_FACES:
        if not min(missing.values()):
            break
        if _installed(name):
            missing[name] = sum(not _has(name, character) for character in characters)
    return min(missing, key=lambda name: missing[name])


@cache
def _installed(name: str) -> bool:
    try:
        _face(name, 16)
    except OSError:
        return False
    return True


@cache
def _has(name: str, character: str) -> bool:
    """Whether the typeface has a glyph of its own for the character, unlike for an unassigned code point."""
    if character.isspace():
        return True
    return _drawing(name, character) != _drawing(name, "\U0010ffff")


def _drawing(name: str, character: str) -> bytes:
    """The pixels of one character."""
    image = Image.new("L", (40, 40))
    ImageDraw.Draw(image).text((10, 10), character, font=_face(name, 16), fill=255)
    return image.tobytes()


def _replacement(name: str, character: str) -> str:
    """Replacement of one character: itself, a plainer form, or "\\0" and the name of its script."""
    if _has(name, character):
        return character
    plain = "".join(base for base in unicodedata.normalize("NFKD", character) if not unicodedata.combining(base))
    category = unicodedata.category(character)
    plain = "-" if category == "Pd" else "" if category in ("Cf", "Mn") else plain
    if plain != character and all(_has(name, base) for base in plain):
        return plain
    script = unicodedata.name(character, "unknown").split()[0]
    return "\0" + (script if script == "CJK" else script.capitalize())
