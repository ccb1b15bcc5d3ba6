"""The command line. Each command lives in its slice's ``commands.py`` and is imported when it is called: ``clew --help`` stays quick."""

import functools
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from typer.core import TyperCommand, TyperGroup

from clew import console
from clew.errors import ClewError
from clew.sdk.border import place_in_words
from clew.settings import full_tracebacks

__all__ = ["app", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("clew.server.commands", "Serve this folder: the API, the page and the endpoints."),
    "apply": ("clew.pipelines.commands", "Show what would change, then make the file's definitions the project's."),
    "plan": ("clew.pipelines.commands", "Show what a build would do, without doing it."),
    "build": ("clew.pipelines.commands", "Build everything stale upstream of an asset, in parallel, cached."),
    "why": ("clew.pipelines.commands", "Say the first thing that differs from the last build."),
    "ingest": ("clew.datasets.commands", "Add a file to a dataset: one more version, checked on the way in."),
    "serve": ("clew.serving.commands", "Serve one endpoint alone, in this process."),
    "deploy": ("clew.delivery.commands", "Bring a model version behind an endpoint, by its declared steps."),
    "rollback": ("clew.delivery.commands", "End a rollout, or go back to a route's last good document."),
    "revert": ("clew.feature_store.commands", "Go back to a feature view's version: definition, data and online rows together."),
    "explain": ("clew.serving.commands", "Walk a prediction back to model, run, features, data and code."),
    "sync": ("clew.tracking.commands", "Ship what dead processes left in their journals."),
    "cut": ("clew.datasets.commands", "Cut appended rows into a dataset version."),
    "runs": ("clew.tracking.commands", "List runs, or show one."),
    "datasets": ("clew.datasets.commands", "List datasets, or show one."),
    "features": ("clew.feature_store.commands", "List feature views, or show one."),
    "models": ("clew.registry.commands", "List models, or show one."),
    "register": ("clew.registry.commands", "Register a scoring service that you have as a version of a model."),
    "endpoints": ("clew.serving.commands", "List endpoints and what they serve."),
    "performance": ("clew.monitoring.commands", "Measure how an endpoint did, on labels that have come."),
    "skew": ("clew.monitoring.commands", "Recompute what an endpoint was asked, and say what differs."),
    "shadow": ("clew.monitoring.commands", "Say whether a version would have decided better than people or another system."),
    "monitors": ("clew.monitoring.commands", "List monitors and what they found, or look."),
    "alerts": ("clew.monitoring.commands", "List alerts; acknowledge, silence or resolve one."),
    "rollouts": ("clew.delivery.commands", "List versions on their way behind endpoints."),
    "promote": ("clew.delivery.commands", "Let the version that is on its way answer all."),
    "pause": ("clew.delivery.commands", "Hold a rollout at its step."),
    "resume": ("clew.delivery.commands", "Let a rollout that was held go on."),
    "propose": ("clew.delivery.commands", "Build a candidate by a changed recipe, which must be better."),
    "triggers": ("clew.delivery.commands", "List triggers; fire, pause or resume one."),
    "gc": ("clew.server.commands", "Say which stored bytes nothing refers to any more."),
    "doctor": ("clew.server.commands", "Check this installation and this folder, and say what to mend."),
}
"""Where each command lives, and its line in ``clew --help``."""


_INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""
_JSON = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]


class _Interrupted(Exception):
    """Somebody pressed Ctrl-C; says what became of the command's work."""


class _Lazy(TyperGroup):
    """Imports a command's module when the command is named; the list of commands needs none of them."""

    _listing = False

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:  # Typer would leave without a word
            raise _Interrupted(str(interrupt)) from None

    def list_commands(self, ctx: Any) -> list[str]:  # Any: Typer's own context class is private to it
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, summary = COMMANDS[cmd_name]
        if self._listing:
            return TyperCommand(cmd_name, help=summary, short_help=summary)
        function = _find(cmd_name, module)
        return _built(cmd_name, function, summary)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        self._listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._listing = False


def _find(name: str, module: str) -> Any:  # Any: a function, or a Typer application for a command with parts
    return dict(importlib.import_module(module).COMMANDS)[name]


def _built(name: str, function: Any, summary: str) -> Any:
    """The command for a function or a Typer application, with ``--json`` added to it."""
    if isinstance(function, typer.Typer):
        parts = function
        for registered in parts.registered_commands:
            registered.callback = _with_json(registered.callback)
        if parts.registered_callback is not None:
            parts.registered_callback.callback = _with_json(parts.registered_callback.callback)
    else:
        parts = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        parts.command(name)(_with_json(function))
    command: Any = typer.main.get_command(parts)
    command.name = name
    command.help = command.help or summary
    return command


def _with_json(function: Any) -> Any:
    """The function with one more option, which tells ``clew.console`` how to speak."""
    signature = inspect.signature(function)
    if "as_json" in signature.parameters:
        return function  # a command with parts is built once a call, and keeps what it was given
    option = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_JSON)

    @functools.wraps(function)
    def run(*args: Any, as_json: bool, **kwargs: Any) -> Any:
        console.begin()
        if as_json:
            console.use_json(True)
        return function(*args, **kwargs)

    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]  # inspect reads it
    run.__annotations__ = {**function.__annotations__, "as_json": _JSON}
    return run


app = typer.Typer(cls=_Lazy, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _show_version(wanted: bool) -> None:
    if wanted:
        import clew

        print(f"clew {clew.__version__}")
        raise typer.Exit


@app.callback()
def _clew(
    version: bool = typer.Option(False, "--version", help="Print the version and leave.", callback=_show_version, is_eager=True),
) -> None:
    """The whole life of a machine-learning model, on one thread from any prediction back to data and code."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and leave. An error of Clew is one line that teaches, or one JSON document with ``--json``; the status is 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    console.use_json(False)
    sys.exit(_guarded(lambda: app(arguments, prog_name="clew", standalone_mode=True), wants_json="--json" in arguments))


def _guarded(run: Callable[[], object], *, wants_json: bool) -> int:
    try:
        run()
    except ClewError as error:
        _complain(error, wants_json=wants_json)
        return 1
    except BrokenPipeError:  # `clew runs | head`: the reader has seen enough
        sys.stderr.close()
        return 0
    except (KeyboardInterrupt, _Interrupted) as interrupt:
        print(f"clew: interrupted{f': {interrupt}' if str(interrupt) else ''}", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _complain(error: ClewError, *, wants_json: bool) -> None:
    if full_tracebacks():
        traceback.print_exception(error)
    if wants_json:
        document = {"error": {**error.to_wire(), "details": {name: _plain(value) for name, value in error.details.items()}}}
        print(msgspec.json.encode(document).decode())
        return
    print(f"clew: {error.message}", file=sys.stderr)
    for more in (place_in_words(error), error.details.get("output")):
        if isinstance(more, str) and more.strip():
            print(more.rstrip(), file=sys.stderr)


def _plain(value: Any) -> Any:
    try:
        return msgspec.to_builtins(value)
    except TypeError:
        return repr(value)


if __name__ == "__main__":
    main()
