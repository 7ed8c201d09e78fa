"""Hostile requests: none is answered with more than a refusal, and the server goes on."""

import contextlib
import http.client
import io
import json
import socket
import struct
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from matex.viewer.limits import Limits
from matex.viewer.security import HEADERS
from tests.viewer.conftest import TOKEN, run_viewer

SCRIPT = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
JSON = {"Content-Type": "application/json"}


def picture(height=64, width=48):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def bomb(side=60_000):
    """A PNG of few bytes that announces 3.6 gigapixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


PATHS = [
    "/",
    "/etc/passwd",
    "//",
    "/wrong-token/",
    f"/{TOKEN}",
    f"/{TOKEN[:-1]}/",
    f"/{TOKEN}x/",
    f"/{TOKEN}/static/../app.py",
    f"/{TOKEN}/static/..%2fapp.py",
    f"/{TOKEN}/static/%2e%2e/%2e%2e/pyproject.toml",
    f"/{TOKEN}/static/....//app.py",
    f"/{TOKEN}/static//etc/passwd",
    f"/{TOKEN}/static/%2fetc%2fpasswd",
    f"/{TOKEN}/static/film.js%00.css",
    f"/{TOKEN}/static/",
    f"/{TOKEN}/../{TOKEN}/x",
    f"/{TOKEN}/api/films/..%2f..%2fetc/picture",
    f"/{TOKEN}/api/films/%00/picture",
    f"/{TOKEN}/api/explanations/x/..%2freport.html",
    f"/{TOKEN}/api/explanations/x/report.html",
    f"/{TOKEN}/api/jobs/{'a' * 5000}",
    f"/{TOKEN}/api/jobs/%ff%fe",
    f"/{TOKEN}/" + "a/" * 500,
    "/%2e%2e/%2e%2e/etc/passwd",
]
BODIES = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"[" * 20_000,
    b'"text"',
    b"\xff\xfe",
    b'{"film": {}}',
    b'{"film": ["x"]}',
    b'{"film": null, "text": 3}',
    json.dumps({"film": "../../etc/passwd", "text": "opacity"}).encode(),
    json.dumps({"film": SCRIPT, "text": SCRIPT, "method": SCRIPT, "model": SCRIPT}).encode(),
    json.dumps({"name": "/etc/passwd"}).encode(),
    json.dumps({"name": SCRIPT}).encode(),
    json.dumps({"text": "a" * 30_000}).encode(),
    json.dumps({"text": "\0"}).encode(),
    b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b"{" + b" " * 70_000 + b"}",
]
POSTS = [
    "api/read",
    "api/explain",
    "api/audit",
    "api/yardstick",
    "api/scores",
    "api/cover",
    "api/agreement",
    "api/figure",
]
FILES = {
    "nothing": b"",
    "text": b"hello",
    "script": SCRIPT.encode(),
    "bomb": bomb(),
    "truncated": picture()[:-20],
    "pickle": b"\x80\x04\x95" + b"x" * 100,
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "zip": b"PK\x03\x04" + b"\0" * 100,
    "tiny": picture(4, 4),
    "dicom": b"\0" * 128 + b"DICM" + b"\xff" * 200,
    "noise": bytes(range(256)) * 20,
    "gif of many frames": b"GIF89a" + b"\0" * 40,
}


def test_hostile_requests_are_refused_and_the_server_goes_on(viewer, film):
    answers = [viewer.get(path) for path in PATHS]
    assert {answer.status for answer in answers} <= {400, 404, 405, 414, 422}
    assert not any(b"root:" in answer.body or b"import " in answer.body for answer in answers)
    for path in POSTS:
        answers += [viewer.ask("POST", path, body, JSON) for body in BODIES]
    answers += [viewer.ask("POST", "api/explain", b"a=1", {"Content-Type": kind}) for kind in ("text/plain", "x", "")]
    answers += [
        viewer.ask("POST", "api/films", data, {"X-File-Name": name})
        for data in FILES.values()
        for name in ("film.png", "../../etc/passwd", "%00")
    ]
    answers += [viewer.ask(verb, "api/start") for verb in ("PUT", "PATCH", "TRACE", "OPTIONS", "DELETE", "POST")]
    assert len(answers) >= 200
    assert {answer.status for answer in answers} <= {200, 400, 404, 405, 413, 414, 415, 422}
    accepted = [answer for answer in answers if answer.status == 200]
    assert all(set(answer.json()) == {"sentences", "mentions"} for answer in accepted)  # reading any text is no harm
    for answer in answers:
        if answer.status != 400 or "content-security-policy" in answer.headers:  # what no HTTP parser understands
            assert "access-control-allow-origin" not in answer.headers
    assert viewer.get("api/start").status == 200
    assert viewer.post("api/yardstick", {"film": film, "text": "opacity"}).status == 200


def test_every_answer_carries_the_headers_that_protect_the_page(viewer):
    for answer in (viewer.get(""), viewer.get("static/film.js"), viewer.get("nothing"), viewer.get("/nothing")):
        assert {name: answer.headers[name.lower()] for name in HEADERS} == HEADERS
        assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_another_host_or_origin_is_refused(viewer, headers):
    assert viewer.ask("GET", "api/start", headers=headers).status in (400, 404)


def test_the_page_itself_is_admitted(viewer):
    own = {"Host": f"localhost:{viewer.port}", "Origin": f"http://localhost:{viewer.port}"}
    assert viewer.ask("GET", "api/start", headers=own).status == 200


def test_script_in_every_field_comes_back_as_data(viewer, film):
    read = viewer.post("api/read", {"text": SCRIPT + " opacity in the left lung."})
    assert read.headers["content-type"] == "application/json"
    made = viewer.ask("POST", "api/films", picture(), {"X-File-Name": "%3Cscript%3E.png"})
    assert made.json()["name"] == "<script>"
    found = viewer.result("api/explain", {"film": film, "text": SCRIPT, "method": "matex"})
    report = viewer.get(f"api/explanations/{found['id']}/report.html")
    assert SCRIPT.encode() not in report.body
    assert report.headers["content-disposition"].startswith("attachment")


def test_oversized_bodies_are_refused_before_they_are_read():
    limits = Limits(upload=1000, json=500)
    for viewer in run_viewer(limits):
        assert viewer.ask("POST", "api/films", b"x" * 1001).status == 413
        assert viewer.ask("POST", "api/read", b"x" * 501, JSON).status == 413
        chunked = viewer.ask("POST", "api/films", iter([b"x" * 600, b"x" * 600]))
        assert chunked.status == 413


def test_slow_bodies_time_out_and_delay_nobody():
    for viewer in run_viewer(Limits(body_seconds=2)):
        request = f"POST /{TOKEN}/api/films HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n".encode()
        slow = [socket.create_connection(("127.0.0.1", viewer.port)) for _ in range(20)]
        for connection in slow:
            connection.sendall(request + b"x")
        start = time.perf_counter()
        assert viewer.get("static/film.js").status == 200
        assert time.perf_counter() - start < 1.5
        assert all(connection.recv(100).startswith(b"HTTP/1.1 408") for connection in slow)
        for connection in slow:
            connection.close()


def test_slow_headers_are_cut_off_and_requests_in_time_are_not():
    for viewer in run_viewer(Limits(header_seconds=0.6)):
        start = time.perf_counter()
        slow = [socket.create_connection(("127.0.0.1", viewer.port)) for _ in range(3)]
        slow[0].sendall(f"GET /{TOKEN}/ HTTP/1.1\r\n".encode())
        while time.perf_counter() - start < 0.5:  # one byte after the other prolongs nothing
            slow[1].sendall(b"G")
            time.sleep(0.05)
        kept = http.client.HTTPConnection("127.0.0.1", viewer.port, timeout=5)
        for _ in range(2):  # a connection that is used in time stays open over the limit
            kept.request("GET", f"/{TOKEN}/static/film.js")
            assert kept.getresponse().read()
            time.sleep(0.4)
        kept.request("GET", f"/{TOKEN}/static/film.js")
        assert kept.getresponse().status == 200
        kept.close()
        for connection in slow:
            connection.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b""
            connection.close()
        assert time.perf_counter() - start < 4


def test_concurrent_uploads_are_all_kept_within_the_bounds():
    for viewer in run_viewer(Limits(films=5, waiting=100)):
        found: list[str] = []

        def send(number, viewer=viewer, found=found):
            data = picture(40 + number, 40)
            found.append(viewer.ask("POST", "api/films", data, {"X-File-Name": f"{number}.png"}).json()["id"])

        threads = [threading.Thread(target=send, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(found)) == 20
        kept = [viewer.get(f"api/films/{key}/picture").status for key in found]
        assert kept.count(200) == 5
        assert kept.count(404) == 15


def test_nothing_about_a_request_is_printed_or_written(viewer, film, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    viewer.post("api/yardstick", {"film": film, "text": "opacity of Jane Doe"})
    viewer.post("api/explain", {"film": film, "text": "Jane Doe", "method": "no such method"})
    viewer.ask("POST", "api/films", picture(), {"X-File-Name": "jane-doe.png"})
    viewer.ask("POST", "api/films", b"broken", {"X-File-Name": "jane-doe.png"})
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""
    assert list(tmp_path.iterdir()) == []
