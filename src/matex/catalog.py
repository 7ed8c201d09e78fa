"""Lists of methods and models, read from their source files so that a list imports nothing heavy."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from matex.checks import is_list
from matex.coerce import PLAIN, in_words
from matex.errors import UnknownName
from matex.plugins import announced, origin
from matex.registry import Parameterised, Parameters

PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class MethodEntry:
    """A registered attribution method.

    Args:
        name: as `matex.explain(method=...)` takes it.
        summary: first line of its docstring.
        parameters: name to default, in the order of its fields.
        towers: "image", "text" or both: what it explains.
        source: the paper with its equations.
        needs: what it asks of a tower, such as "attention", "gradient", "joint tokens", "black box".
        passes: what a map costs in forwards and backwards of the tower.
        equation: its formula.
        errors: known errors and gaps of the source, each with what is done about it.
        deterministic: True when it takes no seed.
        draws: what its seed draws; empty for a deterministic method.
        plugin: the file or module it came from; None for what ships with the package.
    """

    name: str
    summary: str
    parameters: Parameters
    towers: tuple[str, ...]
    source: str
    needs: tuple[str, ...] = ()
    passes: str = ""
    equation: str = ""
    errors: tuple[str, ...] = ()
    deterministic: bool = True
    draws: str = ""
    plugin: str | None = None


@dataclass(frozen=True)
class ParameterEntry:
    """A parameter of a method.

    Args:
        name: of the field.
        default: its value where none is given.
        type: of its values, in words.
        range: of its values, in the words of the check that refuses others; empty where the type says all.
        summary: what it sets, from the docstring of the method.
    """

    name: str
    default: object
    type: str
    range: str
    summary: str

    @property
    def values(self) -> str:
        """Type and range as one phrase: "a whole number of 1 or more"."""
        return (
            self.range.removeprefix("to be ")
            if self.range.startswith("to be ")
            else f"{self.type} {self.range}".strip()
        )


@dataclass(frozen=True)
class ModelEntry:
    """A kind of model that `matex.load` knows.

    Args:
        name: the whole name, or the prefix of names when it ends with a colon.
        summary: first line of its loader's docstring.
    """

    name: str
    summary: str


def methods() -> tuple[MethodEntry, ...]:
    """All methods by name: those of the package, of installed plug-ins, and what else has registered itself.

    torch is imported only where there are plug-ins.

    Examples:
        >>> [entry.name for entry in matex.methods() if "black box" in entry.needs]
        ['kernel-shap', 'occlusion', 'rise']
    """
    if announced():
        importlib.import_module("matex.attribution")
    registry = getattr(sys.modules.get("matex.protocols"), "METHODS", {})
    shipped = _shipped()
    foreign = [_of_class(name, registry[name]) for name in registry if name not in shipped]
    return tuple(sorted([*shipped.values(), *foreign], key=lambda entry: entry.name))


def parameters(method: str) -> tuple[ParameterEntry, ...]:
    """The parameters of one method, in the order of its fields.

    Raises:
        UnknownName: no such method.

    Examples:
        >>> layers = parameters("chefer")[0]
        >>> layers.name, layers.default, layers.values
        ('layers', 'last', 'one of last, all')
    """
    entries = {entry.name: entry for entry in methods()}
    if method not in entries:
        raise UnknownName("method", method, tuple(entries))
    entry = entries[method]
    if entry.plugin is None:
        nodes = _lineage(method)
        texts, hints, ranges = [ast.get_docstring(node) or "" for node in nodes], _hints(nodes), _ranges(nodes)
    else:
        kind: type[object] = sys.modules["matex.protocols"].METHODS[method]
        texts = [inspect.cleandoc(base.__dict__.get("__doc__") or "") for base in reversed(kind.__mro__)]
        hints, ranges = typing.get_type_hints(kind), {}
    summaries = _argument_texts(texts)
    return tuple(
        ParameterEntry(name, default, in_words(hints[name], PLAIN), ranges.get(name, ""), summaries.get(name, ""))
        for name, default in entry.parameters.items()
    )


@cache
def models() -> tuple[ModelEntry, ...]:
    """All kinds of models, by name.

    Examples:
        >>> "tiny" in [entry.name for entry in matex.models()]
        True
    """
    found = {name: ModelEntry(name, _summary(node)) for name, node in _registered("adapters", "MODELS", {})}
    return tuple(found[name] for name in sorted(found))


@cache
def _shipped() -> Mapping[str, MethodEntry]:
    """The methods of the package by name, from their source."""
    classes: dict[str, ast.ClassDef] = {}
    registered: dict[str, ast.ClassDef] = {}
    for name, node in _registered("attribution", "METHODS", classes):
        if isinstance(node, ast.ClassDef):
            registered[name] = node
    entries: dict[str, MethodEntry] = {}
    for name, node in registered.items():
        fields = _fields(node, classes)
        constants = {key: value for key, (value, constant) in fields.items() if constant}
        parameters = {key: value for key, (value, constant) in fields.items() if not constant}
        entries[name] = _entry(name, _summary(node), parameters, constants)
    return entries


def _lineage(method: str) -> list[ast.ClassDef]:
    """The class of a method that ships with the package behind its base classes, most general first."""
    classes: dict[str, ast.ClassDef] = {}
    registered = dict(_registered("attribution", "METHODS", classes))
    found: list[ast.ClassDef] = []
    ahead: list[ast.ClassDef | ast.FunctionDef] = [registered[method]]
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.ClassDef):
            found.insert(0, node)
            ahead += [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    return found


def _hints(nodes: Sequence[ast.ClassDef]) -> dict[str, object]:
    """The types of annotated fields, from the source; names of choices (`Baseline`) are looked up in their modules."""
    fields = {
        statement.target.id: ast.unparse(statement.annotation)
        for node in nodes
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    }
    plain = {name: text for name, text in fields.items() if not text.startswith("ClassVar")}
    holder = type("Fields", (), {"__annotations__": plain})
    return typing.get_type_hints(holder, globalns={"Literal": Literal, **_choices()})


@cache
def _choices() -> dict[str, object]:
    """Names that stand for `Literal[...]` in the modules of methods."""
    found: dict[str, object] = {}
    for file in sorted((PACKAGE / "attribution").rglob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id=name)], value=ast.Subscript(value=ast.Name(id="Literal")) as value
                ):
                    found[name] = Literal[ast.literal_eval(value.slice)]
                case _:
                    pass
    return found


def _ranges(nodes: Sequence[ast.ClassDef]) -> dict[str, str]:
    """The ranges of parameters, from calls such as `check(self.masks >= 1, "masks", "of 1 or more", self.masks)`."""
    found: dict[str, str] = {}
    for node in nodes:
        for statement in ast.walk(node):
            match statement:
                case ast.Call(func=ast.Name("check"), args=[_, ast.Constant(str(name)), ast.Constant(str(text)), _]):
                    found[name] = text
                case ast.Call(func=ast.Name("check_seed")):
                    found["seed"] = "from 0 to 4294967295"
                case ast.For(iter=ast.Tuple(names), body=[ast.Expr(ast.Call(func=ast.Name("check"), args=args))]):
                    if isinstance(args[2], ast.Constant):
                        found |= {ast.literal_eval(name): str(args[2].value) for name in names}
                case _:
                    pass
    return found


def _argument_texts(docstrings: Sequence[str]) -> dict[str, str]:
    """Descriptions of arguments in the "Args" sections of docstrings, later docstrings before earlier ones."""
    found: dict[str, str] = {}
    for text in docstrings:
        section = re.search(r"^Args:\n((?:    .*\n?|\n)+)", text, re.M)
        for item in re.findall(r"^    (\w+): ((?:.*\n?)(?:^        .*\n?)*)", section[1] if section else "", re.M):
            found[item[0]] = " ".join(item[1].split())
    return found


def _of_class(name: str, kind: type[Parameterised]) -> MethodEntry:
    """An entry of a class that some plug-in registered."""
    parameters: dict[str, object] = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            parameters[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            parameters[field.name] = field.default_factory()
    summary = (kind.__doc__ or "").strip().partition("\n")[0]
    constants = {constant: getattr(kind, constant) for constant in _CONSTANTS if hasattr(kind, constant)}
    return dataclasses.replace(_entry(name, summary, parameters, constants), plugin=origin(kind))


_CONSTANTS = ("towers", "source", "needs", "passes", "equation", "errors", "draws")


def _entry(name: str, summary: str, parameters: Parameters, constants: Mapping[str, object]) -> MethodEntry:
    return MethodEntry(
        name=name,
        summary=summary,
        parameters=parameters,
        towers=_texts(constants.get("towers")),
        source=str(constants.get("source", "")),
        needs=_texts(constants.get("needs")),
        passes=str(constants.get("passes", "")),
        equation=str(constants.get("equation", "")),
        errors=_texts(constants.get("errors")),
        deterministic="seed" not in parameters,
        draws=str(constants.get("draws", "")),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if is_list(value) else ()


def _registered(
    folder: str, registry: str, classes: dict[str, ast.ClassDef]
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """(name, definition) of everything under `@registry("name")`; collects all classes in passing."""
    for file in sorted((PACKAGE / folder).rglob("*.py")):
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


def _fields(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> dict[str, tuple[object, bool]]:
    """Annotated names with (default, is it a ClassVar), those of base classes first."""
    found: dict[str, tuple[object, bool]] = {}
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            found |= _fields(classes[base.id], classes)
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            constant = ast.unparse(statement.annotation).startswith("ClassVar")
            found[statement.target.id] = (_value(statement.value), constant)
    return found


def _value(node: ast.expr) -> object:
    """A literal as the value, anything else as its source."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _summary(node: ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0].strip()
