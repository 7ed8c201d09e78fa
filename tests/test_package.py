"""The wheel alone, in an environment and a folder of its own."""

import subprocess
import sys
import sysconfig
import venv
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent


def call(*arguments, **settings):
    done = subprocess.run([str(part) for part in arguments], capture_output=True, text=True, timeout=600, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_explains_the_bundled_films_elsewhere(wheel, tmp_path):
    """The dependencies come from the environment of the tests, so that no registry is needed."""
    venv.create(tmp_path / "fresh", with_pip=False)
    python = tmp_path / "fresh" / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    home = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (home / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    settings = {"cwd": tmp_path, "env": {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}}
    assert Path(call(python, "-c", "import matex; print(matex.__file__)", **settings).strip()).parent == home / "matex"
    out = call(tmp_path / "fresh" / "bin" / "matex", "demo", "-o", "demo", **settings)
    assert "Not for diagnosis." in out
    assert (tmp_path / "demo" / "report.html").stat().st_size > 100_000


@pytest.mark.slow
def test_the_metadata_are_complete_and_the_description_stands_alone(wheel):
    with ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
    for field in ("Summary", "Author", "License-Expression", "Keywords", "Requires-Python"):
        assert metadata[field], field
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    text = metadata.get_payload()
    assert text.startswith("# matex")
    assert "](docs/" not in text
    assert "![" not in text
