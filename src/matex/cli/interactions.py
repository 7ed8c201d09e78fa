"""matex interactions: which word of a phrase goes with which place of a film."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matex.checks import count
from matex.cli.inputs import read_phrase
from matex.cli.option_groups import FilmOptions, ModelOptions
from matex.cli.options import FilmArgument, JsonOption, ParameterOption, PhraseArgument, PluginOption
from matex.cli.parameters import parse_parameters, read_option
from matex.cli.printing import indented, on_terminal
from matex.errors import InputError, shown
from matex.registry import Parameters

if TYPE_CHECKING:
    from matex.interaction import Interactions


def interactions(
    image: FilmArgument,
    text: PhraseArgument,
    method: Annotated[
        str,
        typer.Option("-m", "--method", help="second-order, banzhaf, shapley, or a method of matex methods."),
    ] = "second-order",
    parameter: ParameterOption = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("interactions"),
    json: JsonOption = False,
    unit: Annotated[
        list[Path] | None,
        typer.Option(
            "--unit",
            help="Image or .npy whose pixels other than 0 are a part of the film to relate words to; repeat it.",
        ),
    ] = None,
    superpixels: Annotated[
        int | None, typer.Option("--superpixels", help="About how many superpixels to relate words to.")
    ] = None,
    *,
    film: FilmOptions,
    model: ModelOptions,
    plugin: PluginOption = None,
) -> None:
    """Show which word goes with which place.

    Writes interactions.html, interactions.json, interactions.npy (word, rows, columns) and interactions.png, a picture
    for each word on one scale.
    """
    import numpy as np

    import matex
    from matex.files import check_folder
    from matex.interaction.units import MOST
    from matex.mask_files import read_part
    from matex.serialise import strict_json

    parameters = interaction_parameters(method, parameter or [])
    if film.lung_mask is not None:
        raise InputError("Expected no --lung-mask, since interactions have no anatomical prior. Leave it out.")
    if unit and superpixels is not None:
        raise InputError("Expected --unit or --superpixels, got both. Leave one out.")
    if superpixels is not None:
        count(superpixels, "--superpixels", 2, MOST)
    check_folder(out)
    read = film.read(image)
    found = matex.interactions(
        model.load(),
        read,
        read_phrase(text),
        method,
        resize=film.resize,
        domain=film.domain,
        units=np.stack([read_part(path, read) for path in unit]) if unit else superpixels,
        **parameters,
    )
    found.save(out)
    if json:
        print(strict_json(found.to_dict()))
    else:
        _print_words(found, out)
    model.report_default()


def interaction_parameters(method: str, given: Sequence[str]) -> Parameters:
    """KEY=VALUE strings as parameters of an interaction method; those of an attribution method are passed on to it.

    Raises:
        InputError: not KEY=VALUE, or a value of another type.
        UnknownName: no such method or parameter.
    """
    from matex.errors import UnknownName
    from matex.interaction.compute import check_name
    from matex.interaction.methods import INTERACTION_METHODS, WordMaps
    from matex.protocols import METHODS

    check_name(method)
    kind = INTERACTION_METHODS[method] if method in INTERACTION_METHODS else WordMaps  # noqa: SIM401  a registry has no get
    hints = {name: hint for name, hint in typing.get_type_hints(kind).items() if name in kind.__dataclass_fields__}
    values: dict[str, object] = {}
    others: list[str] = []
    for item in given:
        name, sign, text = item.partition("=")
        if not sign:
            raise InputError(f"Expected -p KEY=VALUE, got {shown(item)}.")
        if name in values:
            raise InputError(f"Expected each parameter once, got {shown(name)} twice. Leave one out.")
        if name in hints and name != "method":
            values[name] = read_option(name, text, hints[name])
        elif method in INTERACTION_METHODS:
            raise UnknownName(f"parameter of {method}", name, tuple(hints))
        else:
            others.append(item)
    running = hints if method in INTERACTION_METHODS else METHODS[method].__dataclass_fields__
    shown_progress = {"progress": on_terminal()} if "progress" in running else {}
    return {**shown_progress, **values, **(parse_parameters(method, others) if others else {})}


def _print_words(found: Interactions, out: Path) -> None:
    """Print the place of each word's strongest value, with its sign, and the method's report on its run."""
    import numpy as np

    print(f"{found.method}: score {found.score:.3f}")
    rows, columns = found.values.shape[1:]
    width = max(len(word) for word in found.words)
    for word, grid in zip(found.words, found.values, strict=True):
        row, column = np.unravel_index(int(np.abs(grid).argmax()), grid.shape)
        place = f"row {row + 1} of {rows}, column {column + 1} of {columns}"
        print(f"  {word:{width}}  strongest in {place}: {grid[row, column]:+.5f}")
    for word, row in zip(found.words, () if found.units is None else found.units, strict=False):
        print(f"  {word:{width}}  units: " + " ".join(f"{value:+.4f}" for value in row))
    for name, value in found.report.items():
        print(indented(f"{name.replace('_', ' ')}: {'undefined' if value is None else f'{value:.4g}'}"))
    for note in found.notes:
        print(indented(f"note: {note}"))
    print(f"Wrote {out}. Not for diagnosis.")
