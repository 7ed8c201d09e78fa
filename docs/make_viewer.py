"""Screenshots of docs/viewer.md: the viewer in Chromium, on bundled films.

python docs/make_viewer.py [STEP ...], with the extra `viewer`, Playwright and chromium; from the root of the
repository, whose tests hold the small model that hears.
"""

from __future__ import annotations

import io
import shutil
import sys
import threading
import time
from pathlib import Path

import soundfile
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import matex
from matex.viewer.app import create_app, listen, server_for
from matex.viewer.models import Models
from matex.viewer.security import new_token

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.adapters.sounding import RATE, chirp, small_model

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


def sound(page: Page) -> None:
    """A rising tone by a small model with random weights, in the dark theme."""
    page.click("#mode-explain")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    stream = io.BytesIO()
    soundfile.write(stream, chirp(2.0), RATE, format="WAV")
    page.select_option("#model", "a model that hears")
    page.select_option("#method", "grad-eclip")
    page.wait_for_timeout(1500)
    page.fill("#phrase", "a rising tone")
    page.set_input_files("#file", {"name": "chirp.wav", "mimeType": "audio/wav", "buffer": stream.getvalue()})
    page.wait_for_selector("#player")
    page.wait_for_selector("#words .word")
    page.wait_for_timeout(2500)
    page.locator("[data-key=main] .film-stage").hover(position={"x": 420, "y": 300})
    save(page, "viewer-sound.jpg")


STEPS = {"explain": explain, "audit": audit, "compare": compare, "sound": sound}


def main() -> None:
    chosen = sys.argv[1:] or list(STEPS)
    listener, token = listen("127.0.0.1", 0), new_token()
    models = Models({"tiny": lambda: matex.load("tiny"), "a model that hears": small_model})
    server = server_for(create_app(models, token))
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
        for step in chosen:
            STEPS[step](page)
        browser.close()
    server.should_exit = True
    thread.join()


if __name__ == "__main__":
    main()
