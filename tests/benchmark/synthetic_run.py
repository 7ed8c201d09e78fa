"""A run folder without a run: values from formulas, in the form that the runner writes, for the tests of the report."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from matex.benchmark import parse_config
from matex.benchmark.config import Config
from matex.benchmark.controls import RunSpec, applies, run_specs
from matex.benchmark.plain_config import plain
from matex.benchmark.runs.parquet import RESULTS, results_table, samples_table, scores_table, table_bytes
from matex.benchmark.runs.store import FORMAT, ChunkKey, Store, as_json, as_lines, map_file, pack
from matex.metrics import METRICS

METHODS = (
    "matex",
    "matex-paper",
    "mmel",
    "grad-eclip",
    "gradcam",
    "saliency",
    "rise",
    "chefer",
    "ca-m2ib",
    {"name": "matex", "label": "matex & <b>50%tuned_iou", "parameters": {"alpha": 0.3}},
)
STAGES = ("projection", "norm", "block 2", "block 1", "block 0", "embeddings")
FINDINGS = ("nodule", "effusion", "opacity")
WORTH = {"matex": 0.8, "control: uniform": 0.1, "control: random": 0.15, "control: prior alone": 0.5}


def config(**changes: Any) -> Config:
    """Every metric that the report knows."""
    return parse_config(
        {
            "datasets": [{"name": "toy", "label": "simulated"}],
            "models": ["tiny"],
            "methods": list(METHODS),
            "metrics": [
                *("pointing", "energy", "iou", "miou", "named-over-other", "confidence-image", "confidence-text"),
                *("deletion-insertion", "retrieval", "roar-plus", "road", "randomisation", "agreement", "stability"),
                {
                    "name": "deletion-insertion",
                    "label": "deletion of the prediction",
                    "parameters": {"target": "predicted"},
                },
            ],
            "seeds": [0, 1],
            **changes,
        }
    )


def columns(name: str, spec: RunSpec, methods: Sequence[str]) -> list[str]:
    """Columns of a metric as its real values would have them."""
    if name == "agreement":
        return [f"spearman with {other}" for other in methods if other != spec.label]
    if name == "randomisation":
        parts = ["spearman", *(["prior/spearman", "gradient/spearman"] if "matex" in spec.name else [])]
        staged = [
            f"{order}/{stage}/{part}" for order in ("cascade", "independent") for stage in STAGES for part in parts
        ]
        return ["spearman", "ssim", *staged]
    known = list(METRICS[name].better)
    if name == "miou":
        return ["hit", "outside_view", *[f"iou_at_{threshold}" for threshold in (20, 40, 60, 80)]]
    if name == "deletion-insertion":
        kept = [f"{side}_top{k}_" for side in ("deletion", "insertion") for k in (1, 5)]
        points = ("auc", *[f"at_{percent}" for percent in range(0, 51, 10)])
        return [start + point for start in kept for point in points]
    return [one for one in known if not one.startswith("removed_")]


def value(spec: RunSpec, column: str, sample: int, seed: int) -> float:
    """A number that depends on everything it should, between 0 and 1 or so; undefined now and then."""
    digest = hashlib.sha256(f"{spec.label} {column} {sample} {seed}".encode()).digest()
    noise = int.from_bytes(digest[:4], "big") / 2**32
    worth = WORTH.get(spec.label, 0.3 + 0.05 * (len(spec.label) % 7))
    worth -= 0.15 if "random weights" in spec.label else 0
    if column == "outside_view":
        return 0.0
    if "/" in column:
        _, stage, *rest = column.split("/")
        return 1.0 if "prior" in rest else 0.9 - 0.15 * STAGES.index(stage) + 0.1 * noise
    if column.startswith("iou_at_"):
        return 100 * worth * noise * (1 - abs(int(column.rpartition("_")[2]) - 40) / 100)
    if "_at_" in column:
        percent = int(column.rpartition("_")[2]) / 100
        return (percent if "insertion" in column or "lerf" in column else 1 - percent) * (0.5 + worth * noise)
    if sample % 17 == 5 and column in ("energy", "drop"):
        return float("nan")
    scale = 100 if column in ("increase", "iou", "drop_relative") else 1
    hit = column in (
        "pointing",
        "pointing_within",
        "hit",
        "points_named",
        "points_other",
        "named_above_other",
        "increase",
    )
    return scale * (float(noise < worth) if hit else worth + 0.3 * (noise - 0.5))


def write(
    folder: Path,
    config: Config,
    samples: Sequence[Mapping[str, Any]],
    without: Sequence[tuple[str, str]] = (),
    maps: bool = True,
) -> Path:
    """A finished run of this configuration.

    Args:
        folder: to write to.
        config: what was asked for.
        samples: rows of samples.parquet without the data set.
        without: (label of a spec, sample or "") that have no rows, to test what is refused.
        maps: whether maps are written.
    """
    store = Store(folder)
    rows: dict[str, list[Any]] = {name: [] for name in RESULTS}
    labels = [method.label for method in config.methods]
    gone = set(without)
    for dataset in config.datasets:
        for model in config.models:
            for spec in run_specs(config):
                if (spec.label, "") in gone:
                    continue
                for metric in config.metrics:
                    if not applies(spec, metric):
                        continue
                    whole = METRICS[metric.name].dataset_level
                    for column in columns(metric.name, spec, labels):
                        for number, sample in enumerate([{"sample": ""}] * 3 if whole else samples):
                            if (spec.label, sample["sample"]) in gone:
                                continue
                            key = (dataset.label, model.label, spec.label, spec.seed, metric.label, column)
                            for name, part in zip(RESULTS, key, strict=False):
                                rows[name].append(part)
                            rows["sample"].append(sample["sample"])
                            rows["value"].append(value(spec, column, number, spec.seed))
                if maps:
                    store.write(
                        map_file(ChunkKey(dataset.label, model.label, 0), spec.label, spec.seed), grids(samples)
                    )
    store.write("results.parquet", table_bytes(results_table(rows), RESULTS[:-1]))
    filled = [{"dataset": dataset.label, **row} for dataset in config.datasets for row in samples]
    store.write("samples.parquet", table_bytes(samples_table(filled)))
    scores = [
        {"dataset": row["dataset"], "model": model.label, "sample": row["sample"], "score": 0.2 + 0.01 * number}
        for model in config.models
        for number, row in enumerate(filled)
    ]
    store.write("scores.parquet", table_bytes(scores_table(scores)))
    store.write("cells.json", as_json(described(config, {label for label, sample in gone if not sample})))
    problems = [
        {
            "dataset": "simulated",
            "file": "rows.csv",
            "row": 4,
            "said": "expected a box inside the image, got <outside>",
        },
        {
            "dataset": "simulated",
            "model": "tiny",
            "method": "guided-backprop",
            "file": "",
            "row": None,
            "said": "no ReLU",
        },
    ]
    store.write("problems.jsonl", as_lines(problems))
    seconds = {
        "methods": {"matex": 1.5, "trace of the model": 2.0},
        "metrics": {"energy": 0.5},
        "reading": {"samples": 1},
    }
    facts = {
        "dataset": "simulated",
        "model": "tiny",
        "number": 0,
        "samples": len(samples),
        "seconds": 5.2,
        "overhead": 0.2,
    }
    store.log("start", time="2026-01-01T00:00:00+0000")
    store.log("chunk", **facts, **seconds)
    record = {
        "format": FORMAT,
        "config": plain(config),
        "counts": {dataset.label: len(samples) for dataset in config.datasets},
        "weights": {model.label: "0" * 64 for model in config.models},
        "fingerprints": {dataset.label: "f" * 64 for dataset in config.datasets},
        "environment": {"matex": "0.1.0", "torch": "2.13.0"},
        "threads": 1,
        "problems": len(problems),
        "shard": None,
    }
    store.write("run.json", as_json(json.loads(json.dumps(record, default=asdict))))
    return folder


def described(config: Config, without: set[str]) -> list[dict[str, Any]]:
    """cells.json."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for model in config.models:
        for spec in run_specs(config):
            if spec.label in without:
                continue
            known = found.setdefault(
                (model.label, spec.label),
                {
                    "dataset": config.datasets[0].label,
                    "model": model.label,
                    "method": spec.label,
                    "kind": spec.kind,
                    "of": spec.of,
                    "name": spec.name,
                    "description": spec.description,
                    "parameters": {name: part for name, part in spec.parameters.items() if name != "seed"},
                    "seeds": [],
                },
            )
            known["seeds"].append(spec.seed)
    return list(found.values())


def grids(samples: Sequence[Mapping[str, Any]]) -> bytes:
    """A bump somewhere in each map, and one score per word."""
    arrays: dict[str, Any] = {}
    y, x = np.mgrid[0:14, 0:14]
    for number, sample in enumerate(samples):
        down, across = 3 + number % 8, 2 + (3 * number) % 10
        arrays[str(sample["sample"])] = np.exp(-((y - down) ** 2 + (x - across) ** 2) / 8).astype(np.float32)
        arrays[f"t:{sample['sample']}"] = np.arange(len(str(sample["text"]).split()), dtype=np.float32)
    return pack(arrays)


def made_up_samples(films: int = 12, findings: int = 2) -> list[dict[str, Any]]:
    """Rows of samples of made-up films."""
    rows: list[dict[str, Any]] = []
    for film in range(films):
        for named in range(findings):
            finding = FINDINGS[(film + named) % len(FINDINGS)]
            facts = {"film": film, "finding": finding, "tier": "obvious", "size": 0.05 + 0.01 * film, "side": "left"}
            rows.append(
                {
                    "sample": hashlib.sha256(f"{film} {named}".encode()).hexdigest()[:12],
                    "text": f"{finding} in the left lower lung",
                    "cluster": f"film {film}",
                    "group": finding,
                    "split": None,
                    "boxes": [[10.0, 12.0, 30.0, 40.0]],
                    "label": None,
                    "attributes": json.dumps(facts),
                    "height": 80,
                    "width": 64,
                    "sha256": hashlib.sha256(str(film).encode()).hexdigest(),
                }
            )
    return sorted(({**row, "number": number} for number, row in enumerate(rows)), key=lambda row: row["sample"])
