"""Screenshots of docs/viewer.md: the viewer in Chromium, on bundled films.

python docs/make_viewer.py, with the extra `viewer`, Playwright and chromium.
"""

from __future__ import annotations

import io
import shutil
import threading
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import matex
from matex.viewer.app import create_app, listen, server_for
from matex.viewer.models import Models
from matex.viewer.security import new_token

IMAGES = Path(__file__).parent / "images"
SIZE = (1600, 900)  # of the window, CSS pixels
WIDTH = 1200  # of the pictures, pixels


def save(page: Page, name: str) -> None:
    """Store what the window shows as a small JPEG."""
    page.wait_for_timeout(400)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    picture.save(IMAGES / name, quality=78, optimize=True)


def explain(page: Page) -> None:
    """A phrase explained, the reading point on the map."""
    page.locator("[data-key=main] .film-stage").hover(position={"x": 570, "y": 384})
    save(page, "viewer.jpg")


def audit(page: Page) -> None:
    """An audit with one of its controls next to the map."""
    page.select_option("#method", "raw-attention")
    page.wait_for_timeout(1500)
    page.click("#audit")
    page.wait_for_selector(".verdict")
    page.click("#audit-result button[data-value=unrelated]")
    save(page, "viewer-audit.jpg")


def compare(page: Page) -> None:
    """Phrases side by side, ranked, in the light theme."""
    page.select_option("#method", "matex")
    page.wait_for_timeout(1500)
    page.click("#theme")
    page.click("#mode-compare")
    page.click("#panel-compare button[data-value=phrases]")
    page.click("#panel-compare button.main")
    page.wait_for_selector(".ranking")
    page.locator(".tile .film-stage").first.hover(position={"x": 250, "y": 230})
    save(page, "viewer-compare.jpg")


def main() -> None:
    listener, token = listen("127.0.0.1", 0), new_token()
    server = server_for(create_app(Models({"tiny": lambda: matex.load("tiny")}), token))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.05)
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(f"http://127.0.0.1:{listener.getsockname()[1]}/{token}/")
        page.wait_for_selector("html[data-ready=yes]")
        for step in (explain, audit, compare):
            step(page)
        browser.close()
    server.should_exit = True
    thread.join()


if __name__ == "__main__":
    main()
