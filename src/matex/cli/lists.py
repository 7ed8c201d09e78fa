"""matex methods and matex models: what there is, without torch."""

from __future__ import annotations

import dataclasses

from matex.cli.options import JsonOption, PluginOption
from matex.cli.printing import indented, print_json


def methods(plugin: PluginOption = None, json: JsonOption = False) -> None:
    """List the methods with their parameters."""
    import matex

    entries = matex.methods()
    if json:
        print_json([dataclasses.asdict(entry) for entry in entries])
        return
    for entry in entries:
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
