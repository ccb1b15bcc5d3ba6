"""``clew up``, ``clew gc`` and ``clew doctor``."""

from typing import Annotated, Any

import typer

from clew import console
from clew.settings import load_settings

__all__ = ["COMMANDS"]


def up(
    host: Annotated[str, typer.Option(help="The address to listen on; anything but loopback demands the token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port of API and page; 0 takes any free one.")] = 7340,
    serving_port: Annotated[int | None, typer.Option(help="The port of the endpoints; the next one unless given.")] = None,
    serving: Annotated[bool, typer.Option(help="Start the serving process too.")] = True,
    log: Annotated[str, typer.Option(help="How to log: text, json, or auto (text at a terminal).")] = "auto",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show each request at a terminal too.")] = False,
) -> None:
    """Serve this folder: the API, the page and the endpoints, until Ctrl-C."""
    from clew.logs import set_up_logging
    from clew.server.up import Addresses, UpOptions
    from clew.server.up import up as run

    def announce(addresses: Addresses) -> None:
        endpoints = f"\n  endpoints      {addresses.serving_url}" if addresses.serving_url else ""
        words = (
            f"Clew serves {addresses.home}, project {addresses.project!r}\n  page and API   {addresses.url}{endpoints}\n  Ctrl-C stops it"
        )
        console.show({**vars(addresses), "home": str(addresses.home)}, words)

    set_up_logging(log, verbose=verbose)
    settings = load_settings()
    console.say_where(settings)
    run(settings, UpOptions(host, port, serving_port, serving, log), announce)


def doctor() -> None:
    """Check this installation and this folder, and say what to mend."""
    from clew.server.doctor import examine

    findings = examine(load_settings())
    console.show(findings, lambda: "\n".join(f"{'ok  ' if item.fine else 'MEND'}  {item.what}: {item.words}" for item in findings))
    if not all(item.fine for item in findings):
        raise typer.Exit(1)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what could go; the only mode there is so far.")] = False,
) -> None:
    """Say which stored bytes nothing refers to any more."""
    from clew.backend import LocalBackend
    from clew.errors import Invalid
    from clew.server.garbage import find_garbage

    if not dry_run:
        raise Invalid("`clew gc` removes nothing yet; `clew gc --dry-run` says what nothing refers to")
    backend = LocalBackend(load_settings()).prepare()
    found = find_garbage(backend)
    console.show(found, found.words)


COMMANDS: dict[str, Any] = {"up": up, "doctor": doctor, "gc": gc}
