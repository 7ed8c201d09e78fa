"""One study to and from a DICOMweb server: STOW-RS, QIDO-RS and WADO-RS (PS3.18), with checks of what arrived.

Credentials come from the environment alone, so that no command line, history or file holds them. Messages name
neither patients nor UIDs.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import pydicom
import requests
import retrying
from dicomweb_client import DICOMwebClient
from pydicom import Dataset

from matex.checks import is_array, is_object
from matex.dicom.elements import items
from matex.dicom.quiet import quiet
from matex.errors import InputError, shown
from matex.files import writing

USER, PASSWORD, TOKEN = "MATEX_DICOMWEB_USER", "MATEX_DICOMWEB_PASSWORD", "MATEX_DICOMWEB_TOKEN"
AUTHORITIES = "MATEX_DICOMWEB_CA"  # file of certificates that sign the server's, where the system does not know them
TIMEOUT = (10, 120)  # seconds to connect, and between two packets of an answer
ATTEMPTS = 4  # of a request that the server is too busy for, or that breaks off
WAIT = 500  # milliseconds before the second attempt, doubled before each further one
MOST = 2000  # instances of a study that are fetched
UNCHUNKED = 1 << 40  # bytes; a body sent in chunks could not be sent a second time
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
T = TypeVar("T")


class Service(Protocol):
    """The methods used of dicomweb_client.DICOMwebClient, whose annotations leave types open."""

    def store_instances(self, datasets: Sequence[Dataset], study_instance_uid: str) -> Dataset: ...

    def search_for_instances(
        self, study_instance_uid: str, *, offset: int | None
    ) -> Sequence[Mapping[str, object]]: ...

    def retrieve_instance(
        self, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str
    ) -> Dataset: ...


Progress = Callable[[int, int], None]
"""Called after each instance with the number that is done and the number of all."""


def push(server: str, files: Sequence[Path], progress: Progress | None = None) -> int:
    """Store files of one study, and ask the server afterwards which of them it lists.

    Args:
        server: base URL of the DICOMweb service.
        files: DICOM files; of a folder, all that end in .dcm below it.
        progress: called after each instance.

    Returns:
        How many instances are stored: all of them.

    Raises:
        InputError: no files, several studies, a server that cannot be reached or trusted, or one that does not list
            every instance afterwards; the message says how many it does.
    """
    with quiet():
        client = connect(server)
        paths = _dicom_files(files)
        study, instances = _one_study(paths)
        for done, path in enumerate(paths):
            dataset = pydicom.dcmread(path)
            accepted = f"{done} of {len(paths)} objects were accepted before."
            _ask(partial(_store, client, dataset, study), accepted)
            if progress is not None:
                progress(done + 1, len(paths))
        listed = {sop for _, sop in _list(client, study)}
        stored = len(instances & listed)
    if stored < len(instances):
        raise InputError(
            f"Expected the server to list all {len(instances)} objects after storing them, got {stored}. Store them "
            "again, or look into the server's log."
        )
    return stored


def pull(server: str, study: str, folder: Path, progress: Progress | None = None) -> int:
    """Fetch all instances of a study into a folder: all of them or none.

    Args:
        server: base URL of the DICOMweb service.
        study: Study Instance UID.
        folder: for the files, named after their SOP Instance UIDs.
        progress: called after each instance.

    Returns:
        How many instances were fetched.

    Raises:
        InputError: a server that cannot be reached or trusted, no such study, or instances that arrive incomplete.
    """
    if not _is_uid(study):
        raise InputError(f"Expected a Study Instance UID, digits with points between them, got {shown(study)}.")
    with quiet():
        client = connect(server)
        instances = _list(client, study)
        if not instances:
            raise InputError("Expected a study that the server has, got one without instances. Check the UID.")
        if len(instances) > MOST:
            raise InputError(f"Expected a study of at most {MOST} instances, got {len(instances)}. Fetch single films.")
        with writing(folder) as temporary:
            for done, (series, sop) in enumerate(instances, start=1):
                dataset = _ask(partial(client.retrieve_instance, study, series, sop), "Nothing was written.")
                if dataset.get("SOPInstanceUID") != sop or dataset.get("StudyInstanceUID") != study:
                    raise InputError("Expected the requested instance, got another one. Check the server.")
                dataset.save_as(temporary / f"{sop}.dcm", enforce_file_format=True)
                if progress is not None:
                    progress(done, len(instances))
    return len(instances)


def connect(server: str) -> Service:
    """A client with verified TLS, limits on time and attempts, and credentials from the environment.

    Raises:
        InputError: a URL of another kind, or one that would send patient data in the clear over a network.
    """
    parts = urlsplit(server)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"Expected the https URL of a DICOMweb service, got {shown(_bare(server))}.")
    if parts.username or parts.password:
        raise InputError(f"Expected a URL without credentials, got one with them. Set {USER} and {PASSWORD}.")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise InputError(
            f"Expected https for a server on the network, got http: {shown(server)}. Patient data would travel "
            "in the clear."
        )
    client = DICOMwebClient(server, session=_session(parts.hostname), timeout=TIMEOUT, chunk_size=UNCHUNKED)
    client.set_http_retry_params(max_attempts=ATTEMPTS, wait_exponential_multiplier=WAIT)
    return cast(Service, client)


def _session(host: str) -> requests.Session:
    """A session that reads nothing but the environment: no .netrc, no redirection to another host."""
    session = requests.Session()
    session.trust_env = False  # requests would also read ~/.netrc
    session.max_redirects = 0
    if not _is_loopback(host) and not proxy_bypass(host):
        session.proxies.update(getproxies())
    if authorities := os.environ.get(AUTHORITIES):
        if not Path(authorities).is_file():
            raise InputError(f"Expected a file of certificates in {AUTHORITIES}, got none: {shown(authorities)}.")
        session.verify = authorities
    user, password, token = (os.environ.get(name) for name in (USER, PASSWORD, TOKEN))
    if token and (user or password):
        raise InputError(f"Expected {TOKEN}, or {USER} and {PASSWORD}, got both. Unset one of them.")
    if bool(user) != bool(password):
        raise InputError(f"Expected {USER} and {PASSWORD} together, got one of them. Set the other.")
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    elif user and password:
        session.auth = (user, password)
    return session


def _store(client: Service, dataset: Dataset, study: str) -> None:
    """Store one instance, and read in the answer that it was (PS3.18 table I.1-1)."""
    answer = client.store_instances([dataset], study)
    accepted = {str(item.ReferencedSOPInstanceUID) for item in items(answer, "ReferencedSOPSequence")}
    if answer.get("FailedSOPSequence") or dataset.SOPInstanceUID not in accepted:
        raise InputError(
            "Expected the server to accept the object, got a refusal in its answer. Look into the server's log."
        )


def _list(client: Service, study: str) -> list[tuple[str, str]]:
    """(Series, SOP) Instance UIDs of a study, page by page; one more than `MOST` at most.

    The client's own `get_remaining` never ends with a server that ignores the offset.
    """
    found: dict[str, str] = {}
    while len(found) <= MOST:
        page = _ask(partial(client.search_for_instances, study, offset=len(found) or None), "")
        pairs = [(_value(item, "0020000E"), _value(item, "00080018")) for item in page]
        if not all(_is_uid(uid) for pair in pairs for uid in pair):
            raise InputError("Expected UIDs in the server's list of instances, got other text. Check the URL.")
        before = len(found)
        found |= {sop: series for series, sop in pairs}
        if len(found) == before:
            break
    return [(series, sop) for sop, series in found.items()]


def _value(item: Mapping[str, object], tag: str) -> str:
    """The first value of an element in DICOM JSON (PS3.18 annex F); empty where there is none."""
    element = item.get(tag)
    values = element.get("Value") if is_object(element) else None
    return str(values[0]) if is_array(values) and values else ""


def _ask(request: Callable[[], T], standing: str) -> T:
    """Send a request; errors become one line without URLs, which hold UIDs.

    Args:
        request: to send.
        standing: work that is known to be complete, for the message.
    """
    try:
        return request()
    except InputError as error:
        problem = str(error)
    except requests.exceptions.SSLError:
        problem = (
            f"Expected a certificate that can be verified, got another. Name its authority's file in {AUTHORITIES}."
        )
    except requests.exceptions.Timeout:
        problem = "Expected an answer of the server in time, got none. Try later."
    except requests.exceptions.TooManyRedirects:
        problem = "Expected the service itself, got a redirection to another address. Name that one."
    except requests.exceptions.HTTPError as error:
        problem = _status(0 if error.response is None else error.response.status_code)
    except retrying.RetryError:
        problem = f"Expected the server to take the request, got {ATTEMPTS} times that it is busy. Try later."
    except requests.exceptions.ConnectionError:
        problem = "Expected a server that can be reached, got no connection. Check the address, and that it runs."
    except Exception:  # whatever parsing an answer raises, which can quote it
        problem = "Expected an answer by DICOMweb, got another. Check the URL: its path often ends in /dicom-web."
    raise InputError(f"{problem} {standing}".rstrip())


def _status(status: int) -> str:
    if status in {401, 403}:
        return f"Expected to be let in by the server, got {status}. Set {USER} and {PASSWORD}, or {TOKEN}."
    if status == 404:
        return "Expected a DICOMweb service that knows this study, got 404. Check the URL and the UID."
    return f"Expected the server to carry out the request, got status {status}. Look into the server's log."


def _dicom_files(given: Sequence[Path]) -> list[Path]:
    """The files given, and those below the folders given; an imported film first, since the others refer to it."""
    paths: list[Path] = []
    for path in given:
        paths += sorted(path.rglob("*.dcm")) if path.is_dir() else [path]
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        got = "none" if not missing else f"no file: {shown(missing[0])}"
        raise InputError(f"Expected DICOM files, got {got}. Name files, or a folder with .dcm files.")
    return sorted(paths, key=lambda path: path.name != "film.dcm")


def _one_study(paths: Sequence[Path]) -> tuple[str, set[str]]:
    """The study's UID and the instances' UIDs.

    Raises:
        InputError: a file that is no DICOM, several studies, or the same instance twice.
    """
    studies: set[str] = set()
    instances: set[str] = set()
    for path in paths:
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
            uids = str(header.StudyInstanceUID), str(header.SOPInstanceUID)
        except Exception:  # pydicom's exceptions can quote elements
            uids = ("", "")
        if not all(_is_uid(uid) for uid in uids):
            raise InputError(f"Expected DICOM files with UIDs, got another: {shown(path)}. Leave it out.")
        studies.add(uids[0])
        instances.add(uids[1])
    if len(studies) != 1:
        raise InputError(f"Expected files of one study, got {len(studies)} studies. Store one at a time.")
    if len(instances) < len(paths):
        raise InputError(
            f"Expected each object once, got {len(paths)} files of {len(instances)}. Leave the copies out."
        )
    return studies.pop(), instances


def _is_uid(text: str) -> bool:
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bare(server: str) -> str:
    """A URL without the part before an @, where credentials would be."""
    return server.rpartition("@")[2]
