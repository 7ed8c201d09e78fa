"""Ray's workers make the same bytes, and the death of one is survived."""

import os

import pytest

from matex.benchmark import parse_config, run
from tests.benchmark import toy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def cluster():
    """Two workers that know the toy data set."""
    ray = pytest.importorskip("ray")
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"worker_process_setup_hook": toy.register, "env_vars": {"PYTHONPATH": root}},
    )
    yield ray
    ray.shutdown()


def test_ray_makes_the_same_bytes_although_a_worker_is_killed(cluster, tmp_path, monkeypatch):
    config = parse_config(toy.config())
    run(config, tmp_path / "serial")
    from matex.benchmark.runs import executors

    marker = str(tmp_path / "killed")
    work = executors._compute_in_worker

    def killed_once(recorded, chunk):
        if chunk.number == 1 and not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), 9)
        return work(recorded, chunk)

    monkeypatch.setattr(executors, "_work", killed_once)
    run(config, tmp_path / "ray", executor="ray")
    assert os.path.exists(marker)
    assert toy.contents(tmp_path / "ray") == toy.contents(tmp_path / "serial")


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install matex\[ray\]"):
        run(parse_config(toy.config()), tmp_path / "run", executor="ray")
