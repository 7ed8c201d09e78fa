"""Pages of a reader study: blinded, randomised, repeated; answers joined with the key."""

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from matex.datasets import Sample
from matex.errors import InputError, UnknownName
from matex.reader_study import analyse, make_study
from matex.reader_study.agreement import intraclass_correlation, krippendorff_alpha, weighted_kappa
from matex.reader_study.study import QUESTION
from matex.samples import samples

FILMS = samples()[:6]
PAIRS = [Sample(f"pair-{number}", film.path, "nodule", cluster=film.name) for number, film in enumerate(FILMS)]
METHODS = {"rollout": {}, "grad-eclip": {"layers": 2}}


@pytest.fixture(scope="module")
def study(tiny):
    return make_study(tiny, PAIRS, METHODS, readers=2, repeats=0.25, seed=5, questions=(QUESTION, "Is it helpful?"))


def rating(reader, item, repeated, question):
    """Ratings that depend on everything."""
    return 1 + (item * 3 + reader + 2 * repeated + question) % 5 if (reader, item) != (2, 4) else None


def answers_of(study, reader):
    return {
        one.case: {
            **{f"q{number}": rating(reader, one.item, one.repeated, number) for number in (1, 2)},
            "comment": "=1+1",
        }
        for one in study.order[reader - 1]
    }


def saved_json(made, reader, path, **changes):
    answers = answers_of(made, reader)
    record = {"format": "matex-reader-answers/1", "study": made.name, "reader": reader, "answers": answers}
    path.write_text(json.dumps({**record, **changes}))
    return path


def saved_csv(study, reader, path):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["study", "reader", "case", "q1", "q2", "comment"])
        for case, one in answers_of(study, reader).items():
            writer.writerow([study.name, reader, case, *("" if v is None else v for v in one.values())])
    return path


def test_every_reader_sees_every_map_once_and_some_twice(study):
    assert len(study.items) == 12
    for cases in study.order:
        assert len(cases) == 15
        assert sorted(one.item for one in cases if not one.repeated) == list(range(12))
        assert len({one.case for one in cases}) == 15
        place = {(one.item, one.repeated): number for number, one in enumerate(cases)}
        gaps = [place[item, True] - place[item, False] for item, repeated in place if repeated]
        assert len(gaps) == 3
        assert min(gaps) >= 12 // 3
    assert [one.item for one in study.order[0]] != [one.item for one in study.order[1]]


def test_the_seed_decides_the_order(tiny, study):
    first, second, other = (make_study(tiny, PAIRS[:3], ["rollout"], seed=seed) for seed in (5, 5, 6))
    assert first.order == second.order
    assert first.order != other.order


def test_pages_name_no_method_model_file_or_patient(study, tmp_path):
    study.save(tmp_path / "pages", tmp_path / "key.json")
    text = (tmp_path / "pages" / "reader-1.html").read_text()
    text = re.sub(r"data:image/[a-z]+;base64,[^\"]+", "", text)
    hidden = ["rollout", "eclip", "layers", "tiny", *(film.name for film in FILMS), *(one.id for one in PAIRS)]
    for name in [*hidden, *(one.image_sha256[:12] for one in study.items)]:
        assert name not in text, name
    assert text.count('class="card case"') == 15
    key = (tmp_path / "key.json").read_text()
    assert "grad-eclip" in key
    assert str(FILMS[0].path.name) not in key


def test_the_key_never_lies_among_the_pages(study, tmp_path):
    for place in ("pages/key.json", "pages/below/key.json"):
        with pytest.raises(InputError, match="outside the folder"):
            study.save(tmp_path / "pages", tmp_path / place)


def test_studies_of_one_seed_and_size_have_different_names(tiny):
    """Otherwise answers to one would be joined with the key of the other, and browsers would mix them."""
    first, same = (make_study(tiny, PAIRS[:2], ["rollout"], seed=5) for _ in range(2))
    assert first.name == same.name
    for pairs, methods in ((PAIRS[2:4], ["rollout"]), (PAIRS[:2], ["raw-attention"]), (PAIRS[1::-1], ["rollout"])):
        assert make_study(tiny, pairs, methods, seed=5).name != first.name


def test_the_key_of_another_study_stays_and_its_pages_go(tiny, study, tmp_path):
    key = tmp_path / "key.json"
    study.save(tmp_path / "pages", key)
    study.save(tmp_path / "pages", key)
    before = key.read_bytes()
    other = make_study(tiny, PAIRS[:2], ["rollout"], readers=1, seed=5)
    with pytest.raises(InputError, match="another study"):
        other.save(tmp_path / "pages", key)
    assert key.read_bytes() == before
    other.save(tmp_path / "pages", tmp_path / "other.json")
    assert [page.name for page in (tmp_path / "pages").iterdir()] == ["reader-1.html"]


def test_answers_are_joined_with_the_key(study, tmp_path):
    study.save(tmp_path / "pages", tmp_path / "key.json")
    files = [saved_json(study, 1, tmp_path / "a.json"), saved_csv(study, 2, tmp_path / "b.csv")]
    found = analyse(files, tmp_path / "key.json")
    assert found.readers == (1, 2)
    first = np.array([[rating(reader, item, False, 1) or np.nan for reader in (1, 2)] for item in range(12)])
    complete = np.delete(first, 4, axis=0)
    one = found.questions[0]
    assert one.kappa["linear"]["1, 2"].value == pytest.approx(weighted_kappa(*complete.T, "linear"))
    assert one.kappa["quadratic"]["1, 2"].cases == 11
    assert one.icc["ICC(2,1)"].value == pytest.approx(intraclass_correlation(complete).agreement.value)
    assert one.alpha.value == pytest.approx(krippendorff_alpha(first))
    repeated = [case.item for case in study.order[0] if case.repeated]
    own = weighted_kappa(first[repeated, 0], [rating(1, item, True, 1) for item in repeated])
    assert one.intra["1"].value == pytest.approx(own, nan_ok=True)
    assert one.intra["1"].cases == 3
    means = [np.nanmean(row) for row in first]
    assert one.methods["rollout"].mean == pytest.approx(np.mean(means[:6]))
    assert one.differences["rollout - grad-eclip"].difference == pytest.approx(np.mean(means[:6]) - np.mean(means[6:]))
    found.save(tmp_path / "agreement.json")
    assert len(json.loads((tmp_path / "agreement.json").read_text())["questions"]) == 2


def test_one_reader_alone_agrees_with_nobody(study, tmp_path):
    study.save(tmp_path / "pages", tmp_path / "key.json")
    found = analyse([saved_json(study, 2, tmp_path / "a.json")], tmp_path / "key.json").questions[0]
    assert found.kappa == {"linear": {}, "quadratic": {}}
    assert np.isnan([found.icc["ICC(2,1)"].value, found.alpha.value]).all()
    assert found.intra["2"].cases == 3
    nothing = analyse([saved_json(study, 1, tmp_path / "a.json", answers={})], tmp_path / "key.json").questions[0]
    assert np.isnan([nothing.alpha.value, nothing.methods["rollout"].mean]).all()


def test_answers_that_do_not_belong_to_the_study_are_refused(study, tmp_path):
    key = tmp_path / "key.json"
    study.save(tmp_path / "pages", key)
    file = saved_json(study, 1, tmp_path / "a.json")
    with pytest.raises(InputError, match="two of reader 1"):
        analyse([file, saved_csv(study, 1, tmp_path / "b.csv")], key)
    with pytest.raises(InputError, match="another"):
        analyse([saved_json(study, 1, file, study="other")], key)
    with pytest.raises(InputError, match="others"):
        analyse([saved_json(study, 2, file, answers=answers_of(study, 1))], key)
    case = study.order[0][0].case
    with pytest.raises(InputError, match="from 1 to 5"):
        analyse([saved_json(study, 1, file, answers={case: {"q1": 6, "q2": 1}})], key)
    table = saved_csv(study, 1, tmp_path / "b.csv")
    table.write_text(table.read_text() + table.read_text().splitlines()[-1] + "\n")
    with pytest.raises(InputError, match="one row for each case"):
        analyse([table], key)
    with pytest.raises(InputError, match="key of a reader study"):
        analyse([file], file)
    shutil.copy(key, tmp_path / "copy.csv")
    with pytest.raises(InputError):
        analyse([tmp_path / "copy.csv"], key)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key["items"][0].pop("method"),
        lambda key: key["readers"][0][0].pop("item"),
        lambda key: key.update(scale="5"),
        lambda key: key.update(questions="Is it helpful?"),
        lambda key: key.update(items={}),
    ],
)
def test_a_damaged_key_is_refused(study, tmp_path, change):
    key = tmp_path / "key.json"
    study.save(tmp_path / "pages", key)
    record = json.loads(key.read_text())
    change(record)
    key.write_text(json.dumps(record))
    with pytest.raises(InputError, match="whole key"):
        analyse([saved_json(study, 1, tmp_path / "a.json")], key)


def test_studies_that_cannot_be_made_are_refused(tiny):
    for settings in ({"repeats": 0.5}, {"readers": 0}, {"scale": 1}, {"questions": ()}, {"seed": -1}):
        with pytest.raises(InputError):
            make_study(tiny, PAIRS[:1], ["rollout"], **settings)
    with pytest.raises(UnknownName):
        make_study(tiny, PAIRS[:1], ["nope"])
    with pytest.raises(InputError):
        make_study(tiny, [replace(PAIRS[0], text="")], ["rollout"])


def test_the_key_names_the_model_with_its_digest(tiny, study):
    assert study.key()["model"] == {"name": "tiny", "weights_sha256": tiny.weights_sha256}
