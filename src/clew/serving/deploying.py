"""Deploying as a person means it: the route is changed, and this waits until the living serving processes answer by it."""

import time

from clew.backend import Backend
from clew.errors import Unavailable
from clew.serving import service
from clew.serving.schema import EndpointStatus, Route

__all__ = ["deploy", "rollback"]

_LOOK_SECONDS = 0.1


def deploy(
    backend: Backend, name: str, reference: str, *, ungated: bool = False, reason: str = "", bounds: bool = True, wait_seconds: float = 30.0
) -> EndpointStatus:
    """Deploy and wait. Without a serving process there is nothing to wait for: one that starts will serve the route."""
    if ungated:
        route = backend.call(service.deploy_ungated, name, reference, reason, bounds)
    else:
        route = backend.call(service.deploy, name, reference, reason)
    return _flipped(backend, route, wait_seconds)


def rollback(backend: Backend, name: str, *, reason: str = "", wait_seconds: float = 30.0) -> EndpointStatus:
    return _flipped(backend, backend.call(service.rollback, name, reason), wait_seconds)


def _flipped(backend: Backend, route: Route, wait_seconds: float) -> EndpointStatus:
    end = time.monotonic() + wait_seconds
    while True:
        status = backend.call(service.endpoint_status, route.endpoint)
        alive = [process for process in status.processes if process.alive]
        if status.flipped or not alive or status.route.epoch != route.epoch:
            return status
        for process in alive:
            if process.epoch == route.epoch and process.state == "failed":
                raise Unavailable(
                    f"{process.url} could not load {route.ref} and goes on with what it has: {process.message}; "
                    f"`clew rollback {route.endpoint}` takes the route back",
                    process=process.process,
                )
        if time.monotonic() >= end:
            raise Unavailable(
                f"{route.ref} is deployed, and not every serving process answers with it after {wait_seconds:.0f} s; look at their logs"
            )
        time.sleep(_LOOK_SECONDS)
