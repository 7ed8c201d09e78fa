import threading
import time

import numpy as np
import pytest

from matex.images import Film
from matex.progress import listening, report, stages
from matex.viewer.jobs import FINISHED, Busy, Cancelled, Jobs
from matex.viewer.limits import Limits
from matex.viewer.memory import Forgotten, Memory, Recent, StoredFilm
from matex.viewer.results import Explained
from tests.fake_explanation import fake
from tests.fake_explanation import film as fake_film


def film(name="film", side=10):
    return Film(np.zeros((side, side), np.uint8), name, name)


def test_the_least_recently_used_value_is_dropped_first():
    recent = Recent(2)
    first, second = recent.add("first"), recent.add("second")
    assert recent[first] == "first"  # used: now the second is the oldest
    recent.add("third")
    assert recent[first] == "first"
    with pytest.raises(Forgotten):
        recent[second]


def test_values_are_dropped_until_they_fit_the_budget():
    recent = Recent(10, budget=25, cost=len)
    keys = [recent.add("x" * 10) for _ in range(4)]
    assert [key for key, _ in recent.items()] == keys[2:]
    recent.add("x" * 30)  # too large by itself, but a visit without any film would be of no use
    assert len(recent) == 1


def test_the_same_film_is_kept_once():
    memory = Memory(Limits())
    keys = [
        memory.keep_film(StoredFilm(one, one)) for one in (film(), film(), film("other"), film().known_as("PA", None))
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3  # another film, and the same one read in another way


def test_an_explanation_costs_its_film_and_its_maps():
    explained = Explained("film", "tiny", fake(fake_film(300, 200)))
    assert explained.bytes == 300 * 200 * (1 + 8)


def finished(job):
    while not job.future.done():
        time.sleep(0.005)
    return job


def test_a_job_reports_its_progress_and_its_result():
    jobs, go_on = Jobs(4), threading.Event()

    def work():
        report(1, 4)
        go_on.wait()
        return "result"

    _, job = jobs.start("work", work)
    while not job.total:
        time.sleep(0.005)
    assert (job.state, job.done, job.total) == ("running", 1, 4)
    go_on.set()
    assert finished(job).state == "done"
    assert job.future.result() == "result"
    jobs.close()


def test_a_cancelled_job_ends_at_its_next_report():
    jobs, steps = Jobs(4), []

    def work():
        for step in range(1000):
            steps.append(step)
            time.sleep(0.01)
            report(step, 1000)

    _, job = jobs.start("work", work, "slow")
    while not steps:
        time.sleep(0.005)
    job.cancel()
    assert finished(job).state == "cancelled"
    assert isinstance(job.future.exception(), Cancelled)
    assert len(steps) < 20
    jobs.close()


def test_a_slow_job_delays_no_fast_one_and_waiting_is_bounded():
    jobs, go_on = Jobs(3), threading.Event()
    jobs.start("slow", go_on.wait, "slow")
    _, waiting = jobs.start("slow too", go_on.wait, "slow")
    _, fast = jobs.start("fast", lambda: "done")
    assert finished(fast).future.result() == "done"
    assert waiting.state == "waiting"
    _, last = jobs.start("fast", go_on.wait)
    with pytest.raises(Busy):
        jobs.start("one too many", lambda: None)
    waiting.cancel()
    assert waiting.state == "cancelled"
    go_on.set()
    finished(last)
    jobs.close()


def test_results_are_dropped_once_they_are_taken_and_beyond_a_number():
    jobs = Jobs(100)
    taken, job = jobs.start("taken", lambda: 0)
    finished(job)
    jobs.forget(taken)
    with pytest.raises(KeyError):
        jobs[taken]
    keys = []
    for number in range(FINISHED + 5):
        key, job = jobs.start("work", lambda number=number: number)
        keys.append(key)
        finished(job)
    with pytest.raises(KeyError):
        jobs[keys[0]]
    assert jobs[keys[-1]].future.result() == FINISHED + 4
    jobs.close()


def test_stages_report_one_progress():
    seen = []
    with listening(lambda done, total: seen.append((done, total))), stages(2) as stage_done:
        report(1, 4)
        stage_done()
        report(2, 4)
        stage_done()
    report(1, 1)  # nobody listens any more
    assert seen == [(0.25, 2), (1, 2), (1.5, 2), (2, 2)]
