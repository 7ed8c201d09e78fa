"""Arguments and options that several commands take, and the two groups of them that travel together."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from matex.cli.parameters import read_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from matex import Film, Model


def complete_method(incomplete: str) -> list[str]:
    """Names of methods for the shell; in a list with commas, for its last entry."""
    import matex

    before, comma, last = incomplete.rpartition(",")
    return [before + comma + entry.name for entry in matex.methods() if entry.name.startswith(last)]


def complete_model(incomplete: str) -> list[str]:
    """Names and prefixes of models for the shell."""
    import matex

    return [entry.name for entry in matex.models() if entry.name.startswith(incomplete)]


def _use_plugins(files: list[Path] | None) -> list[Path] | None:
    """Register the methods of a user's files before any command reads a method."""
    if files:
        from matex.plugins import use_files

        use_files(files)
    return files


ImageArgument = Annotated[str, typer.Argument(metavar="IMAGE", help="PNG, JPEG, TIFF, DICOM ...")]
TextArgument = Annotated[str, typer.Argument(metavar="TEXT", help="The phrase.")]
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
TokenizerOption = Annotated[str | None, typer.Option(help="Folder or hub id, for models without a tokenizer.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]


@dataclass(frozen=True)
class FilmOptions:
    """How an image is read and preprocessed."""

    resize: Annotated[
        Literal["model", "squash", "pad", "crop"],
        typer.Option(help="model: the preprocessing of the checkpoint; the others override it."),
    ] = "model"
    domain: Annotated[
        Literal["chest", "natural"], typer.Option(help="natural: images other than chest films, without a prior.")
    ] = "chest"
    view: Annotated[
        str | None,
        typer.Option(help="Projection (PA, AP, LATERAL ...) where the file does not state it or is wrong."),
    ] = None
    mirrored: Annotated[
        bool | None,
        typer.Option(
            "--mirrored/--not-mirrored",
            help="The image's left edge is the patient's left, or is not.",
            show_default="as the file states",
        ),
    ] = None
    lung_mask: LungMaskOption = None

    def read(self, image: str) -> Film:
        """The film, with the view and orientation that the user states."""
        return read_film(image, self.view, self.mirrored)

    def read_mask(self, film: Film) -> NDArray[np.generic] | None:
        """The lung mask of a film [height, width]; None where no file is named."""
        from matex.cli.masks import read_mask

        return None if self.lung_mask is None else read_mask(self.lung_mask, film)


@dataclass(frozen=True)
class ModelOptions:
    """Which model is explained, and how it is loaded."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            envvar="MATEX_MODEL",
            help="tiny, hf:<hub id or folder> or openai:<file>.",
            show_default="tiny",
            autocompletion=complete_model,
        ),
    ] = None
    preset: Annotated[str | None, typer.Option(help="For openai: files: clip, chexzero or cxr-repair.")] = None
    tokenizer: TokenizerOption = None
    device: DeviceOption = "auto"
    dtype: Annotated[
        Literal["float32", "float64", "float16", "bfloat16"],
        typer.Option(help="Precision of the model; bfloat16 is faster on processors that have it."),
    ] = "float32"
    heads: Annotated[
        str | None,
        typer.Option(metavar="IMAGE,TEXT", help="Attention heads, for openai: files whose preset does not state them."),
    ] = None
    activation: Annotated[
        str | None, typer.Option(help="For openai: files that differ from their preset: gelu, quick_gelu.")
    ] = None

    def load(self) -> Model:
        """The model, `tiny` where none is named."""
        import matex

        heads = None if self.heads is None else read_option("--heads IMAGE,TEXT", self.heads, tuple[int, int])
        return matex.load(
            self.model or "tiny",
            preset=self.preset,
            tokenizer=self.tokenizer,
            device=self.device,
            dtype=self.dtype,
            heads=heads,
            activation=self.activation,
        )

    def report_default(self) -> None:
        """Name the bundled model on stderr where no model is named; printed last, so that a refusal stays one line."""
        if not self.model:
            print(
                "matex: used the bundled model `tiny`, not for diagnosis; name another with --model.",
                file=sys.stderr,
            )


def read_film(image: str | Path, view: str | None, mirrored: bool | None) -> Film:
    """A film at the size that maps need, with the view and orientation that the user states."""
    import matex
    from matex.images import READ_SIDE

    return matex.read(image, side=READ_SIDE).known_as(view, mirrored)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses of options: Typer is shown their fields, the command gets the dataclass."""
    hints = typing.get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {name: hint for name, hint in hints.items() if hint in (FilmOptions, ModelOptions)}

    def flat(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
        command(**values)

    shown: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        shown += _fields(groups[name]) if name in groups else [parameter.replace(annotation=hints[name])]
    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in shown]
    flat.__name__, flat.__doc__ = command.__name__, command.__doc__
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword}
    flat.__signature__ = inspect.Signature(keyword)  # pyright: ignore[reportFunctionMemberAccess]
    return flat


def _fields(group: type[Any]) -> list[inspect.Parameter]:
    """The fields of a group of options as parameters of a function."""
    hints = typing.get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in dataclasses.fields(group)
    ]
