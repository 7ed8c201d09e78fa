"""Fields of a pack's TOML, read with a list of faults: one line each, where it is and what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard, TypeVar

from matex.checks import is_array, is_object
from matex.errors import shown

Choice = TypeVar("Choice", bound=str)


@dataclass(frozen=True)
class Fields:
    """A table of the file, and the faults found so far.

    Args:
        table: its keys and values.
        at: where it is in the file, "" at the top.
        faults: shared by all tables of a file.
    """

    table: Mapping[str, object]
    at: str = ""
    faults: list[str] = field(default_factory=list[str])

    def fault(self, key: str, message: str) -> None:
        """Note what is wrong with a key."""
        where = ".".join(part for part in (self.at, key) if part)
        self.faults.append(f"{where}: {message}" if where else message)

    def known(self, keys: Iterable[str]) -> None:
        """Note keys other than these."""
        known = tuple(keys)
        for key in self.table:
            if key not in known:
                self.fault("", f"expected one of the keys {', '.join(known)}, got {shown(key)}. Correct or remove it.")

    def text(self, key: str, default: str | None = None, limit: int = 400) -> str:
        """A text of one line, at most `limit` characters."""
        value = self.table.get(key, default)
        if isinstance(value, str) and value.strip() and len(value) <= limit and value.isprintable():
            return value.strip()
        self.fault(key, f"expected a text of one line and at most {limit} characters, got {shown(value)}. Write it.")
        return default or ""

    def choice(self, key: str, choices: tuple[Choice, ...], default: Choice) -> Choice:
        """One of several words."""
        value = self.table.get(key, default)
        for choice in choices:
            if value == choice:
                return choice
        self.fault(key, f"expected one of {', '.join(choices)}, got {shown(value)}. Choose one.")
        return default

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.table.get(key, default)
        if isinstance(value, bool):
            return value
        self.fault(key, f"expected true or false, got {shown(value)}. Write one of them without quotes.")
        return default

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number in a range."""
        value = self.table.get(key, default)
        if is_number(value) and low <= value <= high:
            return float(value)
        self.fault(key, f"expected a number from {low:g} to {high:g}, got {shown(value)}. Correct it.")
        return default

    def texts(self, key: str, limit: int, length: int = 60) -> tuple[str, ...]:
        """A list of at most `limit` texts; empty where the key is missing."""
        value = self.table.get(key, [])
        if not is_array(value) or len(value) > limit:
            self.fault(key, f"expected a list of at most {limit} texts, got {shown(value)}. Correct it.")
            return ()
        found: list[str] = []
        for one in value:
            if isinstance(one, str) and one.strip() and len(one) <= length and one.isprintable():
                found.append(" ".join(one.split()))
            else:
                self.fault(key, f"expected texts of at most {length} characters, got {shown(one)}. Correct it.")
        return tuple(found)

    def inner(self, key: str) -> Fields:
        """The table under a key; empty, with a fault, where it is something else."""
        value = self.table.get(key, {})
        if is_object(value):
            return Fields(value, f"{self.at}.{key}" if self.at else key, self.faults)
        self.fault(key, f"expected a table, got {shown(value)}. Write [{key}] above its keys.")
        return Fields({}, key, self.faults)

    def tables(self, limit: int) -> Iterator[tuple[str, Fields]]:
        """The tables of this one by their names, at most `limit`."""
        if len(self.table) > limit:
            self.fault("", f"expected at most {limit} entries, got {len(self.table)}. Leave some out.")
            return
        for name in self.table:
            yield name, self.inner(name)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9  # NaN compares false
