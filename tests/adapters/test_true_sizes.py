"""Every family in its published size, one process at a time: minutes each, up to 8 GB of memory and 5 GB on disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.true_sizes import FAMILIES, PHRASE, TOLERANCE

GIGABYTES = 8


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_in_its_published_size_is_the_librarys_and_is_explained(family, tmp_path):
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "tests.adapters.true_sizes", family, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, cwd=root)
    for file in tmp_path.iterdir():  # pytest keeps the folders of its last runs
        file.unlink()
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["error"] <= TOLERANCE
    assert found["grid"] == found["expected"]
    assert found["words"] == PHRASE.split()
    assert found["peak"] < GIGABYTES * 1e9
