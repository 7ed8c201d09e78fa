"""What films of real size cost, and what a stream of them holds in memory, as ratios taken in one run.

A bundled film enlarged to 2500 x 3000 pixels, as JPEG. Times are against the two bare forwards of the same model,
measured in turn; memory is the growth of the resident size of a fresh process.

    python benchmarks/corpus.py [--threads 1] [--clock cpu] [--rounds 7] [--films 24]
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from speed import CLOCKS, _forget_peak, _peak, measure
from transformers import CLIPConfig, CLIPModel

import matex
from matex.adapters.bundled import ADAPTERS
from matex.adapters.clip import adapt
from matex.adapters.model import Model
from matex.adapters.preprocessing import CLIP_MEAN, CLIP_STD, Preprocessing
from matex.attribution import make
from matex.images import READ_SIDE
from matex.recording import record
from matex.samples import samples

SIZE = (2500, 3000)  # width, height
PHRASE = "opacity in the left lower lung"
MIB = 1 << 20


def large_film(folder: Path, number: int = 0) -> Path:
    """A bundled film at real size; numbers give different films."""
    path = folder / f"film-{number}.jpg"
    if not path.exists():
        with Image.open(samples()[number % len(samples())].path) as film:
            film.convert("L").resize(SIZE, Image.Resampling.BICUBIC).save(path, quality=92)
    return path


def vit_b_32() -> Model:
    """CLIP ViT-B/32 with seeded random weights that reads words by the tokenizer of `tiny`."""
    tiny = matex.load("tiny", device="cpu")
    begin, *_, end = tiny.encode(PHRASE).ids
    torch.manual_seed(0)
    config = CLIPConfig(text_config={"bos_token_id": begin, "eos_token_id": end})
    module = CLIPModel(config).eval().requires_grad_(False)
    module.set_attn_implementation("sdpa")
    way = Preprocessing((224, 224), "crop", "bicubic", 1 / 255, CLIP_MEAN, CLIP_STD)
    return adapt(module, "random", preprocessing=way, tokenizer=tiny.tokenizer)


def plain(model: Model, film: Path) -> Callable[[], None]:
    """Both bare forwards, the inputs given."""
    pixels, _ = model.prepare(matex.read(film))
    ids = model.batch([model.encode(PHRASE)])

    bundled = not isinstance(model.module, CLIPModel)
    library: Any = CLIPModel.from_pretrained(ADAPTERS / "tiny", dtype=torch.float32).eval() if bundled else model.module

    @torch.no_grad()
    def work() -> None:
        library.get_image_features(pixels)
        library.get_text_features(ids)

    return work


def times(folder: Path, rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """{what: ratio}"""
    film = large_film(folder)
    found: dict[str, float] = {}
    for name, model in (("ViT-B/32", vit_b_32()), ("tiny", matex.load("tiny", device="cpu"))):
        model.weights_sha256  # noqa: B018  computed once per model, at the first explanation
        work: dict[str, Callable[[], Any]] = {
            "plain": plain(model, film),
            "read": lambda model=model: model.prepare(matex.read(film, side=READ_SIDE)),
            "explain": lambda model=model: matex.explain(model, film, PHRASE),
            "clip-surgery": lambda model=model: matex.explain(model, film, PHRASE, "clip-surgery"),
            "legrad": lambda model=model: matex.explain(model, film, PHRASE, "legrad"),
        }
        measure(work, 1, clock)
        seconds = measure(work, rounds, clock)
        for what in ("read", "explain", "clip-surgery", "legrad"):
            found[f"{what}, {name}, against both bare forwards"] = seconds[what] / seconds["plain"]
    return found


def throughput(folder: Path, films: int, clock: Callable[[], float]) -> float:
    """Time of explain_each against a loop of explain, in turn."""
    model = matex.load("tiny", device="cpu")
    pairs = [(large_film(folder, number), PHRASE) for number in range(films)]

    def loop() -> None:
        for film, phrase in pairs:
            matex.explain(model, film, phrase)

    def stream() -> None:
        for _ in matex.explain_each(model, pairs):
            pass

    seconds = measure({"loop": loop, "stream": stream}, 3, clock)
    return seconds["stream"] / seconds["loop"]


def memory(kind: str, count: int, folder: Path) -> float:
    """MiB by which this process grows: at its peak, or, of "batch", by what the results keep."""
    if kind in ("stream", "batch"):
        model = matex.load("tiny", device="cpu")
        films = itertools.islice(itertools.cycle([large_film(folder, number) for number in range(12)]), count)
        pairs: Iterator[tuple[Path, str]] = ((film, PHRASE) for film in films)
        list(matex.explain_each(model, [(large_film(folder), PHRASE)]))
        _forget_peak()
        before = _resident()
        if kind == "batch":
            kept = matex.explain_batch(model, pairs)
            return (_resident() - before) / MIB if kept else 0.0
        for _ in matex.explain_each(model, pairs):
            pass
        return (_peak() - before) / MIB
    model = vit_b_32()
    pixels, _ = model.prepare(matex.read(large_film(folder)))
    trace = record(model, pixels, model.batch([model.encode(PHRASE)])).image
    parameters = {"integrated-gradients": "steps", "gradient-shap": "samples", "rise": "masks"}
    more = {"baseline": "noise"} if kind == "gradient-shap" else {}
    method = make(kind, {parameters[kind]: count, **more})
    _forget_peak()
    before = _resident()
    method(trace)
    return (_peak() - before) / MIB


def _resident() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--films", type=int, default=24, help="of the stream whose time is taken")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="as of speed.py")
    parser.add_argument("--memory", nargs=2, metavar=("KIND", "COUNT"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    if chosen.memory:
        print(json.dumps(memory(chosen.memory[0], int(chosen.memory[1]), chosen.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder, clock = Path(name), CLOCKS[chosen.clock]
        print("| what | ratio |\n| --- | --- |", flush=True)
        for what, ratio in times(folder, chosen.rounds, clock).items():
            print(f"| {what} | {ratio:.2f} |", flush=True)
        ratio = throughput(folder, chosen.films, CLOCKS["wall"])
        print(f"| explain_each, {chosen.films} films on tiny, clock time against a loop of explain | {ratio:.2f} |")
        print("\n| what | MiB |\n| --- | --- |", flush=True)
        for kind, count in (
            ("stream", 24),
            ("stream", 96),
            ("batch", 24),
            ("integrated-gradients", 8),
            ("integrated-gradients", 32),
            ("gradient-shap", 32),
            ("rise", 64),
            ("rise", 256),
        ):
            command = [sys.executable, __file__, "--threads", str(chosen.threads), "--folder", name]
            output = subprocess.run(
                [*command, "--memory", kind, str(count)], check=True, capture_output=True, text=True
            )
            print(f"| {kind}, {count} | {float(output.stdout.splitlines()[-1]):.0f} |", flush=True)


if __name__ == "__main__":
    main()
