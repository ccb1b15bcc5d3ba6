"""``clew.endpoint`` and its predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clew.definitions import EndpointDefinition, GuardDefinition, RolloutStep, check_durations
from clew.errors import Invalid
from clew.sdk.assets import Declared
from clew.sdk.border import errors_end_here
from clew.sdk.models import Model

if TYPE_CHECKING:
    from datetime import datetime

    import httpx
    import polars as pl

    from clew.delivery.schema import Rollout
    from clew.monitoring.schema import PerformanceReport, SkewReport
    from clew.serving.schema import Answer, EndpointStatus, Explanation, Route

__all__ = ["Endpoint", "Prediction", "canary", "endpoint", "guard", "shadow"]

_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Prediction:
    """One answer. ``value`` is the label's probability, or what a regression says; ``features`` are the versions of the views behind it,
    ``missing`` those that had nothing to say for this row, ``ignored`` the fields of the request's rows that nobody takes."""

    prediction_id: str
    value: float
    model: str
    features: dict[str, int]
    missing: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def probability(self) -> float:
        """``value``, by the name that it has for a classifier."""
        return self.value


@errors_end_here
class Endpoint(Declared):
    """A name that serves versions of a model. See ``clew.endpoint``."""

    definition: EndpointDefinition

    def __init__(self, definition: EndpointDefinition) -> None:
        super().__init__(definition)
        self._client: httpx.Client | None = None

    def predict(self, rows: "Sequence[Mapping[str, Any]] | Mapping[str, Any] | pl.DataFrame") -> list[Prediction]:
        """Ask about some rows; an answer for each, in order.

        A row names the training set's key and event time, its entities and the request's fields; times carry their zone.
        Raises ``Invalid`` naming row and field, ``Unavailable`` when nobody serves.
        """
        import httpx

        content = _encode(rows)
        for attempt in (1, 2):
            if self._client is None:
                self._client = httpx.Client(base_url=_address(), headers=_authorization(), timeout=_TIMEOUT_SECONDS)
            try:
                return _decode(self._client.post(self._path, content=content, headers=_HEADERS))
            except httpx.TransportError as error:
                # The process may have been started anew elsewhere: look once more where it is.
                self._client.close()
                self._client = None
                if attempt == 2:
                    raise _unreachable(error) from error
        raise AssertionError("the loop returns or raises")

    async def apredict(self, rows: "Sequence[Mapping[str, Any]] | Mapping[str, Any] | pl.DataFrame") -> list[Prediction]:
        """``predict`` for asynchronous callers. It waits in a thread, so one connection serves callers of any event loop."""
        import asyncio

        return await asyncio.to_thread(self.predict, rows)

    def deploy(
        self,
        which: int | str,
        *,
        ungated: bool = False,
        reason: str = "",
        now: bool = False,
        bounds: bool = True,
        wait_seconds: float = 30.0,
    ) -> "EndpointStatus":
        """Bring a version of the model behind the endpoint by its declared steps, and wait until serving processes have taken it up.

        It answers at once with ``now``, where no steps are declared, and where it is the first. An ``ungated`` one needs a reason, and
        may leave out the bounds that the views declare today. Raises ``Refused`` without a passed gate, ``Conflict`` while another
        version is on its way.
        """
        from clew.backend import current
        from clew.delivery.deploying import deploy

        reference = f"{self.definition.model}@{which}"
        return deploy(current(), self.name, reference, ungated=ungated, reason=reason, now=now, bounds=bounds, wait_seconds=wait_seconds)

    def rollback(self, *, reason: str = "", wait_seconds: float = 30.0) -> "EndpointStatus":
        """End the rollout that is under way, else go back to the route's last good document; and wait as ``deploy`` does."""
        from clew.backend import current
        from clew.delivery.deploying import rollback

        return rollback(current(), self.name, reason=reason, wait_seconds=wait_seconds)

    def rollouts(self, limit: int = 50) -> "list[Rollout]":
        """Versions on their way behind the endpoint and those that have been, newest first."""
        from clew.backend import current
        from clew.delivery.service import list_rollouts

        return current().call(list_rollouts, self.name, limit).items

    def promote(self, *, reason: str = "") -> "Rollout":
        """Let the version that is on its way answer all now. Raises ``NotFound`` where none is."""
        from clew.backend import current
        from clew.delivery.deploying import under_way
        from clew.delivery.service import promote_rollout

        return current().call(promote_rollout, under_way(current(), self.name).id, reason)

    def pause(self, *, reason: str = "") -> "Rollout":
        """Hold the version that is on its way at its step; the guard goes on watching."""
        from clew.backend import current
        from clew.delivery.deploying import under_way
        from clew.delivery.service import pause_rollout

        return current().call(pause_rollout, under_way(current(), self.name).id, reason)

    def resume(self, *, reason: str = "") -> "Rollout":
        """Let the version that was held go on."""
        from clew.backend import current
        from clew.delivery.deploying import under_way
        from clew.delivery.service import resume_rollout

        return current().call(resume_rollout, under_way(current(), self.name).id, reason)

    def routes(self, limit: int = 500) -> "list[Route]":
        """What the endpoint has answered by, newest first."""
        from clew.backend import current
        from clew.serving.service import route_history

        return current().call(route_history, self.name, limit=limit).items

    def status(self) -> "EndpointStatus":
        """What the endpoint serves, who serves it, and how it did lately."""
        from clew.backend import current
        from clew.serving.service import endpoint_status

        return current().call(endpoint_status, self.name)

    def answers(self, limit: int = 50) -> "list[Answer]":
        """The newest answers and errors, newest first, each with what came of it."""
        from clew.backend import current
        from clew.serving.answers import latest_answers

        return current().call(latest_answers, self.name, limit).items

    def explain(self, prediction_id: str) -> "Explanation":
        """One answer walked back to model, run, features, rows and code; ``str()`` of it is what ``clew explain`` prints."""
        from clew.backend import current
        from clew.serving.explaining import explain

        return current().call(explain, prediction_id)

    def performance(self, start: "datetime | None" = None, end: "datetime | None" = None) -> "PerformanceReport":
        """How it did on answers by event time, from ``start`` to before ``end``, whose labels have matured. The report is kept."""
        from clew.backend import current
        from clew.monitoring.service import measure_performance

        return current().call(measure_performance, self.name, start, end)

    def skew(self, start: "datetime | None" = None, end: "datetime | None" = None, *, sample: int | None = None) -> "SkewReport":
        """Recompute the features of a span's answers, all or the newest ``sample``, as known at each row's time. The report is kept."""
        from clew.backend import current
        from clew.monitoring.measuring import measure_skew

        return measure_skew(current(), self.name, start, end, sample=sample)

    @property
    def _path(self) -> str:
        return f"/endpoints/{self.name}/predict"


_HEADERS = {"content-type": "application/json"}


def endpoint(name: str, *, model: Model[..., Any], rollout: Sequence[RolloutStep] = (), guard: GuardDefinition | None = None) -> Endpoint:
    """Declare an endpoint: a name under which versions of a model answer requests. What it serves is decided by its route.

    A new version goes through the steps of ``rollout`` beside the one that answers, watched by ``guard``, before it takes over; the
    first version, and every one where there are no steps, answers at once.
    """
    shares = [step.share for step in rollout if step.kind == "canary"]
    if shares != sorted(shares):
        raise Invalid(f"the canary shares of endpoint {name!r} go down: {shares}; a rollout gives a candidate more from step to step")
    if any(step.kind == "shadow" for step in rollout[len(rollout) - len(shares) :]):
        raise Invalid(f"endpoint {name!r} has a shadow after a canary; the shadow, which answers nobody, comes first")
    return Endpoint(EndpointDefinition(name, model.name, tuple(rollout), guard))


def shadow(duration: str) -> RolloutStep:
    """A step of a rollout: the candidate scores every request for so long, and answers none of them."""
    check_durations(duration)
    return RolloutStep("shadow", duration)


def canary(share: float, duration: str) -> RolloutStep:
    """A step of a rollout: the candidate answers a share of the keys for so long, always the same ones."""
    check_durations(duration)
    if not 0 < share < 1:
        raise Invalid(f"clew.canary({share}, {duration!r}): a share lies between 0 and 1, such as 0.10; a candidate with all is promoted")
    return RolloutStep("canary", duration, share)


def guard(
    *,
    errors: float | None = None,
    p95_ms: float | None = None,
    harm: float | None = None,
    shift: float | None = None,
    alpha: float = 0.005,
) -> GuardDefinition:
    """What ends a rollout by itself: see ``GuardDefinition`` for what each limit means. Declared bounds of features always do.

    ``errors`` is a share of requests, ``p95_ms`` milliseconds, ``harm`` nats of log loss on matured labels, ``shift`` a difference of
    mean scores; ``alpha`` bounds, for each of them, the chance to end a rollout that keeps to its limit, however often one looks.
    """
    for name, value, below in (("errors", errors, 1.0), ("p95_ms", p95_ms, None), ("harm", harm, None), ("shift", shift, 1.0)):
        if value is not None and (value <= 0 or (below is not None and value >= below)):
            raise Invalid(
                f"clew.guard({name}={value}): a limit is above 0{'' if below is None else ' and below 1'}; leave it out to watch nothing"
            )
    if not 0 < alpha < 0.5:
        raise Invalid(f"clew.guard(alpha={alpha}): the chance of a false stop lies between 0 and 0.5, such as 0.005")
    return GuardDefinition(errors, p95_ms, harm, shift, alpha)


def _address() -> str:
    from clew.backend import current
    from clew.serving.addresses import serving_url

    return serving_url(current())


def _authorization() -> dict[str, str]:
    """The token, where the servers are open to others."""
    from clew.backend import current

    settings = current().settings
    made = settings.home / "token"  # by `clew up`, on this folder
    token = settings.token or (made.read_text().strip() if settings.url is None and made.is_file() else None)
    return {"authorization": f"Bearer {token}"} if token else {}


def _encode(rows: "Sequence[Mapping[str, Any]] | Mapping[str, Any] | pl.DataFrame") -> bytes:
    import msgspec

    listed: Sequence[Mapping[str, Any]]
    listed = [rows] if isinstance(rows, Mapping) else rows.to_dicts() if hasattr(rows, "to_dicts") else rows
    try:
        return msgspec.json.encode({"rows": [dict(row) for row in listed]})
    except (TypeError, ValueError) as error:
        raise Invalid(f"a row can't be sent: {error}; rows hold text, numbers, true, false, times and None") from error


def _decode(response: "httpx.Response") -> list[Prediction]:
    import msgspec

    from clew.errors import Unavailable, from_wire

    try:
        document = msgspec.json.decode(response.content)
        if not response.is_success:
            raise from_wire(document["error"])
        features, ignored = document["features"], tuple(document.get("ignored", ()))
        return [_prediction(one, features, ignored) for one in document["predictions"]]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise Unavailable(f"{response.url} answered {response.status_code}, not as a serving process does") from error


def _prediction(one: dict[str, Any], features: dict[str, int], ignored: tuple[str, ...]) -> Prediction:
    value = one["probability"] if "probability" in one else one["value"]
    return Prediction(one["prediction_id"], value, one["model"], one.get("features", features), tuple(one["missing"]), ignored)


def _unreachable(error: Exception) -> Exception:
    from clew.errors import Unavailable

    return Unavailable(f"no serving process answers ({error}); start one with `clew up` or `clew serve`")
