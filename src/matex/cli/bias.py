"""matex bias: which words go with which regions over a data set, by sex, age, view, device or markers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matex.cli.interactions import interaction_parameters
from matex.cli.option_groups import ModelOptions
from matex.cli.options import JsonOption, ParameterOption, PluginOption, ResizeOption
from matex.cli.printing import defined, interval, on_terminal, print_json
from matex.errors import InputError

if TYPE_CHECKING:
    from matex.bias import Associations


def bias(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Table of pairs, or the folder of a data set.")],
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", help="Attribute to compare: a column, view, or markers; repeatable.", show_default="markers"
        ),
    ] = None,
    dataset: Annotated[str, typer.Option(help="Data set that DATA is: manifest, nih, mimic-cxr ...")] = "manifest",
    method: Annotated[
        str, typer.Option("-m", "--method", help="second-order, ca-m2ib (cross-attention), or another of interactions.")
    ] = "second-order",
    parameter: ParameterOption = None,
    least: Annotated[int, typer.Option(help="Pairs that a word must occur in.")] = 10,
    limit: Annotated[int | None, typer.Option(help="Random samples to use.", show_default="all")] = None,
    seed: Annotated[int, typer.Option(help="Of the random samples.")] = 0,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("bias"),
    resize: ResizeOption = "model",
    json: JsonOption = False,
    *,
    model: ModelOptions,
    plugin: PluginOption = None,
) -> None:
    """Relate words to regions of frontal chest films, and compare groups of films.

    Writes bias.html, bias.json, associations.csv and differences.csv.
    """
    from matex.bias import associations
    from matex.datasets import open_dataset, random_subset
    from matex.files import check_folder

    names = by or ["markers"]
    parameters = interaction_parameters(method, parameter or [])
    check_folder(out)
    columns = [name for name in names if name not in ("view", "markers")]
    fields = {"attributes": columns} if dataset == "manifest" and columns else {}
    opened = open_dataset(dataset, root=str(data), **fields)
    if opened.domain != "chest":
        raise InputError(f"Expected chest films, whose regions are known, got a data set of {opened.domain} images.")
    samples = list(opened) if limit is None else random_subset(opened, limit, seed)
    loaded = model.load()
    found = associations(
        loaded, samples, names, method, least=least, resize=resize, **{"progress": on_terminal(), **parameters}
    )
    found.save(out)
    if json:
        print_json(found.to_dict())
    else:
        for problem in opened.problems:
            print(f"left out {problem.file} row {problem.row}: {problem.said}")
        _print(found, out)
    model.report_default()


def _print(found: Associations, out: Path) -> None:
    """Groups, and the ten differences with the smallest p."""
    for name, levels in found.groups.items():
        print(f"{name}: " + ", ".join(f"{level} {pairs}" for level, pairs in levels.items()))
    tests = sum(one.p == one.p for one in found.differences)
    print(f"{tests} tests of words, regions and groups; p with Holm's correction for all of them")
    for one in found.differences[:10]:
        ends = interval(one.low, one.high, "+.3f")
        print(
            f"  {defined(one.difference, '+.3f')} ({ends}) p {defined(one.p_holm, '.2g')}  {one.word!r} in "
            f"{one.region}, {one.attribute} {one.level}: {one.clusters} against {one.other_clusters} clusters"
        )
    print(f"Open {out / 'bias.html'}. Not for diagnosis.")
