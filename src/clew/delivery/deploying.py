"""Deploying as a person means it: by the endpoint's declared steps, or at once, and waiting until serving processes have taken it up."""

import time

from clew.backend import Backend
from clew.delivery import service
from clew.errors import Invalid, Unavailable
from clew.serving import deploying
from clew.serving.schema import EndpointStatus
from clew.serving.service import endpoint_status

__all__ = ["deploy", "rollback"]

_LOOK_SECONDS = 0.1


def deploy(
    backend: Backend,
    name: str,
    reference: str,
    *,
    ungated: bool = False,
    reason: str = "",
    now: bool = False,
    bounds: bool = True,
    wait_seconds: float = 30.0,
) -> EndpointStatus:
    """Bring a version behind an endpoint by its declared steps; with ``now``, and where there are none, it answers at once."""
    if not bounds and not ungated:
        raise Invalid("the bounds of today's definitions are left out only with ungated=True, and a reason")
    if now:
        return deploying.deploy(backend, name, reference, ungated=ungated, reason=reason, bounds=bounds, wait_seconds=wait_seconds)
    if ungated:
        backend.call(service.roll_out_ungated, name, reference, reason, bounds)
    else:
        backend.call(service.roll_out, name, reference, reason)
    return _taken_up(backend, name, wait_seconds)


def rollback(backend: Backend, name: str, *, reason: str = "", wait_seconds: float = 30.0) -> EndpointStatus:
    """End the rollout that is under way, else go back to the route's last good document."""
    under_way = [one for one in backend.call(service.list_rollouts, name, 1).items if one.open]
    if not under_way:
        return deploying.rollback(backend, name, reason=reason, wait_seconds=wait_seconds)
    backend.call(service.end_rollout, under_way[0].id, reason)
    return _taken_up(backend, name, wait_seconds)


def _taken_up(backend: Backend, name: str, wait_seconds: float) -> EndpointStatus:
    """Wait until every living serving process answers by the route in force; without one there is nothing to wait for."""
    end = time.monotonic() + wait_seconds
    while True:
        status = backend.call(endpoint_status, name)
        alive = [process for process in status.processes if process.alive]
        if status.flipped or not alive:
            return status
        failed = [process for process in alive if process.epoch == status.route.epoch and process.state == "failed"]
        if failed:
            raise Unavailable(
                f"{failed[0].url} could not load route {status.route.epoch} and goes on with what it has: {failed[0].message}; "
                f"`clew rollback {name}` takes it back",
                process=failed[0].process,
            )
        if time.monotonic() >= end:
            raise Unavailable(
                f"route {status.route.epoch} of {name} stands, and not every serving process answers by it after {wait_seconds:.0f} s; "
                "look at their logs"
            )
        time.sleep(_LOOK_SECONDS)
