"""Methods from elsewhere: a user's own file, or an installed package with the entry point group `matex.methods`.

Files are named by `matex ... --plugin FILE` or in the variable MATEX_PLUGINS, which other processes inherit.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from matex.errors import PluginError

GROUP = "matex.methods"
VARIABLE = "MATEX_PLUGINS"
_PREFIX = "matex_plugin_"


def announced() -> bool:
    """Whether there are plug-ins that nobody imported yet."""
    return bool(_files() or installed())


@cache
def installed() -> tuple[EntryPoint, ...]:
    """Modules with methods that installed packages announce, found without importing them."""
    return tuple(entry_points(group=GROUP))


def load_announced() -> None:
    """Import the installed modules and run the files of MATEX_PLUGINS, which register their methods.

    Raises:
        PluginError: one that cannot be used.
    """
    for entry in installed():
        try:
            importlib.import_module(entry.module)
        except Exception as error:  # anything can go wrong in somebody else's module
            raise PluginError(
                f"Expected the installed plug-in {entry.module} to be importable, got {type(error).__name__}: "
                f"{str(error)[:200]}. Fix or uninstall it."
            ) from error
    for file in _files():
        load_file(file)


def use_files(paths: Sequence[Path]) -> None:
    """Run files now, and name them in MATEX_PLUGINS for processes that are started from here.

    Raises:
        PluginError: one that cannot be used.
    """
    for path in paths:
        load_file(path)
    files = dict.fromkeys([*_files(), *(path.expanduser().resolve() for path in paths)])
    os.environ[VARIABLE] = os.pathsep.join(str(file) for file in files)


def file_of(error: Exception) -> str:
    """Name of the plug-in file in whose code an error arose; empty where it arose elsewhere."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__", "")).startswith(_PREFIX):
            return Path(frame.f_code.co_filename).name
    return ""


def load_file(path: Path) -> tuple[str, ...]:
    """Run a user's file, which registers its methods; once for each file.

    Returns:
        The names it registered.

    Raises:
        PluginError: no such file, one that fails, registers nothing, or registers what is no method.
    """
    from matex.protocols import METHODS  # here, so that lists of methods answer without torch

    file = path.expanduser().resolve()
    name = _PREFIX + hashlib.sha256(str(file).encode()).hexdigest()[:12]
    if name not in sys.modules:
        _run(path, file, name)
    found = tuple(method for method, kind in METHODS.items() if kind.__module__ == name)
    if not found:
        raise PluginError(f'Expected {path} to register a method under @METHODS("name"), it registers none.')
    for method in found:
        _check(path, method, METHODS[method])
    return found


def origin(kind: type[object]) -> str | None:
    """The file or module a method came from; None for what ships with the package."""
    if kind.__module__.split(".")[0] == "matex":
        return None
    return Path(inspect.getfile(kind)).name if kind.__module__.startswith(_PREFIX) else kind.__module__


def describe(kind: type[object]) -> dict[str, str] | None:
    """Origin of a method and the checksum of its file, for the provenance; None for methods of the package."""
    name = origin(kind)
    if name is None:
        return None
    try:
        content = Path(inspect.getfile(kind)).read_bytes()
    except (OSError, TypeError):  # typed at a prompt: there is no file
        return {"name": name, "sha256": ""}
    return {"name": name, "sha256": hashlib.sha256(content).hexdigest()}


def _files() -> list[Path]:
    return [Path(file) for file in os.environ.get(VARIABLE, "").split(os.pathsep) if file]


def _run(path: Path, file: Path, name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, file) if file.suffix == ".py" else None
    if not file.is_file() or spec is None or spec.loader is None:
        raise PluginError(f"Expected a Python file with methods, got {path}. Check the path.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their annotations up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # anything can go wrong in a user's file
        del sys.modules[name]
        raise PluginError(
            f"Expected {path} to run, got {type(error).__name__}: {str(error)[:200]}. Run it with python to see where."
        ) from error


def _check(path: Path, name: str, kind: object) -> None:
    """Refuse what is registered and is no method, before it fails in the middle of a run."""
    frozen = getattr(getattr(kind, "__dataclass_params__", None), "frozen", False)
    towers = getattr(kind, "towers", ())
    for ok, expected in (
        (frozen, "a class under @dataclass(frozen=True)"),
        (towers and set(towers) <= {"image", "text"}, 'towers = ("image",), ("text",) or both'),
        (callable(getattr(kind, "gradient_blocks", None)), "a function gradient_blocks(self, kind)"),
        ("__call__" in dir(kind), "a function __call__(self, trace)"),
    ):
        if not ok:
            raise PluginError(f"Expected the method {name!r} of {path} to have {expected}. See docs/architecture.md.")
