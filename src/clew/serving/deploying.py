"""Deploying as a person means it: the route is changed, and this waits until the living serving processes answer by it."""

import time

from clew.backend import Backend
from clew.errors import Unavailable
from clew.serving import service
from clew.serving.schema import EndpointStatus

__all__ = ["deploy", "rollback", "taken_up"]

_LOOK_SECONDS = 0.1


def deploy(
    backend: Backend, name: str, reference: str, *, ungated: bool = False, reason: str = "", bounds: bool = True, wait_seconds: float = 30.0
) -> EndpointStatus:
    """Deploy and wait. Without a serving process there is nothing to wait for: one that starts will serve the route."""
    if ungated:
        backend.call(service.deploy_ungated, name, reference, reason, bounds)
    else:
        backend.call(service.deploy, name, reference, reason)
    return taken_up(backend, name, wait_seconds)


def rollback(backend: Backend, name: str, *, reason: str = "", wait_seconds: float = 30.0) -> EndpointStatus:
    backend.call(service.rollback, name, reason)
    return taken_up(backend, name, wait_seconds)


def taken_up(backend: Backend, name: str, wait_seconds: float) -> EndpointStatus:
    """Wait until every living serving process answers by the route in force; without one there is nothing to wait for.

    Raises ``Unavailable`` where one can't load the route, or has not after that time.
    """
    end = time.monotonic() + wait_seconds
    while True:
        status = backend.call(service.endpoint_status, name)
        alive = [process for process in status.processes if process.alive]
        if status.flipped or not alive:
            return status
        new = status.route.candidate or status.route
        failed = [process for process in alive if process.epoch == status.route.epoch and process.state == "failed"]
        if failed:
            raise Unavailable(
                f"{failed[0].url} could not load {new.ref} and goes on with what it has: {failed[0].message}; "
                f"`clew rollback {name}` takes the route back",
                process=failed[0].process,
            )
        if time.monotonic() >= end:
            raise Unavailable(
                f"{new.ref} is deployed, and not every serving process answers by its route after {wait_seconds:.0f} s; look at their logs"
            )
        time.sleep(_LOOK_SECONDS)
