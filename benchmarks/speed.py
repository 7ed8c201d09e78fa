"""What an explanation costs, as ratios to the model's own forward, taken in one run.

A CLIP ViT-B/32 with seeded random weights on the CPU; no network, no files. Everything is measured in turn, round after
round, so that a busy machine slows both sides of a ratio alike.

    python benchmarks/speed.py [--threads 1] [--clock cpu] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers
from torch.profiler import ProfilerActivity, profile
from transformers import CLIPConfig, CLIPModel

import matex
from matex.adapters.bundled import ADAPTERS
from matex.adapters.clip import adapt
from matex.adapters.model import Model
from matex.attribution import make
from matex.forward_pass import run
from matex.geometry import Placement
from matex.phrases import parse
from matex.priors.image_context import ImageContext
from matex.recording import PairTrace, record
from matex.samples import samples
from matex.trace import Trace

PHRASE = "consolidation in the left lower lobe"
TOKENS = 12  # of each phrase, start and end included; the plain text forward gets the same ids
PHRASES = 5
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
COMPARED = ("matex", "grad-eclip", "rollout", "raw-attention")


@dataclass(frozen=True)
class Row:
    """One ratio, median over the repeats, with its range."""

    name: str
    against: str
    ratio: float
    low: float
    high: float
    target: float | None = None


class Workloads:
    """The model and what is timed on it."""

    def __init__(self, small: bool, activation: str = "quick_gelu") -> None:
        torch.manual_seed(0)
        config = _small_config() if small else CLIPConfig()
        config.vision_config.hidden_act = config.text_config.hidden_act = activation
        self.module = CLIPModel(config).eval().requires_grad_(False)
        self.module.set_attn_implementation("sdpa")
        self.model = adapt(self.module, "random", preprocessing=None, tokenizer=None)
        side, words = config.vision_config.image_size, config.text_config
        self.pixels = torch.randn(1, 3, side, side)
        self.ids = torch.randint(0, words.bos_token_id, (PHRASES, TOKENS))
        self.ids[:, 0], self.ids[:, -1] = words.bos_token_id, words.eos_token_id
        behind = self.ids.new_full((1, words.max_position_embeddings - TOKENS), words.eos_token_id)
        self.padded = torch.cat([self.ids[:1], behind], dim=1)
        self.placement = Placement.fit((side, side), (side, side), self.model.patch, "squash")
        self.embedding = run(self.model.text, self.ids[:1]).embedding

    @torch.no_grad()
    def plain_image(self) -> None:
        self.module.get_image_features(self.pixels)

    @torch.no_grad()
    def plain_text(self, ids: torch.Tensor | None = None) -> None:
        self.module.get_text_features(self.ids[:1] if ids is None else ids)

    def plain(self) -> None:
        self.plain_image()
        self.plain_text()

    def image(self, method: str) -> None:
        """One method on the image, the phrase's embedding given."""
        chosen = make(method, {})
        seen = run(self.model.image, self.pixels, chosen.gradient_blocks("image"))
        chosen(Trace(seen, torch.zeros(1, dtype=torch.long), self.embedding, [self.context()]))

    def both(self, methods: tuple[str, ...], phrases: int = 1) -> None:
        """Methods on image and text over one trace, the terms kept apart, one image with one or more phrases."""
        chosen = [make(name, {}) for name in methods]
        traces: PairTrace = record(
            self.model,
            self.pixels,
            self.ids[:phrases],
            [(0, phrase) for phrase in range(phrases)],
            image_gradient_blocks=max(method.gradient_blocks("image") for method in chosen),
            text_gradient_blocks=max(method.gradient_blocks("text") for method in chosen),
            contexts=[self.context() for _ in range(phrases)],
        )
        for method in chosen:
            if hasattr(method, "components"):
                method.fuse(method.components(traces.image))
            else:
                method(traces.image)
            if "text" in method.towers:
                method(traces.text)

    def context(self) -> ImageContext:
        return ImageContext(parse(PHRASE), self.placement)


class Bundled:
    """`matex.explain` from file to record with the model that ships with the package."""

    def __init__(self) -> None:
        self.sample = samples()[0]
        self.model: Model = matex.load("tiny", device="cpu")
        self.library: Any = CLIPModel.from_pretrained(ADAPTERS / "tiny", dtype=torch.float32).eval()
        self.model.weights_sha256  # noqa: B018  computed once per model, at the first explanation
        self.pixels, _ = self.model.prepare(matex.read(self.sample.path))
        self.ids = self.model.batch([self.model.encode(self.sample.demo_phrase)])

    @torch.no_grad()
    def plain(self) -> None:
        self.library.get_image_features(self.pixels)
        self.library.get_text_features(self.ids)

    def prepare(self) -> None:
        self.model.prepare(matex.read(self.sample.path))
        self.model.encode(self.sample.demo_phrase)

    def explain(self) -> None:
        matex.explain(self.model, self.sample.path, self.sample.demo_phrase)


def measure(work: Mapping[str, Callable[[], Any]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median seconds of each; every round takes all of them in another order, so that none has a better place."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    order, shuffle = list(work), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            start = clock()
            work[name]()
            seconds[name].append(clock() - start)
    return {name: median(values) for name, values in seconds.items()}


def subjects(small: bool) -> dict[str, Callable[[], Any]]:
    """Everything that is timed, by name."""
    load, end_to_end = Workloads(small), Bundled()
    return {
        "plain image": load.plain_image,
        "plain text": load.plain_text,
        "plain text, padded": lambda: load.plain_text(load.padded),
        "trace": lambda: run(load.model.image, load.pixels),
        "image": lambda: load.image("matex"),
        "both": lambda: load.both(("matex",)),
        "phrases": lambda: load.both(("matex",), PHRASES),
        "matex-paper": lambda: load.image("matex-paper"),
        "grad-eclip": lambda: load.image("grad-eclip"),
        "rollout": lambda: load.image("rollout"),
        "raw-attention": lambda: load.image("raw-attention"),
        "compare": lambda: load.both(COMPARED),
        "tiny plain": end_to_end.plain,
        "tiny prepare": end_to_end.prepare,
        "tiny explain": end_to_end.explain,
    }


def ratios(s: Mapping[str, float]) -> dict[tuple[str, str], tuple[float, float | None]]:
    """(what, against what) to (ratio, target), from the seconds of each subject."""
    image, texts = s["plain image"], s["plain text"]
    further = (s["phrases"] - s["both"]) / (PHRASES - 1)
    one_image = "plain image forward"
    return {
        ("trace of the image tower, no gradients", one_image): (s["trace"] / image, None),
        ("matex, image map", one_image): (s["image"] / image, 1.1),
        ("matex, image and text maps", "both plain forwards"): (s["both"] / (image + texts), 1.6),
        ("matex, image and text maps", "both, text padded to its context"): (
            s["both"] / (image + s["plain text, padded"]),
            None,
        ),
        ("matex, each further phrase, both maps", one_image): (further / image, 0.35),
        **{
            (f"{name}, image map", one_image): (s[name] / image, None)
            for name in ("matex-paper", "grad-eclip", "rollout", "raw-attention")
        },
        ("compare of four methods, both maps", "matex, image and text maps"): (
            s["compare"] / s["both"],
            None,
        ),
        ("bundled model: explain, file to record", "its own both plain forwards"): (
            s["tiny explain"] / s["tiny plain"],
            None,
        ),
        ("bundled model: explain, file to record", "reading and preparing the inputs, plain forwards"): (
            s["tiny explain"] / (s["tiny prepare"] + s["tiny plain"]),
            None,
        ),
    }


def memory(kind: str, small: bool) -> dict[str, int]:
    """Peak bytes in this process: resident at most, and live tensors at most (weights left out)."""
    load = Workloads(small)
    work = load.plain if kind == "plain" else lambda: load.both(("matex",))
    weights = sum(p.numel() * p.element_size() for p in load.module.parameters())
    _forget_peak()
    for _ in range(3):
        work()
    peak = _peak()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(file))
        events = [e for e in json.loads(file.read_text())["traceEvents"] if e.get("name") == "[memory]"]
    return {
        "resident": peak,
        "tensors": max(event["args"]["Total Allocated"] for event in events),
        "weights": weights,
    }


def _forget_peak() -> None:
    """Where Linux allows it, the peak counts from here and not from the building of the model."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_rows(arguments: argparse.Namespace) -> list[Row]:
    """Both sides in a process of their own, as often as the timing is repeated."""
    found: dict[str, list[float]] = {}
    targets = {"peak of the whole process, resident": 1.3, "peak of tensors and weights": 1.3}
    for _ in range(arguments.repeats):
        side: dict[str, dict[str, int]] = {}
        for kind in ("plain", "matex"):
            command = [sys.executable, __file__, "--memory", kind, "--threads", str(torch.get_num_threads())]
            command += ["--small"] if arguments.small else []
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            side[kind] = json.loads(output.splitlines()[-1])
        ours, plain = side["matex"], side["plain"]
        for name, ratio in (
            ("peak of the whole process, resident", ours["resident"] / plain["resident"]),
            (
                "peak of tensors and weights",
                (ours["tensors"] + ours["weights"]) / (plain["tensors"] + plain["weights"]),
            ),
            ("peak of tensors alone", ours["tensors"] / plain["tensors"]),
        ):
            found.setdefault(name, []).append(ratio)
    return [
        Row(name, "both plain forwards", median(values), min(values), max(values), targets.get(name))
        for name, values in found.items()
    ]


def machine() -> dict[str, Any]:
    """Where this was measured; no host name."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "platform": platform.platform(),
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def table(rows: list[Row]) -> str:
    """As Markdown."""
    lines = ["| what | against | ratio | range | target |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        target = "" if row.target is None else f"{row.target} {'met' if row.ratio <= row.target else 'MISSED'}"
        lines.append(f"| {row.name} | {row.against} | {row.ratio:.3f} | {row.low:.3f} to {row.high:.3f} | {target} |")
    return "\n".join(lines)


def spread(runs: Sequence[Mapping[tuple[str, str], tuple[float, float | None]]]) -> list[Row]:
    """Median and range over runs of {(what, against): (ratio, target)}."""
    rows: list[Row] = []
    for (name, against), (_, target) in runs[0].items():
        values = [found[name, against][0] for found in runs]
        rows.append(Row(name, against, median(values), min(values), max(values), target))
    return rows


def report(rows: list[Row], chosen: argparse.Namespace) -> dict[str, Any]:
    """Print the machine, the settings and the table; return the same as plain data."""
    where = machine()
    model = "small test model" if chosen.small else "CLIP ViT-B/32, random weights, float32, sdpa, one image"
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    print(f"{model}; {chosen.clock} clock, {chosen.repeats} x median of {chosen.rounds}, interleaved\n")
    print(table(rows), flush=True)
    return {
        "machine": where,
        "model": model,
        "clock": chosen.clock,
        "rounds": chosen.rounds,
        "repeats": chosen.repeats,
        "rows": [asdict(row) for row in rows],
    }


def _small_config() -> CLIPConfig:
    """The same shape of model in small, to see that the script runs."""
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
    }
    return CLIPConfig(
        projection_dim=16,
        vision_config={**tower, "image_size": 56, "patch_size": 8},
        text_config={
            **tower,
            "vocab_size": 100,
            "bos_token_id": 98,
            "eos_token_id": 99,
            "max_position_embeddings": 20,
        },
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, help="torch threads; torch's own choice otherwise")
    parser.add_argument("--rounds", type=int, default=21, help="measurements of each, in turn; their median counts")
    parser.add_argument("--repeats", type=int, default=3, help="times everything is repeated; gives the range")
    parser.add_argument("--quick", action="store_true", help="three rounds, once")
    parser.add_argument("--small", action="store_true", help="a very small model instead of ViT-B/32")
    parser.add_argument(
        "--clock",
        choices=list(CLOCKS),
        default="wall",
        help="cpu counts this process's own computing, for a busy machine; with --threads 1",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows and machine here")
    parser.add_argument("--memory", choices=("plain", "matex"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.clock == "cpu" and chosen.threads != 1:
        parser.error("--clock cpu needs --threads 1: waiting threads compute, too")
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    if chosen.memory:
        print(json.dumps(memory(chosen.memory, chosen.small)))
        return
    if chosen.quick:
        chosen.rounds, chosen.repeats = 3, 1

    warnings.filterwarnings("ignore", message="laterality='paper'")  # nobody looks at these maps
    work = subjects(chosen.small)
    measure(work, 2, CLOCKS[chosen.clock])  # warm up
    taken = [measure(work, chosen.rounds, CLOCKS[chosen.clock]) for _ in range(chosen.repeats)]
    rows = spread([ratios(seconds) for seconds in taken]) + memory_rows(chosen)
    milliseconds = {name: 1000 * median(seconds[name] for seconds in taken) for name in taken[0]}

    content = report(rows, chosen)
    print("\nmilliseconds: " + ", ".join(f"{name} {value:.1f}" for name, value in milliseconds.items()))
    if chosen.json:
        chosen.json.write_text(json.dumps({**content, "milliseconds": milliseconds}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
