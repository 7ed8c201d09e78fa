"""A viewer that runs in a thread of the tests, with the bundled model."""

import http.client
import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

import matex
from matex.viewer.app import create_app, listen, server_for
from matex.viewer.limits import Limits
from matex.viewer.models import Models

TOKEN = "test-token"
LOCAL = ("127.0.0.1", "localhost", None)


@dataclass(frozen=True)
class Answer:
    """A response that has arrived."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Running:
    """A running viewer."""

    port: int
    app: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{TOKEN}/"

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """One request as bytes; paths are relative to the token unless they begin with a slash."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            where = path if path.startswith("/") else f"/{TOKEN}/{path}"
            connection.request(method, where, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, values: Any) -> Answer:
        return self.ask("POST", path, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def result(self, path: str, values: Any) -> Any:
        """The result of a job."""
        job = self.post(path, values).json()["job"]
        while (answer := self.get(f"api/jobs/{job}").json())["state"] in ("waiting", "running"):
            pass
        assert answer["state"] == "done", answer
        return answer["result"]


def run_viewer(limits: Limits | None = None, models: Models | None = None) -> Iterator[Running]:
    """Start a viewer on a free port, and stop it afterwards."""
    listener = listen("127.0.0.1", 0)
    app = create_app(models or Models({"tiny": lambda: matex.load("tiny")}), TOKEN, limits=limits)
    server = server_for(app, limits)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Running(listener.getsockname()[1], app)
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="session")
def viewer() -> Iterator[Running]:
    yield from run_viewer()


@pytest.fixture(scope="session")
def film(viewer) -> str:
    """Identifier of a bundled film."""
    return viewer.post("api/films/bundled", {"name": "left-lower-opacity"}).json()["id"]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright; skipped where one of the two is not installed."""
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield running
        running.close()


@pytest.fixture(scope="session")
def shared_context(browser) -> Iterator[Any]:
    """One context for pages without options of their own: the viewer stores nothing in the browser."""
    context = browser.new_context(accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def open_page(browser, shared_context) -> Iterator[Any]:
    """Open pages; afterwards, no page may have asked another host or met an error."""
    faults: list[str] = []
    opened_here: list[Any] = []  # pages, and contexts of pages with options

    def note(request: Any) -> None:
        if request.url.split(":", 1)[0] not in ("data", "blob") and urlsplit(request.url).hostname not in LOCAL:
            faults.append(f"asked {request.url}")

    def note_console(message: Any) -> None:
        if message.type == "error" and "status of 422" not in message.text:  # a refusal that the page shows
            faults.append(message.text)

    def opened(address: str, width: int = 1600, height: int = 1000, **options: Any) -> Any:
        context = browser.new_context(**options) if options else shared_context
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        opened_here.append(context if options else page)
        page.set_default_timeout(20_000)
        page.on("request", note)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", note_console)
        page.goto(address)
        return page

    yield opened
    for one in opened_here:
        one.close()
    assert faults == []


@pytest.fixture
def page(open_page, viewer) -> Any:
    """The viewer with its first film explained."""
    opened = open_page(viewer.url)
    opened.wait_for_selector("html[data-ready=yes]")
    return opened
