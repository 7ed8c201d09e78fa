"""matex uncertainty: how much a map changes with the seed, with noise and with the wording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matex.cli.inputs import read_phrase
from matex.cli.option_groups import FilmOptions, ModelOptions
from matex.cli.options import FilmArgument, JsonOption, MethodOption, ParameterOption, PhraseArgument, PluginOption
from matex.cli.parameters import parse_parameters

if TYPE_CHECKING:
    from matex.map_spread import Uncertainty


def uncertainty(
    image: FilmArgument,
    text: PhraseArgument,
    method: MethodOption = "matex",
    parameter: ParameterOption = None,
    paraphrase: Annotated[
        list[str] | None,
        typer.Option("--paraphrase", help="Another wording of TEXT; repeatable.", show_default="five frames"),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Further seeds of a stochastic method; 0: none.")] = 5,
    noise: Annotated[int, typer.Option(help="Films with added noise; 0: none.")] = 5,
    noise_level: Annotated[float, typer.Option(help="Of the noise, share of the range from black to white.")] = 0.02,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("uncertainty"),
    json: JsonOption = False,
    *,
    film: FilmOptions,
    model: ModelOptions,
    plugin: PluginOption = None,
) -> None:
    """Show how much the map changes with the seed, with noise in the film and with the wording of the phrase.

    Writes uncertainty.json, uncertainty.npz and uncertainty.png.
    """
    import matex
    from matex.cli.printing import print_json
    from matex.files import check_folder

    parameters = parse_parameters(method, parameter or [])
    check_folder(out)
    read = film.read(image)
    found = matex.uncertainty(
        model.load(),
        read,
        read_phrase(text),
        method,
        seeds=seeds,
        noise=noise,
        noise_level=noise_level,
        paraphrases=paraphrase,
        resize=film.resize,
        domain=film.domain,
        lung_mask=film.read_mask(read),
        **parameters,
    )
    found.save(out)
    if json:
        print_json(found.to_dict())
    else:
        _print_spreads(found, out)
    model.report_default()


def _print_spreads(found: Uncertainty, out: Path) -> None:
    """One line for each source, and the completeness errors."""
    for name, spread in found.spreads.items():
        maps = "1 map" if spread.maps == 1 else f"{spread.maps} maps"
        print(
            f"{name:12} {maps}: standard deviation {spread.mean:.3f} of a map's range on average, rank "
            f"correlation with the map {spread.likeness:.2f}"
        )
    for name, why in found.skipped.items():
        print(f"{name:12} skipped: {why}")
    for side, error in found.completeness.items():
        print(f"completeness error of the {side} attributions: " + ("undefined" if error is None else f"{error:+.2%}"))
    print(f"Wrote {out}. Not for diagnosis.")
