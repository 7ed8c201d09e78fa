"""The configurations that ship can be read, and the first one runs on the bundled films."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from matex.benchmark import load_config, parse_config, run
from matex.benchmark.controls import localises, run_specs
from matex.benchmark.plain_config import plain
from matex.benchmark.search import load_search

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_an_example_can_be_read(path):
    if path.name.startswith("tune"):
        load_search(path)
        return
    config = load_config(path)
    assert any(localises(metric) for metric in config.metrics)
    assert "control: prior alone" in {cell.label for cell in run_specs(config)}


@pytest.mark.slow
def test_the_first_example_runs_on_the_bundled_films(tmp_path):
    values = plain(load_config(EXAMPLES / "simulated.toml"))
    for entry in values["datasets"]:
        entry["parameters"] = {**entry["parameters"], "films": 2}
    run(parse_config(values), tmp_path / "run")
    found = pq.read_table(tmp_path / "run/results.parquet").to_pylist()
    assert {row["dataset"] for row in found} == {"one finding", "two findings"}
    assert not (tmp_path / "run/problems.jsonl").read_text()
