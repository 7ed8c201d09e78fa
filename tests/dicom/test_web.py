"""matex.dicom.web against servers that refuse, lie, break off, redirect or cannot be trusted."""

import base64
import json
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pydicom
import pytest

pytest.importorskip("dicomweb_client")

from matex.dicom import web
from matex.errors import InputError
from tests.dicom.films import SECRETS, dx, gradient, written
from tests.dicom.tools import needs


class Handler(BaseHTTPRequestHandler):
    """Answers from a list of (status, body), the last one for ever; remembers what it was asked."""

    def _answer(self):
        self.server.seen.append((self.command, self.headers.get("Authorization"), self._body()))
        answers = self.server.answers[self.command]
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def _body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    do_GET = do_POST = _answer

    def log_message(self, *_):
        pass


@contextmanager
def serving(post, get, context=None):
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.seen = {"POST": post, "GET": get}, []
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server, f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(web, "WAIT", 1)
    monkeypatch.setattr(web, "TIMEOUT", (2, 2))
    for name in (web.USER, web.PASSWORD, web.TOKEN, web.AUTHORITIES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def film(tmp_path):
    return written(dx(gradient((20, 20))), tmp_path / "film.dcm")


def accepted(film, failed=False):
    uid = pydicom.dcmread(film).SOPInstanceUID
    item = {
        "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.1.1"]},
        "00081155": {"vr": "UI", "Value": [uid]},
    }
    return json.dumps({"00081198" if failed else "00081199": {"vr": "SQ", "Value": [item]}}).encode()


def listed(*files):
    found = [pydicom.dcmread(file) for file in files]
    return json.dumps(
        [
            {
                "0020000E": {"vr": "UI", "Value": [data.SeriesInstanceUID]},
                "00080018": {"vr": "UI", "Value": [data.SOPInstanceUID]},
            }
            for data in found
        ]
    ).encode()


def pushed(film, post, get):
    with serving(post, get) as (server, url):
        return web.push(url, [film]), server.seen


def test_what_is_accepted_and_listed_is_stored(film):
    stored, seen = pushed(film, [(200, accepted(film))], [(200, listed(film))])
    assert stored == 1
    assert seen[0][:2] == ("POST", None)


def test_a_busy_server_is_asked_again_with_the_whole_object(film):
    _, seen = pushed(film, [(503, b""), (503, b""), (200, accepted(film))], [(200, listed(film))])
    bodies = [body for verb, _, body in seen if verb == "POST"]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert film.read_bytes() in bodies[0]


@pytest.mark.parametrize(
    ("post", "get", "words"),
    [
        ([(503, b"")], [(200, b"[]")], r"4 times.*0 of 1 objects"),
        ([(500, b"ZZTOP")], [(200, b"[]")], "status 500"),
        ([(401, b"")], [(200, b"[]")], web.USER),
        ([(302, b"")], [(200, b"[]")], "redirection"),
        ([(200, b"")], [(200, b"[]")], "refusal in its answer"),
        ([(200, b"<html>ZZTOP")], [(200, b"[]")], "DICOMweb"),
        ("failed", [(200, b"[]")], "refusal in its answer"),
        ("accepted", [(200, b"[]")], "list all 1 objects after storing them, got 0"),
        ("accepted", [(500, b"")], "status 500"),
        ("accepted", [(200, b'[{"00080018": {"Value": ["../../etc"]}}]')], "UIDs"),
    ],
)
def test_nothing_that_is_not_stored_is_called_stored(post, get, words, film):
    if isinstance(post, str):
        post = [(200, accepted(film, failed=post == "failed"))]
    with pytest.raises(InputError, match=words) as caught:
        pushed(film, post, get)
    message = str(caught.value)
    assert "\n" not in message
    assert not any(secret in message for secret in SECRETS)
    assert pydicom.dcmread(film).StudyInstanceUID not in message


def test_a_list_that_never_ends_is_refused(film, tmp_path, monkeypatch):
    monkeypatch.setattr(web, "MOST", 3)
    pages = [
        json.dumps([{"0020000E": {"Value": ["1.2"]}, "00080018": {"Value": [f"1.2.{page}"]}}]).encode()
        for page in range(9)
    ]
    with serving([(200, b"")], [(200, page) for page in pages]) as (server, url):
        with pytest.raises(InputError, match="at most 3 instances"):
            web.pull(url, "1.2.3", tmp_path / "back")
        assert len(server.seen) == 4


def test_an_answer_that_breaks_off_leaves_no_files(film, tmp_path):
    study = pydicom.dcmread(film).StudyInstanceUID
    for body in (b"", film.read_bytes()[:200], b"--x\r\n\r\nnothing"):
        with serving([(200, b"")], [(200, listed(film)), (200, body)]) as (_, url), pytest.raises(InputError):
            web.pull(url, study, tmp_path / "back")
        assert not (tmp_path / "back").exists()


def test_credentials_come_from_the_environment(film, monkeypatch):
    monkeypatch.setenv(web.USER, "someone")
    monkeypatch.setenv(web.PASSWORD, "secret")
    _, seen = pushed(film, [(200, accepted(film))], [(200, listed(film))])
    assert {header for _, header, _ in seen} == {"Basic " + base64.b64encode(b"someone:secret").decode()}
    monkeypatch.setenv(web.TOKEN, "t0ken")
    with pytest.raises(InputError, match="both"):
        web.connect("http://localhost:1")
    monkeypatch.delenv(web.USER)
    with pytest.raises(InputError, match="both"):
        web.connect("http://localhost:1")
    monkeypatch.delenv(web.PASSWORD)
    _, seen = pushed(film, [(200, accepted(film))], [(200, listed(film))])
    assert {header for _, header, _ in seen} == {"Bearer t0ken"}


def test_a_netrc_file_is_not_read(film, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    _, seen = pushed(film, [(200, accepted(film))], [(200, listed(film))])
    assert {header for _, header, _ in seen} == {None}


@needs("openssl")
def test_a_certificate_is_verified_against_the_named_authority(film, tmp_path, monkeypatch):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving([(200, accepted(film))], [(200, listed(film))], context) as (_, url):
        with pytest.raises(InputError, match="certificate"):
            web.push(url, [film])
        monkeypatch.setenv(web.AUTHORITIES, str(certificate))
        assert web.push(url, [film]) == 1
    monkeypatch.setenv(web.AUTHORITIES, str(tmp_path / "none.pem"))
    with pytest.raises(InputError, match=web.AUTHORITIES):
        web.push(url, [film])


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("http://pacs.example.org/dicom-web", "https"),
        ("http://10.1.2.3/dicom-web", "https"),
        ("ftp://127.0.0.1/", "https URL"),
        ("pacs.example.org", "https URL"),
        ("https://someone:secret@pacs.example.org", "without credentials"),
    ],
)
def test_an_address_that_would_expose_data_is_refused(server, words):
    with pytest.raises(InputError, match=words) as caught:
        web.connect(server)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line(film):
    with pytest.raises(InputError, match="no connection"):
        web.push("http://127.0.0.1:9", [film])


def test_files_must_be_dicom_of_one_study_each_once(film, tmp_path):
    other = written(dx(gradient((20, 20))), tmp_path / "other.dcm")
    (tmp_path / "text.dcm").write_text("no DICOM at all" * 20)
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(film.read_bytes())
    (tmp_path / "empty").mkdir()
    for files, words in (
        ([film, other], "2 studies"),
        ([film, copy], "once"),
        ([tmp_path / "text.dcm"], "UIDs"),
        ([tmp_path / "empty"], "got none"),
        ([tmp_path / "missing.dcm"], "no file"),
    ):
        with pytest.raises(InputError, match=words):
            web.push("http://127.0.0.1:9", files)


def test_a_study_must_be_named_by_its_uid(tmp_path):
    with pytest.raises(InputError, match="Study Instance UID"):
        web.pull("http://127.0.0.1:9", "../1.2", tmp_path / "back")
