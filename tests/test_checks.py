"""What comes from outside is read within bounds or refused in one line."""

import io
import os
import pickle
import socket
import threading

import numpy as np
import pytest
import torch

import matex
from matex.checks import count, number, parse_array, read_array, read_bytes, read_json, read_toml, text
from matex.errors import CheckpointError, InputError, PluginError, UnsupportedModel, printable, shortened, shown


def refused(check, *arguments, **settings):
    """The message of a refusal, which is one short line of printable characters."""
    with pytest.raises(matex.InputError) as caught:
        check(*arguments, **settings)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400
    return message


@pytest.mark.parametrize(
    "value",
    ["x" * 20_000, ["x" * 20_000], {"x" * 20_000: 1}, 10**20_000, [[0] * 9] * 999, b"\0" * 9999, np.zeros((40, 50)),
     torch.zeros(40, 50), "\x1b[31m\x07\r\n" * 99, "\udc80" * 99, "\u202e" * 99, "\x1b]0;title\x07"],
    ids=lambda value: type(value).__name__)  # fmt: skip
def test_a_value_in_a_message_is_one_short_printable_line(value):
    for said in (shown(value), shortened(str(value) if not isinstance(value, int) else "x" * 20_000)):
        assert len(said) <= 80
        assert said.isprintable()
        said.encode()


def test_a_value_that_cannot_be_shown_is_named_by_its_type():
    class Broken:
        def __repr__(self):
            raise RuntimeError

    nested = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(Broken()) == "an object of type Broken"
    assert shown(nested) == "an object of type list"
    while nested:  # taken apart here, since the destructor of nested lists is slow
        nested = nested[0]


def test_the_middle_is_left_out_so_that_a_path_keeps_its_file_name():
    assert shortened("/data/" + "folder/" * 90 + "film.png").endswith("folder/film.png")


def test_an_error_prints_what_it_repeats_in_one_line():
    assert str(matex.InputError("a\x1b[2J\nb\udc80")) == "a\\u001b[2J b\\udc80"
    assert printable("a\n\x1b", keep="\n") == "a\n\\u001b"
    assert str(pickle.loads(pickle.dumps(matex.InputError("a b")))) == "a b"


def test_unknown_names_survive_a_process_pool():
    error = matex.UnknownName("method", "x" * 20_000, ("rollout",))
    assert len(str(error)) < 200
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 2, "1", True, None, 10**400, 1 + 0j], ids=type)
def test_a_number_is_finite_and_in_range(value):
    assert "from 0 to 1" in refused(number, value, "share", 0, 1)


@pytest.mark.parametrize("value", [0, -1, 10**9, 2.0, True, "3", None, float("inf")])
def test_a_count_has_an_upper_bound(value):
    assert "from 1 to 100000" in refused(count, value, "masks")


def test_numpys_numbers_are_numbers():
    assert number(np.float32(0.5), "share", 0, 1) == 0.5
    assert count(np.int64(7), "masks") == 7


@pytest.mark.parametrize("value", [None, 3, ["a"], b"a", "\udc80"])
def test_text_is_unicode(value):
    refused(text, value, "text")


def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name, said in (
            ("pipe", "a pipe or a device"),
            ("socket", "a socket or a device"),
            ("/dev/zero", "a pipe or a device"),
            ("/dev/stdin", ""),
            ("empty", "empty"),
            (".", "a folder"),
            ("loop", "symbolic links"),
            ("missing", "there is none"),
            ("x" * 3000, "name too long"),
            ("a\0b", "null byte"),
            ("\udc80", "there is none"),
        ):
            assert said in refused(read_bytes, tmp_path / name, "a film")
    assert "Download it first" in refused(read_bytes, "https://host/film.png", "a film")


def test_a_file_is_at_most_as_large_as_its_limit(tmp_path):
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(1 << 40)
    assert "at most 64 MiB" in refused(read_bytes, tmp_path / "large", "a film")


@pytest.mark.parametrize(
    "content",
    [b"null", b"[]", b"3", b'"x"', b"{", b"\x80\x04.", b"\xff\xfe", b"[" * 50_000, b"[" * 50_000 + b"]" * 50_000,
     b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b'{"a":' * 70 + b"1" + b"}" * 70, b'{"a":' + b"9" * 9999 + b"}"],
    ids=lambda value: type(value).__name__)  # fmt: skip
def test_json_is_an_object_of_few_levels(tmp_path, content):
    (tmp_path / "file.json").write_bytes(content)
    assert "file.json" in refused(read_json, tmp_path / "file.json", "a record")


@pytest.mark.parametrize(
    "content",
    [b"a", b"a = ", b"\xff", b"a = " + b"[" * 50_000, b"a = " + b"[" * 50_000 + b"]" * 50_000,
     b"a = " + b"{a=" * 50_000, b".".join([b"a"] * 5000) + b" = 1", b"[" + b".".join([b"a"] * 5000) + b"]",
     b"a = " + b"9" * 9999, b"a = 1\na = 2"],
    ids=lambda value: type(value).__name__)  # fmt: skip
def test_toml_is_a_table_of_few_levels(tmp_path, content):
    (tmp_path / "file.toml").write_bytes(content)
    assert "file.toml" in refused(read_toml, tmp_path / "file.toml")


def saved(array, **settings):
    stream = io.BytesIO()
    np.save(stream, array, **settings)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04" + b"\0" * 99, b"PK\x05\x06" + b"\0" * 18, b"\x93NUMPY", b"\x93NUMPY\x09\x00" + b"\0" * 99,
     b"\x80\x04K\x01.", saved(np.zeros((3, 4)))[:-1], saved(np.zeros((3, 4))) + b"x",
     saved(np.array([None])), saved(np.array(["a"])), saved(np.zeros(3, complex)),
     saved(np.zeros((3, 4))).replace(b"(3, 4)", b"(9**9)"), saved(np.zeros((3, 40))).replace(b"(3, 40)", b"(3, -4)")],
    ids=lambda value: type(value).__name__)  # fmt: skip
def test_an_array_file_is_one_array_of_numbers(content):
    refused(parse_array, content, "a map")


def test_a_header_allocates_nothing_that_its_file_does_not_hold(tmp_path):
    large = saved(np.zeros((3, 4))).replace(b"(3, 4), }              ", b"(3000000000, 4000000), }")
    (tmp_path / "map.npy").write_bytes(large)
    assert "number of bytes" in refused(read_array, tmp_path / "map.npy")
    np.save(tmp_path / "map.npy", np.eye(3))
    assert (read_array(tmp_path / "map.npy") == np.eye(3)).all()


def test_a_file_that_grows_while_it_is_read_ends_at_the_limit(tmp_path):
    file, stop = tmp_path / "growing", threading.Event()
    file.write_bytes(b"x" * 1000)

    def grow():
        while not stop.is_set():
            with file.open("ab") as stream:
                stream.write(b"x" * 100)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        assert len(read_bytes(file, "a text", 1 << 20)) <= 1 << 20
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("kind", [InputError, CheckpointError, UnsupportedModel, PluginError])
def test_a_message_is_bounded_and_keeps_its_beginning_and_its_advice(kind):
    message = str(kind(f"Expected a film, got {'x' * 20_000!r} with {'many words ' * 2000}. Check the path."))
    assert len(message) <= 800
    assert message.startswith("Expected a film, got 'xxx")
    assert message.endswith("Check the path.")
