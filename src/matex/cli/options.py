"""Arguments and options that several commands take, one by one, and their completion in the shell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    pass


def complete_method(incomplete: str) -> list[str]:
    """Names of methods for the shell; in a list with commas, for its last entry."""
    import matex

    before, comma, last = incomplete.rpartition(",")
    return [before + comma + entry.name for entry in matex.methods() if entry.name.startswith(last)]


def complete_model(incomplete: str) -> list[str]:
    """Names and prefixes of models for the shell."""
    import matex

    return [entry.name for entry in matex.models() if entry.name.startswith(incomplete)]


def complete_domain(incomplete: str) -> list[str]:
    """Names of domains for the shell."""
    from matex.domains import names

    return [name for name in names() if name.startswith(incomplete)]


def _use_plugins(files: list[Path] | None) -> list[Path] | None:
    """Register the methods of a user's files before any command reads a method."""
    if files:
        from matex.plugins import use_files

        use_files(files)
    return files


ImageArgument = Annotated[
    str, typer.Argument(metavar="IMAGE", help="PNG, JPEG, TIFF, DICOM ...; WAV, FLAC, OGG; depth:, thermal:, imu:FILE.")
]
FilmArgument = Annotated[str, typer.Argument(metavar="IMAGE", help="PNG, JPEG, TIFF, DICOM ...")]
PhraseArgument = Annotated[str, typer.Argument(metavar="TEXT", help="The phrase.")]
MethodOption = Annotated[str, typer.Option("-m", "--method", help="See matex methods.", autocompletion=complete_method)]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        "-p",
        "--parameter",
        metavar="KEY=VALUE",
        help="Parameter of the method; repeatable. @FILE: a preset of matex tune.",
    ),
]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        callback=_use_plugins,
        help="Python file with methods of your own; repeatable. MATEX_PLUGINS does the same.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
LungMaskOption = Annotated[
    Path | None,
    typer.Option(
        help="Image or .npy of the film's size: 1 the patient's right lung, 2 the left; or 0 and 255 for both lungs."
    ),
]
DomainOption = Annotated[
    str,
    typer.Option(
        help="Kind of image, see matex domains: chest, chest-lateral, mammography, brain-axial, abdomen, a file of "
        "your own (my-pack.toml), or natural for images without anatomy.",
        autocompletion=complete_domain,
    ),
]
TokenizerOption = Annotated[str | None, typer.Option(help="Folder or hub id, for models without a tokenizer.")]
ResizeOption = Annotated[
    Literal["model", "squash", "pad", "crop"],
    typer.Option(help="model: the preprocessing of the checkpoint; the others override it."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
