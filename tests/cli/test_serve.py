"""matex serve as a process: it prints its address, answers, warns about other hosts, and ends with Ctrl + C."""

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from matex.cli.app import run
from matex.cli.serve import host_names
from matex.viewer import app as viewer_app


def test_it_prints_an_address_answers_there_and_ends_with_an_interrupt():
    command = [sys.executable, "-m", "matex", "serve", "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", process.stdout.readline())
        assert address
        with urllib.request.urlopen(address.group()) as page:
            assert b"<title>matex viewer" in page.read()
        with pytest.raises(urllib.error.HTTPError, match="404") as refusal:
            urllib.request.urlopen(address.group()[:-3])
        refusal.value.close()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=15)
    finally:
        process.kill()
    assert process.returncode in (0, 130)
    assert "Traceback" not in errors


@pytest.fixture
def served(monkeypatch):
    """The applications that would be served, with the names of hosts that they admit."""
    found = []
    monkeypatch.setattr(viewer_app, "serve", lambda app, listener: (found.append(app.hosts), listener.close()))
    return found


def test_a_host_that_others_can_reach_is_warned_about(served, capsys):
    assert run(["serve", "--host", "0.0.0.0", "--no-browser"]) == 0
    out, err = capsys.readouterr()
    assert "can be reached from other machines" in err
    here, elsewhere = re.findall(r"http://(.+?):\d+/[\w-]{32}/", out)
    assert here == "127.0.0.1"
    assert elsewhere not in ("0.0.0.0", "")
    assert served == [()]
    assert run(["serve", "--no-browser"]) == 0
    assert "other machines" not in capsys.readouterr().err
    assert "127.0.0.1" in served[1]


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("127.0.0.1", ("127.0.0.1",)),
        ("::1", ("[::1]",)),
        ("10.1.2.3", ("10.1.2.3",)),
        ("0.0.0.0", ("127.0.0.1", "box")),
        ("", ("127.0.0.1", "box")),
        ("::", ("[::1]", "box")),
    ],
)
def test_a_host_that_stands_for_all_addresses_is_not_printed(host, names, monkeypatch):
    class Unconnected(socket.socket):
        def connect(self, _):
            raise OSError("no network")

    monkeypatch.setattr(socket, "socket", Unconnected)
    monkeypatch.setattr(socket, "gethostname", lambda: "box")
    assert host_names(host) == names


def test_a_port_in_use_is_refused_in_one_line(served, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["serve", "--no-browser", "--port", str(taken.getsockname()[1])]) == 2
    assert capsys.readouterr().err.startswith("matex: Could not listen on 127.0.0.1")


def test_a_model_that_cannot_be_loaded_ends_the_command(served, capsys):
    assert run(["serve", "--no-browser", "--model", "hf:/no/such/folder"]) == 2
    assert served == []


def test_without_its_packages_the_command_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "matex.viewer.app")
    assert run(["serve", "--no-browser"]) == 2
    assert "pip install matex[viewer]" in capsys.readouterr().err
