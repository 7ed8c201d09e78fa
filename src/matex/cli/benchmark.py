"""matex benchmark, merge, report and tune."""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from matex.checks import MAX_COUNT
from matex.cli.printing import on_terminal

ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file, see docs/benchmark-runs.md.")]


def benchmark(
    config: ConfigArgument,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Run folder.", show_default="runs/ and the name of CONFIG")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Run the I-th of N parts, from 1; matex merge combines them."),
    ] = None,
    executor: Annotated[Literal["serial", "ray"], typer.Option(help="ray: on all cores or on a cluster.")] = "serial",
) -> None:
    """Measure methods on data sets, with their controls.

    Writes a run folder. A run may be interrupted at any moment and is resumed with --resume.
    """
    from matex.benchmark import load_config, run

    chosen = load_config(config)
    part = _shard(shard)
    folder = out or Path("runs") / config.stem
    try:
        terminal = on_terminal()
        lines = None if terminal else _print_line
        written = run(chosen, folder, resume=resume, shard=part, executor=executor, progress=terminal, report=lines)
    except KeyboardInterrupt:
        resume_command = ["matex", "benchmark", str(config), "-o", str(folder), *(["--shard", shard] if shard else [])]
        resume_command += ["--executor", executor] if executor != "serial" else []
        print(f"matex: interrupted; resume with: {shlex.join([*resume_command, '--resume'])}", file=sys.stderr)
        raise
    _print_done(written)


def merge(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of shards, or the folder above them.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Run folder to write.", show_default="the folder above")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file of the run, for metrics of a whole data set that read films of its folders."),
    ] = None,
) -> None:
    """Combine the shards of a benchmark."""
    from matex.benchmark import load_config, merge

    chosen = load_config(config) if config else None
    _print_done(merge(runs, out, config=chosen, progress=on_terminal()))


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that matex benchmark wrote.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder to write to.", show_default="RUN")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Report an incomplete run, interrupted or not merged.")
    ] = False,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL=FOLDER", help="Where a data set of the run lies, to show its films; repeatable."),
    ] = None,
    repetitions: Annotated[
        int | None, typer.Option(help="Also give means over this many random subsets, with their standard error.")
    ] = None,
    subset: Annotated[int, typer.Option(help="With --repetitions: samples of each subset.")] = 1000,
) -> None:
    """Write the tables and figures of a run, next to the published numbers.

    Writes report.html, report.tex and report.csv. Localisation is never reported without its controls.
    """
    from matex.benchmark.report import write_report
    from matex.benchmark.report.repetitions import Repetitions

    repeated = None if repetitions is None else Repetitions(repetitions, subset)
    written = write_report(
        run, out, partial=partial, roots=_roots(data or ()), repetitions=repeated, progress=on_terminal()
    )
    print(f"Open {written}; the tables are also in report.tex and report.csv. Not for diagnosis.")


def tune(
    config: ConfigArgument,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Preset to write.", show_default="CONFIG's name .preset.toml")
    ] = None,
) -> None:
    """Search a method's parameters on a validation split.

    Writes a preset for matex explain -p @PRESET and for benchmark configurations. Never looks at a test split.
    """
    from matex.benchmark.search import load_search
    from matex.benchmark.tuning import tune_file, write_preset
    from matex.files import check_folder

    out = out or Path(f"{config.stem}.preset.toml")
    dataset, model, search = load_search(config)
    check_folder(out.parent)
    tuned = tune_file(dataset, model, search, progress=on_terminal())
    written = write_preset(tuned, out)
    for trial in tuned.best(5):
        settings = ", ".join(f"{name}={value}" for name, value in trial.parameters.items())
        p = "" if math.isnan(trial.p) else f"  (p = {trial.p:.2g} against the defaults)"
        print(f"{trial.value:10.4f}  {settings}{p}")
    print(f"{tuned.default.value:10.4f}  the defaults")
    left_out = f" {tuned.left_out} rows and images could not be used." if tuned.left_out else ""
    print(f"\n{tuned.conclusion}{left_out} The preset is in {written}.")


def _print_line(line: str) -> None:
    """One line of progress on stderr, where a bar would be garbled."""
    print(line, file=sys.stderr, flush=True)


def _roots(given: Sequence[str]) -> dict[str, Path]:
    """LABEL=FOLDER strings as folders by label."""
    from matex.errors import InputError, shown

    found: dict[str, Path] = {}
    for item in given:
        label, sign, folder = item.partition("=")
        if not (label and sign and os.path.isdir(folder)):
            raise InputError(
                f"Expected --data LABEL=FOLDER with a folder that exists, got {shown(item)}. Check the path."
            )
        found[label] = Path(folder)
    return found


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    from matex.errors import InputError, shown

    which, slash, shards = text.partition("/")
    digits = slash and which.isdecimal() and shards.isdecimal() and len(text) <= 20
    if not (digits and 1 <= int(which) <= int(shards) <= MAX_COUNT):
        raise InputError(
            f"Expected --shard I/N with I from 1 to N and N at most {MAX_COUNT}, such as 1/4, got {shown(text)}."
        )
    return int(which), int(shards)


def _print_done(folder: Path) -> None:
    """The folder that was written, and the next command."""
    import json

    if not (folder / "run.json").exists():
        print(f"Shard done: {folder}. When all shards are done, combine them: matex merge {folder.parent.parent}")
        return
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    left_out = record["problems"]
    problems = f"; {left_out} problems, see {folder / 'problems.jsonl'}" if left_out else ""
    print(f"Run complete: {folder}{problems}.\nRead it with: matex report {folder}")
