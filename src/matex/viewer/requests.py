"""Request bodies: read in pieces within bounds of size and time, and JSON with known fields of known types."""

from __future__ import annotations

import asyncio
import json
from typing import TypeVar, cast

from starlette.requests import ClientDisconnect, Request

from matex.errors import InputError, shown
from matex.geometry import Box


class Refused(Exception):
    """A request that is not answered; the status and one line that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The body of a request.

    Raises:
        Refused: more bytes than the limit, announced or sent; a body that does not arrive in time, or not whole.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > limit:
        raise Refused(413, f"Expected at most {limit} bytes. Send a smaller file.")
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise Refused(413, f"Expected at most {limit} bytes. Send a smaller file.")
    except TimeoutError:
        raise Refused(408, f"Expected the whole request within {seconds:g} s. Send it again.") from None
    except ClientDisconnect:
        raise Refused(400, "The request ended before its body did.") from None
    return bytes(body)


async def read_json(request: Request, limit: int, seconds: float) -> Fields:
    """A JSON object from the body.

    Raises:
        Refused: another content type (which also makes browsers ask before a foreign page may send it), or no object.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "Expected content type application/json.")
    body = await read_body(request, limit, seconds)
    try:
        values: object = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "Expected a JSON object.") from None
    if not isinstance(values, dict):
        raise Refused(400, "Expected a JSON object.")
    return Fields(cast("dict[str, object]", values))


Choice = TypeVar("Choice", bound=str)


class Fields:
    """The fields of a JSON object, each read as the type that it must have."""

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values

    def text(self, name: str, longest: int, default: str | None = None) -> str:
        """A string without null characters.

        Raises:
            InputError: another type, or a longer one.
        """
        value = self._values.get(name, default)
        if not isinstance(value, str) or len(value) > longest or "\0" in value:
            raise InputError(f"Expected {name} as text of at most {longest} characters, got {shown(value)}.")
        return value

    def texts(self, name: str, most: int, longest: int) -> list[str]:
        """A list of strings.

        Raises:
            InputError: another type, more of them, or longer ones.
        """
        values = self._list(name, most)
        return [Fields({name: value}).text(name, longest) for value in values]

    def one_of(self, name: str, choices: tuple[Choice, ...], default: Choice) -> Choice:
        """One of some strings.

        Raises:
            InputError: anything else.
        """
        value = self._values.get(name, default)
        for choice in choices:
            if value == choice:
                return choice
        raise InputError(f"Expected {name} to be one of {', '.join(choices)}, got {shown(value)}.")

    def mapping(self, name: str) -> dict[str, object]:
        """A flat object of plain values; empty where it is missing.

        Raises:
            InputError: anything else.
        """
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or len(cast("dict[str, object]", value)) > 64:
            raise InputError(f"Expected {name} as an object, got another type or too many entries.")
        return cast("dict[str, object]", value)

    def boxes(self, name: str, most: int) -> list[Box]:
        """Boxes (x0, y0, x1, y1) as fractions of the film, at least one.

        Raises:
            InputError: anything else, or an empty box.
        """
        values = self._list(name, most)
        if not values:
            raise InputError(f"Expected at least one box in {name}, got none.")
        return [_box(value) for value in values]

    def _list(self, name: str, most: int) -> list[object]:
        """A list of bounded length.

        Raises:
            InputError: anything else.
        """
        values = self._values.get(name)
        if not isinstance(values, list) or len(cast("list[object]", values)) > most:
            raise InputError(f"Expected {name} as a list of at most {most} entries, got another type or more.")
        return cast("list[object]", values)


def _box(value: object) -> Box:
    """A box from its four edges, each a fraction.

    Raises:
        InputError: anything else, or an empty box.
    """
    edges = cast("list[object]", value) if isinstance(value, list) else []
    numbers = [float(edge) for edge in edges if isinstance(edge, int | float) and not isinstance(edge, bool)]
    if len(edges) != 4 or len(numbers) != 4 or not all(0 <= number <= 1 for number in numbers):
        raise InputError("Expected a box of 4 fractions of the film, x0, y0, x1, y1, got something else.")
    x0, y0, x1, y1 = numbers
    if x1 <= x0 or y1 <= y0:
        raise InputError(f"Expected a box with x0 < x1 and y0 < y1, got {shown(numbers)}.")
    return (x0, y0, x1, y1)
