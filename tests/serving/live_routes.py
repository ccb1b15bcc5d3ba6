"""A route and a small model for tests, without a database behind them."""

from typing import Any

import numpy as np

from clew.clock import from_micros
from clew.serving.runtime import DirectSource, LiveModel, LiveRoute, Predict
from clew.serving.schema import RequestField, Route, RouteDocument
from clew.serving.trying import LiveCandidate


def a_route(epoch: int = 1, number: int = 1, **changed: Any) -> Route:
    fields = (
        RequestField("at", "Datetime(time_unit='us', time_zone='UTC')", required=True),
        RequestField("a", "Float64"),
        RequestField("b", "Float64"),
    )
    document = RouteDocument("late", "late", number, "sha256:" + "0" * 64, ("a", "b"), fields, key=("at",), time="at")
    values: dict[str, Any] = {"cause": "deploy", "ungated": False, "reason": "", "created_at": from_micros(0), "created_by": "test"}
    return Route("late", epoch, document, **(values | changed))


def a_live_route(predict: Predict | None = None, candidate: LiveCandidate | None = None) -> LiveRoute:
    """The route of ``a_route``, loaded; its inputs stand in the request."""
    route = a_route() if candidate is None else a_route(candidate=candidate.candidate)
    return LiveRoute(route, LiveModel(route.document, DirectSource(("a", "b")), predict or half_of_a), candidate)


def half_of_a(matrix: np.ndarray) -> np.ndarray:
    """The stub model: half of ``a``; an ``a`` of 13 is unlucky."""
    if (matrix[:, 0] == 13).any():
        raise ValueError("13")
    return matrix[:, 0] / 2
