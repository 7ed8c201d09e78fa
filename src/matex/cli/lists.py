"""matex methods and matex models: the catalog, without torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from matex.cli.options import JsonOption, PluginOption, complete_method
from matex.cli.printing import indented, print_json
from matex.published import PUBLISHED

if TYPE_CHECKING:
    from matex.catalog import MethodEntry, ParameterEntry


def methods(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="One method, with all its parameters.", autocompletion=complete_method),
    ] = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """List the methods with their parameters, or describe one."""
    import matex
    from matex.catalog import parameters

    if name is not None:
        described = parameters(name)  # refuses a name that is unknown
        entry = next(entry for entry in matex.methods() if entry.name == name)
        if json:
            print_json({**dataclasses.asdict(entry), "parameters": [dataclasses.asdict(one) for one in described]})
        else:
            _print_method(entry, described)
    elif json:
        print_json([dataclasses.asdict(entry) for entry in matex.methods()])
    else:
        for entry in matex.methods():
            _print_line(entry)


def _print_method(entry: MethodEntry, parameters: Sequence[ParameterEntry]) -> None:
    """Print the catalog's entry of a method."""
    origin = f", from {entry.plugin}" if entry.plugin else ""
    print(f"{entry.name}  [{' and '.join(entry.towers)}{origin}]\n{indented(entry.summary)}")
    facts = {
        "equation": entry.equation,
        "source": entry.source,
        "cost": entry.passes,
        "needs": ", ".join(entry.needs) or "nothing",
        "random": entry.draws or "the seed decides" if not entry.deterministic else "no",
    }
    for fact, text in facts.items():
        if text:
            print(f"\n{fact}\n{indented(text)}")
    for number, erratum in enumerate(entry.errors):
        print(indented(erratum) if number else f"\nerrata of the source, and how they are handled\n{indented(erratum)}")
    for number, parameter in enumerate(parameters):
        print("" if number else "\nparameters (-p NAME=VALUE)")
        print(f"    {parameter.name} = {parameter.default!r}  ({parameter.values})\n{indented(parameter.summary, 8)}")


def _print_line(entry: MethodEntry) -> None:
    """Name, summary, cost and parameters of one method of the list."""
    origin = f", from {entry.plugin}" if entry.plugin else ""
    print(f"{entry.name}  [{' and '.join(entry.towers)}{origin}]\n    {entry.summary}")
    facts = [entry.passes, f"needs {', '.join(entry.needs) or 'nothing'}", "" if entry.deterministic else "seeded"]
    print(indented("; ".join(fact for fact in facts if fact)))
    if entry.parameters:
        print(indented(", ".join(f"{name}={default}" for name, default in entry.parameters.items())))


def models(json: JsonOption = False) -> None:
    """List the kinds of models and how to name them."""
    import matex

    entries = matex.models()
    if json:
        print_json([dataclasses.asdict(entry) for entry in entries])
        return
    for entry in entries:
        print(f"{entry.name:10} {entry.summary}")
    print("\npublished models and the licences of their weights; a hub id is downloaded when it is named")
    for one in PUBLISHED:
        print(f"{one.name}\n    {one.summary}; {one.licence}{'; gated' if one.gated else ''}")
