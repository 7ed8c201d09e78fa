"""Shapes in annotations of traces and gradients, checked at run time by beartype through jaxtyping's import hook."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jaxtyping")
pytest.importorskip("beartype")

ROOT = Path(__file__).parents[1]
MODULES = ("matex.forward_pass", "matex.gradients", "matex.recorded_attention", "matex.recording", "matex.trace")
DRIVERS = ("tests/test_trace.py", "tests/attribution/test_shapes.py")
# The modules import jaxtyping for the type checker alone, so its names are put where annotations find them anyway; and
# beartype refuses protocols that isinstance does not answer.
CHECKED_RUN = """
import builtins, sys
import jaxtyping, pytest
import matex.adapters.model
for value in vars(matex.adapters.model).values():
    if getattr(value, "_is_protocol", False):
        value._is_runtime_protocol = True
builtins.Bool, builtins.Float, builtins.Int = jaxtyping.Bool, jaxtyping.Float, jaxtyping.Int
with jaxtyping.install_import_hook(sys.argv[1].split(","), "beartype.beartype"):
    import matex.recording
sys.exit(pytest.main(["-q", "-x", "--assert=plain", "-m", "not slow", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


def test_annotated_shapes_hold_wherever_the_tests_of_traces_read_them():
    command = [sys.executable, "-c", CHECKED_RUN, ",".join(MODULES), *DRIVERS]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
