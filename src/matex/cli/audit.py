"""matex audit: one explanation against its controls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matex.cli.inputs import read_phrase
from matex.cli.option_groups import FilmOptions, ModelOptions
from matex.cli.options import FilmArgument, JsonOption, MethodOption, ParameterOption, PhraseArgument, PluginOption
from matex.cli.parameters import parse_parameters
from matex.cli.printing import indented, on_terminal, print_json, print_notes
from matex.registry import Parameters


def audit(
    image: FilmArgument,
    text: PhraseArgument,
    method: MethodOption = "matex",
    parameter: ParameterOption = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("audit"),
    json: JsonOption = False,
    unrelated: Annotated[
        str | None, typer.Option(help="A phrase that has nothing to do with the image.", show_default="the weather")
    ] = None,
    regions: Annotated[
        int, typer.Option(min=10, max=10_000, help="Random regions to compare the highlighted one with.")
    ] = 40,
    repeats: Annotated[int, typer.Option(min=2, max=1000, help="Seeds, for methods with random samples.")] = 5,
    *,
    film: FilmOptions,
    model: ModelOptions,
    plugin: PluginOption = None,
) -> None:
    """Test whether a map depends on the model or on the prior.

    Compares the map with controls and gives a verdict in words. Writes audit.json and audit.html.
    """
    import matex
    from matex.files import check_folder

    settings = parse_parameters(method, parameter or [])
    check_folder(out)
    read = film.read(image)
    mask = film.read_mask(read)
    options: Parameters = {"progress": on_terminal(), **settings}  # -p progress=... overrides
    result = matex.audit(
        model.load(),
        read,
        read_phrase(text),
        method,
        unrelated=unrelated,
        regions=regions,
        repeats=repeats,
        resize=film.resize,
        domain=film.domain,
        lung_mask=mask,
        **options,
    )
    result.save(out)
    if json:
        print_json(result.record())
    else:
        for check in result.checks.values():
            print(f"{check.state:9} {check.question}\n{indented(check.answer, 10)}")
        print_notes({method: result.explanation})
        print(f"\n{indented(result.summary, 0)}\n\nOpen {out / 'audit.html'}. Not for diagnosis.")
    model.report_default()
