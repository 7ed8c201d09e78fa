"""A run that is stopped, cut up or repeated ends with the same bytes; what cannot be read is counted."""

import json
import multiprocessing
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import matex
from matex.adapters import load
from matex.benchmark import merge, parse_config, run
from matex.benchmark.plain_config import plain, public
from matex.benchmark.report import write_report
from matex.benchmark.report.load import read_run
from matex.benchmark.runs import parquet, store
from matex.benchmark.runs.inputs import Inputs
from matex.benchmark.runs.runner import _new_plan
from matex.benchmark.runs.store import ChunkKey, Store
from matex.benchmark.runs.worker import ChunkResult, compute
from matex.datasets import open_dataset
from matex.errors import InputError
from matex.metrics import Case, make_metric
from tests.benchmark import toy
from tests.datasets import layouts


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The undisturbed run that all others must equal."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run(parse_config(toy.config()), out)
    return out


def rows(folder: Path) -> list[dict]:
    return pq.read_table(folder / "results.parquet").to_pylist()


def test_a_run_folder_holds_what_the_report_reads(whole):
    names = {path.name for path in whole.iterdir()}
    assert names == {
        "run.json",
        "samples.parquet",
        "scores.parquet",
        "results.parquet",
        "cells.json",
        "problems.jsonl",
        "maps",
        "log.jsonl",
    }
    record = json.loads((whole / "run.json").read_text())
    assert record["config"]["methods"][1] == {
        "name": "gradient-shap",
        "label": "gradient-shap",
        "parameters": {"samples": 2},
    }
    assert set(record) >= {"weights", "fingerprints", "environment", "threads", "counts"}
    samples = pq.read_table(whole / "samples.parquet").to_pylist()
    assert len(samples) == 7
    assert samples[0]["boxes"]
    assert samples[0]["height"] == 40
    assert json.loads(samples[0]["attributes"]).keys() == {"index"}
    found = rows(whole)
    assert list(found[0]) == list(parquet.RESULTS)
    keys = [tuple(row[name] for name in parquet.RESULTS[:-1]) for row in found]
    assert keys == sorted(keys)
    seeds = {row["method"]: row["seed"] for row in found}
    assert seeds["matex"] == -1
    assert seeds["gradient-shap"] == 0


def test_every_map_is_kept_once(whole):
    kept = list(Store(whole).maps("toy", "tiny", "matex", -1))
    assert [name for name, _, _ in kept] == [sample.id for sample in toy.Toy()]
    assert kept[0][1].shape == (14, 14)
    assert kept[0][2] is not None
    assert len(kept[0][2]) >= 6  # a score for each token of the phrase
    uniform = next(iter(Store(whole).maps("toy", "tiny", "control: uniform", -1)))
    assert (uniform[1] == 1).all()


def test_measures_of_the_whole_see_every_map_and_word(whole):
    for label, seed in (("matex", -1), ("gradient-shap", 0)):
        kept = list(Store(whole).maps("toy", "tiny", label, seed))
        maps = sum(float(grid.sum()) for _, grid, _ in kept)
        words = sum(float(score) for _, _, scores in kept for score in scores)
        found = [row for row in rows(whole) if row["metric"] == "together" and row["method"] == label]
        assert [row["sample"] for row in found] == ["", ""]
        np.testing.assert_allclose([row["value"] for row in found], [maps, words], rtol=1e-6)


def test_metrics_of_the_run_equal_those_of_the_library(whole):
    import matex

    samples = {sample.id: sample for sample in toy.Toy()}
    found = {row["sample"]: row["value"] for row in rows(whole) if (row["method"], row["column"]) == ("matex", "mean")}
    model = matex.load("tiny")
    for name, value in found.items():
        explanation = matex.explain(model, samples[name].image, samples[name].text, view="PA")
        assert value == pytest.approx(float(explanation.image.grid.mean()), abs=1e-5)


def test_a_run_is_repeated_byte_for_byte(whole, tmp_path):
    run(parse_config(toy.config()), tmp_path / "run")
    assert toy.contents(tmp_path / "run") == toy.contents(whole)


def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(whole, tmp_path):
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["tests.benchmark.toy", "matex.benchmark.runs.runner", "transformers.models.clip"])
    out, rng, killed = tmp_path / "run", random.Random(3), 0
    log = out / "log.jsonl"
    for resume in (False, True, True):
        process = start.Process(target=toy.run_here, args=(toy.config(), str(out), resume))
        process.start()
        # Some time after the first line, or after the first chunk: while maps are made, or files are written.
        begun = log.read_text().count("\n") if log.exists() else 0
        wanted = begun + rng.choice((1, 2))
        while process.is_alive() and not (log.exists() and log.read_text().count("\n") >= wanted):
            time.sleep(0.002)
        process.join(rng.random() * 0.2)
        process.kill()
        process.join()
        killed += process.exitcode == -9
    run(parse_config(toy.config()), out, resume=True)
    assert killed >= 2
    assert toy.contents(out) == toy.contents(whole)


def test_a_run_stopped_between_any_two_writes_ends_with_the_same_bytes(whole, tmp_path, monkeypatch):
    """The first try may write no file, the second one, and so on, until a run comes through."""
    replace, out, left = os.replace, tmp_path / "run", [0]
    known: dict[ChunkKey, ChunkResult] = {}
    model = load("tiny")

    class Stopped(BaseException):
        pass

    def failing(source, target):
        if left[0] == 0:
            raise Stopped
        left[0] -= 1
        replace(source, target)

    def quick(plan, opened, key, told):
        if key not in known:
            known[key] = compute(plan, opened, key, told)
        return known[key]

    monkeypatch.setattr("matex.benchmark.runs.executors.compute", quick)
    monkeypatch.setattr("matex.benchmark.runs.inputs.open_model", lambda *_: model)
    monkeypatch.setattr(os, "replace", failing)
    for tries in range(100):
        left[0] = tries
        try:
            run(parse_config(toy.config()), out, resume=True)
            break
        except Stopped:
            continue
    assert tries > 10
    assert toy.contents(out) == toy.contents(whole)


def test_shards_merge_to_the_same_bytes(whole, tmp_path):
    config = parse_config(toy.config())
    for which in (3, 1, 2):
        written = run(config, tmp_path / "run", shard=(which, 3))
        assert written == tmp_path / f"run/shards/{which}-of-3"
        assert not (written / "run.json").exists()
    merge([tmp_path / "run"])
    assert toy.contents(tmp_path / "run") == toy.contents(whole)
    events = Store(tmp_path / "run").events  # of every shard
    assert {event.get("shard") for event in events if event["event"] == "chunk"} == {1, 2, 3}


def test_shards_from_several_places_merge_into_a_new_folder(whole, tmp_path, monkeypatch):
    config = parse_config(toy.config())
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        run(config, tmp_path / f"machine-{rank}")
    monkeypatch.setattr(os, "link", _no_link)
    merge([tmp_path / "machine-0", tmp_path / "machine-1/shards/2-of-2"], tmp_path / "merged")
    assert toy.contents(tmp_path / "merged") == toy.contents(whole)
    assert (tmp_path / "machine-0/shards/1-of-2/work").exists()


def _no_link(source, target):
    raise OSError("another file system")


def test_merging_refuses_what_does_not_make_a_whole(tmp_path):
    config = parse_config(toy.config(methods=["rollout"], metrics=["brightness"]))
    run(config, tmp_path / "run", shard=(1, 2))
    with pytest.raises(InputError, match=r"every shard of the run, got 1/2: 1 chunks are in none"):
        merge([tmp_path / "run"])
    other = parse_config(toy.config(methods=["raw-attention"], metrics=["brightness"]))
    run(other, tmp_path / "other", shard=(2, 2))
    with pytest.raises(InputError, match=r"another config in .*methods\[0\]\.name: 'rollout' -> 'raw-attention'"):
        merge([tmp_path / "run", tmp_path / "other"], tmp_path / "merged")
    run(config, tmp_path / "run", shard=(2, 2))
    next((tmp_path / "run/shards/2-of-2/work/chunks").rglob("*.json")).unlink()
    with pytest.raises(InputError, match="lacks 1 of 1 chunks"):
        merge([tmp_path / "run"])
    with pytest.raises(InputError, match="folder of a shard"):
        merge([tmp_path], tmp_path / "merged")
    with pytest.raises(InputError, match="one folder with shards in it, or -o"):
        merge([tmp_path])


def test_an_existing_folder_is_refused_without_resume(whole, tmp_path):
    config = parse_config(toy.config())
    with pytest.raises(InputError, match=r"which exists\. Go on with it with --resume"):
        run(config, whole)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds none"):
        run(config, tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "run").write_text("mine")
    for resume in (False, True):
        with pytest.raises(InputError, match="Expected a run folder, got the file"):
            run(parse_config(toy.config()), tmp_path / "run", resume=resume)


def test_a_folder_that_another_process_writes_to_is_refused(tmp_path):
    config = parse_config(toy.config(methods=["rollout"], metrics=["brightness"]))
    run(config, tmp_path / "run", shard=(1, 1))
    store = Store(tmp_path / "run/shards/1-of-1")
    with store.held(), pytest.raises(InputError, match="another process is writing to"):
        run(config, tmp_path / "run", shard=(1, 1), resume=True)
    with Store(tmp_path / "run").held(), pytest.raises(InputError, match="another process is writing to"):
        merge([tmp_path / "run"])
    merge([tmp_path / "run"])
    assert not (tmp_path / "run/work").exists()


def test_a_shard_of_a_run_that_is_complete_has_nothing_to_do(whole):
    before = toy.contents(whole)
    assert run(parse_config(toy.config()), whole, shard=(1, 2), resume=True) == whole
    assert toy.contents(whole) == before
    assert not (whole / "shards").exists()


def test_a_log_that_was_cut_loses_one_line(tmp_path):
    store = Store(tmp_path)
    store.log("start")
    log = tmp_path / "log.jsonl"
    log.write_text(log.read_text() + '{"event": "chu')
    store.log("resume")
    assert [event["event"] for event in store.events] == ["start", "resume"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("work/plan.json", b'{"config"', "Start a new run with -o."),
        ("work/plan.json", b"[]", "Start a new run with -o."),
        ("work/chunks/toy/tiny/0.json", b"{", "Remove work/chunks/toy/tiny/0.json there and go on with --resume."),
        ("work/chunks/toy/tiny/0.parquet", b"PAR", "Remove work/chunks/toy/tiny/0.json there and go on with --resume."),
    ],
)
def test_a_damaged_file_of_an_unfinished_run_is_named(tmp_path, name, content, said):
    config = parse_config(toy.config(methods=["rollout"], metrics=["brightness"], chunk=7))
    folder = run(config, tmp_path / "run", shard=(1, 1))
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=f"Expected {name} in the run folder .*1-of-1.* got a damaged file.") as caught:
        merge([tmp_path / "run"])
    assert str(caught.value).endswith(said)
    (folder / name).write_bytes(whole)
    merge([tmp_path / "run"])
    assert (tmp_path / "run/run.json").exists()


def test_what_a_stopped_merge_left_does_not_count(tmp_path):
    config = parse_config(toy.config(methods=["rollout"], metrics=["brightness"], chunk=7))
    run(config, tmp_path / "run", shard=(1, 1))
    old = tmp_path / "run/work/chunks/toy/tiny/0.json"
    old.parent.mkdir(parents=True)
    old.write_text("{")
    merge([tmp_path / "run"])
    assert (tmp_path / "run/run.json").exists()


def test_shards_are_not_merged_into_another_run(tmp_path):
    config = parse_config(toy.config(methods=["rollout"], metrics=["brightness"], chunk=7))
    run(config, tmp_path / "run", shard=(1, 1))
    other = run(config, tmp_path / "other", shard=(1, 1))
    with pytest.raises(InputError, match="got an unfinished one"):
        merge([tmp_path / "run"], other)


def test_a_complete_run_is_left_as_it_is(whole):
    before = toy.contents(whole)
    stamp = (whole / "results.parquet").stat().st_mtime_ns
    run(parse_config(toy.config()), whole, resume=True)
    assert toy.contents(whole) == before
    assert (whole / "results.parquet").stat().st_mtime_ns == stamp


def test_a_changed_configuration_is_refused_by_name(whole, tmp_path):
    changed = parse_config(toy.config(methods=["matex", {"name": "gradient-shap", "parameters": {"samples": 3}}]))
    with pytest.raises(InputError, match=r"got another: methods\[1\]\.parameters\.samples: 2 -> 3\."):
        run(changed, whole, resume=True)
    with pytest.raises(InputError, match=r"chunk: 3 -> 4 and 1 more"):
        run(parse_config(toy.config(chunk=4, seeds=[1])), whole, resume=True)


def test_changed_data_or_weights_are_refused(tmp_path, monkeypatch):
    config = parse_config(toy.config(methods=["rollout"], metrics=["brightness"]))
    out = tmp_path / "run"
    run(config, out, shard=(1, 1))
    for key, value in (("counts", {"toy": 9}), ("data", {"toy": "0" * 64}), ("weights", {"tiny": "0" * 64})):
        file = out / "shards/1-of-1/work/plan.json"
        before = file.read_text()
        file.write_text(json.dumps({**json.loads(before), key: value}))
        with pytest.raises(InputError, match=r"Expected (the number of samples|the data|the weights) of"):
            run(config, out, shard=(1, 1), resume=True)
        file.write_text(before)


def test_a_chunk_depends_on_nothing_but_its_number():
    config = parse_config(toy.config())
    opened = Inputs(config)
    plan = _new_plan(opened, None)
    alone = compute(plan, Inputs(config), ChunkKey("toy", "tiny", 1), lambda *_: None)
    compute(plan, opened, ChunkKey("toy", "tiny", 2), lambda *_: None)
    later = compute(plan, opened, ChunkKey("toy", "tiny", 1), lambda *_: None)
    assert alone.files == later.files


def test_what_cannot_be_read_is_counted_and_the_rest_goes_on(tmp_path):
    data = tmp_path / "films"
    data.mkdir()
    (data / "damaged-4.png").write_bytes(b"\x89PNG\r\n\x1a\n not an image")
    entry = {"name": "toy", "parameters": {"root": str(data), "broken": ["4", "6"]}}
    settings = toy.config(datasets=[entry], methods=["rollout"], metrics=["pointing"])
    run(parse_config(settings), tmp_path / "run")
    problems = [json.loads(line) for line in (tmp_path / "run/problems.jsonl").read_text().splitlines()]
    assert problems[0] == {
        "dataset": "toy",
        "file": "rows.csv",
        "row": 4,
        "said": "expected a box inside the image, got one outside",
    }
    assert [problem["file"] for problem in problems[1:]] == ["damaged-4.png", "damaged-6.png"]
    assert len(pq.read_table(tmp_path / "run/samples.parquet")) == 5
    assert len({row["sample"] for row in rows(tmp_path / "run")}) == 5
    record = (tmp_path / "run/run.json").read_text()
    assert json.loads(record)["problems"] == 3
    for file in ("run.json", "problems.jsonl", "cells.json", "log.jsonl"):
        assert str(tmp_path) not in (tmp_path / "run" / file).read_text(), file
    assert "films" in record  # the last part of the root


def test_a_chunk_of_unreadable_images_is_no_obstacle(tmp_path):
    data = tmp_path / "films"
    data.mkdir()
    entry = {"name": "toy", "parameters": {"root": str(data), "broken": ["3", "4", "5"]}}
    settings = toy.config(datasets=[entry], methods=["rollout"], metrics=["brightness"])
    run(parse_config(settings), tmp_path / "run")
    assert len(pq.read_table(tmp_path / "run/samples.parquet")) == 4


def test_methods_that_the_model_cannot_serve_are_named_and_left_out(tmp_path):
    settings = toy.config(methods=["guided-backprop", "rollout"], metrics=["pointing"])
    run(parse_config(settings), tmp_path / "run")
    cells = {cell["method"] for cell in json.loads((tmp_path / "run/cells.json").read_text())}
    assert "rollout" in cells
    assert not {name for name in cells if "guided" in name}
    (problem,) = [json.loads(line) for line in (tmp_path / "run/problems.jsonl").read_text().splitlines()]
    assert problem["method"] == "guided-backprop"
    assert "ReLU" in problem["said"]


def test_two_data_sets_two_models_and_a_limit(tmp_path):
    sets = [
        {"name": "toy", "label": "square", "limit": 2},
        {"name": "toy", "label": "wide", "parameters": {"films": 2, "size": 44}},
    ]
    models = ["tiny", {"name": "tiny", "label": "padded", "resize": "pad"}]
    settings = toy.config(datasets=sets, models=models, methods=["rollout"], metrics=["brightness", "together"])
    run(parse_config(settings), tmp_path / "run")
    found = rows(tmp_path / "run")
    assert {(row["dataset"], row["model"]) for row in found} == {
        (dataset, model) for dataset in ("square", "wide") for model in ("tiny", "padded")
    }
    samples = pq.read_table(tmp_path / "run/samples.parquet").to_pylist()
    spread = [json.loads(row["attributes"])["index"] for row in samples if row["dataset"] == "square"]
    assert sorted(spread) == [0, 3]
    assert len(pq.read_table(tmp_path / "run/scores.parquet")) == 8
    fingerprints = json.loads((tmp_path / "run/run.json").read_text())["fingerprints"]
    assert fingerprints["square"] != fingerprints["wide"]


def test_seeds_are_run_where_something_is_drawn(tmp_path):
    settings = toy.config(seeds=[0, 5], datasets=[{"name": "toy", "parameters": {"films": 2}}], metrics=["pointing"])
    run(parse_config(settings), tmp_path / "run")
    seeds: dict[str, set[int]] = {}
    for row in rows(tmp_path / "run"):
        seeds.setdefault(row["method"], set()).add(row["seed"])
    assert seeds["matex"] == seeds["matex (no prior)"] == seeds["control: prior alone"] == {-1}
    assert seeds["gradient-shap"] == seeds["gradient-shap (random weights)"] == seeds["control: random"] == {0, 5}
    first, second = (dict(_grids(tmp_path / "run", seed)) for seed in (0, 5))
    assert all((first[name] != second[name]).any() for name in first)


def test_methods_explain_other_scores_beside_the_own_one(tmp_path):
    other = toy.PHRASES[1]
    classes = {"low": [toy.PHRASES[0]], "fluid": [toy.PHRASES[2], "effusion"]}
    methods = [
        "grad-eclip",
        {"name": "grad-eclip", "label": "against", "against": other},
        {"name": "grad-eclip", "label": "class", "labels": classes, "of": "margin"},
    ]
    datasets = [{"name": "toy", "parameters": {"films": 3}}]
    config = parse_config(toy.config(methods=methods, datasets=datasets, metrics=["pointing"]))
    assert parse_config(json.loads(json.dumps(plain(config)))) == config
    run(config, tmp_path / "run")
    stored = {label: list(Store(tmp_path / "run").maps("toy", "tiny", label, -1)) for label in ("against", "class")}
    assert [len(maps) for maps in stored.values()] == [2, 3]
    samples = {sample.id: sample for sample in toy.Toy(films=3)}
    model = load("tiny")
    settings = {"against": {"against": other}, "class": {"labels": classes, "of": "margin"}}
    for label, maps in stored.items():
        for name, grid, tokens in maps:
            image, text = samples[name].image, samples[name].text
            expected = matex.explain(model, image, text, "grad-eclip", **settings[label]).image.grid
            np.testing.assert_allclose(grid, expected, atol=1e-4 * np.abs(expected).max())
            assert tokens is None
    values = [row for row in rows(tmp_path / "run") if row["method"] == "against" and row["column"] == "pointing"]
    assert [np.isnan(row["value"]) for row in values].count(True) == 1  # the phrase itself is that of the comparison
    cells = json.loads((tmp_path / "run" / "cells.json").read_text())
    assert "Of another score: against 'nodule" in json.dumps(cells)
    assert {"against (random weights)", "class (random weights)"} <= {row["method"] for row in rows(tmp_path / "run")}


def _grids(folder, seed):
    return [(name, grid) for name, grid, _ in Store(folder).maps("toy", "tiny", "gradient-shap", seed)]


def test_the_record_names_no_folder_of_the_user(tmp_path):
    entry = {"name": "manifest", "parameters": {"root": "/home/user/set", "images": "/mnt/files", "label": "class"}}
    models = [{"name": "hf:/home/user/clip", "tokenizer": "/home/user/words"}, {"name": "hf:org/clip", "label": "hub"}]
    shown = public(plain(parse_config(toy.config(datasets=[entry], models=models))))
    assert shown["datasets"][0]["parameters"] == {"root": "set", "images": "files", "label": "class"}
    assert [model["name"] for model in shown["models"]] == ["hf:clip", "hf:org/clip"]
    assert shown["models"][0]["tokenizer"] == "words"
    assert shown["models"][0]["label"] == "clip"


@pytest.fixture
def folders(tmp_path):
    """A configuration whose data sets, model and tokenizer lie in folders, one image damaged, and those folders."""
    data = tmp_path / "ward of a user whose folders have names that are longer than messages quote them" / "data"
    rows = [{"image": f"{name}.png", "text": "nodule", "boxes": [[1, 2, 9, 9]]} for name in "abc"]
    layouts.manifest(data, rows)
    (data / "b.png").write_bytes((data / "b.png").read_bytes()[:60])
    layouts.folder(data / "more")
    model = shutil.copytree(Path(matex.__file__).parent / "adapters/tiny", data / "clip")
    config = toy.config(
        datasets=[{"name": "manifest", "parameters": {"root": str(data), "images": str(data)}},
                  {"name": "folder", "parameters": {"root": str(data / "more")}}],
        models=[{"name": f"hf:{model}", "tokenizer": str(model)}],
        methods=["raw-attention"],
    )  # fmt: skip
    return parse_config(config), data


def holding(folder, part):
    """The files of a run folder that hold this part of a path."""
    return [path for path in folder.rglob("*") if path.is_file() and part.encode() in path.read_bytes()]


def test_no_file_of_a_run_folder_names_a_folder_of_the_user(folders, tmp_path):
    config, data = folders
    user = data.parent.name[:12]
    run(config, tmp_path / "run", shard=(1, 2))
    assert json.loads((tmp_path / "run/shards/1-of-2/work/plan.json").read_text())["without_folders"]
    assert not holding(tmp_path / "run", user)
    assert not holding(tmp_path / "run", str(tmp_path))
    run(config, tmp_path / "run", shard=(2, 2))
    with pytest.raises(InputError, match=r"Expected --config FILE.*'together' reads films again"):
        merge([tmp_path / "run"])
    merge([tmp_path / "run"], config=config)
    problems = (tmp_path / "run/problems.jsonl").read_text()
    assert "b.png" in problems
    write_report(tmp_path / "run", roots={"manifest": data / "more", "folder": data / "more"})
    assert not holding(tmp_path / "run", user)
    assert not holding(tmp_path / "run", str(tmp_path))
    run(config, tmp_path / "whole")
    assert toy.contents(tmp_path / "whole").items() <= toy.contents(tmp_path / "run").items()


def test_a_run_goes_on_from_wherever_its_folders_are_now_and_refuses_another(folders, tmp_path):
    config, data = folders
    run(config, tmp_path / "run", shard=(1, 2))
    moved = data.rename(tmp_path / "data")
    text = json.dumps(plain(config)).replace(str(data), str(moved))
    run(parse_config(json.loads(text)), tmp_path / "run", shard=(1, 2), resume=True)
    with pytest.raises(InputError, match="a path where there is nothing"):
        run(config, tmp_path / "run", shard=(1, 2), resume=True)
    changed = parse_config(json.loads(text.replace('"chunk": 3', '"chunk": 4')))
    with pytest.raises(InputError, match="chunk: 3 -> 4"):
        run(changed, tmp_path / "run", shard=(1, 2), resume=True)
    run(parse_config(json.loads(text)), tmp_path / "run", shard=(2, 2))
    with pytest.raises(InputError, match="chunk: 3 -> 4"):
        merge([tmp_path / "run"], config=changed)
    (moved / "manifest.jsonl").write_text((moved / "manifest.jsonl").read_text().replace("nodule", "mass"))
    with pytest.raises(InputError, match="Expected the data of the run"):
        run(parse_config(json.loads(text)), tmp_path / "run", shard=(1, 2), resume=True)


def test_a_run_that_an_older_version_began_with_full_paths_goes_on(folders, tmp_path):
    config, _ = folders
    run(config, tmp_path / "run", shard=(1, 1))
    file = tmp_path / "run/shards/1-of-1/work/plan.json"
    older = {**json.loads(file.read_text()), "config": plain(config)}
    del older["without_folders"]
    file.write_text(json.dumps(older))
    run(config, tmp_path / "run", shard=(1, 1), resume=True)
    merge([tmp_path / "run"])


def test_a_full_disk_is_said_in_one_line(tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"No space left on device\. Make room"):
        run(parse_config(toy.config()), tmp_path / "run")


def test_packed_arrays_survive_any_name(tmp_path):
    arrays = {"file": np.arange(6, dtype=np.float32).reshape(2, 3), "t:file": np.ones(2, dtype=np.float32)}
    data = store.pack(arrays)
    (tmp_path / "some.npz").write_bytes(data)
    with np.load(tmp_path / "some.npz") as back:
        assert back.files == ["file", "t:file"]
        np.testing.assert_array_equal(back["file"], arrays["file"])
    time.sleep(0.01)
    assert store.pack(arrays) == data


def test_labels_become_folders_on_every_system():
    assert store.as_folder("a/b:c") == "a%2Fb%3Ac"
    assert store.as_folder("matex (no prior)") == "matex (no prior)"
    assert store.as_folder("..") not in ("..", ".")


def test_the_log_says_where_the_time_went(whole):
    events = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "start"
    chunks = [event for event in events if event["event"] == "chunk"]
    assert len(chunks) == 3
    assert chunks[0]["methods"].keys() >= {"matex", "gradient-shap", "matex (random weights)"}
    assert chunks[0]["overhead"] < chunks[0]["seconds"]


PREDICTION = {
    "name": "deletion-insertion",
    "label": "prediction",
    "parameters": {"target": "predicted", "protocol": "grad-eclip"},
}


def test_a_metric_of_the_predicted_class_needs_classes(tmp_path):
    with pytest.raises(InputError, match="data sets with classes for target='predicted' of 'prediction'"):
        run(parse_config(toy.config(metrics=["pointing", PREDICTION])), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_metric_of_the_predicted_class_is_of_the_map_of_its_phrase(tmp_path):
    out = tmp_path / "run"
    datasets = [{"name": "toy", "parameters": {"films": 3, "classes": True}}]
    truth = {"name": "deletion-insertion", "label": "truth", "parameters": {"protocol": "grad-eclip"}}
    given = toy.config(datasets=datasets, methods=["grad-eclip"], metrics=[truth, PREDICTION])
    run(parse_config(given), out)
    found = [row for row in rows(out) if row["metric"] == "prediction" and row["column"] == "insertion_top1_at_50"]
    assert {row["method"] for row in found} == {"grad-eclip"}
    model, samples = load("tiny"), list(toy.Toy(films=3, classes=True))
    labels = toy.Toy(classes=True).labels
    metric = make_metric("deletion-insertion", PREDICTION["parameters"])
    for sample in samples:
        scores = {
            name: np.mean([matex.explain(model, sample.image, text, "rollout", view="PA").score for text in texts])
            for name, texts in labels.items()
        }
        text = labels[max(scores, key=scores.__getitem__)][0]
        explanation = matex.explain(model, sample.image, text, "grad-eclip", view="PA")
        expected = metric([Case(model, sample, explanation, labels)])["insertion_top1_at_50"][0]
        value = next(row["value"] for row in found if row["sample"] == sample.id)
        assert value == pytest.approx(expected)


def test_the_exchanged_side_is_the_map_of_the_other_phrase_against_the_true_place(tmp_path):
    """Phrases without a side have no such map, and its values are undefined there."""
    settings = toy.config(methods=["matex"], metrics=["energy", "brightness"], datasets=[{"name": "toy"}])
    run(parse_config(settings), tmp_path / "run")
    found = {
        row["sample"]: row["value"]
        for row in rows(tmp_path / "run")
        if (row["method"], row["metric"], row["column"]) == ("matex (exchanged side)", "energy", "energy")
    }
    model = matex.load("tiny")
    kept = {name: grid for name, grid, _ in Store(tmp_path / "run").maps("toy", "tiny", "matex (exchanged side)", -1)}
    samples = list(toy.Toy())
    assert len(found) == len(samples)
    for sample in samples:
        sides = [("left", "right"), ("right", "left")]
        text = next((sample.text.replace(a, b) for a, b in sides if a in sample.text), None)
        if text is None:
            assert np.isnan(found[sample.id])
            assert sample.id not in kept
            continue
        explanation = matex.explain(model, sample.image, text, view="PA")
        np.testing.assert_allclose(kept[sample.id], explanation.image.grid, atol=1e-5)
        expected = make_metric("energy", {})([Case(model, sample, explanation, {})])["energy"][0]
        assert found[sample.id] == pytest.approx(expected, abs=1e-4)
    metrics = {row["metric"] for row in rows(tmp_path / "run") if row["method"] == "matex (exchanged side)"}
    assert metrics == {"energy"}


def test_the_exchanged_side_is_undefined_where_no_phrase_names_a_side(tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "PHRASES", ("opacity", "nodule", "cardiomegaly"))
    settings = toy.config(methods=["rollout"], metrics=["pointing"], datasets=[{"name": "toy"}])
    run(parse_config(settings), tmp_path / "run")
    found = [row["value"] for row in rows(tmp_path / "run") if row["method"] == "rollout (exchanged side)"]
    assert found
    assert np.isnan(found).all()
    (section,) = read_run(tmp_path / "run").sections
    assert "rollout (exchanged side)" in section.entries


def test_the_patient_or_source_film_of_every_sample_is_recorded(tmp_path):
    run(parse_config(toy.config(methods=["rollout"], metrics=["brightness"])), tmp_path / "run")
    samples = pq.read_table(tmp_path / "run/samples.parquet").to_pylist()
    assert all(row["cluster"] == f"film {row['sha256'][:12]}" for row in samples)
    simulated = {"name": "simulated", "parameters": {"films": 4}}
    run(parse_config(toy.config(datasets=[simulated], methods=["rollout"], metrics=["brightness"])), tmp_path / "s")
    rendered = pq.read_table(tmp_path / "s/samples.parquet").to_pylist()
    assert {row["cluster"] for row in rendered} == {one.cluster for one in open_dataset("simulated", films=4)}
