"""matex serve: the viewer on this machine."""

from __future__ import annotations

import socket
import sys
import webbrowser
from functools import partial
from typing import Annotated

import typer

from matex.cli.option_groups import ModelOptions
from matex.cli.options import PluginOption
from matex.errors import InputError, MissingExtra


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's own are a risk.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    *,
    model: ModelOptions,
    plugin: PluginOption = None,
) -> None:
    """See, compare and question maps in the browser.

    Listens on this machine only, under an address with a random token, and keeps films in memory alone. Ends with
    Ctrl + C.
    """
    try:
        from matex.viewer.app import create_app, listen
        from matex.viewer.app import serve as run
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise MissingExtra("The viewer needs starlette and uvicorn: pip install matex[viewer]") from None
    import matex
    from matex.viewer.models import Models
    from matex.viewer.security import LOOPBACK, new_token

    bundled = [entry.name for entry in matex.models() if not entry.name.endswith(":")]
    chosen = model.model or "tiny"
    further = [name for name in bundled if name != chosen]
    models = Models({chosen: model.load, **{name: partial(matex.load, name) for name in further}})
    models[chosen]  # loaded now: a model that cannot be loaded ends the command, and the first map is fast
    try:
        listener = listen(host, port)
    except OSError as error:
        raise InputError(
            f"Could not listen on {host}, port {port}: {error.strerror}. Name a free port with --port, or 0."
        ) from None
    token, port = new_token(), listener.getsockname()[1]
    names = host_names(host)
    local = names[0] in LOOPBACK and len(names) == 1
    address, *others = (f"http://{name}:{port}/{token}/" for name in names)
    if not local:
        print(
            f"matex: {host} can be reached from other machines: whoever knows the address sees the films, over a "
            "connection that is not encrypted.",
            file=sys.stderr,
        )
    print(f"Open {address}", *(f"From other machines: {other}" for other in others), sep="\n")
    print("Only who knows this address can use the viewer. Ctrl + C ends it.", flush=True)
    model.report_default()
    if browser:
        webbrowser.open(address)
    run(create_app(models, token, LOOPBACK if local else ()), listener)


def host_names(host: str) -> tuple[str, ...]:
    """Hosts for the addresses that browsers open, this machine's first.

    Args:
        host: to listen on; 0.0.0.0 and :: stand for all addresses of the machine, and no other machine can open them.
    """
    if host not in ("", "0.0.0.0", "::"):
        return (_in_address(host),)
    six = host == "::"
    return ("[::1]" if six else "127.0.0.1", _in_address(_own_address(six)))


def _own_address(six: bool) -> str:
    """Address of this machine in its network; its name where it has none."""
    # A datagram socket picks its own address when it is connected, without sending anything (RFC 5737, RFC 3849).
    family, elsewhere = (socket.AF_INET6, "2001:db8::1") if six else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            return probe.getsockname()[0]
    except OSError:
        return socket.gethostname()


def _in_address(host: str) -> str:
    """A host as addresses have it: IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host
