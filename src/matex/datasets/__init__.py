"""Data sets, one layout per file; importing the package registers every file of this folder.

A layout is how a collection lies on the disk as its makers hand it out. docs/datasets.md shows each.
"""

import dataclasses
import importlib
import os
import pkgutil
import typing
from pathlib import Path

from matex.checks import is_list, text
from matex.coerce import as_type, in_words
from matex.datasets.sample import DATASETS, Dataset, Problem, Sample
from matex.datasets.subset import random_subset
from matex.errors import InputError, shown
from matex.registry import UnknownName, check_counts

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["DATASETS", "Dataset", "Problem", "Sample", "open_dataset", "random_subset"]


def open_dataset(name: str, **fields: object) -> Dataset:
    """Open a data set and read its tables; images are read when samples are accessed.

    Args:
        name: as registered, such as "ms-cxr".
        **fields: of that data set, as a configuration file has them: paths as text, lists for tuples.

    Raises:
        UnknownName: no such data set or field; the message lists the known ones.
        InputError: a field of the wrong type, a path where there is nothing, a table without its columns, or a data
            set without a single usable sample.
    """
    kind = DATASETS[name]
    known = {field.name: field for field in dataclasses.fields(kind)}
    for field in fields:
        if field not in known:
            raise UnknownName(f"field of {name}", field, tuple(known))
    for field, entry in known.items():
        if field not in fields and entry.default is dataclasses.MISSING:
            raise InputError(
                f"Expected {field} for {name}, got none. Name the folder; docs/datasets.md says what is in it."
            )
    types_of = typing.get_type_hints(kind)
    dataset = kind(**{field: _converted(name, field, types_of[field], value) for field, value in fields.items()})
    len(dataset)  # reads the tables, so that their errors are raised here
    return dataset


def _converted(name: str, field: str, expected: object, value: object) -> object:
    """Coerce a value of a configuration file to the type of its field."""
    try:
        typed: object = as_type(value, expected)
    except ValueError:
        raise InputError(f"Expected {field} of {name} as {in_words(expected)}, got {shown(value)}.") from None
    check_counts(field, typed)
    for part in typed if is_list(typed) else (typed,):
        if isinstance(part, str):
            text(part, f"{field} of {name}")
    if not isinstance(typed, Path):
        return typed
    path = typed.expanduser()
    if not os.path.exists(path):
        raise InputError(
            f"Expected {field} of {name}, got a path where there is nothing: {shown(str(path))}. Check it."
        )
    return path
