"""What each method costs, as ratios taken in one run.

The model and the clocks are those of speed.py: a CLIP ViT-B/32 with seeded random weights on the CPU. Methods that run
thousands of inputs are run with fewer and their time is multiplied, which the table says.

    python benchmarks/methods.py --threads 1 [--clock cpu] [--json benchmarks/methods.json]
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, Literal
from unittest import mock

import torch
from speed import CLOCKS, Row, Workloads, measure, report, spread
from torch.nn import functional as F

from matex.attribution import METHODS, make
from matex.forward_pass import run
from matex.recording import record
from matex.trace import Trace

Kind = Literal["image", "text"]
Work = dict[str, Callable[[], Any]]

# Attention and gradient methods that read the trace's own pass: on both towers, and those of the image alone.
EIGHT = ("matex", "matex-paper", "grad-eclip", "mmel", "gradcam", "chefer", "rollout", "raw-attention")
ELEVEN = (*EIGHT, "legrad", "maskclip", "clip-surgery")
ROWS = 64
# Default parameters of the perturbation methods are thousands of rows on the image, each as dear as the next.
FEWER: dict[str, tuple[dict[str, int], str]] = {
    "rise": ({"masks": ROWS}, "masks"),
    "kernel-shap": ({"samples": ROWS}, "samples"),
}
NEEDS_RELU = "guided-backprop"
SLOW = 5.0  # plain forwards; what takes longer is measured a third as often, together with ten plain forwards
PLAINS = 10


class Costs:
    """The models, and what is timed on them."""

    def __init__(self, small: bool) -> None:
        self.small = small
        self.load = Workloads(small)

    @cached_property
    def relu(self) -> Workloads:
        """The same with ReLUs, for the method that needs them."""
        return Workloads(self.small, activation="relu")

    def alone(self, name: str, kind: Kind, parameters: Mapping[str, Any] | None = None) -> Callable[[], Any]:
        """The pass through one tower and a method on it; the other side has been run before."""
        load = self.relu if name == NEEDS_RELU else self.load
        method = make(name, parameters or {})
        sides = {"image": (load.model.image, load.pixels), "text": (load.model.text, load.ids[:1])}
        (tower, inputs), far = sides[kind], sides["text" if kind == "image" else "image"]
        other, first = run(*far), torch.zeros(1, dtype=torch.long)

        def work() -> None:
            seen = run(tower, inputs, method.gradient_blocks(kind))
            method(Trace(seen, first, other.embedding, [load.context()], load.model, (other, first)))

        return work

    def on_a_trace(self, name: str, parameters: Mapping[str, Any]) -> Callable[[], Any]:
        """A black-box method on the image, the trace given."""
        trace = record(self.load.model, self.load.pixels, self.load.ids[:1]).image
        method = make(name, parameters)
        return lambda: method(trace)

    def raw(self, rows: int) -> Callable[[], Any]:
        """The model library's own batched forward."""
        pixels = self.load.pixels.expand(rows, -1, -1, -1).contiguous()

        def work() -> None:
            with torch.no_grad():
                self.load.module.get_image_features(pixels)

        return work

    def plain_gradient(self) -> None:
        """One forward and one backward of the model library's own, to the pixels."""
        pixels = self.load.pixels.clone().requires_grad_()
        found = self.load.module.get_image_features(pixels)
        features = F.normalize(getattr(found, "pooler_output", found), dim=-1)  # transformers 4 gives the tensor
        torch.autograd.grad((features * self.load.embedding).sum(), pixels)

    def calls(self) -> dict[str, int]:
        """How often one prompt of embedding-space runs the tower forwards and backwards, its trace included."""
        tower, grad, work = type(self.load.model.image), torch.autograd.grad, self.alone("embedding-space", "image")
        with (
            mock.patch.object(tower, "start", autospec=True, side_effect=tower.start) as forward,
            mock.patch.object(torch.autograd, "grad", side_effect=grad) as backward,
        ):
            work()
        return {"forwards": forward.call_count, "backwards": backward.call_count}


def targets(costs: Costs) -> Work:
    """What has a target."""
    windows = costs.load.model.image.axis(costs.load.pixels).grid
    assert windows is not None
    covered = windows[0] * windows[1] + 1
    return {
        "plain": costs.load.plain_image,
        "matex": lambda: costs.load.both(("matex",)),
        "eight": lambda: costs.load.both(EIGHT),
        "eleven": lambda: costs.load.both(ELEVEN),
        "plain gradient": costs.plain_gradient,
        "embedding-space": costs.alone("embedding-space", "image"),
        "m2ib, image": costs.alone("m2ib", "image"),
        "m2ib, text": costs.alone("m2ib", "text"),
        f"raw {ROWS}": costs.raw(ROWS),
        "rise": costs.on_a_trace("rise", {"masks": ROWS}),
        "kernel-shap": costs.on_a_trace("kernel-shap", {"samples": ROWS - 2}),
        f"raw {covered}": costs.raw(covered),
        "occlusion": costs.on_a_trace("occlusion", {}),
    }


def ratios(s: Mapping[str, float]) -> dict[tuple[str, str], tuple[float, float | None]]:
    """(what, against what) to (ratio, target), from the seconds of each of the `targets`."""
    covered = next(name for name in s if name.startswith("raw ") and name != f"raw {ROWS}")
    throughput = round(1 / 0.95, 3)
    return {
        ("eight methods over one trace, both maps", "matex alone, both maps"): (s["eight"] / s["matex"], 1.3),
        ("the same and three of the image alone", "matex alone, both maps"): (s["eleven"] / s["matex"], None),
        ("m2ib, image map", "plain image forward"): (s["m2ib, image"] / s["plain"], 20),
        ("m2ib, text map", "plain image forward"): (s["m2ib, text"] / s["plain"], 20),
        (f"rise, {ROWS} masks", "raw batched forward of as many"): (s["rise"] / s[f"raw {ROWS}"], throughput),
        (f"kernel-shap, {ROWS} subsets", "raw batched forward of as many"): (
            s["kernel-shap"] / s[f"raw {ROWS}"],
            throughput,
        ),
        (f"occlusion, {covered.removeprefix('raw ')} images", "raw batched forward of as many"): (
            s["occlusion"] / s[covered],
            throughput,
        ),
        ("embedding-space, one prompt", "a plain forward and its backward to the pixels"): (
            s["embedding-space"] / s["plain gradient"],
            1.0,
        ),
    }


def each(costs: Costs, only: str | None = None) -> tuple[Work, dict[str, float]]:
    """Every method on each of its towers, `name, tower`; and how much longer the default takes than what is run."""
    work: Work = {}
    times: dict[str, float] = {}
    for name, kind in METHODS.items():
        for tower in kind.towers:
            if only is None or name == only:
                fewer, count = FEWER.get(name, ({}, "")) if tower == "image" else ({}, "")
                work[f"{name}, {tower}"] = costs.alone(name, tower, fewer)
                times[f"{name}, {tower}"] = getattr(make(name, {}), count) / fewer[count] if fewer else 1.0
    return work, times


def cost_of_each(costs: Costs, rounds: int, clock: Callable[[], float], only: str | None = None) -> dict[str, float]:
    """`name, tower` to plain image forwards."""
    work, times = each(costs, only)

    def plains() -> None:
        for _ in range(PLAINS):
            costs.load.plain_image()

    once = measure({**work, "plain": plains}, 1, clock)
    unit = once["plain"] / PLAINS
    slow = {name for name in work if once[name] > SLOW * unit}
    found: dict[str, float] = {}
    for chosen, times_measured in ((set(work) - slow, rounds), (slow, -(-rounds // 3))):
        if chosen:
            seconds = measure({**{name: work[name] for name in chosen}, "plain": plains}, times_measured, clock)
            found |= {name: times[name] * seconds[name] / (seconds["plain"] / PLAINS) for name in chosen}
    return {name: found[name] for name in work}


def by_method(costs: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """{"matex": {"image": 1.1, "text": 0.1}, ...}"""
    found: dict[str, dict[str, float]] = {}
    for name, ratio in costs.items():
        method, _, tower = name.rpartition(", ")
        found.setdefault(method, {})[tower] = round(ratio, 3)
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, help="torch threads; torch's own choice otherwise")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each, in turn; their median counts")
    parser.add_argument("--repeats", type=int, default=3, help="times everything is repeated; gives the range")
    parser.add_argument("--quick", action="store_true", help="three rounds, once")
    parser.add_argument("--small", action="store_true", help="a very small model instead of ViT-B/32")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="as of speed.py")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write ratios, costs and machine here")
    chosen = parser.parse_args(arguments)
    if chosen.clock == "cpu" and chosen.threads != 1:
        parser.error("--clock cpu needs --threads 1: waiting threads compute, too")
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    if chosen.quick:
        chosen.rounds, chosen.repeats = 3, 1

    warnings.filterwarnings("ignore", message="laterality='paper'")  # nobody looks at these maps
    clock, costs = CLOCKS[chosen.clock], Costs(chosen.small)
    work = targets(costs)
    measure(work, 1, clock)  # warm up
    rows = spread([ratios(measure(work, chosen.rounds, clock)) for _ in range(chosen.repeats)])
    calls = costs.calls()
    rows += [Row(f"embedding-space, {name} of one prompt", "counted", n, n, n, 1) for name, n in calls.items()]
    content = report(rows, chosen)

    print("\nCost of each method with its default parameters, in plain image forwards, the other side given:\n")
    print("| method | image map | text map |\n| --- | --- | --- |", flush=True)
    methods: dict[str, dict[str, float]] = {}
    for name in METHODS:  # each as soon as it is measured: the slow ones take minutes
        taken = [cost_of_each(costs, chosen.rounds, clock, only=name) for _ in range(chosen.repeats)]
        methods |= by_method({key: median(found[key] for found in taken) for key in taken[0]})
        columns = (f"{methods[name][kind]:.2f}" if kind in methods[name] else "" for kind in ("image", "text"))
        print(f"| {name} | {' | '.join(columns)} |", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps({**content, "methods": methods}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
