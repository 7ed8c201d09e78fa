"""Help and lists answer without torch."""

import dataclasses
import json
import time

import pytest

import matex
from matex.attribution import METHODS
from tests.cli.command_line import fresh


@pytest.mark.parametrize("arguments", [["--help"], [], ["methods"], ["models", "--json"], ["explain", "--help"]])
def test_help_and_lists_answer_without_importing_torch(arguments):
    code = (
        "import sys; from matex.cli import run; code = run(sys.argv[1:]); "
        "sys.exit(code or 10 * any(name in sys.modules for name in ('torch', 'transformers', 'matplotlib')))"
    )
    start = time.perf_counter()
    done = fresh("-c", code, *arguments)
    seconds = time.perf_counter() - start
    assert (done.returncode, done.stderr) == (0, "")
    assert "matex" in done.stdout or "tiny" in done.stdout
    assert seconds < 5  # half a second on an idle machine; this one may be busy


def test_importing_matex_imports_no_torch():
    assert fresh("-c", "import matex, sys; sys.exit('torch' in sys.modules)").returncode == 0


def test_the_lists_agree_with_the_registries():

    from matex.adapters import MODELS

    assert [entry.name for entry in matex.methods()] == list(METHODS)
    for entry in matex.methods():
        kind = METHODS[entry.name]
        assert dict(entry.parameters) == dataclasses.asdict(kind())
        assert entry.towers == kind.towers
        assert entry.source == kind.source
        assert entry.summary.endswith(".")
    assert [entry.name for entry in matex.models()] == list(MODELS)


def test_the_lists_as_json(command):
    code, out, err = command("methods", "--json")
    assert (code, err) == (0, "")
    entries = {entry["name"]: entry for entry in json.loads(out)}
    assert entries["matex"]["parameters"]["alpha"] == 0.5
    assert entries["rollout"]["parameters"] == {}
    names = [entry["name"] for entry in json.loads(command("models", "--json")[1])]
    assert names == sorted(names)
    assert {"hf:", "open-clip:", "openai:", "tiny", "tiny-plain"} <= set(names)


def test_the_help_of_model_leads_to_the_list_of_all_prefixes(command):
    code, out, _ = command("explain", "--help")
    assert code == 0
    assert "as matex models lists them" in " ".join(out.split())


def test_published_models_are_listed_with_the_licences_of_their_weights(command):
    out = command("models")[1]
    assert "hf:google/medsiglip-448\n    MedSigLIP" in out
    assert "Health AI Developer Foundations terms; gated" in out
    assert "CC BY-NC 4.0: no commercial use" in out
