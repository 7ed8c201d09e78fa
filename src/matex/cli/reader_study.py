"""matex reader-study: blinded pages of maps for readers, and the agreement of their answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matex.cli.compare import method_names
from matex.cli.option_groups import ModelOptions, grouped
from matex.cli.options import DomainOption, JsonOption, PluginOption, ResizeOption
from matex.cli.parameters import parameters_by_method
from matex.cli.printing import defined, interval, on_terminal, print_json

if TYPE_CHECKING:
    from matex.reader_study import Analysis
    from matex.reader_study.agreement import Agreement

app = typer.Typer(
    help="Have readers rate maps without knowing the method, and measure agreement.", rich_markup_mode=None
)


def pages(
    pairs: Annotated[
        Path, typer.Argument(metavar="PAIRS", help="Table with columns image, text and, where known, patient.")
    ],
    method: Annotated[str, typer.Option("-m", "--methods", help="Names separated by commas.")] = "matex,grad-eclip",
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="METHOD.KEY=VALUE", help="Of one of the methods; repeatable."),
    ] = None,
    readers: Annotated[int, typer.Option(help="Pages; each has an order of its own.")] = 2,
    repeats: Annotated[float, typer.Option(help="Share of the maps shown twice to each reader, at most 1/3.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of order, repeats and names of cases.")] = 0,
    question: Annotated[
        list[str] | None,
        typer.Option(help="On each map; repeatable.", show_default="how well the region matches the phrase"),
    ] = None,
    scale: Annotated[int, typer.Option(help="Ratings from 1 to this.")] = 5,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the pages.")] = Path("reader-study"),
    key: Annotated[Path, typer.Option(help="File for the key, outside the folder.")] = Path("reader-study-key.json"),
    resize: ResizeOption = "model",
    domain: DomainOption = "chest",
    *,
    model: ModelOptions,
    plugin: PluginOption = None,
) -> None:
    """Write one blinded page for each reader, and the key to a file of its own."""
    from matex.datasets import open_dataset
    from matex.files import check_folder
    from matex.reader_study import make_study
    from matex.reader_study.study import QUESTION

    chosen = parameters_by_method(method_names(method), parameter or [])
    check_folder(out)
    samples = open_dataset("manifest", root=str(pairs), domain=domain)
    study = make_study(
        model.load(),
        samples,
        chosen,
        readers=readers,
        repeats=repeats,
        seed=seed,
        questions=question or [QUESTION],
        scale=scale,
        resize=resize,
        domain=domain,
        progress=on_terminal(),
    )
    study.save(out, key)
    for problem in samples.problems:
        print(f"left out {problem.file} row {problem.row}: {problem.said}")
    several = "page" if readers == 1 else "pages"
    print(f"Wrote {readers} {several} of {len(study.order[0])} cases to {out}, the key to {key}. Not for diagnosis.")
    model.report_default()


def agreement(
    answers: Annotated[list[Path], typer.Argument(metavar="ANSWERS...", help="Files that the readers' pages saved.")],
    key: Annotated[Path, typer.Option(help="The key of the study.")] = Path("reader-study-key.json"),
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("agreement.json"),
    json: JsonOption = False,
) -> None:
    """Weighted kappa, ICC and alpha of the readers, of each with themselves, and the ratings of the methods."""
    from matex.reader_study import analyse

    found = analyse(answers, key)
    found.save(out)
    if json:
        print_json(found.to_dict())
    else:
        print_analysis(found)
        print(f"Wrote {out}.")


def print_analysis(found: Analysis) -> None:
    """The statistics of each question."""
    print(f"{len(found.readers)} {'reader' if len(found.readers) == 1 else 'readers'}, {found.items} maps")
    for one in found.questions:
        print(f"\n{one.question}")
        for weights, pairs in one.kappa.items():
            for pair, kappa in pairs.items():
                print(_line(f"kappa, {weights}, readers {pair}", kappa))
        for name, icc in one.icc.items():
            print(_line(name, icc))
        print(_line("Krippendorff's alpha, ordinal", one.alpha))
        for reader, kappa in one.intra.items():
            print(_line(f"reader {reader} with themselves", kappa))
        for method, mean in one.methods.items():
            ends = interval(mean.low, mean.high, ".2f")
            print(f"  {method:36} mean {defined(mean.mean, '.2f')} ({ends}), {mean.defined} maps")
        for pair, difference in one.differences.items():
            ends, p = interval(difference.low, difference.high, "+.2f"), defined(difference.p_wilcoxon, ".2g")
            print(f"  {pair:36} {defined(difference.difference, '+.2f')} ({ends}), p {p} (Holm)")


def _line(name: str, found: Agreement) -> str:
    return f"  {name:36} {defined(found.value, '.2f')} ({interval(found.low, found.high, '.2f')}), {found.cases} maps"


app.command()(grouped(pages))
app.command()(agreement)
