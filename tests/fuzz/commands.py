"""Command lines: random commands, options and values, in this process, with its streams captured."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from matex.cli import run as run_command
from tests.fuzz import models
from tests.fuzz.hostile import number, text
from tests.fuzz.runner import Case, Wrong, generator, refusal

NAME = "commands"
MUTATED = "commands, options, values, numbers, unicode, escape sequences, paths that are devices, missing or folders"
COMMANDS = (
    "explain", "compare", "audit", "verify", "methods", "models", "report", "merge", "benchmark", "tune", "demo", "",
)  # fmt: skip
OPTIONS = (
    "-m",
    "-p",
    "-o",
    "--json",
    "--resize",
    "--laterality",
    "--domain",
    "--view",
    "--mirrored",
    "--lung-mask",
    "--report",
    "--on-error",
    "--model",
    "--preset",
    "--tokenizer",
    "--device",
    "--dtype",
    "--heads",
    "--activation",
    "--tolerance",
    "--image",
    "--partial",
    "--data",
    "--shard",
    "--resume",
    "--executor",
    "--regions",
    "--repeats",
    "--help",
    "--plugin",
)
METHODS = ("matex", "rollout", "raw-attention", "grad-eclip", "rollout,raw-attention", "all", "nothing")
PARAMETERS = ("alpha", "beta", "prior", "laterality", "masks", "steps", "seed", "batch_size", "blocks", "weights", "x")
VALUES = (
    "film.png",
    "missing.png",
    ".",
    "table.csv",
    "report.txt",
    "/dev/zero",
    "/dev/null",
    "opacity in the left lung",
    "pad",
    "PA",
    "stop",
    "skip",
    "cpu",
    "cuda:99",
    "1/2",
    "0",
    "-1",
    "1e999",
    "hf:model",
    "openai:film.png",
    "tiny",
    "chest",
)


def outcome(arguments: Sequence[str]) -> str:
    """How a command line ended: with 0, or with 2 and one line (of `verify`, its list of differences)."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(arguments)
    said, printed = err.getvalue(), out.getvalue()
    if code == 0:
        return "done"
    if code != 2:
        raise Wrong(f"exit code {code}: {said[:300]!r}")
    if not said and printed and arguments[0] == "verify":
        return "differs"
    if printed:
        unsafe = [char for char in printed if not char.isprintable() and char not in "\n\t"]
        if unsafe:
            raise Wrong(f"control characters on standard output: {unsafe[:3]}")
    if not said.startswith("matex: ") or said.count("\n") != 1:
        raise Wrong(f"standard error is not one line: {said[:300]!r}")
    if problem := refusal(said.rstrip("\n")):
        raise Wrong(problem)
    return "refused"


def line(rng: random.Random) -> list[str]:
    command = rng.choice(COMMANDS)
    found = [command] if command else []
    if command in ("explain", "compare", "audit") and rng.random() < 0.8:
        found += [rng.choice(("film.png", "film.png", "film.png", *VALUES)), rng.choice((models.PHRASE, text(rng)))]
        found += ["-m", rng.choice(METHODS[:4])]
    for _ in range(rng.randrange(4)):
        option = rng.choice(OPTIONS)
        found.append(option)
        if option == "-m":
            found.append(rng.choice(METHODS))
        elif option == "-p":
            found.append(f"{rng.choice(PARAMETERS)}={rng.choice((str(number(rng))[:400], text(rng)))}")
        elif option not in ("--json", "--mirrored", "--resume", "--partial", "--help") or rng.random() < 0.1:
            found.append(rng.choice((*VALUES, text(rng), str(number(rng))[:400])))
    if rng.random() < 0.3:
        found.append(rng.choice((*VALUES, text(rng))))
    # Other models, long runs and plug-ins, which are code on purpose, are not what is tested here.
    slow = command in ("audit", "demo", "tune", "benchmark") and "-p" not in found
    return [*found, "--no-such-option"] if slow or "--plugin" in found else found


def cases(seed: int, count: int) -> Iterator[Case]:
    models.files()
    for index in range(count):
        arguments = line(generator(NAME, seed, index))

        def run(folder: Path, arguments=arguments) -> str:
            Image.fromarray(models.FILM).save(folder / "film.png")
            (folder / "report.txt").write_text("Left effusion. The heart is normal.\n")
            (folder / "table.csv").write_text("image,text\nfilm.png,left effusion\nnone.png,x\n")
            (folder / "model").mkdir()
            for file, data in models.files().items():
                (folder / "model" / file).write_bytes(data)
            chosen = arguments
            if "--model" not in arguments and arguments[:1] in (["explain"], ["compare"], ["audit"]):
                chosen = [*arguments, "--model", "hf:model"]
            return outcome(chosen)

        yield Case(f"{NAME} --seed {seed} {index}: {arguments!r}"[:400], run)
