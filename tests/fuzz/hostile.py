"""Values and bytes that no reader expects, drawn from a seeded generator."""

from __future__ import annotations

import copy
import json
import random
import struct
from typing import Any

NUMBERS = (
    0,
    -1,
    1,
    2,
    3,
    7,
    255,
    256,
    -32768,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32,
    2**63,
    10**30,
    10**400,
    0.5,
    -0.0,
    1e-300,
    1e308,
    float("nan"),
    float("inf"),
    -float("inf"),
    True,
    False,
)
TEXTS = (
    "",
    " ",
    "\0",
    "a\nb",
    "\x1b[31mred\x1b[0m",
    "‮evil",
    "é",
    "肺",
    "\U0001f4a9",
    "\ud800",
    "NaN",
    "inf",
    "-1",
    "1e400",
    "0x10",
    "None",
    "null",
    "../../etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "~",
    "%s%n",
    "{}",
    "{0.__class__}",
    "$(id)",
    "=1+1",
    "<script>alert(1)</script>",
    "a" * 300,
    "b" * 20_000,
    "--help",
    "@file",
    "a,b",
    "a;b",
    "a=b",
    "'",
    '"',
    "\\",
)


def number(rng: random.Random) -> Any:
    return rng.choice(NUMBERS) if rng.random() < 0.8 else rng.choice((rng.randint(-(10**6), 10**6), rng.gauss(0, 1e3)))


def text(rng: random.Random) -> str:
    if rng.random() < 0.7:
        return rng.choice(TEXTS)
    return "".join(
        chr(rng.choice((rng.randrange(128), rng.randrange(0xD800), 0x300))) for _ in range(rng.randrange(40))
    )


def value(rng: random.Random, depth: int = 0) -> Any:
    """Anything that JSON can hold."""
    kind = rng.randrange(8 if depth < 3 else 5)
    if kind < 2:
        return number(rng)
    if kind < 4:
        return text(rng)
    if kind == 4:
        return None
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return {text(rng): value(rng, depth + 1) for _ in range(rng.randrange(4))}
    nested: Any = []
    for _ in range(rng.choice((5, 100, 400))):
        nested = [nested]
    return nested


def damaged(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Bytes with one kind of damage, and its name."""
    kind = rng.choice(("bits", "bits", "truncated", "zeros", "inserted", "doubled", "header", "header", "noise"))
    changed = bytearray(data)
    size = len(data)
    if kind == "bits":
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            changed[rng.randrange(size)] ^= 1 << rng.randrange(8)
    elif kind == "truncated":
        del changed[rng.randrange(size) :]
    elif kind == "zeros":
        start = rng.randrange(size)
        end = min(size, start + rng.choice((1, 4, 64, size)))
        changed[start:end] = bytes(end - start)
    elif kind == "inserted":
        start = rng.randrange(size)
        changed[start:start] = rng.randbytes(rng.choice((1, 2, 16, 300)))
    elif kind == "doubled":
        start = rng.randrange(size)
        changed[start:start] = changed[start : start + rng.choice((4, 40, size))]
    elif kind == "header":
        start = rng.randrange(min(size, 160))
        word = struct.pack(rng.choice(("<I", ">I", "<H", ">H")), rng.choice((0, 1, 2, 0x7FFF, 0xFFFF)))
        changed[start : start + len(word)] = word
    else:
        start = rng.randrange(size)
        end = min(size, start + rng.choice((4, 32, size)))
        changed[start:end] = rng.randbytes(end - start)
    return bytes(changed), kind


def mutated(content: Any, rng: random.Random) -> tuple[Any, str]:
    """JSON content with one entry removed, replaced, renamed or added somewhere in it, and the place."""
    content = copy.deepcopy(content)
    places = list(_places(content))
    if not places:
        return value(rng), "top"
    holder, key, path = rng.choice(places)
    kind = rng.choice(("replaced", "replaced", "removed", "renamed", "added", "number"))
    if kind == "removed":
        del holder[key]
    elif kind == "renamed" and isinstance(holder, dict):
        holder[text(rng)] = holder.pop(key)
    elif kind == "added" and isinstance(holder, dict):
        holder[text(rng)] = value(rng)
    elif kind == "number":
        holder[key] = number(rng)
    else:
        kind, holder[key] = "replaced", value(rng)
    return content, f"{path} {kind}"


def json_bytes(content: Any, rng: random.Random) -> tuple[bytes, str]:
    """A JSON file with a mutated entry, or damaged as bytes are."""
    if rng.random() < 0.2:
        return damaged(json.dumps(content).encode(), rng)
    changed, place = mutated(content, rng)
    return json.dumps(changed).encode(), place  # NaN and lone surrogates as Python writes them


def _places(content: Any, path: str = "") -> Any:
    """(holder, key, path) of everything in the content; of long lists and tables the first entries."""
    entries = list(content.items() if isinstance(content, dict) else enumerate(content))
    for key, inner in entries[:30]:
        here = f"{path}/{key}"[:80]
        yield content, key, here
        if isinstance(inner, dict | list):
            yield from _places(inner, here)
