"""Names to things, with a helpful failure."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar, cast

from matex.checks import LARGEST, MAX_COUNT, MAX_REAL, is_list
from matex.coerce import as_type, in_words
from matex.errors import InputError, UnknownName, shown

Parameters: TypeAlias = Mapping[str, Any]
"""Parameters of a method or metric by name, as a caller gave them: `build` checks each against its field's type.

`Any`, because calls such as `explain(..., **parameters)` pass them next to arguments that have types of their own.
"""


class Parameterised(Protocol):
    """A dataclass whose fields are its parameters."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]  # as typeshed has it


T = TypeVar("T")
Entry = TypeVar("Entry")
Built = TypeVar("Built", bound=Parameterised)
MAX_NAME = 100
"""Characters of a registered name."""


class Registry(Mapping[str, T], Generic[T]):
    """A mapping that decorators fill: `@METHODS("rollout")` above a class makes it known under that name."""

    def __init__(self, kind: str, check: Callable[[str, T], None] | None = None) -> None:
        """
        Args:
            kind: of thing, as messages name it.
            check: refuses an entry, given its name, by raising InputError.
        """
        self.kind = kind
        self._check = check
        self._entries: dict[str, T] = {}

    def __call__(self, name: str) -> Callable[[Entry], Entry]:
        if not (isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= MAX_NAME):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(
                f"Expected the name of a {self.kind} as printable text of at most {MAX_NAME} characters, got "
                f"{shown(name)}. Choose another name."
            )

        def register(entry: Entry) -> Entry:
            if name in self._entries and self._entries[name] is not entry:
                raise ValueError(f"The {self.kind} name {name!r} is taken. Choose another name.")
            registered = cast(T, entry)  # the decorator hands the class back as what it is, not as a T
            if self._check is not None:
                self._check(name, registered)
            self._entries[name] = registered
            return entry

        return register

    def __getitem__(self, name: str) -> T:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"Expected the name of one {self.kind} as text, got {shown(name)}.")
        if name not in self._entries:
            raise UnknownName(self.kind, name, tuple(self._entries))
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)


@functools.cache  # evaluating annotations costs more than the rest of `build`, and they never change
def _hints(kind: type[object]) -> dict[str, object]:
    return typing.get_type_hints(kind)


def build(registry: Registry[type[Built]], name: str, parameters: Parameters, listed: str) -> Built:
    """The registered dataclass with these parameters, each as the type that its field is annotated with.

    Args:
        registry: of dataclasses whose fields are their parameters.
        name: under which it is registered.
        parameters: by field name; the others keep their defaults.
        listed: where its parameters can be read, for the refusal: "as ... shows them".

    Raises:
        UnknownName: no such name or parameter; the message lists the known ones.
        InputError: a parameter of another type, a count above every sensible one, or one that is missing.
        ValueError: a parameter outside its range, as the dataclass says it.
    """
    kind = registry[name]
    hints = _hints(kind)
    known = tuple(field.name for field in dataclasses.fields(kind))
    values: dict[str, object] = {}
    for parameter, value in parameters.items():
        if parameter not in known:
            raise UnknownName(f"parameter of {name}", parameter, known)
        hint = hints[parameter]
        try:
            values[parameter] = as_type(value, hint)
        except ValueError:
            raise InputError(f"Expected {parameter} to be {in_words(hint)}, got {shown(value)}.") from None
        check_counts(parameter, values[parameter])
    try:
        return kind(**values)
    except TypeError as error:  # one without a default is missing, or of a type that was let through
        raise InputError(f"Expected parameters of {name} as {listed}, got {error}.") from None


def check_counts(parameter: str, value: object) -> None:
    """Refuse a whole number, alone or in a tuple, that no run would end with, and any other that overflows in float32.

    Raises:
        InputError: a whole number above its entry of `LARGEST`, or above `MAX_COUNT`; another above `MAX_REAL`.
    """
    for number in value if is_list(value) else (value,):
        largest = MAX_REAL if isinstance(number, float) else LARGEST.get(parameter, MAX_COUNT)
        if isinstance(number, int | float) and abs(number) > largest:
            raise InputError(f"Expected {parameter} of at most {largest:.12g}, got {shown(number)}.")
