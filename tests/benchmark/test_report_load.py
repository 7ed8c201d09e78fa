"""A run folder as the report reads it: each row at its place, and what is refused or passed over."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from matex.benchmark.plain_config import plain
from matex.benchmark.report.load import (
    _by_seed,
    _cells,
    _check_facts,
    _events,
    _in_order,
    _measure,
    _read_config,
    _refusal,
    _Results,
    _sample,
    _sections,
    _table,
    _Tables,
    check_controls,
    read_run,
)
from matex.benchmark.report.section import TUNED
from matex.benchmark.runs.parquet import read_table, results_table, samples_table, table_bytes
from matex.benchmark.runs.store import FORMAT, ChunkKey, Store, as_json
from matex.checks import MAX_TEXT
from matex.errors import InputError, shown
from matex.metrics import METRICS
from tests.benchmark import synthetic_run


def message_of(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------- rows of the results

ROW = {"dataset": "d", "model": "m", "method": "matex", "metric": "energy", "column": "energy", "sample": "a"}


def results(*changes):
    """A table of results with one row for each set of changes."""
    rows = [{**ROW, "seed": -1, "value": 0.0, **one} for one in changes]
    return pa.table({name: [row[name] for row in rows] for name in rows[0]})


def test_rows_are_grouped_by_what_was_measured_in_the_order_of_the_table():
    changes = [
        {"value": 0.0},
        {"value": 1.0, "method": "rise", "sample": "b"},
        {"value": 2.0, "column": "outside_view"},
        {"value": 3.0, "sample": "b", "seed": 1},
        {"value": 4.0, "model": "other"},
        {"value": 5.0, "dataset": "e"},
        {"value": 6.0, "metric": "iou"},
        {"value": 7.0, "method": "rise"},
    ]
    found = _Results.of(results(*changes))
    values = {key: found.values[rows].tolist() for key, rows in found.rows.items()}
    assert values == {
        ("d", "m", "matex", "energy", "energy"): [0, 3],
        ("d", "m", "rise", "energy", "energy"): [1, 7],
        ("d", "m", "matex", "energy", "outside_view"): [2],
        ("d", "other", "matex", "energy", "energy"): [4],
        ("e", "m", "matex", "energy", "energy"): [5],
        ("d", "m", "matex", "iou", "energy"): [6],
    }
    rows = found.rows["d", "m", "matex", "energy", "energy"]
    assert found.seeds[rows].tolist() == [-1, 1]
    assert [found.names[number] for number in found.samples[rows]] == ["a", "b"]
    assert _Results.of(results(ROW).slice(0, 0)).rows == {}


def test_no_two_of_many_combinations_are_taken_for_one():
    names = ("dataset", "model", "method", "metric", "column")
    keys = [
        tuple(f"{letter}{n}" for letter, n in zip("abcde", chosen, strict=True)) for chosen in np.ndindex(3, 2, 4, 2, 3)
    ]
    rows = [dict(zip(names, key, strict=True), value=float(n)) for n, key in enumerate(keys * 3)]
    found = _Results.of(results(*rows))
    assert {key: found.values[rows].tolist() for key, rows in found.rows.items()} == {
        key: [n, n + len(keys), n + 2 * len(keys)] for n, key in enumerate(keys)
    }


def test_values_stand_at_their_seed_and_sample():
    numbers, seeds = np.array([2, 0, 2, -1]), np.array([5, 3, 3, 5])
    runs, present = _by_seed(numbers, seeds, np.array([0.1, np.nan, 0.3, 9.0]), 4)
    np.testing.assert_array_equal(runs, [[np.nan, np.nan, 0.3, np.nan], [np.nan, np.nan, 0.1, np.nan]])
    assert present.tolist() == [True, False, True, False]  # an undefined value is a row


def of_section(table, metrics=("energy",), methods=("matex",)):
    """The section of these results; samples a and b, of which the second data set has another one of the same name."""
    config = synthetic_run.config(methods=list(methods), metrics=list(metrics), datasets=["toy"])
    entries = {"matex": None, "matex (no prior)": "matex"}
    dataset, model = config.datasets[0].label, config.models[0].label
    described = [
        {"method": label, "kind": "control" if of else "method", "of": of, "name": label,
         "description": f"what {label} is", "parameters": {"a": 1}, "seeds": [-1], "dataset": where, "model": model}
        for label, of in entries.items() for where in (dataset, "elsewhere")
    ]  # fmt: skip
    sample = {"sha256": "0" * 64, "height": 5, "width": 7, "boxes": None, "attributes": '{"view": "PA"}'}
    samples = [
        {**sample, "sample": name, "dataset": where, "group": "nodule", "split": {"a": "val", "b": "test"}.get(name)}
        for where, name in ((dataset, "a"), ("elsewhere", "b"), (dataset, "b"), (dataset, "without a score"))
    ]
    scores = [
        {"dataset": where, "model": one, "sample": name, "score": score}
        for where, one, name, score in (
            (dataset, model, "b", 0.2),
            (dataset, model, "a", 0.1),
            ("elsewhere", model, "a", 0.8),
            (dataset, "other", "without a score", 0.9),
        )
    ]
    tables = _Tables(table, samples, scores)
    (section,) = _sections(config, described, tables)
    return section


@pytest.fixture
def names():
    config = synthetic_run.config(datasets=["toy"])
    return {"dataset": config.datasets[0].label, "model": config.models[0].label}


def test_a_section_has_the_samples_scores_and_values_of_its_data_set_and_model(names):
    table = results(
        {**names, "value": 9.0, "dataset": "elsewhere"},
        {**names, "value": 0.25, "sample": "b"},
        {**names, "value": 0.75, "sample": "without a score"},
        {**names, "value": 0.5, "column": "outside_view"},
        {**names, "value": 8.0, "model": "other"},
        {**names, "value": 7.0, "metric": "not configured"},
        {**names, "value": 0.125, "sample": "", "metric": "roar-plus", "column": "roar_image"},
    )
    section = of_section(table, metrics=("roar-plus", "energy"))
    assert [row["sample"] for row in section.samples] == ["a", "b"]
    assert section.samples[0]["attributes"] == {"view": "PA"}
    assert section.scores.tolist() == [0.1, 0.2]
    assert (section.dataset, section.model) == (names["dataset"], names["model"])
    assert [(entry.kind, entry.of) for entry in section.entries.values()] == [("method", None), ("control", "matex")]
    label, entry = list(section.entries.items())[1]
    assert (label, entry.label, entry.name) == ("matex (no prior)",) * 3
    assert (entry.description, entry.parameters, entry.seeds) == (f"what {label} is", {"a": 1}, (-1,))
    measures = {(one.metric, one.column): one for one in section.measures}
    assert list(measures) == [("roar-plus", "roar_image"), ("energy", "energy"), ("energy", "outside_view")]
    np.testing.assert_array_equal(section.values("matex", measures["energy", "energy"]), [np.nan, 0.25])
    np.testing.assert_array_equal(section.values("matex", measures["energy", "outside_view"]), [0.5, np.nan])
    assert section.values("matex", measures["roar-plus", "roar_image"]).tolist() == [0.125]
    assert [one.dataset_level for one in section.measures] == [True, False, False]
    assert [one.localises for one in section.measures] == [False, True, True]


def test_the_threshold_of_miou_is_chosen_on_the_validation_split(names):
    ladder = {("a", 20): 30.0, ("a", 40): 50.0, ("b", 20): 90.0, ("b", 40): 10.0}
    table = results(
        {**names, "value": 0.5},
        *(
            {**names, "value": value, "sample": sample, "metric": "miou", "column": f"iou_at_{threshold}"}
            for (sample, threshold), value in ladder.items()
        ),
    )
    section = of_section(table, metrics=("energy", "miou"))
    assert [(one.metric, one.column) for one in section.measures] == [
        ("energy", "energy"),
        ("miou", "iou_at_20"),
        ("miou", "iou_at_40"),
        ("miou", TUNED),
    ]
    values = [section.values("matex", one).tolist() for one in section.measures]
    np.testing.assert_array_equal(values, [[0.5, np.nan], [30, 90], [50, 10], [np.nan, 10]])
    assert [one.better for one in section.measures] == ["higher", "higher", "higher", "higher"]


def test_results_of_a_method_that_is_not_described_are_refused(names):
    message = message_of(of_section, results({**names, "method": "gradcam"}))
    assert message == "Expected 'gradcam' of results.parquet in cells.json too, found none."


def test_columns_are_in_the_order_of_their_metric_and_unknown_ones_last():
    choice = next(one for one in synthetic_run.config().metrics if one.name == "energy")
    known = list(METRICS["energy"].better)
    assert _in_order(choice, ["zeta", *reversed(known), "alpha"]) == [*known, "alpha", "zeta"]


def test_a_measure_has_the_direction_and_the_parameters_of_its_metric():
    choices = {one.label: one for one in synthetic_run.config().metrics}
    measure = _measure(choices["deletion of the prediction"], "deletion_auc", False)
    assert (measure.metric, measure.column, measure.name) == (
        "deletion of the prediction",
        "deletion_auc",
        "deletion-insertion",
    )
    assert measure.parameters["target"] == "predicted"
    assert measure.better == METRICS["deletion-insertion"].better["deletion_auc"]
    assert _measure(choices["miou"], "miou", True).dataset_level
    assert _measure(choices["agreement"], "spearman with rise", False).better == "neither"


# ------------------------------------------------------------------------------------------------- records and the log


def test_versions_before_the_target_left_out_what_they_measured_on_maps_of_the_true_class():
    record = {"config": json.loads(json.dumps(_plain()))}
    labels = {older: [one.label for one in _read_config(record, "run.json", older).metrics] for older in (False, True)}
    assert "deletion of the prediction" in labels[False]
    assert labels[True] == [label for label in labels[False] if label != "deletion of the prediction"]
    refused = "Expected the configuration in run.json to be an object, got 3."
    assert message_of(_read_config, {"config": 3}, "run.json", False) == refused
    assert "run.json" in message_of(_read_config, {"config": {}}, "run.json", False)


def _plain():
    return plain(synthetic_run.config())


CELL = {"method": "m", "kind": "method", "dataset": "d", "model": "x", "name": "m", "description": ""}
CELL |= {"seeds": [0], "parameters": {}, "of": None}


@pytest.mark.parametrize(
    "changes",
    [
        {"of": 3},
        {"of": ["m"]},
        {"kind": "other"},
        {"kind": "quoted"},
        {"seeds": [True]},
        {"seeds": [0.0]},
        {"seeds": []},
        {"seeds": [0, "1"]},
        {"parameters": []},
        *({name: None} for name in CELL if name != "of"),
    ],
)
def test_an_entry_that_is_no_method_or_control_is_refused_by_its_number(tmp_path, changes):
    path = tmp_path / "cells.json"
    path.write_text(json.dumps([CELL, {**CELL, "kind": "control", "of": "m", "seeds": [0, 1]}]))
    assert [cell["of"] for cell in _cells(path)] == [None, "m"]
    path.write_text(json.dumps([CELL, {**CELL, **changes}]))
    assert message_of(_cells, path).startswith("Expected a method or control as entry 1 of cells.json, got {")


def test_an_entry_without_the_method_that_it_varies_varies_none(tmp_path):
    path = tmp_path / "cells.json"
    path.write_text(json.dumps([{name: value for name, value in CELL.items() if name != "of"}]))
    assert _cells(path) == [{**CELL, "seeds": (0,)}]


def test_the_cluster_of_a_sample_may_be_missing_only_in_an_older_version(tmp_path):
    path = tmp_path / "samples.parquet"
    rows = [{**row, "dataset": "toy", "attributes": None} for row in synthetic_run.made_up_samples(2)]
    path.write_bytes(table_bytes(samples_table(rows).drop_columns("cluster")))
    assert len(_table(path, "samples", older=True)) == len(rows)
    message = message_of(_table, path, "samples")
    assert message == "Expected a column cluster in samples.parquet, got none. Copy the folder again."
    path.write_bytes(table_bytes(samples_table(rows).drop_columns("sample")))
    assert "Expected a column sample in samples.parquet" in message_of(_table, path, "samples", True)


def test_files_of_a_run_are_refused_by_their_name(tmp_path):
    """Empty, with other content, and larger than any other file that is read whole."""
    table, cells = tmp_path / "scores.parquet", tmp_path / "cells.json"
    for path in (table, cells):
        path.touch()
    assert message_of(_table, table, "scores").startswith("Expected scores.parquet, got an empty file")
    assert message_of(_cells, cells).startswith("Expected cells.json, got an empty file")
    for path in (table, cells):
        with path.open("wb") as stream:
            stream.truncate(MAX_TEXT + 1)
    other = "Expected Parquet in scores.parquet, got other content. Copy the folder again."
    assert message_of(_table, table, "scores") == other
    assert message_of(_cells, cells).startswith("Expected JSON in cells.json, got other text")


@pytest.mark.parametrize(("content", "number"), [("3", 0), ("{}", 0), ("[3]", 0), ("[[]]", 0), ("null", 0)])
def test_descriptions_of_another_kind_are_refused(tmp_path, content, number):
    path = tmp_path / "cells.json"
    path.write_text(content)
    assert f"as entry {number} of cells.json" in message_of(_cells, path)


@pytest.mark.parametrize("name", ["environment", "weights", "fingerprints"])
def test_facts_of_a_run_are_objects(name):
    _check_facts({name: {"a": 1}})
    _check_facts({})
    assert message_of(_check_facts, {name: [1]}) == f"Expected {name} in run.json to be an object, got [1]."


CHUNK = {"event": "chunk", "seconds": 1, "overhead": 0.5, "samples": 3}
WHOLE = {"event": "whole", "seconds": 2.0, "metric": "roar-plus"}


@pytest.mark.parametrize("event", [CHUNK, WHOLE, {"event": "start"}, {**CHUNK, "methods": {"matex": 1.0}}])
def test_events_with_times_are_kept(event):
    assert _events(SimpleNamespace(events=[event])) == (event,)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"event": 5},
        *({**CHUNK, name: value} for name in ("seconds", "overhead", "samples") for value in (None, "1", True)),
        {**CHUNK, "seconds": float("nan")},
        *({**CHUNK, name: value} for name in ("methods", "metrics", "reading") for value in ([1.0], {"a": "1"}, None)),
        {**WHOLE, "seconds": "2"},
        {"event": "whole", "seconds": 2.0},
    ],
)
def test_events_whose_times_cannot_be_added_up_are_passed_over(event):
    assert _events(SimpleNamespace(events=[WHOLE, event, CHUNK])) == (WHOLE, CHUNK)


SAMPLE = {"sample": "a", "sha256": "0" * 64, "height": 1, "width": 1, "boxes": None, "attributes": None}


def test_a_sample_of_one_pixel_without_attributes_is_a_sample():
    assert _sample(SAMPLE) == {**SAMPLE, "boxes": (), "attributes": {}}
    boxes = {**SAMPLE, "boxes": [[0, 0, 1, 1.0]], "attributes": '{"age": 7}'}
    assert _sample(boxes) == {**boxes, "boxes": ((0, 0, 1, 1),), "attributes": {"age": 7}}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"sha256": "0" * 63}, "a hash and a size"),
        ({"sha256": "0" * 65}, "a hash and a size"),
        ({"sha256": "G" * 64}, "a hash and a size"),
        ({"height": 0}, "a hash and a size"),
        ({"width": 0}, "a hash and a size"),
        ({"boxes": [[0, 0, 1]]}, "boxes of four numbers"),
        ({"boxes": [[0, 0, 1, 1, 1]]}, "boxes of four numbers"),
        ({"boxes": [None]}, "boxes of four numbers"),
        ({"boxes": [[0, 0, 1, True]]}, "boxes of four numbers"),
        ({"boxes": [[0, 0, 1, 1], [0, 0, 1, float("inf")]]}, "boxes of four numbers"),
    ],
)
def test_a_sample_is_refused_by_its_name(changes, what):
    message = message_of(_sample, {**SAMPLE, **changes})
    assert message.startswith(f"Expected {what}")
    assert "'a' in samples.parquet." in message


def test_attributes_that_are_no_json_are_refused():
    message = message_of(_sample, {**SAMPLE, "attributes": "{"})
    assert message.startswith("Expected JSON in the attributes in samples.parquet, got ")


def test_a_folder_without_a_finished_run_is_refused_with_what_to_do(tmp_path):
    empty = message_of(read_run, tmp_path)
    assert empty == _refusal(Store(tmp_path))
    assert empty == (
        f"Expected a folder that matex benchmark wrote, got {str(tmp_path)!r}, which holds no run. Check the path."
    )
    (tmp_path / "shards").mkdir()
    assert message_of(read_run, tmp_path) == (
        f"Expected a whole run, got shards in {str(tmp_path)!r}. Put them together with matex merge, or add --partial."
    )
    message = message_of(lambda: read_run(tmp_path, partial=True))
    assert message == (f"Expected a run folder with at least one finished chunk, got {str(tmp_path)!r}. Run it first.")
    assert message_of(read_run, 3).startswith("Expected the folder of a run")


# ----------------------------------------------------------------------------------------------- a run that was stopped

PROBLEM = {"dataset": "toy", "file": "", "row": None, "said": "unreadable"}


def stopped(folder, numbers=(0,), samples=5, problems=(PROBLEM,), **plan):
    """Write the plan of a run and the finished chunks with these numbers, of two samples each."""
    config = synthetic_run.config(
        datasets=["toy"], methods=["matex", "rise"], metrics=["confidence-image"], seeds=[0], chunk=2
    )
    store = Store(folder)
    content = {"format": FORMAT, "config": plain(config), "counts": {"toy": samples}, "problems": problems, **plan}
    store.start(json.loads(json.dumps(content)))
    for number in numbers:
        rows = synthetic_run.made_up_samples(samples)[:samples][2 * number : 2 * number + 2]
        key = {"dataset": "toy", "model": "tiny"}
        part = {
            "samples": [{**row, "dataset": "toy", "number": number, "attributes": None} for row in rows],
            "scores": [{**key, "sample": row["sample"], "score": 0.5} for row in rows],
            "numbers": {},
            "problems": [{**PROBLEM, "row": number}],
            "left out": [{**key, **PROBLEM, "method": "rise", "said": "no attention"}],
        }
        values = {**key, "method": "matex", "seed": -1, "metric": "confidence-image", "column": "drop"}
        columns = {name: [value] * len(rows) for name, value in values.items()}
        columns |= {"sample": [row["sample"] for row in rows], "value": [0.25] * len(rows)}
        store.write(f"work/chunks/toy/tiny/{number}.json", as_json(part))
        store.write(f"work/chunks/toy/tiny/{number}.parquet", table_bytes(results_table(columns)))
        store.log("chunk", dataset="toy", model="tiny", number=number, samples=2, seconds=1.0, overhead=0.0)
    return folder


def test_a_stopped_run_is_read_as_far_as_it_is_done(tmp_path):
    run = read_run(stopped(tmp_path / "run", numbers=(0, 2)), partial=True)
    assert run.unfinished.startswith("2 of 3 chunks are done; ")
    (section,) = run.sections
    assert len(section.samples) == 3  # the last chunk has one
    assert "matex" in section.entries
    assert "rise" not in section.entries  # the model does not support it
    rows = [(problem["said"], problem["row"]) for problem in run.problems]
    assert rows == [("unreadable", None), ("unreadable", 0), ("unreadable", 2), ("no attention", None)]
    assert len(run.events) == 2
    assert (run.store.path, run.record["counts"]) == (tmp_path / "run", {"toy": 5})


@pytest.mark.parametrize("name", ["samples", "scores", "problems", "left out", "numbers"])
def test_a_chunk_without_its_entries_or_columns_is_refused(tmp_path, name):
    folder = stopped(tmp_path / "run")
    file = next(folder.rglob("chunks/**/*.json"))
    whole = json.loads(file.read_text())
    for damaged in ({**whole, name: [{}]}, {key: value for key, value in whole.items() if key != name}, {}):
        file.write_text(json.dumps(damaged))
        said = "as it was written, got a damaged file. Remove"
        assert f"{said} it, and go on with --resume." in message_of(read_run, folder, True)
        assert f"{said} work/chunks/toy/tiny/0.json" in message_of(Store(folder).chunk, ChunkKey("toy", "tiny", 0))


def test_shards_that_were_not_merged_are_read_together(tmp_path):
    for number in (0, 1):
        stopped(tmp_path / "run" / "shards" / f"{number}-of-2", numbers=(number,))
    run = read_run(tmp_path / "run", partial=True)
    assert run.unfinished.startswith("2 of 3 chunks are done")
    assert len(run.sections[0].samples) == 4
    assert len(run.events) == 2


def test_a_stopped_run_without_a_chunk_or_with_another_plan_is_refused(tmp_path):
    message = message_of(read_run, stopped(tmp_path / "none", numbers=()), True)
    assert message.startswith("Expected a run folder with at least one finished chunk, got ")
    folder = stopped(tmp_path / "other", counts={"toy": "five"})
    expected = f"Expected the plan of {shown(str(folder))} as it was written. Copy the folder."
    assert message_of(read_run, folder, True) == expected
    message = message_of(read_run, stopped(tmp_path / "damaged", config=3), True)
    assert message == "Expected the configuration in plan.json to be an object, got 3."
    folder = stopped(tmp_path / "empty")
    (folder / "work/chunks/toy/tiny/0.json").write_text("")
    assert message_of(read_run, folder, True).startswith("Expected the chunk 0.json, got an empty file")


@pytest.mark.parametrize(("version", "count"), [(FORMAT, 2), ("matex-benchmark/3", 1)])
def test_a_stopped_run_of_an_older_version_leaves_out_the_predicted_class(tmp_path, version, count):
    metrics = ["confidence-image", {"name": "deletion-insertion", "parameters": {"target": "predicted"}}]
    config = synthetic_run.config(datasets=["toy"], methods=["matex"], metrics=metrics, seeds=[0], chunk=2)
    run = read_run(stopped(tmp_path / "run", config=plain(config), format=version), partial=True)
    assert len(run.config.metrics) == count


# --------------------------------------------------------------------------------------------- a run that was finished


def test_a_finished_run_is_as_its_record_says_or_damaged(tmp_path):
    config = synthetic_run.config(methods=["matex"], metrics=["confidence-image"])
    folder = synthetic_run.write(tmp_path / "run", config, synthetic_run.made_up_samples(1), maps=False)
    record = json.loads((folder / "run.json").read_text())
    for changes, what in (
        ({"problems": 7}, "Expected 7 lines in problems.jsonl, got 2."),
        ({"config": 3}, "Expected the configuration in run.json to be an object, got 3."),
    ):
        (folder / "run.json").write_text(json.dumps(record | changes))
        assert message_of(read_run, folder) == (
            f"Expected the run folder {shown(str(folder))} as matex benchmark wrote it, got a damaged one: {what} "
            "Copy the whole folder, or run it again."
        )


def test_a_finished_run_of_an_older_version_has_no_clusters_and_no_predicted_class(tmp_path):
    predicted = {"name": "deletion-insertion", "parameters": {"target": "predicted"}}
    config = synthetic_run.config(methods=["matex"], metrics=["confidence-image", predicted])
    folder = synthetic_run.write(tmp_path / "run", config, synthetic_run.made_up_samples(1), maps=False)
    assert [one.name for one in read_run(folder).config.metrics] == ["confidence-image", "deletion-insertion"]
    samples = read_table((folder / "samples.parquet").read_bytes())
    (folder / "samples.parquet").write_bytes(table_bytes(samples.drop_columns("cluster")))
    assert "Expected a column cluster in samples.parquet" in message_of(read_run, folder)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"format": "matex-benchmark/3"}))
    assert [one.name for one in read_run(folder).config.metrics] == ["confidence-image"]


# --------------------------------------------------------------------------------------------------------- its controls


def test_localisation_needs_every_sample_of_every_control_and_other_measures_none(tmp_path):
    """Measures that need no controls stand before and after the one that does."""
    config = synthetic_run.config(methods=["matex"], metrics=["confidence-image", "energy", "deletion-insertion"])
    run = read_run(synthetic_run.write(tmp_path / "run", config, synthetic_run.made_up_samples(3)))
    assert (run.store.path, run.unfinished, run.config) == (tmp_path / "run", "", config)
    assert len(run.problems) == run.record["problems"] > 0
    assert [event["event"] for event in run.events] == ["start", "chunk"]
    section = run.sections[0]
    check_controls(section, config)
    arrays, samples = section._arrays, len(section.samples)
    for label in ("control: uniform", "matex (no prior)"):
        key = (label, "energy", "energy")
        values, there = arrays[key]
        arrays[key] = (values, np.arange(samples) > 0)
        assert message_of(check_controls, section, config) == (
            f"Expected the control {label!r} on every sample of {section.dataset} with {section.model}, got none for 1 "
            f"of {samples} samples in energy. Run the benchmark again: a localisation table is not made without its "
            "controls."
        )
        del arrays[key]
        assert f"got none for {samples} of {samples} samples" in message_of(check_controls, section, config)
        arrays[key] = (values, there)
    plain = synthetic_run.config(methods=["matex"], metrics=["confidence-image"])
    check_controls(_without(section, "energy"), plain)


def _without(section, metric):
    import dataclasses

    return dataclasses.replace(section, measures=tuple(one for one in section.measures if one.metric != metric))
