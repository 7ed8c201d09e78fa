"""matex dicom push and pull: one study to or from a DICOMweb server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from matex.cli.printing import on_terminal
from matex.errors import MissingExtra

ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="URL",
        envvar="MATEX_DICOMWEB_URL",
        help="DICOMweb service, https or on this machine; credentials only in MATEX_DICOMWEB_USER and "
        "MATEX_DICOMWEB_PASSWORD, or MATEX_DICOMWEB_TOKEN.",
    ),
]

app = typer.Typer(help="Send DICOM objects to an archive, or fetch a study from it.", rich_markup_mode=None)


@app.command()
def push(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, or folders with .dcm files.")],
    server: ServerOption,
) -> None:
    """Store the objects of one study, and check that the server lists all of them."""
    _check_installed()
    from matex.dicom.web import push

    print(f"stored   {push(server, paths, _bar('storing'))} objects, all of which the server lists")


@app.command()
def pull(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")],
    server: ServerOption,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("study"),
) -> None:
    """Fetch all objects of one study, or none."""
    _check_installed()
    from matex.dicom.web import pull

    print(f"fetched  {pull(server, study, out, _bar('fetching'))} objects into {out}/")


def _bar(title: str) -> Callable[[int, int], None]:
    """A progress bar on a terminal, and none in a pipe."""
    from tqdm.auto import tqdm

    bar = tqdm(desc=title, disable=not on_terminal())

    def report(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return report


def _check_installed() -> None:
    """Raises MissingExtra where a package of the extra is missing."""
    try:
        import dicomweb_client  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import pydicom  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ModuleNotFoundError:
        raise MissingExtra("DICOMweb needs pydicom and dicomweb-client: pip install matex[dicom]") from None
