"""The matex command: a thin door to the library that says in one line what was wrong with a request.

Exit codes: 0 done, 2 the input or the request is at fault, 1 our fault, 130 interrupted. Heavy packages are
imported inside the commands that need them, so that help and lists answer at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import math
import os
import sys
import types
import typing
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from matex.benchmark.commands import commands
from matex.checks import MAX_REPORT, number, parse_array, read_bytes, read_text
from matex.errors import SHOWN, InputError, MissingExtra, printable, shortened, shown
from matex.output import OutputError, guarded_output
from matex.plugins import file_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from matex import Explanation, Film, Model
    from matex.priors.anatomy import Sentence

DEMO_LEAD = (
    "Real films that ship with the package (see NOTICE), phrases written for this demonstration, and {model}. "
    "Dashed boxes are what radiologists marked."
)
TINY = (
    "the bundled model, a small CLIP trained on simulated findings: for trying things out, some of its maps are wrong"
)

# Errors of the system that no program can prevent: no room, no permission, no open files left, impossible paths.
_SURROUNDINGS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.EIO}
    | {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR}
)

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Explain what a medical vision-language model saw in an image and read in a phrase. "
    "A map is evidence about a model, not a finding about a patient. Not for diagnosis.",
)

TABLES = (".csv", ".tsv", ".jsonl")

ImageArgument = Annotated[str, typer.Argument(metavar="IMAGE", help="PNG, JPEG, TIFF, DICOM ...")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        envvar="MATEX_MODEL",
        help="tiny, hf:<hub id or folder> or openai:<file>.",
        show_default="tiny",
    ),
]
PresetOption = Annotated[str | None, typer.Option(help="For openai: files: clip, chexzero or cxr-repair.")]
TokenizerOption = Annotated[str | None, typer.Option(help="Folder or hub id, for models without a tokenizer.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
DTypeOption = Annotated[
    Literal["float32", "float64", "float16", "bfloat16"],
    typer.Option(help="Precision of the model; bfloat16 is faster on processors that have it."),
]
HeadsOption = Annotated[
    str | None,
    typer.Option(metavar="IMAGE,TEXT", help="Attention heads, for openai: files whose preset does not know them."),
]
ActivationOption = Annotated[
    str | None, typer.Option(help="For openai: files that differ from their preset: gelu, quick_gelu.")
]
ResizeOption = Annotated[
    Literal["model", "squash", "pad", "crop"], typer.Option(help="model is the checkpoint's own way.")
]
DomainOption = Annotated[Literal["chest", "natural"], typer.Option(help="natural for images that are no chest films.")]
LungMaskOption = Annotated[
    Path | None,
    typer.Option(
        help="Image or .npy of the film's size: 1 the patient's right lung, 2 the left; or 0 and 255 for both lungs."
    ),
]
ViewOption = Annotated[
    str | None, typer.Option(help="Projection (PA, AP, LATERAL ...) where the file does not say it or is wrong.")
]
MirroredOption = Annotated[
    bool | None,
    typer.Option(
        "--mirrored/--not-mirrored",
        help="The image's left edge is the patient's left, or is not.",
        show_default="as the file says",
    ),
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        "-p", "--parameter", metavar="KEY=VALUE", help="Of the method; repeatable. @FILE: a preset of matex tune."
    ),
]


def _use_plugins(files: list[Path] | None) -> list[Path] | None:
    """Make the methods of a user's files known before anything asks for a method."""
    if files:
        from matex.plugins import use_files

        use_files(files)
    return files


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


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("demo"),
    method: Annotated[str, typer.Option("-m", "--method", help="See matex methods.")] = "matex",
    model: ModelOption = None,
    preset: PresetOption = None,
    tokenizer: TokenizerOption = None,
    device: DeviceOption = "auto",
    dtype: DTypeOption = "float32",
    heads: HeadsOption = None,
    activation: ActivationOption = None,
    plugin: PluginOption = None,
) -> None:
    """Explain the bundled radiographs.

    Writes one page about all of them and a folder for each.
    """
    import matex
    from matex.render.files import check_folder, save_run
    from matex.render.panel import model_name, number_fixed
    from matex.render.report import page
    from matex.samples import samples

    check_folder(out)
    loaded = _load(model, preset, tokenizer, device, dtype, heads, activation)
    pairs = [(_read_film(str(sample.path), sample.view), sample.demo_phrase) for sample in samples()]
    explanations = matex.explain_batch(loaded, pairs, method, progress=_on_terminal())
    lead = DEMO_LEAD.format(model=TINY if loaded.name == "tiny" else f"the model {model_name(explanations[0])}")
    title = f"{len(explanations)} radiographs, explained"
    whole = page(explanations, title, lead, boxes=[sample.boxes for sample in samples()])
    named = {explanation.film.name: explanation for explanation in explanations}
    save_run(named, out, whole, progress=_on_terminal())
    for explanation in explanations:
        print(f"{number_fixed(explanation.score):>6}  {explanation.film.name:24} {explanation.text}")
    _print_notes(named)
    print(f"\nOpen {out / 'report.html'}; each film has a folder beside it. Not for diagnosis.")
    _say_default(model)


@app.command()
def explain(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="PNG, JPEG, TIFF, DICOM ...; or a table (.csv, .tsv, .jsonl) with columns image, text.",
        ),
    ],
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The phrase.")] = None,
    method: Annotated[str, typer.Option("-m", "--method", help="See matex methods.")] = "matex",
    model: ModelOption = None,
    parameter: ParameterOption = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("out"),
    json: JsonOption = False,
    resize: ResizeOption = "model",
    laterality: Annotated[
        str | None,
        typer.Option(help="patient, or paper for the paper's mirrored sides (as -p laterality=...)."),
    ] = None,
    domain: DomainOption = "chest",
    view: ViewOption = None,
    mirrored: MirroredOption = None,
    lung_mask: LungMaskOption = None,
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
    preset: PresetOption = None,
    tokenizer: TokenizerOption = None,
    device: DeviceOption = "auto",
    dtype: DTypeOption = "float32",
    heads: HeadsOption = None,
    activation: ActivationOption = None,
    plugin: PluginOption = None,
) -> None:
    """Explain why a model gives IMAGE and TEXT their score.

    Writes explanation.json, image_map.npy, overlay.png, panel.png and report.html. Of a table: a folder with these for
    each row, and results.csv; a run that was stopped goes on where it was.
    """
    import matex
    from matex.render.files import check_folder

    given = [*(parameter or []), *([f"laterality={laterality}"] if laterality is not None else [])]
    if Path(image).suffix.lower() in TABLES:
        if text is not None or report is not None or lung_mask is not None:
            raise matex.InputError(
                f"Expected the phrases in the column text of {shown(image)}, got TEXT, --report or --lung-mask too. "
                "Leave it out."
            )
        settings = {"resize": resize, "domain": domain, "view": view, "mirrored": mirrored}
        from matex.explain_table import check_table

        values = parse_parameters(method, given)
        check_table(Path(image))
        check_folder(out)
        loaded = _load(model, preset, tokenizer, device, dtype, heads, activation)
        _explain_table(loaded, Path(image), out, json, method, on_error or "stop", **settings, **values)
        _say_default(model)
        return
    if on_error is not None:
        raise matex.InputError(
            f"Expected --on-error with a table ({', '.join(TABLES)}), got {shown(image)}. Leave it out."
        )
    if (text is None) == (report is None):
        raise matex.InputError('Expected a phrase or --report FILE, one of them. Example: matex explain film.png "..."')
    options = {"resize": resize, "domain": domain, "progress": _on_terminal()}
    settings: dict[str, Any] = {**options, **parse_parameters(method, given)}
    check_folder(out)
    film = _read_film(image, view, mirrored)
    if report is not None:
        if lung_mask is not None:
            raise matex.InputError("Expected --report without --lung-mask. Explain single phrases with the mask.")
        sentences = _read_text(report)
        loaded = _load(model, preset, tokenizer, device, dtype, heads, activation)
        _explain_report(loaded, film, sentences, out, json, method, **settings)
    else:
        mask = _read_mask(lung_mask, film)
        loaded = _load(model, preset, tokenizer, device, dtype, heads, activation)
        explanation = matex.explain(loaded, film, text or "", method, lung_mask=mask, **settings)
        explanation.save(out)
        if json:
            _print_json(explanation)
        else:
            _print_summary(explanation)
            print(f"written  {out}/: explanation.json, image_map.npy, overlay.png, panel.png, report.html")
            print("Not for diagnosis.")
    _say_default(model)


@app.command()
def compare(
    image: ImageArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The phrase.")],
    method: Annotated[
        str,
        typer.Option("-m", "--method", "--methods", help="Names separated by commas, or all that the model can serve."),
    ] = "matex,grad-eclip,rollout,raw-attention",
    model: ModelOption = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="METHOD.KEY=VALUE", help="Of one of the methods; repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("compare"),
    json: JsonOption = False,
    resize: ResizeOption = "model",
    domain: DomainOption = "chest",
    view: ViewOption = None,
    mirrored: MirroredOption = None,
    lung_mask: LungMaskOption = None,
    preset: PresetOption = None,
    tokenizer: TokenizerOption = None,
    device: DeviceOption = "auto",
    dtype: DTypeOption = "float32",
    heads: HeadsOption = None,
    activation: ActivationOption = None,
    plugin: PluginOption = None,
) -> None:
    """Explain with several methods, side by side.

    Methods that read a pass of the model share one. Writes one page and a folder for each method.
    """
    import matex
    from matex.render.files import check_folder, save_run
    from matex.render.panel import number_fixed
    from matex.render.report import duration, page

    names = [entry.name for entry in matex.methods() if "image" in entry.towers] if method == "all" else None
    names = names or list(dict.fromkeys(name.strip() for name in method.split(",") if name.strip()))
    if not names:
        raise matex.InputError(f"Expected names of methods with commas between them, got {shown(method)}.")
    chosen = _by_method(names, parameter or [])
    check_folder(out)
    film = _read_film(image, view, mirrored)
    mask = _read_mask(lung_mask, film)
    loaded = _load(model, preset, tokenizer, device, dtype, heads, activation)
    settings: dict[str, Any] = {"resize": resize, "domain": domain, "lung_mask": mask}
    made = matex.compare(
        loaded, film, text, chosen, skip_unsupported=method == "all", progress=_on_terminal(), **settings
    )
    lead = (
        f"{len(made)} methods on one film and phrase; the score is the model's, the same for all of them. Passes of "
        f"the model that all of them share: {duration(made.shared_seconds)}; under each its own formula in addition."
    )
    whole = page(list(made.values()), f"“{text}”: methods side by side", lead, left_out=made.left_out)
    save_run(made, out, whole, progress=_on_terminal())
    if json:
        _print_json(list(made.values()))
    else:
        for name, explanation in made.items():
            known = [(score, word) for word, score in explanation.words if math.isfinite(score)]
            strongest = max(known, default=(0.0, ""))[1]
            seconds = f"{explanation.provenance.get('seconds', float('nan')):6.3f} s"
            note = "constant map" if explanation.image.degenerate else ""
            print(f"{name:18} {seconds}  score {number_fixed(explanation.score)}  {strongest:16} {note}".rstrip())
        print(f"{'passes shared':18} {made.shared_seconds:6.3f} s; above, each method's own formula in addition")
        if made.left_out:
            print(f"Left out, as the model or this installation cannot serve them: {', '.join(made.left_out)}.")
        for name, reason in made.left_out.items():
            print(_indented(f"{name}: {reason}"))
        _print_notes(made)
        print(f"\nOpen {out / 'report.html'}; each method has a folder beside it. Not for diagnosis.")
    _say_default(model)


@app.command()
def audit(
    image: ImageArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The phrase.")],
    method: Annotated[str, typer.Option("-m", "--method", help="See matex methods.")] = "matex",
    model: ModelOption = None,
    parameter: ParameterOption = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("audit"),
    json: JsonOption = False,
    unrelated: Annotated[
        str | None, typer.Option(help="A phrase that has nothing to do with the image.", show_default="the weather")
    ] = None,
    regions: Annotated[
        int, typer.Option(min=10, max=10_000, help="Random regions to compare the highlighted one with.")
    ] = 40,
    repeats: Annotated[int, typer.Option(min=2, max=1000, help="Seeds, for methods that draw random numbers.")] = 5,
    resize: ResizeOption = "model",
    domain: DomainOption = "chest",
    view: ViewOption = None,
    mirrored: MirroredOption = None,
    lung_mask: LungMaskOption = None,
    preset: PresetOption = None,
    tokenizer: TokenizerOption = None,
    device: DeviceOption = "auto",
    dtype: DTypeOption = "float32",
    heads: HeadsOption = None,
    activation: ActivationOption = None,
    plugin: PluginOption = None,
) -> None:
    """Ask whether a map is about the model, or about the prior.

    Holds the map against controls and gives a verdict in words. Writes audit.json and audit.html.
    """
    import matex
    from matex.render.files import check_folder

    settings: dict[str, Any] = {"resize": resize, "domain": domain, **parse_parameters(method, parameter or [])}
    check_folder(out)
    film = _read_film(image, view, mirrored)
    mask = _read_mask(lung_mask, film)
    loaded = _load(model, preset, tokenizer, device, dtype, heads, activation)
    asked = {"unrelated": unrelated, "regions": regions, "repeats": repeats, "progress": _on_terminal()}
    made = matex.audit(loaded, film, text, method, lung_mask=mask, **asked, **settings)
    made.save(out)
    if json:
        _print_plain(made.record())
    else:
        for check in made.checks.values():
            print(f"{check.state:9} {check.question}\n{_indented(check.answer, 10)}")
        _print_notes({method: made.explanation})
        print(f"\n{_indented(made.summary, 0)}\n\nOpen {out / 'audit.html'}. Not for diagnosis.")
    _say_default(model)


@app.command()
def methods(plugin: PluginOption = None, json: JsonOption = False) -> None:
    """List the methods with their parameters."""
    import matex

    entries = matex.methods()
    if json:
        _print_plain([dataclasses.asdict(entry) for entry in entries])
        return
    for entry in entries:
        where = f", from {entry.plugin}" if entry.plugin else ""
        print(f"{entry.name}  [{' and '.join(entry.towers)}{where}]\n    {entry.summary}")
        facts = [entry.passes, f"needs {', '.join(entry.needs) or 'nothing'}", "" if entry.deterministic else "seeded"]
        print(_indented("; ".join(fact for fact in facts if fact)))
        if entry.parameters:
            told = ", ".join(f"{name}={default}" for name, default in entry.parameters.items())
            print(_indented(told))


@app.command()
def models(json: JsonOption = False) -> None:
    """List the kinds of models and how to name them."""
    import matex

    entries = matex.models()
    if json:
        _print_plain([dataclasses.asdict(entry) for entry in entries])
        return
    for entry in entries:
        print(f"{entry.name:10} {entry.summary}")


@app.command()
def verify(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder that matex explain wrote.")],
    image: Annotated[
        str | None, typer.Option(help="The image, when it lies neither beside OUT nor in this folder.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model, when it is not where the record says.")] = None,
    lung_mask: LungMaskOption = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Of the map in [0, 1] and of the score, 0 or more.", show_default="0.001")
    ] = None,
    tokenizer: TokenizerOption = None,
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Run an explanation again and compare.

    The exit code is 2 when another map or score comes out. The image is found by its checksum: beside OUT, in
    the current folder, or among the bundled films.
    """
    import matex
    from matex.verify import TOLERANCE, compare, find_image, load_recorded, load_saved, recorded_parameters

    tolerance = TOLERANCE if tolerance is None else number(tolerance, "--tolerance", 0)
    saved = load_saved(out)
    recorded = recorded_parameters(saved)
    film = _read_film(image or find_image(saved), saved["provenance.image.view"], saved["provenance.image.mirrored"])
    if saved["provenance.lung_mask"] and lung_mask is None:
        raise matex.InputError("This explanation was made with a lung mask. Name it with --lung-mask.")
    mask = _read_mask(lung_mask, film)
    loaded = load_recorded(saved, model, tokenizer, device)
    again = matex.explain(
        loaded,
        film,
        saved["text"],
        saved["method"],
        resize=saved["provenance.resize"],
        domain=saved["provenance.domain"],
        lung_mask=mask,
        **recorded,
    )
    verdict = compare(saved, again, tolerance)
    if json:
        _print_plain({**dataclasses.asdict(verdict), "same": verdict.same})
    else:
        for remark in verdict.remarks:
            print(f"note: {remark}")
        if verdict.same:
            told = f"map within {verdict.map_difference:.1g}, score within {verdict.score_difference:.1g}"
            print(f"same: {told}")
    if not verdict.same:
        raise matex.InputError(f"Expected the recorded explanation, got another: {'; '.join(verdict.differences)}.")


app.add_typer(commands)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and return its exit code; says on stderr what went wrong."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    debug = os.environ.get("MATEX_DEBUG", "") not in ("", "0")
    try:
        with guarded_output(), warnings.catch_warnings():
            if not _on_terminal():
                os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
            if not debug:
                warnings.simplefilter("ignore")
            _check_unicode(arguments)
            command = typer.main.get_command(app)
            with command.make_context("matex", list(arguments) or ["--help"]) as context:
                command.invoke(context)
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except typer.Exit as request:
        return request.exit_code
    except Exception as error:
        if debug:
            raise
        message, code = _message(error, arguments)
        if message:
            with contextlib.suppress(OSError):  # nobody is there to read it
                print(f"matex: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)
        return code


def _check_unicode(arguments: Sequence[str]) -> None:
    """Refuse text that could be written to no file; names of existing files may be in any encoding.

    Raises:
        InputError: an argument, or the variable MATEX_MODEL, with bytes that are not UTF-8.
    """
    for argument in (*arguments, os.environ.get("MATEX_MODEL", "")):
        if any("\ud800" <= char <= "\udfff" for char in argument) and not os.path.lexists(argument):
            raise InputError(f"Expected arguments in UTF-8, got other bytes: {shown(argument)}. Write it in UTF-8.")


def _message(error: Exception, arguments: Sequence[str]) -> tuple[str, int]:
    """One line about an error, and whose fault it was as an exit code."""
    if isinstance(error, OutputError):
        return ("", 0) if error.broken else (str(error), 2)
    if usage := getattr(error, "format_message", None):
        command = getattr(getattr(error, "ctx", None), "command_path", "matex")
        message = usage().replace("Value error, ", "").rstrip(".")
        for argument in arguments:  # click repeats them in full
            for value in (argument, repr(argument)[1:-1], argument.partition("=")[2]):
                message = message.replace(value, shortened(value)) if len(value) > SHOWN else message
        advice = (
            "Write a file name that starts with a dash as ./-name, or try" if "No such option" in message else "Try"
        )
        return f"{message}. {advice} {command} --help.", 2
    # Errors of the package's own kinds are about the request; a bare ValueError from elsewhere is not.
    own = isinstance(error, ValueError) and type(error).__module__.startswith("matex.")
    if own or isinstance(error, MissingExtra):
        return str(error), 2
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        where = f": {shown(str(error.filename))}" if error.filename else ""
        return f"Expected a usable path, got {error.strerror}{where}. Check its name, permissions and room.", 2
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error) or "out of memory" in str(error).lower():
        return "Expected enough memory, got none. Ask for a smaller batch_size, fewer samples or a smaller image.", 2
    what = f"{type(error).__name__}: {str(error)[:300].rstrip('.')}"
    if file := file_of(error):
        return f"the plug-in {file} failed, {what}. Mend it; MATEX_DEBUG=1 shows where.", 2
    return f"internal error, {what}. Please report it with what MATEX_DEBUG=1 shows.", 1


def parse_parameters(method: str, given: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE strings as the types of the method's fields; @FILE takes those of a preset, which KEY=VALUE override.

    Raises:
        InputError: not KEY=VALUE, a value of another type or outside its range, or a preset of another method.
        UnknownName: no such method or parameter.
    """
    from matex.attribution import METHODS, make

    presets = [_preset(item, method) for item in given if item.startswith("@")]
    given = [item for item in given if not item.startswith("@")]

    kind = METHODS[method]
    hints = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]
    values: dict[str, Any] = {}
    if given and not known:
        raise InputError(f"Expected no parameters, since {method} has none, got {shown(given[0])}.")
    for item in given:
        name, sign, text = item.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not name:
            raise InputError(f"Expected -p KEY=VALUE, got {shown(item)}. Known: {', '.join(known)}.")
        if name in values:
            raise InputError(f"Expected each parameter once, got {shown(name)} twice. Leave one out.")
        if name in known:
            values[name] = _typed(name, text.strip(), hints[name])
        else:
            make(method, {name: text})  # refuses, naming the known ones
    for preset in reversed(presets):
        values = {**preset, **values}
    try:
        make(method, values)
    except ValueError as error:
        raise InputError(str(error)) from None
    return values


def _by_method(names: Sequence[str], given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """METHOD.KEY=VALUE strings as the parameters of each of the methods named.

    Raises:
        InputError: no such string, or of a method that is not among them; and what `parse_parameters` raises.
    """
    sorted_out: dict[str, list[str]] = {name: [] for name in names}
    for item in given:
        key, sign, text = item.partition("=")
        method, _, name = key.strip().rpartition(".")
        if preset := item.startswith("@"):
            method = _read_preset(item)[0]
        if not (sign or preset) or method not in sorted_out:
            raise InputError(f"Expected -p METHOD.KEY=VALUE with METHOD one of {', '.join(names)}, got {shown(item)}.")
        sorted_out[method].append(item if preset else f"{name}={text}")
    return {name: parse_parameters(name, items) for name, items in sorted_out.items()}


def _preset(item: str, method: str) -> dict[str, Any]:
    """The parameters that -p @FILE names.

    Raises:
        InputError: no preset, or one of another method.
    """
    found, values = _read_preset(item)
    if found != method:
        raise InputError(f"Expected a preset of {method}, got one of {found}: {shown(item[1:])}. Add -m {found}.")
    return values


def _read_preset(item: str) -> tuple[str, dict[str, Any]]:
    """Method and parameters of @FILE."""
    from matex.benchmark.config import read_preset

    return read_preset(item[1:])


def _typed(name: str, text: str, hint: Any) -> Any:
    """A string as a value of an annotated type.

    Raises:
        InputError: it is none.
    """
    options = _options(hint)
    if not text and str in options:
        return text
    for option in options:
        try:
            return _read_as(text, option)
        except ValueError:
            continue
    expected = " or ".join(_described(option) for option in options)
    raise InputError(f"Expected {name} to be {expected}, got {shown(text)}.")


def _options(hint: Any) -> tuple[Any, ...]:
    """The types of a union, text last: any value could be read as text."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return tuple(sorted(options, key=lambda option: option is str))


def _read_as(text: str, hint: Any) -> Any:
    """Raises ValueError when the text is no such value."""
    if hint is types.NoneType:
        return _choice(text.lower(), {"none": None})
    if hint is bool:
        return _choice(text.lower(), {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False})
    if typing.get_origin(hint) is typing.Literal:
        return _choice(text, {str(value): value for value in typing.get_args(hint)})
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        pieces = text.split(";") if kinds[0] is str else text.strip("()").split(",")  # phrases have commas of their own
        parts = [part.strip() for part in pieces if part.strip()]
        kinds = kinds[:1] * len(parts) if kinds[-1] is Ellipsis else kinds
        return tuple(_read_as(part, kind) for part, kind in zip(parts, kinds, strict=True))
    if hint in (int, float, str):
        return hint(text)
    raise ValueError(text)


def _choice(text: str, choices: Mapping[str, Any]) -> Any:
    if text not in choices:
        raise ValueError(text)
    return choices[text]


def _described(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(str(value) for value in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return (
            "texts with semicolons between them"
            if typing.get_args(hint)[0] is str
            else "values with commas between them"
        )
    names = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        types.NoneType: "none",
        str: "text",
    }
    return names.get(hint, str(hint))


def _read_film(image: str | Path, view: str | None, mirrored: bool | None = None) -> Film:
    """The film, with what the user knows about it."""
    import matex
    from matex.images import READ_SIDE

    return matex.read(image, side=READ_SIDE).known_as(view, mirrored)


def _load(
    model: str | None,
    preset: str | None,
    tokenizer: str | None,
    device: str,
    dtype: Literal["float32", "float64", "float16", "bfloat16"],
    heads: str | None,
    activation: str | None,
) -> Model:
    import matex

    numbers = None if heads is None else _typed("--heads IMAGE,TEXT", heads, tuple[int, int])
    return matex.load(
        model or "tiny",
        preset=preset,
        tokenizer=tokenizer,
        device=device,
        dtype=dtype,
        heads=numbers,
        activation=activation,
    )


def _say_default(model: str | None) -> None:
    """Said last, so that a refused request stays one line."""
    if not model:
        print(
            "matex: used the bundled model `tiny`, not for diagnosis; name another with --model.",
            file=sys.stderr,
        )


def _read_mask(path: Path | None, film: Film) -> NDArray[np.generic] | None:
    """A lung mask [height, width] of the film's size: 0, 1 and 2, or booleans of both lungs."""
    if path is None:
        return None
    from matex.pipeline import check_mask

    try:
        values = _mask_values(path)
    except InputError:
        raise
    except Exception as error:  # readers raise nearly every built-in exception on a damaged file
        raise InputError(
            f"Expected a lung mask as an image or .npy, could not read {shown(str(path))}: {shortened(str(error))}. "
            "Check the file."
        ) from None
    return check_mask(values, film)


def _mask_values(path: Path) -> NDArray[np.generic]:
    """The numbers of an image or .npy file as they are stored; pipes and devices are never opened."""
    from io import BytesIO

    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    from matex.images import MAX_BYTES, MAX_PIXELS

    data = read_bytes(path, "a lung mask", MAX_BYTES)
    if data.startswith(b"\x93NUMPY"):
        return parse_array(data, "a lung mask")
    try:
        image = Image.open(BytesIO(data))
    except UnidentifiedImageError:
        raise ValueError("unknown content") from None
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"more than {MAX_PIXELS // 1_000_000} megapixels")
    upright = ImageOps.exif_transpose(image)
    return np.asarray(upright if upright.mode in ("1", "L", "P", "F") else _one_channel(upright))


def _one_channel(image: Image) -> Image:
    """Grey without transparency where the three colours are the same; integers of more bits as they are."""
    if image.mode.startswith("I"):
        return image
    red, green, blue = image.convert("RGB").split()
    return red if red.tobytes() == green.tobytes() == blue.tobytes() else image


def _read_text(path: Path) -> tuple[Sentence, ...]:
    """The sentences of a report."""
    from matex.priors.anatomy import sentences

    found = sentences(read_text(path, "a text file for --report", MAX_REPORT))
    if not found:
        raise InputError(f"Expected sentences in {shown(str(path))}, found none. Write the report as plain text.")
    return found


def _explain_report(
    model: Model, film: Film, sentences: Sequence[Sentence], out: Path, json: bool, method: str, **settings: Any
) -> None:
    """Explain every sentence that describes a finding and that the model can read; one page with all in order."""
    import matex
    from matex.priors.anatomy import claim, polarity
    from matex.render.files import save_run
    from matex.render.panel import number_fixed
    from matex.render.report import Line, page

    lines: list[Line] = []
    texts: list[str] = []
    for sentence in sentences:
        text = sentence.text
        kind = claim(sentence) if settings["domain"] == "chest" else polarity(text)
        if kind == "no finding":
            lines.append(Line(text, kind, why="it describes no finding"))
            continue
        try:
            model.encode(text)
        except matex.InputError as error:
            lines.append(Line(text, kind, why=str(error)))
        else:
            lines.append(Line(text, kind, explanation=len(texts)))
            texts.append(text)
    unread = [line for line in lines if line.kind != "no finding"]
    if unread and not texts:
        raise matex.InputError(f"Expected a sentence that the model can read, got none. The first: {unread[0].why}")
    pairs = [(film, text) for text in texts]
    explanations = matex.explain_batch(model, pairs, method, **settings)
    named = {f"sentence-{number:02}": explanation for number, explanation in enumerate(explanations, start=1)}
    save_run(named, out, page(explanations, f"Report on {film.name}", lines=lines), progress=_on_terminal())
    if json:
        _print_json(explanations)
        return
    for line in lines:
        told = number_fixed(explanations[line.explanation].score) if line.explanation is not None else "-"
        print(f"{told:>6}  {line.kind:10} {line.text}")
    silent = sum(line.kind == "no finding" for line in lines)
    if silent:
        print(f"\n{silent} of {len(lines)} sentences describe no finding (technique, devices and the like): no map.")
    _print_notes({f"“{explanation.text}”": explanation for explanation in explanations})
    folders = "each explained sentence has a folder beside it" if texts else "it shows no map"
    print(f"\nOpen {out / 'report.html'}; {folders}. Not for diagnosis.")


def _explain_table(
    model: Model, table: Path, out: Path, json: bool, method: str, on_error: Literal["stop", "skip"], **settings: Any
) -> None:
    """Every row of a table, each reported as soon as it is done.

    Raises:
        InputError: rows that could not be explained, after all others were.
    """
    import logging

    import matex
    from matex.explain_table import RESULTS, explain_table
    from matex.render.files import strict_json
    from matex.render.panel import number_fixed

    logging.getLogger("matex").addHandler(logging.NullHandler())  # what is skipped is printed here
    counts = {"done": 0, "kept": 0, "failed": 0}
    for row in explain_table(model, table, out, method, on_error=on_error, **settings):
        counts[row.status] += 1
        if json:
            print(" ".join(strict_json(dataclasses.asdict(row)).split("\n")), flush=True)
        elif row.status == "failed":
            print(f"failed  line {row.line}: {row.error}", flush=True)
        else:
            kept = " (kept)" if row.status == "kept" else ""
            print(
                f"{number_fixed(math.nan if row.score is None else row.score):>6}  {row.folder}  {row.text}{kept}",
                flush=True,
            )
    if not json:
        print(
            f"\n{counts['done']} explained, {counts['kept']} kept from an earlier run, {counts['failed']} failed. "
            f"{out / RESULTS} lists all rows. Not for diagnosis."
        )
    if counts["failed"]:
        raise matex.InputError(
            f"Expected that every row of {table.name} can be explained, got {counts['failed']} of "
            f"{sum(counts.values())} that cannot: {out / RESULTS} says why. The others are written."
        )


def _print_summary(explanation: Explanation) -> None:
    from matex.render.panel import number_fixed, places, tell_scores

    print(f"score    {number_fixed(explanation.score)} (cosine similarity), method {explanation.method}")
    if explanation.words:
        told = tell_scores([score for _, score in explanation.words])
        print(
            "words    " + ", ".join(f"{word} {score}" for (word, _), score in zip(explanation.words, told, strict=True))
        )
    for words, *understood in places(explanation.regions):
        print(f"place    {words!r}: {', '.join(understood[:-1])}")
    for note in explanation.notes:
        print(f"note     {note}")


def _print_notes(explanations: Mapping[str, Explanation]) -> None:
    """Each note once: those of all explanations alone, others with the names of the explanations that have them."""
    having: dict[str, list[str]] = {}
    for name, explanation in explanations.items():
        for note in explanation.notes:
            having.setdefault(note, []).append(name)
    for note, names in having.items():
        print(f"note     {note}" if len(names) == len(explanations) else f"note     {', '.join(names)}: {note}")


def _print_json(explanations: Explanation | Sequence[Explanation]) -> None:
    from matex.render.files import record

    many = isinstance(explanations, Sequence)
    _print_plain([record(one) for one in explanations] if many else record(explanations))


def _print_plain(values: Any) -> None:
    """JSON on stdout; the catalogue needs nothing more than the standard library for it."""
    from matex.render.files import strict_json

    print(strict_json(values))


def _on_terminal() -> bool:
    return sys.stderr.isatty()


def _indented(text: str, by: int = 4) -> str:
    import textwrap

    space = " " * by
    return textwrap.fill(text, 110, initial_indent=space, subsequent_indent=space, break_on_hyphens=False)


if __name__ == "__main__":
    main()
