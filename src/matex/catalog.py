"""What there is: methods and models, read from their source files so that a list imports nothing heavy."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class MethodEntry:
    """A registered attribution method.

    Args:
        name: as `matex.explain(method=...)` takes it.
        summary: first line of its docstring.
        parameters: name to default, in the order of its fields.
        towers: "image", "text" or both: what it explains.
        source: the paper.
    """

    name: str
    summary: str
    parameters: Mapping[str, Any]
    towers: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class ModelEntry:
    """A kind of model that `matex.load` knows.

    Args:
        name: the whole name, or the prefix of names when it ends with a colon.
        summary: first line of its loader's docstring.
    """

    name: str
    summary: str


@cache
def methods() -> tuple[MethodEntry, ...]:
    """All methods that ship with the package, by name."""
    classes: dict[str, ast.ClassDef] = {}
    registered: dict[str, ast.ClassDef] = {}
    for name, node in _registered("attribution", "METHODS", classes):
        if isinstance(node, ast.ClassDef):
            registered[name] = node
    entries: list[MethodEntry] = []
    for name, node in sorted(registered.items()):
        fields = _fields(node, classes)
        constants = {key: value for key, (value, constant) in fields.items() if constant}
        entries.append(
            MethodEntry(
                name=name,
                summary=_summary(node),
                parameters={key: value for key, (value, constant) in fields.items() if not constant},
                towers=tuple(constants.get("towers", ())),
                source=str(constants.get("source", "")),
            )
        )
    return tuple(entries)


@cache
def models() -> tuple[ModelEntry, ...]:
    """All kinds of models, by name."""
    found = {name: ModelEntry(name, _summary(node)) for name, node in _registered("adapters", "MODELS", {})}
    return tuple(found[name] for name in sorted(found))


def _registered(
    folder: str, registry: str, classes: dict[str, ast.ClassDef]
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """(name, definition) of everything under `@registry("name")`; collects all classes on the way."""
    for file in sorted((PACKAGE / folder).glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                classes[node.name] = node
            if not isinstance(node, ast.ClassDef | ast.FunctionDef):
                continue
            for decorator in node.decorator_list:
                match decorator:
                    case ast.Call(func=ast.Name(id=called), args=[ast.Constant(value=str(name))]) if called == registry:
                        yield name, node
                    case _:
                        pass


def _fields(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> dict[str, tuple[Any, bool]]:
    """Annotated names with (default, is it a ClassVar), those of base classes first."""
    found: dict[str, tuple[Any, bool]] = {}
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            found |= _fields(classes[base.id], classes)
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            constant = ast.unparse(statement.annotation).startswith("ClassVar")
            found[statement.target.id] = (_value(statement.value), constant)
    return found


def _value(node: ast.expr) -> Any:
    """A literal as the value, anything else as its source."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _summary(node: ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0].strip()
