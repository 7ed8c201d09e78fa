"""Reading packs: every fault is one line that says where it is, and nothing hostile gets further."""

import time
from copy import deepcopy

import numpy as np
import pytest

from matex.domains import check_domain, find_pack
from matex.domains.check import check_pack
from matex.domains.reader import read_pack
from matex.errors import InputError
from tests.domains.pack_files import KNEE, as_toml, knee, write


def region(name="patella", **changes):
    """The pack with one region changed; None removes a key."""
    content = deepcopy(KNEE)
    found = content["regions"].setdefault(name, deepcopy(KNEE["regions"]["patella"])) | changes
    content["regions"][name] = {key: value for key, value in found.items() if value is not None}
    return content


def outline(value):
    return region(outlines={"AP": value})


AP = "regions.patella.outlines.AP"


def faults(content):
    pack, found = read_pack(content, "0")
    assert (pack is None) == bool(found)
    return found


def test_the_small_pack_has_no_faults():
    assert faults(knee()) == []


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (region(words=["patella", "knees"]), "regions.patella", "'knees' is a word of regions.knee too"),
        (region(words=["patella", "Right"]), "regions.patella", "'Right' is a word of the parser's own grammar"),
        (region(source=None), "regions.patella.source", "expected a key of [sources], got None"),
        (region(source="blog"), "regions.patella.source", "expected a key of [sources], got 'blog'"),
        (outline({"box": [0.2, 0.2, 1.2, 0.5]}), AP, "expected a place inside the frame"),
        (outline({"ellipse": [0.1, 0.5, 0.2, 0.1]}), AP, "expected a place inside the frame"),
        (outline({"polygon": [[0, 0], [1, 0.9], [1, 0], [0, 0.5]]}), AP, "whose edges do not cross"),
        (outline({"polygon": [[0, 0], [1, 1], [0.5, 0.5]]}), AP, "a polygon with an area"),
        (outline({"box": [0.5, 0.2, 0.4, 0.5]}), AP, "u0 < u1"),
        (region(outlines={"PA": {"box": [0, 0, 1, 1]}}), "regions.patella.outlines.PA", "a plane of the views, AP"),
        (knee(several={"both knees caps": ["both kneecap"]}), "several.both knees caps", "got 'kneecap'"),
        (knee(usual={"bleed": {"words": ["bleed"], "places": ["meniscus"]}}), "usual.bleed", "got 'meniscus'"),
        (knee(whole="field"), "whole", "expected a sided region, got 'field'"),
        (knee(default_view="SKYLINE"), "default_view", "expected one of the views AP, PA"),
        (knee(name="Knee pack"), "name", "lower-case letters"),
        (knee(views=None), "views", "at least one view"),
        (knee(regions={}), "regions", "at least one region"),
        (knee(colour="red"), "", "got 'colour'"),
    ],
)  # fmt: skip
def test_a_fault_says_where_it_is_and_what_was_expected(content, where, what):
    found = faults(content)
    assert any(line.startswith(where) and what in line for line in found), found
    assert all("\n" not in line for line in found)


def test_a_phrase_that_is_read_otherwise_is_a_fault(tmp_path):
    wrong = KNEE["phrases"] + [["left patellar fracture", "right patella"]]
    pack, found = check_pack(str(write(tmp_path, knee(phrases=wrong))))
    assert pack is not None
    assert found == [
        "phrases: 'left patellar fracture' is read as left patella, labelled right patella. Correct one of them."
    ]
    few = check_pack(str(write(tmp_path, knee(phrases=[]))))[1]
    assert few == ["phrases: expected at least 10 labelled phrases, got 0. Add some."]
    known = knee(misread=[["right patellar fracture", "right patella"]])
    assert "Move it to phrases" in check_pack(str(write(tmp_path, known)))[1][0]


def test_places_named_by_others_form_no_chain():
    content = region("cap", words=["cap"], outlines=None, same_as={"right": "lid", "left": "lid"})
    lid = {"words": ["lid"], "source": "book", "same_as": {"right": "cap", "left": "cap"}}
    content["regions"]["lid"] = lid
    assert sum("expected a region with outlines" in line for line in faults(content)) == 4


HUGE = [[0.5 + 0.4 * np.cos(k), 0.5 + 0.4 * np.sin(k)] for k in np.linspace(0, 6.2, 100_000)]
NOT_TEXT = (None, 5, 1.5, True, [], {}, ["a"], "", " ", "a\nb", "\x00", "x" * 5000)
NOT_NUMBERS = (float("nan"), float("inf"), -float("inf"), 1e300, "0.5", True, None, [0.5], {}, -0.1, 10**400)
HOSTILE = [
    *({"name": value} for value in (*NOT_TEXT, "../knee", "/etc/passwd", "knee/..", "..", "knee.toml", "KNEE")),
    *({"description": value} for value in NOT_TEXT),
    *({"frame": value} for value in ("lung", 5, None, [], {}, True)),
    *({"orientation": value} for value in ("left", 5, [], {}, False)),
    *({"views": value} for value in (5, "AP", [], {"ap": {}}, {"": {}}, {"AP": 5}, {"AP": {"sides": "top"}})),
    *({"sources": value} for value in (5, [], "book", {"book": 5}, {"book": ""})),
    *({"regions": value} for value in (5, [], "knee", {"knee": 5}, {"": {}}, {"left knee": {}}, {"no knee": {}})),
    *({"whole": value} for value in (5, "", "thigh", [], {})),
    *({"several": value} for value in (5, [], {"x": 5}, {"x": ["left nothing"]}, {"x": [5]})),
    *({"usual": value} for value in (5, [], {"x": 5}, {"x": {}}, {"other": {"words": ["a"], "places": ["knee"]}})),
    *({"findings": value} for value in (5, {}, [5], ["x" * 100], ["a"] * 3000, [[]])),
    *({"phrases": value} for value in (5, "x", [5], [[]], [["x", 5]], [["x" * 500]], {"a": "b"}, [["x"]] * 6000)),
]  # fmt: skip
HOSTILE_OUTLINES = [
    5, "box", [], {}, {"box": 5}, {"box": []}, {"box": [0, 0, 1]}, {"circle": [0, 0, 1, 1]}, {"polygon": HUGE},
    {"polygon": [[0, 0], [1, 0]]}, {"polygon": [[0, 0], [1, 0], [1]]}, {"polygon": [[0, 0], [1, 0], "a"]},
    {"polygon": 5}, {"box": [0, 0, 1, 1], "ellipse": [0.5, 0.5, 0.1, 0.1]}, [{"box": [0, 0, 1, 1]}] * 50, [[[]]],
    {"ellipse": [0.5, 0.5, 0, 0.1]}, {"ellipse": [0.5, 0.5, -0.1, 0.1]},
    *({"box": [0.1, 0.1, value, 0.5]} for value in NOT_NUMBERS),
    *({"ellipse": [0.5, 0.5, 0.1, value]} for value in NOT_NUMBERS),
    *({"polygon": [[0.1, 0.1], [0.5, value], [0.9, 0.9]]} for value in NOT_NUMBERS),
]  # fmt: skip


def test_a_hundred_and_more_hostile_packs_are_faults_and_never_errors():
    packs = [knee() | change for change in HOSTILE] + [outline(value) for value in HOSTILE_OUTLINES]
    packs += [
        region(**{key: value})
        for key in ("words", "sided", "only", "weak", "soft", "same_as")
        for value in (5, "x", [5], float("nan"))
    ]
    assert len(packs) > 130
    start = time.perf_counter()
    for number, content in enumerate(packs):
        found = faults(content)
        assert found or content.get("frame", 0) is None, (number, content)
        assert all("\n" not in line for line in found), number
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("name = ", "expected TOML"),
        ("name = 5\nname = 6", "expected TOML"),
        ("a = " + "[" * 400 + "]" * 400, "levels"),
        (b"\xff\xfe\x00", "UTF-8"),
        ("x = 1\n" * 3, "expected TOML"),
        ("", "empty file"),
        ("# " + "x" * (2 << 20), "at most 1 MiB"),
        (as_toml(knee(name="abdomen")), "is a domain of matex"),
    ],
)
def test_a_file_that_is_no_pack_is_refused_in_one_line(tmp_path, content, what):
    path = tmp_path / "bad.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as refused:
        check_domain(str(path))
    assert what.lower() in str(refused.value).lower()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("domain", ["dogs", "sound", "", "abdomen.TOML", 5, None, ["chest"], "../packs/abdomen"])
def test_an_unknown_domain_is_refused(domain):
    with pytest.raises(InputError, match="Expected domain"):
        check_domain(domain)


@pytest.mark.parametrize("domain", ["missing.toml", "/nowhere/at/all.toml", "nul\0.toml"])
def test_a_file_that_is_not_there_is_refused(domain):
    with pytest.raises(InputError, match="the file of a domain"):
        check_domain(domain)


def test_a_changed_file_is_read_anew(tmp_path):
    domain = str(write(tmp_path, knee()))
    assert find_pack(domain) is find_pack(domain)
    write(tmp_path, knee(description="Another one, longer than before."))
    assert find_pack(domain).description.startswith("Another")


def test_a_folder_and_a_device_are_no_packs(tmp_path):
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(InputError):
        check_domain(str(folder))


def test_nothing_of_a_pack_is_run(tmp_path):
    """A name or word that looks like code stays text."""
    trick = "__import__('os').system('touch ran')"
    content = region(words=["patella", "patellae", "patellar", trick])
    pack = find_pack(str(write(tmp_path, content)))
    assert trick in pack.anatomy.places["patella"]
