"""Keys of a TOML configuration: values with checks whose errors name the file and the key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, overload

from matex.checks import is_array, is_object, shortened, shown
from matex.coerce import Words, as_type, in_words
from matex.errors import InputError

T = TypeVar("T")
_WORDS: Words = {
    int: ("a whole number", "whole numbers"),
    float: ("a number that is finite", "numbers"),
    bool: ("true or false", "truth values"),
    str: ("text", "texts"),
    tuple: ("a list", "lists"),
    Path: ("a path", "paths"),
}
"""Types as they are written in TOML, which has no None."""


@dataclass(frozen=True)
class ConfigKey:
    """A key of a configuration with the name of its file, which errors quote."""

    source: str
    key: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", shortened(self.source))
        object.__setattr__(self, "key", shortened(self.key))

    def __truediv__(self, key: str) -> ConfigKey:
        return ConfigKey(self.source, f"{self.key}.{key}" if self.key else key)

    def item(self, number: int) -> ConfigKey:
        return ConfigKey(self.source, f"{self.key}[{number}]")

    def refusal(self, expected: str, value: object) -> InputError:
        got = "nothing" if value is None else shown(value)
        return InputError(f"{self.source}: expected {self.key} to be {expected}, got {got}.")

    def in_range(self, value: int, most: int, least: int = 1) -> None:
        if not least <= value <= most:
            raise self.refusal(f"a whole number from {least} to {most}", value)

    def known(self, table: object, keys: Sequence[str]) -> dict[str, object]:
        """Return a table; refuse a value that is not one, and unknown keys."""
        if not is_object(table):
            raise self.refusal("a table", table)
        for key in table:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                where = (self / key).key
                raise InputError(f"{self.source}: unknown key {where!r}. Known here: {', '.join(keys)}.{hint}")
        return table

    def entries(self, table: Mapping[str, object], key: str) -> list[tuple[ConfigKey, object]]:
        """Tables or names of a list that must not be empty, with their keys."""
        entries = table.get(key)
        if not is_array(entries) or not entries:
            raise (self / key).refusal(f"one or more tables [[{key}]] or names", entries)
        return [((self / key).item(number), entry) for number, entry in enumerate(entries)]

    def name(self, registry: Mapping[str, object], key: str, value: object) -> str:
        """A registered name."""
        if not isinstance(value, str):
            raise (self / key).refusal("a name", value)
        try:
            registry[value]
        except ValueError as error:
            raise InputError(f"{self.source}: {(self / key).key}: {error}") from None
        return value

    @overload
    def typed(self, value: object, hint: type[T]) -> T: ...
    @overload
    def typed(self, value: object, hint: object) -> object: ...
    def typed(self, value: object, hint: object) -> object:
        """Coerce a value of TOML to an annotated type; paths stay text, which the records of a run can hold."""
        try:
            result = as_type(value, hint)
        except ValueError:
            raise self.refusal(in_words(hint, _WORDS), value) from None
        return str(value) if isinstance(result, Path) else result

    def optional(self, value: object, hint: type[T]) -> T | None:
        """As `typed`, None for a key that is left out."""
        return None if value is None else self.typed(value, hint)
