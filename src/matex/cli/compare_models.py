"""matex compare-models: two models on the same pairs."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matex.cli.options import (
    DeviceOption,
    DomainOption,
    JsonOption,
    MethodOption,
    ParameterOption,
    PluginOption,
    ResizeOption,
    complete_model,
)
from matex.cli.parameters import parse_parameters
from matex.cli.printing import on_terminal, print_json

if TYPE_CHECKING:
    from matex.model_comparison import ModelComparison


def compare_models(
    first: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Such as a model before debiasing.", autocompletion=complete_model),
    ],
    second: Annotated[
        str, typer.Argument(metavar="MODEL", help="Such as the same model after it.", autocompletion=complete_model)
    ],
    pairs: Annotated[
        Path, typer.Argument(metavar="PAIRS", help="Table with columns image, text and, where known, patient.")
    ],
    method: MethodOption = "matex",
    parameter: ParameterOption = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("models"),
    shown: Annotated[int, typer.Option(help="Pairs to draw, those whose maps agree least.")] = 12,
    resize: ResizeOption = "model",
    domain: DomainOption = "chest",
    device: DeviceOption = "auto",
    json: JsonOption = False,
    plugin: PluginOption = None,
) -> None:
    """Compare scores, ranks and maps of two models on the same pairs, such as before and after debiasing.

    Writes comparison.html, comparison.json, pairs.csv and phrases.csv.
    """
    import matex
    from matex.datasets import open_dataset
    from matex.files import check_folder

    parameters = parse_parameters(method, parameter or [])
    check_folder(out)
    samples = open_dataset("manifest", root=str(pairs), domain=domain)
    one, other = (matex.load(name, device=device) for name in (first, second))
    found = matex.compare_models(
        one, other, samples, method, shown=shown, resize=resize, domain=domain, progress=on_terminal(), **parameters
    )
    found.save(out)
    if json:
        print_json(found.to_dict())
    else:
        for problem in samples.problems:
            print(f"left out {problem.file} row {problem.row}: {problem.said}")
        _print(found, out)


def _print(found: ModelComparison, out: Path) -> None:
    """All pairs, then the ten phrases with the largest change."""
    print(f"{'score change':>12}  {'95 % interval':>18}  {'rank':>6}  first   maps  phrase (pairs)")
    for one in found.phrases[:11]:
        interval = "undefined" if isnan(one.low) else f"{one.low:+.4f} to {one.high:+.4f}"
        print(
            f"{one.score_change:+12.4f}  {interval:>18}  {one.rank_change:+6.2f}  "
            f"{f'+{one.gained} -{one.lost}':7} {one.map_correlation:5.2f}  {one.text} ({one.pairs})"
        )
    print(f"Open {out / 'comparison.html'}. Not for diagnosis.")
