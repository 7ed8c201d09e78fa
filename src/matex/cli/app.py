"""The matex command: its Typer application, and one command line from arguments to exit code."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

import matex
from matex.cli.audit import audit
from matex.cli.benchmark import benchmark, merge, report, tune
from matex.cli.bias import bias
from matex.cli.calibrate import calibrate
from matex.cli.compare import compare
from matex.cli.compare_models import compare_models
from matex.cli.demo import demo
from matex.cli.dicom import app as dicom
from matex.cli.domains import app as domains
from matex.cli.explain import explain
from matex.cli.failures import INTERRUPTED, describe
from matex.cli.figure import figure
from matex.cli.interactions import interactions
from matex.cli.lists import methods, models
from matex.cli.option_groups import grouped
from matex.cli.output import guarded_output
from matex.cli.printing import on_terminal
from matex.cli.reader_study import app as reader_study
from matex.cli.serve import serve
from matex.cli.uncertainty import uncertainty
from matex.cli.verify import verify
from matex.errors import InputError, printable, shown

COMMANDS: tuple[Callable[..., None], ...] = (
    demo,
    explain,
    compare,
    compare_models,
    audit,
    interactions,
    uncertainty,
    calibrate,
    bias,
    figure,
    serve,
    methods,
    models,
    verify,
    benchmark,
    merge,
    report,
    tune,
)
COMPLETION = "_MATEX_COMPLETE"
"""Set by the shell's completion script; Typer then answers with candidates instead of running a command."""

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Explain what a medical vision-language model saw in an image and read in a phrase. "
    "A map is evidence about a model, not a finding about a patient. Not for diagnosis.",
)
for command in COMMANDS:
    app.command()(grouped(command))
app.add_typer(dicom, name="dicom")
app.add_typer(reader_study, name="reader-study")
app.add_typer(domains, name="domains")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"matex {matex.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of matex itself; Typer takes the help text from the application."""


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and return its exit code; errors are one line on stderr."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    debug = os.environ.get("MATEX_DEBUG", "") not in ("", "0")
    try:
        with guarded_output(), warnings.catch_warnings():
            if not on_terminal():
                os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
            if not debug:
                warnings.simplefilter("ignore")
            _check_unicode(arguments)
            _invoke(list(arguments) or ["--help"])
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except typer.Exit as request:
        return request.exit_code
    except SystemExit as ended:  # Typer ends the process after shell completion
        return int(ended.code or 0)
    except Exception as error:
        if debug:
            raise
        message, code = describe(error, arguments)
        if message:
            with contextlib.suppress(OSError):  # stderr may be closed as well
                print(f"matex: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)
        return code


def _invoke(arguments: list[str]) -> None:
    """Run the command, or answer the shell that completes it."""
    command = typer.main.get_command(app)
    if COMPLETION in os.environ:
        command.main(arguments, "matex", complete_var=COMPLETION)
    with command.make_context("matex", arguments) as context:
        command.invoke(context)


def _check_unicode(arguments: Sequence[str]) -> None:
    """Refuse text that could be written to no file; names of existing files may be in any encoding.

    Raises:
        InputError: an argument, or the variable MATEX_MODEL, with bytes that are not UTF-8.
    """
    for argument in (*arguments, os.environ.get("MATEX_MODEL", "")):
        if any("\ud800" <= char <= "\udfff" for char in argument) and not os.path.lexists(argument):
            raise InputError(f"Expected arguments in UTF-8, got other bytes: {shown(argument)}. Write it in UTF-8.")
