"""A real Orthanc on loopback, with an empty store, a password and its DICOMweb plug-in."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

PLUGIN = next(Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so*"), None)
VIEWER = next(Path("/usr/share/orthanc/plugins").glob("libOrthancWebViewer.so*"), None)
USER, PASSWORD = "tester", "not-a-secret"

needs_orthanc = pytest.mark.skipif(
    shutil.which("Orthanc") is None or PLUGIN is None, reason="orthanc and orthanc-dicomweb are not installed"
)


@contextlib.contextmanager
def running(folder):
    """Start Orthanc in a folder; yields its base URL."""
    port = free_port()
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "Plugins": [str(path) for path in (PLUGIN, VIEWER) if path is not None],
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomServerEnabled": False,
        "HttpBindAddresses": ["127.0.0.1"],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "store").mkdir()
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            await_answer(f"{url}/system", process, folder / "log")
            yield url
        finally:
            process.terminate()
            process.wait(20)


def await_answer(url, process, log):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, auth=(USER, PASSWORD), timeout=2).ok:
                return
        time.sleep(0.1)
    raise AssertionError(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
