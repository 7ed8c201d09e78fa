"""Known to these tests alone: a toy data set and metrics; one thread, so that bytes can be compared."""

import pytest
import torch

from matex.datasets import DATASETS
from matex.metrics import METRICS
from tests.benchmark import toy


@pytest.fixture(scope="package", autouse=True)
def toys():
    pytest.importorskip("pyarrow")
    patch = pytest.MonkeyPatch()
    for registry in (DATASETS, METRICS):
        patch.setattr(registry, "_entries", {**registry})
    toy.register()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    patch.undo()


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
