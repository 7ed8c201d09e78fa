"""Groups of options: a command takes a dataclass, and the command line shows its fields as options."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from matex.checks import number
from matex.cli.inputs import names_reading, read_film, read_prefixed
from matex.cli.options import DeviceOption, DomainOption, LungMaskOption, ResizeOption, TokenizerOption, complete_model
from matex.cli.parameters import read_option
from matex.errors import InputError, shown
from matex.registry import Parameterised

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from matex import Film, Model
    from matex.audio.recording import Recording
    from matex.explained_score import Labels, ScoreArguments


@dataclass(frozen=True)
class FilmOptions:
    """Options for reading and preprocessing an image."""

    resize: ResizeOption = "model"
    domain: DomainOption = "chest"
    view: Annotated[
        str | None,
        typer.Option(
            help="Projection (PA, AP, LATERAL ...) or view of the domain (RCC, AXIAL-VERTEX ...) where the file does "
            "not state it or is wrong."
        ),
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
    derived: Annotated[
        bool,
        typer.Option("--derived", help="Read DICOM segmentations and pictures of maps, refused otherwise."),
    ] = False
    keep_uids: Annotated[
        bool,
        typer.Option("--keep-uids", help="Keep the UIDs of a DICOM film in the record: they lead to the patient."),
    ] = False

    def read_source(self, image: str) -> Film | Recording:
        """The film, as `read` returns it, the recording of a sound file, or the reading of a sensor."""
        from matex.audio.recording import is_sound_file, read_sound

        if names_reading(image) and (self.view is not None or self.mirrored is not None):
            raise InputError(
                f"Expected no --view and no --mirrored with {shown(image)}, which is no film. Leave it out."
            )
        if (reading := read_prefixed(image)) is not None:
            return reading
        return read_sound(image) if is_sound_file(image) else self.read(image)

    def read(self, image: str) -> Film:
        """The film, with the view and orientation that the user states."""
        return read_film(
            image, self.view, self.mirrored, derived=self.derived, keep_uids=self.keep_uids, domain=self.domain
        )

    def read_mask(self, film: Film | Recording) -> NDArray[np.generic] | None:
        """The lung mask of a film [height, width]; None where no file is named.

        Raises:
            InputError: see `read_mask`; the mask of a sound.
        """
        from matex.audio.recording import Recording
        from matex.mask_files import read_mask

        if self.lung_mask is None:
            return None
        if isinstance(film, Recording):
            raise InputError("Expected no --lung-mask with a sound, which has no lungs to mark. Leave it out.")
        return read_mask(self.lung_mask, film)


@dataclass(frozen=True)
class ModelOptions:
    """Options for the choice and loading of a model."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            envvar="MATEX_MODEL",
            help="A name, or a prefix and its source, as matex models lists them: hf:<hub id or folder>, "
            "openai:<file> ...",
            show_default="tiny",
            autocompletion=complete_model,
        ),
    ] = None
    preset: Annotated[
        str | None, typer.Option(help="For openai: files clip, chexzero or cxr-repair; for open-clip: files ViT-B-16.")
    ] = None
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
    resolution: Annotated[
        int | None, typer.Option(help="Side of the model's input, pixels: a finer grid by interpolated positions.")
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
            resolution=self.resolution,
        )

    def report_default(self) -> None:
        """Name the bundled model on stderr where no model is named; printed last, so that a refusal stays one line."""
        if not self.model:
            print(
                "matex: used the bundled model `tiny`, not for diagnosis; name another with --model.",
                file=sys.stderr,
            )


@dataclass(frozen=True)
class ScoreOptions:
    """Options for the score that is explained, where it depends on further phrases."""

    against: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Explain the score of TEXT minus that of this phrase.")
    ] = None
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|SET",
            help="Explain a class: JSON with prompts by class, text with one label a line, or a prompt set (chest14). "
            "TEXT names the class; without it the predicted one.",
        ),
    ] = None
    of: Annotated[
        Literal["logit", "log-softmax", "margin"], typer.Option(help="With --labels: the score of the class.")
    ] = "logit"
    pool: Annotated[Literal["mean", "max"], typer.Option(help="With --labels: over the prompts of a class.")] = "mean"

    def __post_init__(self) -> None:
        """Raises InputError for --of or --pool without the classes that they are about."""
        if self.labels is None and (self.of, self.pool) != ("logit", "mean"):
            raise InputError(
                "Expected --of and --pool with --labels, got them without. Leave them out, or add --labels."
            )

    def read(self) -> ScoreArguments:
        """Arguments of `matex.explain`.

        Raises:
            InputError: a file of labels that cannot be read.
        """
        return {"against": self.against, "labels": self._labels(), "of": self.of, "pool": self.pool}

    def require_one_phrase(self, given: bool, option: str) -> None:
        """Raises InputError where an option that is about one phrase's score is given with --against or --labels."""
        if given and (self.against is not None or self.labels is not None):
            raise InputError(f"Expected {option} with the score of one phrase, got --against or --labels too.")

    def _labels(self) -> Labels | None:
        from matex.checks import parse_json, read_text
        from matex.objectives import read_classes

        if self.labels is None:
            return None
        path = Path(self.labels)
        if not path.is_file():
            if path.suffix.lower() in (".json", ".txt"):
                raise InputError(f"Expected a file of labels, got a path where there is none: {shown(path)}. Check it.")
            return self.labels
        if path.suffix.lower() == ".json":
            content = parse_json(read_text(path, "labels"), f"labels, {shown(self.labels)}", unique_names=True)
            return read_classes(content)
        return [line.strip() for line in read_text(path, "labels").splitlines() if line.strip()]


@dataclass(frozen=True)
class DicomOptions:
    """Whether and how DICOM objects are written."""

    dicom_out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write DICOM objects in the film's study to this folder.")
    ] = None
    new_study: Annotated[
        bool, typer.Option("--new-study", help="With --dicom-out, of a film that is no DICOM: a study of its own.")
    ] = False
    dicom_threshold: Annotated[
        float | None,
        typer.Option(help="Of the map's range, from which a pixel is in the BINARY segmentation.", show_default="0.5"),
    ] = None

    def check(self, film: Film | Recording, image: str, target: object, out: Path) -> None:
        """Refuse what could not be written, before any long work.

        Args:
            film: as `FilmOptions.read_source` returns it.
            image: path of its file.
            target: as `read_target` returns it.
            out: folder of the other results.

        Raises:
            InputError: options without --dicom-out, the folder of the other results, an unusable film, or no phrase.
        """
        if self.dicom_out is None:
            self.require_unused("with --dicom-out")
            return
        from matex.audio.recording import Recording
        from matex.dicom_export import check
        from matex.files import check_folder

        if isinstance(film, Recording):
            raise InputError("Expected a film with --dicom-out, got a sound. Leave it out.")
        if not isinstance(target, str | None):
            raise InputError("Expected a phrase with --dicom-out, got a file to compare with. Leave it out.")
        number(self.threshold, "--dicom-threshold", 0.001, 1)
        if self.dicom_out.absolute() == out.absolute():
            raise InputError(f"Expected another folder for --dicom-out than for --out, got {shown(out)} for both.")
        check_folder(self.dicom_out)
        check(film, Path(image), self.new_study)

    def require_unused(self, where: str) -> None:
        """Raises InputError where an option of this group is given."""
        given = [
            name
            for name, value in (
                ("--dicom-out", self.dicom_out),
                ("--new-study", self.new_study or None),
                ("--dicom-threshold", self.dicom_threshold),
            )
            if value is not None
        ]
        if given:
            raise InputError(f"Expected {given[0]} only {where}, got it without. Leave it out.")

    @property
    def threshold(self) -> float:
        """Of the map's range."""
        return 0.5 if self.dicom_threshold is None else self.dicom_threshold


GROUPS = (FilmOptions, ModelOptions, ScoreOptions, DicomOptions)
"""Dataclasses of options that commands take whole."""


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses of options: Typer is shown their fields, the command gets the dataclass."""
    hints = typing.get_type_hints(command, include_extras=True)
    groups: dict[str, type[Parameterised]] = {name: hint for name, hint in hints.items() if hint in GROUPS}

    def flat(**values: object) -> None:
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


def _fields(group: type[Parameterised]) -> list[inspect.Parameter]:
    """The fields of a group of options as parameters of a function."""
    hints = typing.get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in dataclasses.fields(group)
    ]
