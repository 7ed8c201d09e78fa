"""Streams of pairs: order, errors, look-ahead, threads and memory."""

import gc
import itertools
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import matex
from matex.images import Film
from matex.read_ahead import read_ahead
from matex.samples import samples


@pytest.fixture
def films():
    """Different small films without end."""
    random = np.random.default_rng(0)
    return (random.integers(0, 255, (40, 50), dtype=np.uint8) for _ in itertools.count())


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("matex-read")]


def same(one, other):
    np.testing.assert_array_equal(one.image.grid, other.image.grid)
    assert one.words == other.words
    assert one.score == other.score


def test_a_stream_gives_the_explanations_of_a_batch_in_order(tiny):
    texts = ("opacity in the left lower lung", "no effusion")
    pairs = [(sample.path, text) for sample in samples()[:3] for text in texts]
    batch = matex.explain_batch(tiny, pairs, batch_size=2)
    stream = list(matex.explain_each(tiny, iter(pairs), batch_size=2))
    for pair, one, other in zip(pairs, stream, batch, strict=True):
        same(one, other)
        assert (one.film.name, one.text) == (pair[0].stem, pair[1])


def test_texts_of_an_image_share_its_pass_wherever_they_stand_in_a_batch(tiny, monkeypatch):
    runs = []
    start = type(tiny.image).start
    monkeypatch.setattr(type(tiny.image), "start", lambda self, x, ids: runs.append(len(x)) or start(self, x, ids))
    images = [sample.path for sample in samples()[:3]]
    pairs = [(image, text) for text in ("nodule", "effusion") for image in images]
    matex.explain_batch(tiny, pairs, batch_size=2)
    assert runs == [2, 1]
    runs.clear()
    list(matex.explain_each(tiny, sorted(pairs), batch_size=2))
    assert runs == [2, 1]


def test_many_texts_of_one_image_are_cut_into_bounded_batches(tiny, monkeypatch):
    monkeypatch.setattr("matex.pair_stream._PAIRS_AT_ONCE", 3)
    runs = []
    start = type(tiny.text).start
    monkeypatch.setattr(type(tiny.text), "start", lambda self, x, ids: runs.append(len(x)) or start(self, x, ids))
    found = list(matex.explain_each(tiny, [(samples()[0].path, f"nodule {i}") for i in range(7)], method="gradcam"))
    assert [one.text for one in found] == [f"nodule {i}" for i in range(7)]
    assert runs == [3, 3, 1]


def bad_pairs(tmp_path):
    """Every kind of pair at fault among good ones, and which they are."""
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(samples()[0].path.read_bytes()[:300])
    good = samples()[0].path
    wrong_mask = np.zeros((3, 3), np.uint8)
    return [
        (good, "nodule"),
        ("missing.png", "nodule"),
        (good, "effusion"),
        (good, " "),
        (damaged, "nodule"),
        (damaged, "effusion"),
        (good, "opacity " * 200),
        matex.Pair(good, "nodule", lung_mask=wrong_mask),
        good,
        (good,),
        (good, ["nodule"]),
        (None, "nodule"),
        (samples()[1].path, "nodule"),
    ], {1, 3, 4, 5, 6, 7, 8, 9, 10, 11}


@pytest.mark.parametrize("batch_size", [1, 2, 8])
@pytest.mark.parametrize("function", ["explain_each", "explain_batch"])
def test_pairs_at_fault_are_skipped_in_their_place(tiny, tmp_path, caplog, function, batch_size):
    pairs, at_fault = bad_pairs(tmp_path)
    found = list(getattr(matex, function)(tiny, pairs, on_error="skip", batch_size=batch_size))
    assert {i for i, one in enumerate(found) if isinstance(one, matex.Skipped)} == at_fault
    for i, one in enumerate(found):
        if i in at_fault:
            assert (one.index, one.pair) == (i, pairs[i])
            assert isinstance(one.error, matex.InputError)
        else:
            assert (one.film.name, one.text) == (pairs[i][0].stem, pairs[i][1])
    logged = [record.message.split()[1] for record in caplog.records if record.name == "matex.pair_stream"]
    assert {int(number) for number in logged} == at_fault


@pytest.mark.parametrize("batch_size", [1, 8])
def test_the_first_pair_at_fault_stops_the_stream_after_those_before_it(tiny, tmp_path, batch_size):
    pairs, _ = bad_pairs(tmp_path)
    pairs = [pairs[0], pairs[2], pairs[4], pairs[0]]
    stream = matex.explain_each(tiny, pairs, batch_size=batch_size)
    assert [next(stream).text, next(stream).text] == ["nodule", "effusion"]
    with pytest.raises(matex.InputError, match=r"Pair 2 \(counted from 0\): .*damaged"):
        next(stream)
    assert not readers()
    with pytest.raises(matex.InputError, match="Pair 2 "):
        matex.explain_batch(tiny, pairs, batch_size=batch_size)


def test_a_request_at_fault_is_refused_at_once_whatever_on_error_says(tiny):
    pairs = [(sample.path, "nodule") for sample in samples()[:2]]

    def unread():
        raise AssertionError("a refused request reads nothing")
        yield

    for settings, message in (
        ({"method": "nope"}, "Unknown method"),
        ({"method": "guided-backprop"}, "quick_gelu"),
        ({"alpha": -1}, "alpha"),
        ({"alpah": 1}, "alpah"),
        ({"on_error": "ignore"}, "on_error"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"workers": 0}, "workers"),
        ({"resize": "stretch"}, "resize"),
        ({"domain": "dogs"}, "domain"),
    ):
        for function in (matex.explain_each, matex.explain_batch):
            with pytest.raises(ValueError, match=message):
                function(tiny, unread(), **{"on_error": "skip", **settings})
    with pytest.raises(matex.InputError, match="layer"):  # found when the method meets the model, of every pair
        list(matex.explain_each(tiny, pairs, "m2ib", layer=99, on_error="skip"))


def test_a_method_that_refuses_one_pair_leaves_the_others_of_its_batch(tiny, monkeypatch):
    from matex.attribution.rollout import Rollout

    call = Rollout.__call__

    def choosy(self, trace):
        if trace.grid is not None and any("effusion" in mention.text for s in trace.contexts for mention in s.mentions):
            raise matex.InputError("Expected no left side.")
        return call(self, trace)

    monkeypatch.setattr(Rollout, "__call__", choosy)
    monkeypatch.setattr("matex.queries.read_places", lambda text, domain: [type("M", (), {"text": text})()])
    texts = ["nodule", "effusion", "mass"]
    found = list(matex.explain_each(tiny, [(samples()[0].path, text) for text in texts], "rollout", on_error="skip"))
    assert [isinstance(one, matex.Skipped) for one in found] == [False, True, False]


def test_what_the_callers_iterable_raises_is_raised(tiny):
    def pairs():
        yield samples()[0].path, "nodule"
        raise KeyError("table")

    with pytest.raises(KeyError, match="table"):
        list(matex.explain_each(tiny, pairs(), on_error="skip"))
    assert not readers()


def test_what_is_known_of_all_images_and_of_one(tiny):
    path = samples()[0].path
    size = matex.read(path).pixels.shape[:2]
    mask = np.ones(size, np.uint8)
    pairs = [(path, "opacity in the right lung"), matex.Pair(path, "opacity in the right lung", "LL", True)]
    first, second = matex.explain_each(tiny, pairs, view="PA", mirrored=False, lung_mask=mask)
    assert (first.film.view, first.film.mirrored) == ("PA", False)
    assert (second.film.view, second.film.mirrored) == ("LL", True)
    assert first.provenance["lung_mask"] == second.provenance["lung_mask"] is not None
    alone = matex.explain(tiny, path, pairs[0][1], view="PA", mirrored=False, lung_mask=mask)
    np.testing.assert_allclose(first.image.grid, alone.image.grid, atol=1e-5)
    own = matex.explain_batch(tiny, [matex.Pair(path, pairs[0][1], lung_mask=mask), pairs[0]])
    assert [one.provenance["lung_mask"] is None for one in own] == [False, True]


def test_pairs_are_consumed_no_further_than_the_look_ahead(tiny, films):
    taken = itertools.count()

    def pairs():
        for film in films:
            next(taken)
            yield film, "nodule"

    stream = matex.explain_each(tiny, pairs(), "gradcam", batch_size=2)
    for number in range(1, 8):
        next(stream)
        assert next(taken) <= number + 2 * 2 + number  # each look at the counter counts, too
    stream.close()


@pytest.mark.parametrize("end", ["close", "break", "throw", "drop"])
def test_leaving_a_stream_early_ends_its_threads(tiny, films, end):
    stream = matex.explain_each(tiny, ((film, "nodule") for film in films), "gradcam", workers=3)
    next(stream)
    assert readers()
    if end == "close":
        stream.close()
    elif end == "break":
        for _ in stream:
            break
        del stream
    elif end == "throw":
        with pytest.raises(RuntimeError):
            stream.throw(RuntimeError("stop"))
    else:
        del stream
    gc.collect()
    assert not readers()


def test_films_are_dropped_after_use(tiny, films, monkeypatch):
    living: weakref.WeakSet[Film] = weakref.WeakSet()
    read, most = matex.read, 0

    def counted(image, **options):
        film = read(image, **options)
        living.add(film)
        return film

    monkeypatch.setattr("matex.encoder_choice.read", counted)
    monkeypatch.setattr("matex.queries.read", counted)
    pairs = ((film, "nodule") for film in itertools.islice(films, 60))
    for _ in matex.explain_each(tiny, pairs, "gradcam", batch_size=4):
        most = max(most, len(living))
    assert most <= 3 * 4  # of two batches, and what the threads have at hand
    gc.collect()
    assert len(living) <= 1  # that of the last explanation, which the loop's variable holds


def test_two_streams_on_one_model_do_not_disturb_each_other(tiny):
    pairs = [(sample.path, text) for sample in samples()[:3] for text in ("left nodule", "no effusion")]
    expected = matex.explain_batch(tiny, pairs, batch_size=2)
    found: dict[int, list[matex.Explanation]] = {}

    def consume(number):
        found[number] = [one for _ in range(3) for one in matex.explain_each(tiny, pairs, batch_size=2)]

    threads = [threading.Thread(target=consume, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(2):
        for one, other in zip(found[number], expected * 3, strict=True):
            same(one, other)


def test_images_that_are_objects_are_told_apart_after_they_are_gone(tiny):
    """The address of an image that was dropped may be given to the next one."""

    def pairs():
        for shade in range(30):
            yield Image.new("L", (40, 40), shade * 8), "nodule"

    found = list(matex.explain_each(tiny, pairs(), "gradcam", batch_size=3))
    assert [int(one.film.pixels[0, 0]) for one in found] == [shade * 8 for shade in range(30)]


def test_outcomes_read_ahead_keep_their_order_and_their_errors():
    def work(number):
        if number % 3 == 0:
            raise matex.InputError(str(number))
        if number == 8:
            raise ZeroDivisionError
        return -number

    stream = read_ahead(range(20), work, workers=4, ahead=5)
    for number in range(8):
        item, outcome = next(stream)
        assert item == number
        assert str(outcome) == (str(number) if number % 3 == 0 else str(-number))
    with pytest.raises(ZeroDivisionError):
        next(stream)
    assert not readers()


STREAM = """
import itertools, sys
import numpy as np
import matex

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024

model = matex.load("tiny", device="cpu")
random = np.random.default_rng(0)
pairs = ((random.integers(0, 255, (700, 800), dtype=np.uint8), "left nodule") for _ in range(300))
for number, explanation in enumerate(matex.explain_each(model, pairs, "gradcam")):
    if number == 60:
        before = peak()
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_memory_does_not_grow_with_the_stream():
    done = subprocess.run([sys.executable, "-c", STREAM], capture_output=True, text=True, check=True)
    grown = float(done.stdout.splitlines()[-1])
    assert grown < 40  # MiB; the 240 films after the first 61 are 128


HUGE = """
import sys
from pathlib import Path
import matex

explanation = matex.explain(matex.load("tiny", device="cpu"), sys.argv[1], "opacity in the left lower lung")
explanation.save(sys.argv[2])
status = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_a_film_of_169_megapixels_is_explained_and_saved_in_less_than_a_gigabyte(tmp_path):
    with Image.open(samples()[0].path) as film:
        film.convert("L").resize((13_000, 13_000)).save(tmp_path / "huge.png", compress_level=1)
    command = [sys.executable, "-c", HUGE, str(tmp_path / "huge.png"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout.splitlines()[-1]) < 1000  # MiB
    assert np.load(tmp_path / "out" / "image_map.npy", mmap_mode="r").shape == (13_000, 13_000)
