"""Deploying as a person means it: by the endpoint's declared steps, or at once, and waiting until serving processes have taken it up."""

from clew.backend import Backend
from clew.catalog import service as catalog
from clew.delivery import service
from clew.delivery.schema import Rollout
from clew.errors import Invalid, NotFound, Refused
from clew.serving import deploying
from clew.serving.schema import EndpointStatus

__all__ = ["deploy", "rollback", "under_way"]


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
    """Bring a version behind an endpoint by its declared steps; with ``now``, and where there are none, it answers at once.

    Raises ``Refused`` for a model without a number whose newest version was rejected.
    """
    if not bounds and not ungated:
        raise Invalid("the bounds of today's definitions are left out only with ungated=True, and a reason")
    if "@" not in reference:
        reference = _newest(backend, reference)
    if now:
        return deploying.deploy(backend, name, reference, ungated=ungated, reason=reason, bounds=bounds, wait_seconds=wait_seconds)
    if ungated:
        backend.call(service.roll_out_ungated, name, reference, reason, bounds)
    else:
        backend.call(service.roll_out, name, reference, reason)
    return deploying.taken_up(backend, name, wait_seconds)


def _newest(backend: Backend, model: str) -> str:
    """A model's newest version. One that was rejected has to be named, and so has one that stands before it."""
    newest = backend.call(catalog.resolve, model)
    if newest.state != "rejected":
        return str(newest.ref)
    standing = (one.ref for one in backend.call(catalog.list_versions, model).items if one.state == "ready")
    before = next((f"`clew deploy {ref}` sends the newest that was not; to" for ref in standing), "To")
    raise Refused(
        f"{newest.ref}, the newest version of {model}, was rejected: {newest.state_reason}. {before} deploy it all the same: "
        f'`clew deploy {newest.ref} --ungated --reason "…"`',
        version=str(newest.ref),
    )


def rollback(backend: Backend, name: str, *, reason: str = "", wait_seconds: float = 30.0) -> EndpointStatus:
    """End the rollout that is under way, else go back to the route's last good document."""
    try:
        rollout = under_way(backend, name)
    except NotFound:
        return deploying.rollback(backend, name, reason=reason, wait_seconds=wait_seconds)
    backend.call(service.end_rollout, rollout.id, reason)
    return deploying.taken_up(backend, name, wait_seconds)


def under_way(backend: Backend, name: str) -> Rollout:
    """The endpoint's rollout that has not ended. Raises ``NotFound`` where there is none."""
    newest = backend.call(service.list_rollouts, name, 1).items
    if not newest or not newest[0].open:
        raise NotFound(f"no version is on its way behind {name!r}; `clew deploy` sends one, `clew rollouts` shows those that have been")
    return newest[0]
