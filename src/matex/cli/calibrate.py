"""matex calibrate: a calibrated confidence and a threshold for abstention from validation pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from matex.cli.option_groups import ModelOptions
from matex.cli.options import JsonOption, MethodOption, ParameterOption, PluginOption, ResizeOption
from matex.cli.parameters import parse_parameters
from matex.cli.printing import on_terminal, print_json
from matex.errors import InputError

if TYPE_CHECKING:
    from matex.datasets import Problem
    from matex.trust import Calibration, Detection

_MEASURES = {
    "error_rate": "error rate",
    "mean_confidence": "mean confidence",
    "ece": "ECE, 15 bins of equal width",
    "ece_equal_mass": "ECE, 15 bins of equal mass",
    "calibration_error_debiased": "RMS calibration error, debiased",
    "brier": "Brier score",
    "log_loss": "log loss",
    "aurc": "area under risk-coverage curve",
}


def calibrate(
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS", help="Table (.csv, .tsv, .jsonl) with columns image, text and, where known, patient."
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("calibration.json"),
    kind: Annotated[
        Literal["auto", "softmax", "sigmoid"],
        typer.Option(
            help="softmax: one phrase of the table is right; sigmoid: each holds or does not; auto: as the model was "
            "trained."
        ),
    ] = "auto",
    risk: Annotated[float, typer.Option(help="Wanted share of wrong answers among those given.")] = 0.05,
    test: Annotated[
        Path | None, typer.Option(metavar="PAIRS", help="Other pairs with the same phrases, to measure on.")
    ] = None,
    maps: Annotated[
        bool, typer.Option("--maps", help="Measure whether the uncertainty of the map predicts wrong answers.")
    ] = False,
    method: MethodOption = "matex",
    parameter: ParameterOption = None,
    resize: ResizeOption = "model",
    json: JsonOption = False,
    *,
    model: ModelOptions,
    plugin: PluginOption = None,
) -> None:
    """Fit a calibrated confidence, and the threshold below which the model should abstain.

    Every image is scored with every phrase of the table. matex explain --calibration reads the file.
    """
    import matex
    from matex.checks import check
    from matex.datasets import open_dataset
    from matex.trust import error_detection

    check(0 < risk < 1, "--risk", "between 0 and 1, such as 0.05", risk)
    if parameter and not maps:
        raise InputError("Expected -p with --maps, got it without. Leave it out.")
    parameters = parse_parameters(method, parameter or [])
    samples = open_dataset("manifest", root=str(pairs))
    others = None if test is None else open_dataset("manifest", root=str(test))
    loaded = model.load()
    fitted = matex.calibrate(loaded, samples, kind=kind, risk=risk, test=others, resize=resize, progress=on_terminal())
    detected: list[Detection] = []
    if maps:
        detected = error_detection(loaded, fitted, others or samples, method, progress=on_terminal(), **parameters)
    fitted.save(out)
    if json:
        print_json(
            {
                "calibration": vars(fitted),
                "problems": _problems(samples.problems),
                "maps": [vars(one) for one in detected],
            }
        )
    else:
        for problem in _problems(samples.problems):
            print(f"left out {problem}")
        _print(fitted, detected, out)
    model.report_default()


def _problems(problems: Sequence[Problem]) -> list[str]:
    """Rows that were left out, in words."""
    return [f"{one.file} row {one.row}: {one.said}" for one in problems]


def _print(fitted: Calibration, detected: Sequence[Detection], out: Path) -> None:
    """Temperature, quality in columns, threshold, and what the maps predict."""
    bias = "" if fitted.kind == "softmax" else f", bias {fitted.bias:+.3f}"
    print(
        f"{fitted.kind}: temperature {fitted.temperature:.3f}{bias} from {fitted.images} images and "
        f"{len(fitted.phrases)} phrases"
    )
    columns: Mapping[str, Mapping[str, Any]] = fitted.measures
    print(f"{'':34}" + "".join(f"{name:>9}" for name in columns))
    for key, title in _MEASURES.items():
        print(f"{title:34}" + "".join(_figure(column[key]) for column in columns.values()))
    _print_threshold(fitted)
    if "test" in columns and (shared := columns["test"]["of_validation"]):
        print(f"test images of patients of the validation pairs: {shared}. The test is optimistic: leave them out.")
    for one in detected:
        print(
            f"wrong answers by {one.signal:24} AUC {one.auc:.2f} ({one.low:.2f} to {one.high:.2f}), "
            f"{one.wrong} wrong, {one.right} right"
        )
    print(f"Wrote {out}. Not for diagnosis.")


def _figure(value: float | None) -> str:
    """A measure in its column; a bin of fewer than two answers leaves the debiased error undefined."""
    return f"{'undefined':>9}" if value is None or math.isnan(value) else f"{value:9.3f}"


def _print_threshold(fitted: Calibration) -> None:
    if fitted.threshold is None:
        print(f"No confidence reached an error rate of {fitted.risk:.0%}: the model should always abstain.")
        return
    point = fitted.measures["after"]["at_threshold"]
    print(
        f"threshold {fitted.threshold:.3f} for an error rate of {fitted.risk:.0%}: answers {point['coverage']:.0%}, of "
        f"which {point['risk']:.1%} wrong (one-sided 95 % bound {point['risk_bound']:.1%})"
    )
    if "test" in fitted.measures and (point := fitted.measures["test"]["at_threshold"])["risk"] is not None:
        print(f"on the test pairs: answers {point['coverage']:.0%}, of which {point['risk']:.1%} wrong")
