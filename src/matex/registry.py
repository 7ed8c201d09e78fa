"""Names to things, with a helpful failure."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping that decorators fill: `@METHODS("rollout")` above a class makes it known under that name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def __call__(self, name: str) -> Callable[[T], T]:
        def register(entry: T) -> T:
            if name in self._entries and self._entries[name] is not entry:
                raise ValueError(f"The {self.kind} name {name!r} is taken. Choose another name.")
            self._entries[name] = entry
            return entry

        return register

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise UnknownName(self.kind, name, tuple(self._entries))
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)


class UnknownName(KeyError, ValueError):
    """A name that nothing is registered under; the message lists what there is."""

    def __init__(self, kind: str, name: str, known: tuple[str, ...]) -> None:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"Unknown {kind} {name!r}. Known: {', '.join(sorted(known))}.{hint}")

    def __str__(self) -> str:
        return str(self.args[0])


def build(registry: Registry[type[Any]], name: str, parameters: Mapping[str, Any], shown: str) -> Any:
    """The registered dataclass with these parameters.

    Args:
        registry: of dataclasses whose fields are their parameters.
        name: under which it is registered.
        parameters: by field name; the others keep their defaults.
        shown: where its parameters can be read, for the refusal: "as ... shows them".

    Raises:
        UnknownName: no such name or parameter; the message lists the known ones.
        ValueError: a parameter outside its range.
    """
    kind = registry[name]
    known = tuple(field.name for field in dataclasses.fields(kind))
    for parameter in parameters:
        if parameter not in known:
            raise UnknownName(f"parameter of {name}", parameter, known)
    try:
        return kind(**parameters)
    except TypeError as error:  # a number was asked for and something else given
        raise ValueError(f"Expected parameters of {name} as {shown}, got {error}.") from None
