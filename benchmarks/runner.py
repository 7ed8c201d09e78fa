"""What the benchmark runner adds to the methods and metrics that it runs, as a ratio taken in one run.

The same samples, methods, controls and metrics twice, in turn: through the runner into a run folder, and in a bare
loop that keeps nothing. Packing maps, tables, files, sorting and the bookkeeping of resuming are the difference.

    python benchmarks/runner.py [--films 32] [--repeats 3] [--clock cpu]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from matex.benchmark import parse_config, run
from matex.benchmark.config import Config
from matex.benchmark.controls import applies, control_map, run_specs
from matex.benchmark.runs.inputs import FilmCache, Inputs
from matex.metrics import Case, make_metric
from matex.traced import trace_pairs

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def config(films: int) -> Config:
    """Cheap methods and metrics, where an overhead shows most."""
    return parse_config(
        {
            "datasets": [{"name": "simulated", "parameters": {"films": films}}],
            "models": ["tiny"],
            "methods": ["matex", "grad-eclip", "rollout", "raw-attention", "legrad"],
            "metrics": ["pointing", "energy", "iou", "confidence-image"],
        }
    )


def bare(chosen: Config, inputs: Inputs) -> int:
    """Every method, control and metric of the configuration, nothing kept; returns how many maps were measured."""
    (dataset,), (model_choice,) = chosen.datasets, chosen.models
    model, labels, maps = inputs.model(model_choice.label), inputs.dataset(dataset.label).labels, 0
    metrics = [(choice, make_metric(choice.name, choice.parameters)) for choice in chosen.metrics]
    for start in range(0, inputs.count(dataset.label), chosen.chunk):
        numbers = range(start, min(start + chosen.chunk, inputs.count(dataset.label)))
        samples = [inputs.sample(dataset.label, number) for number in numbers]
        films = FilmCache(model)
        pairs = [(films.of(sample), sample.text) for sample in samples]
        like = []
        for variant in ("method", "random weights", "map"):
            some = [spec for spec in run_specs(chosen) if spec.variant == variant]
            if variant != "map":
                on = model if variant == "method" else inputs.random_model(model_choice.label, 0)
                traced = trace_pairs(on, pairs, [(spec.name, spec.parameters) for spec in some])
            for spec in some:
                if variant == "map":
                    found = [control_map(spec, one, "", sample.id) for one, sample in zip(like, samples, strict=True)]
                else:
                    found = traced.explain(spec.name, spec.parameters)
                like = like or found
                cases = [Case(on, *pair, labels) for pair in zip(samples, found, strict=True)]
                for choice, metric in metrics:
                    if applies(spec, choice):
                        metric(cases)
                maps += len(cases)
    return maps


def measure(films: int, repeats: int, clock: Callable[[], float]) -> tuple[list[float], list[float], int]:
    """Seconds of the runner and of the bare loop, and the number of maps of each; models and films warm."""
    chosen, inputs, folder = config(films), Inputs(config(films)), Path(tempfile.mkdtemp())
    maps = bare(chosen, inputs)
    seconds: tuple[list[float], list[float]] = ([], [])
    try:
        for number in range(repeats):
            start = clock()
            run(chosen, folder / str(number), inputs=inputs)
            middle = clock()
            bare(chosen, inputs)
            seconds[0].append(middle - start)
            seconds[1].append(clock() - middle)
    finally:
        shutil.rmtree(folder)
    return *seconds, maps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    given = parser.parse_args()
    through, alone, maps = measure(given.films, given.repeats, CLOCKS[given.clock])
    ratios = [one / other for one, other in zip(through, alone, strict=True)]
    print(f"{maps} maps, {given.clock} time, {given.repeats} repeats in turn")
    print(f"runner {median(through):.2f} s, bare loop {median(alone):.2f} s")
    print(f"ratio {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), target 1.05")


if __name__ == "__main__":
    main()
