"""``clew serve``, ``endpoints`` and ``explain``: parse, call, print."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from clew import console
from clew.backend import Backend, current
from clew.errors import Invalid, Refused
from clew.serving.schema import Answer, EndpointStatus, Route

__all__ = ["COMMANDS", "endpoint_of", "show_status"]


def serve(
    name: Annotated[str, typer.Argument(help="An endpoint, or a model's version such as churn@1.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 7341,
    best_effort: Annotated[bool, typer.Option(help="Answer even where the disk has no room for the prediction log.")] = False,
    ungated: Annotated[bool, typer.Option("--ungated", help="A version of a gated model that its gate has not passed.")] = False,
) -> None:
    """Serve one endpoint alone, in this process, until Ctrl-C; or a model's version, which is then deployed first."""
    from clew.logs import set_up_logging
    from clew.serving.process import ServeOptions
    from clew.serving.process import serve as run
    from clew.settings import load_settings

    endpoint, at, _ = name.partition("@")
    settings = load_settings()
    console.say_where(settings)
    if at:
        endpoint = endpoint_of(current(), endpoint)
        _deploy_by_hand(current(), endpoint, name, ungated=ungated)
    set_up_logging("auto")
    console.note(f"{endpoint} answers at http://{host}:{port}/endpoints/{endpoint}/predict; Ctrl-C ends it")
    run(settings, ServeOptions(host, port, [endpoint], best_effort))


def _deploy_by_hand(backend: Backend, endpoint: str, reference: str, *, ungated: bool) -> None:
    """A version of a model without gates is served as it is; one of a gated model only where its gate has passed it, or when told to."""
    from clew.catalog import service as catalog
    from clew.serving.service import deploy, deploy_ungated

    version = backend.call(catalog.resolve, reference)
    gates = [one for one in backend.call(catalog.list_definitions, "gate").items if one.document.get("model") == version.name]
    judged = backend.call(catalog.list_verdicts, version.name, version.number).items
    if ungated or not (gates or judged):
        backend.call(deploy_ungated, endpoint, str(version.ref), "served by hand with `clew serve`")
        return
    try:
        backend.call(deploy, endpoint, str(version.ref), "served by hand with `clew serve`")
    except Refused as error:
        raise Refused(f"{error.message}. To serve it here all the same: `clew serve {version.ref} --ungated`", **error.details) from error


def endpoint_of(backend: Backend, model: str, named: str | None = None, *, new: bool = False) -> str:
    """The endpoint that is ``named``, else the one of the model, or one of its name where none is declared.

    Raises ``Invalid`` for a name that is neither declared nor served yet in a project that declares endpoints, unless it is to be
    ``new``: a slip would make an endpoint that nobody asks.
    """
    from clew.catalog.service import list_definitions
    from clew.serving.service import list_endpoints

    declared = {one.name: one.document.get("model") for one in backend.call(list_definitions, "endpoint").items}
    if named is not None:
        known = {*declared, *(one.name for one in backend.call(list_endpoints).items)}
        if declared and named not in known and not new:
            raise Invalid(f"no endpoint {named!r} is declared; there are {', '.join(sorted(known))}. --new makes one of that name")
        return named
    found = sorted(name for name, of in declared.items() if of == model)
    if len(found) > 1:
        raise Invalid(f"{model} is served by {', '.join(found)}; say which with --endpoint")
    return found[0] if found else model


def show_status(status: EndpointStatus) -> None:
    """What an endpoint serves and where, and what is tried beside it."""
    alive = [process.url for process in status.processes if process.alive]
    where = f"answered at {', '.join(alive)}" if alive else "no serving process runs; the next one serves it"
    tried = status.route.candidate
    if tried is not None:
        part = f"it answers {tried.share:.0%} of the keys" if tried.share else "in shadow, it answers nobody yet"
        console.say(
            f"{tried.ref} is on its way: {part}; {status.route.ref} answers meanwhile. `clew rollouts {status.endpoint.name}` shows it"
        )
    console.show(status, f"{status.endpoint.name} serves {status.route.ref}, epoch {status.route.epoch}: {where}")
    if status.ignored:
        fields = ", ".join(f"{name!r} ({requests:,})" for name, requests in sorted(status.ignored.items()))
        console.note(f"requests of the last hour have fields that nobody takes, and they are left out: {fields}")


@dataclass(frozen=True)
class _Shown:
    """What is said of one endpoint, as ``--json`` says it; routes and answers are the newest, newest first."""

    status: EndpointStatus
    routes: list[Route]
    answers: list[Answer]


def endpoints(name: Annotated[str | None, typer.Argument(help="One endpoint, with its routes and latest answers.")] = None) -> None:
    """List endpoints and what they serve."""
    from clew.serving import service

    backend = current()
    if name is None:
        found = backend.call(service.list_endpoints).items
        rows = ((one.name, f"{one.model}@{one.number}", one.epoch, one.deployed_at, one.deployed_by) for one in found)
        empty = "nothing is deployed yet: `clew deploy <model>@<version>`"
        console.show_rows(found, ("endpoint", "serves", "epoch", "since", "by"), rows, empty=empty)
        return
    status = backend.call(service.endpoint_status, name)
    routes = backend.call(service.route_history, name, limit=10).items
    answers = backend.call(service.answers.latest_answers, name, limit=10).items
    if console.as_json():
        console.show(_Shown(status, routes, answers), "")
        return
    show_status(status)
    lines = (
        (route.epoch, route.ref, route.cause, "ungated" if route.ungated else "gated", route.created_at, route.reason) for route in routes
    )
    console.show_rows(routes, ("epoch", "version", "cause", "gate", "since", "reason"), lines, empty="")
    told = (
        (one.prediction_id, one.event_time or one.at, f"{one.model}@{one.number}", one.error or one.probability, one.truth.state)
        for one in answers
    )
    console.show_rows(answers, ("prediction", "at", "by", "answer", "truth"), told, empty="no answer was asked for yet")


def explain(prediction_id: Annotated[str, typer.Argument(help="A prediction's id, as every answer carries it.")]) -> None:
    """Walk a prediction back to model, run, features, data and code."""
    from clew.serving.explaining import explain as run

    found = current().call(run, prediction_id)
    console.show(found, lambda: str(found))


COMMANDS: dict[str, Callable[..., Any]] = {
    "serve": serve,
    "endpoints": endpoints,
    "explain": explain,
}
