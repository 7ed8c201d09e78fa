"""matex explain: one film and one phrase, a report, or the rows of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from matex.cli.explain_report import explain_report
from matex.cli.explain_table import explain_table
from matex.cli.inputs import names_reading, read_target
from matex.cli.option_groups import DicomOptions, FilmOptions, ModelOptions, ScoreOptions
from matex.cli.options import JsonOption, MethodOption, ParameterOption, PluginOption
from matex.cli.parameters import parse_parameters
from matex.cli.printing import on_terminal, print_explanations, print_summary
from matex.errors import InputError, shown
from matex.registry import Parameters

TABLES = (".csv", ".tsv", ".jsonl")


def explain(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="PNG, JPEG, TIFF, DICOM ...; WAV, FLAC, OGG; or a table (.csv, .tsv, .jsonl) with columns image, "
            "text.",
        ),
    ],
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="The phrase, or the file of an image or sound to compare with (or depth:, thermal:, imu:FILE).",
        ),
    ] = None,
    method: MethodOption = "matex",
    parameter: ParameterOption = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("out"),
    json: JsonOption = False,
    laterality: Annotated[
        str | None,
        typer.Option(help="patient, or paper for the paper's mirrored sides (as -p laterality=...)."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Text file with a whole report, instead of TEXT: explain every sentence."),
    ] = None,
    on_error: Annotated[
        Literal["stop", "skip"] | None,
        typer.Option(
            help="Of a table: stop at the first row that cannot be explained, or skip it.", show_default="stop"
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="File of matex calibrate: state a calibrated confidence, and when to abstain."),
    ] = None,
    *,
    score: ScoreOptions,
    film: FilmOptions,
    model: ModelOptions,
    dicom: DicomOptions,
    plugin: PluginOption = None,
) -> None:
    """Explain why a model gives IMAGE and TEXT their score.

    Writes explanation.json, image_map.npy, overlay.png, panel.png, report.html and grids.npz. Of a table: a folder with
    these for each row, and results.csv; an interrupted run is resumed.
    """
    from matex.files import check_folder

    given = [*(parameter or []), *([f"laterality={laterality}"] if laterality is not None else [])]
    if Path(image).suffix.lower() in TABLES and not names_reading(image):
        _check_table_alone(image, text, report, film)
        _check_no_calibration(calibration, "a table")
        dicom.require_unused("for one film and one phrase")
        parameters = parse_parameters(method, given)
        explain_table(Path(image), out, method, parameters, on_error or "stop", score, film, model, json)
    else:
        _check_one_text(image, text, report, on_error, score)
        parameters = parse_parameters(method, given)
        check_folder(out)
        if report is not None:
            dicom.require_unused("for one film and one phrase")
            _check_no_calibration(calibration, "--report")
            explain_report(image, report, out, method, parameters, film, model, json)
        else:
            score.require_one_phrase(calibration is not None, "--calibration")
            _explain_phrase(image, text, out, method, parameters, calibration, score, film, model, dicom, json)
    model.report_default()


def _explain_phrase(
    image: str,
    text: str | None,
    out: Path,
    method: str,
    parameters: Parameters,
    calibration: Path | None,
    score: ScoreOptions,
    film: FilmOptions,
    model: ModelOptions,
    dicom: DicomOptions,
    json: bool,
) -> None:
    """Explain one film and one phrase."""
    import matex

    read = film.read_source(image)
    target = None if text is None else read_target(text)
    score.require_one_phrase(dicom.dicom_out is not None, "--dicom-out")
    dicom.check(read, image, target, out)
    mask = film.read_mask(read)
    options: Parameters = {"progress": on_terminal(), **parameters}  # -p progress=... overrides
    fitted = None if calibration is None else matex.Calibration.load(calibration)
    loaded = model.load()
    if fitted is not None:
        fitted.check(loaded, str(target), film.resize)
    explanation = matex.explain(
        loaded,
        read,
        target,
        method,
        resize=film.resize,
        domain=film.domain,
        lung_mask=mask,
        yardstick=isinstance(target, str | None),
        **score.read(),
        **options,
    )
    if fitted is not None:
        explanation = fitted.apply(loaded, explanation)
    audit = None if dicom.dicom_out is None else explanation.audit(loaded)  # its verdict is part of the report
    explanation.save(out)
    if dicom.dicom_out is not None:
        explanation.to_dicom(dicom.dicom_out, image, audit=audit, new_study=dicom.new_study, threshold=dicom.threshold)
    if json:
        print_explanations(explanation)
    else:
        print_summary(explanation)
        print(f"written  {out}/: explanation.json, image_map.npy, overlay.png, panel.png, report.html, grids.npz")
        if dicom.dicom_out is not None:
            holds = "of a new study, without patient data" if dicom.new_study else "with the film's patient data"
            print(f"written  {dicom.dicom_out}/: DICOM objects {holds}")
        print("Not for diagnosis.")


def _check_table_alone(image: str, text: str | None, report: Path | None, film: FilmOptions) -> None:
    """Refuse a phrase or a mask together with a table."""
    if film.derived or film.keep_uids:
        raise InputError("Expected --derived and --keep-uids with one film, got a table. Leave them out.")
    if text is not None or report is not None or film.lung_mask is not None:
        raise InputError(
            f"Expected the phrases in the column text of {shown(image)}, got TEXT, --report or --lung-mask too. "
            "Leave it out."
        )


def _check_no_calibration(calibration: Path | None, got: str) -> None:
    """Raises InputError where a calibration is given with more than one phrase."""
    if calibration is not None:
        raise InputError(f"Expected --calibration with one film and one phrase, got {got}. Leave it out.")


def _check_one_text(
    image: str, text: str | None, report: Path | None, on_error: str | None, score: ScoreOptions
) -> None:
    """Raises InputError where not exactly one of TEXT, --report and --labels is given, or an option of tables is."""
    if on_error is not None:
        raise InputError(f"Expected --on-error with a table ({', '.join(TABLES)}), got {shown(image)}. Leave it out.")
    score.require_one_phrase(report is not None, "--report")
    if text is None and report is None and score.labels is not None:
        return
    if (text is None) == (report is None):
        raise InputError(
            'Expected a phrase, --report FILE or --labels, one of them. Example: matex explain film.png "..."'
        )
