"""Arguments and options that several commands take, and the groups of them that travel together."""

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

from matex.checks import number
from matex.cli.parameters import read_option
from matex.errors import InputError, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from matex import Film, Model
    from matex.audio.recording import Recording
    from matex.sensors.reading import SensorFilm


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


@dataclass(frozen=True)
class FilmOptions:
    """Options for reading and preprocessing an image."""

    resize: Annotated[
        Literal["model", "squash", "pad", "crop"],
        typer.Option(help="model: the preprocessing of the checkpoint; the others override it."),
    ] = "model"
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

    def read(self) -> dict[str, Any]:
        """Arguments of `matex.explain`.

        Raises:
            InputError: a file of labels that cannot be read.
        """
        return {"against": self.against, "labels": self._labels(), "of": self.of, "pool": self.pool}

    def require_one_phrase(self, given: bool, option: str) -> None:
        """Raises InputError where an option that is about one phrase's score is given with --against or --labels."""
        if given and (self.against is not None or self.labels is not None):
            raise InputError(f"Expected {option} with the score of one phrase, got --against or --labels too.")

    def _labels(self) -> Any:
        from matex.checks import parse_json, read_text

        if self.labels is None:
            return None
        path = Path(self.labels)
        if not path.is_file():
            if path.suffix.lower() in (".json", ".txt"):
                raise InputError(f"Expected a file of labels, got a path where there is none: {shown(path)}. Check it.")
            return self.labels
        if path.suffix.lower() == ".json":
            return parse_json(read_text(path, "labels"), f"labels, {shown(self.labels)}", unique_names=True)
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


def read_film(
    image: str | Path,
    view: str | None,
    mirrored: bool | None,
    derived: bool = False,
    keep_uids: bool = False,
    domain: str = "chest",
) -> Film:
    """A film at the size that maps need, with the view and orientation that the user states; see `matex.read`."""
    import matex
    from matex.dicom.view_position import check_view
    from matex.domains import check_domain, find_pack
    from matex.images import READ_SIDE

    check_domain(domain)
    pack = find_pack(domain)
    check_view(view, () if pack is None else pack.views)
    film = matex.read(image, side=READ_SIDE, derived=derived, keep_uids=keep_uids)
    return film.known_as(view, mirrored)


def read_prefixed(text: str) -> SensorFilm | None:
    """The reading that depth:FILE, thermal:FILE or imu:FILE names; None for other texts.

    Raises:
        InputError: see `matex.read_sensor`.
    """
    if not names_reading(text):
        return None
    from matex.sensors.reading import read_sensor

    modality, _, path = text.partition(":")
    return read_sensor(path, modality)


def names_reading(text: str) -> bool:
    """Whether a text is depth:FILE, thermal:FILE or imu:FILE; after a space it is a phrase, as "depth: shallow"."""
    modality, _, path = text.partition(":")
    return modality in ("depth", "thermal", "imu") and path[:1] not in ("", " ")


def read_target(text: str) -> Any:
    """What TEXT names: an image, a sound or a reading of a sensor to compare with, or a phrase.

    Raises:
        InputError: one word that ends as the names of such files do, where there is no file.
    """
    from matex.saved import SUFFIXES

    if (reading := read_prefixed(text)) is not None:
        return reading
    path = Path(text)
    if path.suffix.lower().removeprefix(".") not in SUFFIXES or "\0" in text:
        return text
    if path.is_file():
        return path
    if " " in text:
        return text
    raise InputError(f"Expected a phrase, or the file of an image or sound, got {shown(text)}, where there is none.")


GROUPS = (FilmOptions, ModelOptions, ScoreOptions, DicomOptions)
"""Dataclasses of options that commands take whole."""


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses of options: Typer is shown their fields, the command gets the dataclass."""
    hints = typing.get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {name: hint for name, hint in hints.items() if hint in GROUPS}

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
