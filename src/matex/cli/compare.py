"""matex compare: several methods on one film and phrase."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matex.checks import check_once
from matex.cli.inputs import read_target
from matex.cli.option_groups import DicomOptions, FilmOptions, ModelOptions, ScoreOptions
from matex.cli.options import ImageArgument, JsonOption, PluginOption, complete_method
from matex.cli.parameters import parameters_by_method
from matex.cli.printing import indented, on_terminal, print_explanations, print_notes
from matex.errors import InputError, shown

if TYPE_CHECKING:
    from matex import Explanation
    from matex.pipeline import Comparison


def compare(
    image: ImageArgument,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="The phrase, or the file of an image or sound to compare with (or depth:, thermal:, imu:FILE).",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "-m",
            "--method",
            "--methods",
            help="Names separated by commas, or all: every method that the model supports.",
            autocompletion=complete_method,
        ),
    ] = "matex,grad-eclip,rollout,raw-attention",
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="METHOD.KEY=VALUE", help="Of one of the methods; repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("compare"),
    json: JsonOption = False,
    *,
    score: ScoreOptions,
    film: FilmOptions,
    model: ModelOptions,
    dicom: DicomOptions,
    plugin: PluginOption = None,
) -> None:
    """Explain with several methods, side by side.

    Methods that read a pass of the model share one. Writes one page and a folder for each method.
    """
    import matex
    from matex.dicom_export import write_several
    from matex.files import check_folder
    from matex.render.report import duration, page
    from matex.render.save import save_run

    chosen = parameters_by_method(method_names(method), parameter or [])
    check_folder(out)
    read = film.read_source(image)
    if text is None and score.labels is None:
        raise InputError('Expected a phrase or --labels. Example: matex compare film.png "..."')
    target = None if text is None else read_target(text)
    score.require_one_phrase(dicom.dicom_out is not None, "--dicom-out")
    dicom.check(read, image, target, out)
    mask = film.read_mask(read)
    comparison = matex.compare(
        model.load(),
        read,
        target,
        chosen,
        skip_unsupported=method == "all",
        progress=on_terminal(),
        resize=film.resize,
        domain=film.domain,
        lung_mask=mask,
        **score.read(),
    )
    lead = (
        f"{len(comparison)} methods on one film and phrase; the score is the model's, the same for all of them. Passes "
        f"of the model that all of them share: {duration(comparison.shared_seconds)}; under each its own formula in "
        "addition."
    )
    shown_text = next((one.text for one in comparison.values()), text)
    html = page(list(comparison.values()), f"“{shown_text}”: methods side by side", lead, left_out=comparison.left_out)
    save_run(comparison, out, html, progress=on_terminal())
    if dicom.dicom_out is not None:
        write_several(comparison, dicom.dicom_out, Path(image), new_study=dicom.new_study, threshold=dicom.threshold)
    if json:
        print_explanations(list(comparison.values()))
    else:
        _print_comparison(comparison, out)
    model.report_default()


def method_names(method: str) -> list[str]:
    """The methods that -m names; `all` are those with an image map."""
    import matex

    if method == "all":
        return [entry.name for entry in matex.methods() if "image" in entry.towers]
    names = [name.strip() for name in method.split(",") if name.strip()]
    if not names:
        raise InputError(f"Expected names of methods with commas between them, got {shown(method)}.")
    check_once("method", names)
    return names


def _print_comparison(comparison: Comparison, out: Path) -> None:
    """One line per method, what was left out and why, and the notes."""
    from matex.render.report import by_reason

    for name, explanation in comparison.items():
        print(_line(name, explanation))
    print(f"{'passes shared':20} {comparison.shared_seconds:6.3f} s; above, each method's own formula in addition")
    if comparison.left_out:
        print(f"Left out, as the model or this installation cannot serve them: {', '.join(comparison.left_out)}.")
    for reason, names in by_reason(comparison.left_out).items():
        print(indented(f"{', '.join(names)}: {reason}"))
    print_notes(comparison)
    print(f"\nOpen {out / 'report.html'}; each method has a folder of its own in {out}. Not for diagnosis.")


def _line(name: str, explanation: Explanation) -> str:
    """Name, time, score, the word with the highest score, and whether the map is constant."""
    from matex.render.panel import format_score

    finite = [(score, word) for word, score in explanation.words if math.isfinite(score)]
    strongest = max(finite, default=(0.0, ""))[1]
    seconds = f"{explanation.computation.seconds:6.3f} s"
    note = "constant map" if explanation.image.degenerate else ""
    return f"{name:20} {seconds}  score {format_score(explanation.score)}  {strongest:16} {note}".rstrip()
