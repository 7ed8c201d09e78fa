"""The commands say what they did and refuse in one line."""

import pytest

from matex import cli
from matex.cli.parameters import parameters_by_method, parse_parameters
from tests.benchmark import toy

CONFIG = """
chunk = 3
models = ["tiny"]
methods = ["rollout"]
metrics = ["pointing"]
[[datasets]]
name = "toy"
parameters = { films = 4 }
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(CONFIG)
    return tmp_path


def test_a_run_is_made_refused_and_merged(config, capsys):
    assert cli.run(["benchmark", "small.toml"]) == 0
    said = capsys.readouterr().out
    assert "Run complete: runs/small." in said
    assert "matex report runs/small" in said
    assert cli.run(["benchmark", "small.toml"]) == 2
    assert capsys.readouterr().err.strip().endswith("--resume, or name another with -o.")
    assert cli.run(["benchmark", "small.toml", "--resume"]) == 0
    for which in ("1/2", "2/2"):
        assert cli.run(["benchmark", "small.toml", "-o", "parts", "--shard", which]) == 0
    assert "matex merge parts" in capsys.readouterr().out
    assert cli.run(["merge", "parts"]) == 0
    assert toy.contents(config / "parts") == toy.contents(config / "runs/small")


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "²/2"])
def test_a_shard_that_there_is_not_is_refused(config, capsys, shard):
    assert cli.run(["benchmark", "small.toml", "--shard", shard]) == 2
    said = capsys.readouterr().err
    assert f"Expected --shard I/N with I from 1 to N and N at most 100000, such as 1/4, got '{shard}'." in said
    assert not (config / "runs").exists()


def test_a_mistake_in_the_file_is_one_line_and_nothing_is_written(config, capsys):
    (config / "small.toml").write_text(CONFIG.replace("rollout", "rolout"))
    assert cli.run(["benchmark", "small.toml"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "methods[0].name: Unknown method 'rolout'" in told
    (config / "small.toml").write_text(CONFIG.replace('"toy"', '"ms-cxr"').replace("films = 4", 'root = "/nowhere"'))
    assert cli.run(["benchmark", "small.toml"]) == 2
    assert "Data set 'ms-cxr'" in capsys.readouterr().err
    assert not (config / "runs").exists()


def test_a_stopped_run_says_how_to_go_on(config, capsys, monkeypatch):
    def stopped(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("matex.benchmark.runs.executors.compute", stopped)
    assert cli.run(["benchmark", "small.toml"]) == 130
    assert "resume with: matex benchmark small.toml -o runs/small --resume\n" in capsys.readouterr().err
    assert cli.run(["benchmark", "small.toml", "-o", "my runs", "--shard", "1/2"]) == 130
    assert "matex benchmark small.toml -o 'my runs' --shard 1/2 --resume\n" in capsys.readouterr().err


def test_a_missing_package_is_named(config, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert cli.run(["benchmark", "small.toml"]) == 2
    assert "pip install matex[benchmark]" in capsys.readouterr().err


def test_tuning_counts_what_it_left_out_and_looks_at_the_place_to_write_first(config, capsys, monkeypatch):
    films = config / "films"
    films.mkdir()
    (config / "tune.toml").write_text(
        '[dataset]\nname = "toy"\nparameters = { root = "films", films = 3, broken = ["1"] }\n[tune]\n'
        'method = "matex"\nmetric = "brightness"\n[tune.values]\nalpha = [0.2]\n'
    )
    assert cli.run(["tune", "tune.toml"]) == 0
    assert "2 rows and images could not be used." in capsys.readouterr().out
    assert "left_out = 2" in (config / "tune.preset.toml").read_text()
    monkeypatch.setattr("matex.benchmark.tuning.tune_file", None)  # is not come to
    assert cli.run(["tune", "tune.toml", "-o", "tune.toml/preset.toml"]) == 2
    assert "'tune.toml' is a file" in capsys.readouterr().err


def test_a_tuned_preset_gives_the_parameters(config, capsys):
    (config / "tune.toml").write_text(
        '[dataset]\nname = "toy"\nlimit = 2\n[tune]\nmethod = "matex"\nmetric = "brightness"\n'
        "fixed = { beta = 0.3 }\n[tune.values]\nalpha = [0.2, 0.9]\n"
    )
    assert cli.run(["tune", "tune.toml"]) == 0
    assert "The preset is in tune.preset.toml." in capsys.readouterr().out
    preset = "@tune.preset.toml"
    assert parse_parameters("matex", [preset, "delta=0.1"]) == {"beta": 0.3, "delta": 0.1}
    assert parse_parameters("matex", ["beta=0.4", preset]) == {"beta": 0.4}
    assert parameters_by_method(["rollout", "matex"], [preset]) == {"rollout": {}, "matex": {"beta": 0.3}}
    assert cli.run(["explain", "film.png", "opacity", "-m", "rollout", "-p", preset]) == 2
    said = capsys.readouterr().err
    assert "Expected a preset of rollout, got one of matex: 'tune.preset.toml'. Add -m matex." in said
    assert cli.run(["compare", "film.png", "opacity", "-m", "rollout", "-p", preset]) == 2
    assert "METHOD one of rollout" in capsys.readouterr().err


def test_a_run_prints_a_line_per_chunk_where_there_is_no_terminal(tmp_path, capsys):
    config = tmp_path / "c.toml"
    config.write_text(
        'chunk = 2\nmodels = ["tiny"]\nmethods = ["rollout"]\nmetrics = ["brightness"]\n'
        '[[datasets]]\nname = "toy"\nparameters = { films = 4 }\n'
    )
    assert cli.run(["benchmark", str(config), "-o", str(tmp_path / "run")]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("chunk ")]
    assert [line.split(",")[0] for line in lines] == [
        "chunk 1 of 2: 2 samples of toy with tiny",
        "chunk 2 of 2: 2 samples of toy with tiny",
    ]
