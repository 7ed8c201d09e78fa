"""Methods of a user's own: from a file, an installed package, or a class at a prompt."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import matex
from matex.attribution import METHODS
from matex.cli import run
from matex.errors import PluginError
from matex.plugins import load_file, origin
from matex.samples import samples

FILM = samples()[0].path
MINE = '''
from dataclasses import dataclass

from matex.attribution import METHODS


@METHODS("block-attention")
@dataclass(frozen=True)
class BlockAttention:
    """Where the readout token looks in one block."""

    block: int = 0
    seed: int = 3

    towers = ("image", "text")
    needs = ("readout", "attention")

    def gradient_blocks(self, kind):
        return 0

    def __call__(self, trace):
        return trace.to_grid(trace.attention_row(self.block).mean(dim=1))
'''


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """An empty folder, and registries that are as before afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATEX_PLUGINS", "")
    monkeypatch.setattr(METHODS, "_entries", {**METHODS})
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if name.startswith("matex_plugin_"):
            del sys.modules[name]


def forget(monkeypatch):
    """As in a new process."""
    monkeypatch.setenv("MATEX_PLUGINS", "")
    METHODS._entries.pop("block-attention")
    for name in [name for name in sys.modules if name.startswith("matex_plugin_")]:
        del sys.modules[name]


def command(capsys, *arguments):
    code = run([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_a_file_of_methods_is_listed_run_recorded_and_verified(capsys, monkeypatch):
    Path("mine.py").write_text(MINE)
    assert command(capsys, "explain", FILM, "opacity", "-m", "block-attention")[0] == 2
    given = ["--plugin", "mine.py", "-m", "block-attention", "-p", "block=2"]
    code, out, err = command(capsys, "explain", FILM, "opacity in the right lung", *given)
    assert code == 0, err
    assert "words" in out
    record = json.loads(Path("out/explanation.json").read_text())
    assert record["parameters"] == {"block": 2, "seed": 3}
    assert record["provenance"]["plugin"]["name"] == "mine.py"
    assert os.getcwd() not in Path("out/explanation.json").read_text()
    assert os.environ["MATEX_PLUGINS"] == str(Path("mine.py").resolve())  # for processes that are started from here

    entry = next(entry for entry in matex.methods() if entry.name == "block-attention")
    assert entry.summary == "Where the readout token looks in one block."
    assert entry.parameters == {"block": 0, "seed": 3}
    assert (entry.towers, entry.plugin, entry.deterministic) == (("image", "text"), "mine.py", False)
    assert "block-attention  [image and text, from mine.py]" in command(capsys, "methods")[1]

    forget(monkeypatch)
    code, out, err = command(capsys, "verify", "out")
    assert code == 2
    assert "mine.py" in err
    assert "--plugin" in err
    assert "block-attention" not in METHODS  # a record never makes code run
    Path("mine.py").write_text(MINE + "\n# another comment\n")
    code, out, err = command(capsys, "verify", "out", "--plugin", "mine.py")
    assert code == 0, err
    assert "plug-in was" in out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "Expected a Python file"),
        ("1 / 0", "ZeroDivisionError"),
        ("x = 1", "registers none"),
        (MINE.replace("@dataclass(frozen=True)", ""), "@dataclass\\(frozen=True\\)"),
        (MINE.replace("frozen=True", ""), "@dataclass\\(frozen=True\\)"),
        (MINE.replace('("image", "text")', '("picture",)'), "towers"),
        (MINE.replace("gradient_blocks", "blocks"), "gradient_blocks"),
        (MINE.replace("__call__", "call"), "__call__"),
        (MINE.replace('METHODS("block-attention")', 'METHODS("rollout")'), "'rollout' is taken"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(content, told):
    if content is not None:
        Path("mine.py").write_text(content)
    with pytest.raises(PluginError, match=told) as caught:
        load_file(Path("mine.py"))
    assert "\n" not in str(caught.value)
    assert "mine.py" in str(caught.value)


def test_a_method_that_fails_is_named_and_nothing_is_written(capsys):
    Path("mine.py").write_text(MINE.replace("trace.attention_row(self.block)", "trace.no_such_thing"))
    code, _, err = command(
        capsys, "explain", FILM, "nodule", "-m", "block-attention", "--plugin", "mine.py", "-o", "out"
    )
    assert code == 2
    assert "the plug-in mine.py failed, AttributeError: " in err
    assert "no_such_thing" in err
    assert not Path("out").exists()


@pytest.mark.parametrize("made", ["torch.zeros(2, 3, 4, 5)", "torch.zeros(3, 7, 7)", "[0.5]"])
def test_a_map_of_another_shape_is_refused(capsys, made):
    own = MINE.replace("return trace.to_grid(trace.attention_row(self.block).mean(dim=1))", f"return {made}")
    Path("mine.py").write_text("import torch\n" + own)
    code, _, err = command(
        capsys, "explain", FILM, "nodule", "-m", "block-attention", "--plugin", "mine.py", "-o", "out"
    )
    assert code == 2
    assert "Expected a tensor [1, rows, columns] from the method 'block-attention', got " in err
    assert not Path("out").exists()


def test_a_file_runs_once_and_what_ships_is_no_plugin():
    Path("mine.py").write_text(MINE)
    assert load_file(Path("mine.py")) == load_file(Path("mine.py")) == ("block-attention",)
    assert origin(METHODS["rollout"]) is None
    assert all(entry.plugin is None for entry in matex.methods() if entry.name != "block-attention")


def test_a_class_under_the_decorator_is_a_method_at_once():
    @METHODS("constant")
    @dataclass(frozen=True)
    class Constant:
        """The same everywhere."""

        level: float = 0.5
        towers = ("image",)

        def gradient_blocks(self, kind):
            return 0

        def __call__(self, trace):
            return trace.to_grid(trace.content.to(trace.target) * self.level)

    entry = next(entry for entry in matex.methods() if entry.name == "constant")
    assert (entry.plugin, entry.parameters, entry.deterministic) == (__name__, {"level": 0.5}, True)
    made = matex.explain(matex.load("tiny"), FILM, "opacity", "constant", level=2.0)
    assert (made.image.grid == 2).all()
    assert made.provenance["plugin"]["name"] == __name__


def test_installed_packages_and_the_variable_bring_methods_too():
    Path("package").mkdir()
    Path("package/their_methods.py").write_text(MINE.replace('"block-attention"', '"theirs"'))
    info = Path("package/theirs-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[matex.methods]\ntheirs = their_methods:BlockAttention\n")
    Path("mine.py").write_text(MINE)
    places = os.pathsep.join([str(Path("package").resolve()), os.environ.get("PYTHONPATH", "")])
    listed = subprocess.run(
        [sys.executable, "-m", "matex", "methods", "--json"],
        env={**os.environ, "PYTHONPATH": places, "MATEX_PLUGINS": "mine.py"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert listed.stderr == ""
    entries = {entry["name"]: entry["plugin"] for entry in json.loads(listed.stdout)}
    assert entries["theirs"] == "their_methods"
    assert entries["block-attention"] == "mine.py"
    assert entries["rollout"] is None
