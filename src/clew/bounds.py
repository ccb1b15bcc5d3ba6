"""Bounds: hard limits of a number, as ``bounds=`` declares them, checked once and said in words."""

import math
from numbers import Real
from typing import Any

from clew.errors import Invalid

__all__ = ["Bounds", "bounds_in_words", "number_in_words", "settled_bounds", "within"]

Bounds = tuple[float | None, float | None]
"""The least and the greatest value that may be, both included; ``None`` leaves a side open."""


def within(value: float, bounds: Bounds) -> bool:
    """Whether a number is inside its bounds. NaN is a missing value, and no violation.

    >>> within(140, (-60, 140)), within(140.1, (-60, 140)), within(float("nan"), (0, 1))
    (True, False, True)
    """
    low, high = bounds
    return not ((low is not None and value < low) or (high is not None and value > high))


def bounds_in_words(bounds: Bounds) -> str:
    """Bounds as an error says them, with every digit that was declared.

    >>> bounds_in_words((-60, 140.5)), bounds_in_words((0, None))
    ('between -60 and 140.5', 'at least 0')
    """
    low, high = ("" if side is None else number_in_words(side) for side in bounds)
    return f"between {low} and {high}" if low and high else f"at least {low}" if low else f"at most {high}"


def number_in_words(value: float) -> str:
    """A number with every digit that was declared; a whole one without a point.

    >>> number_in_words(0.25), number_in_words(50.0)
    ('0.25', '50')
    """
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))


def settled_bounds(bounds: Any, where: str) -> Bounds:  # Any: whatever the user wrote
    """Bounds as two floats, an infinite side as an open one, so that equal limits are one declaration and travel as JSON.

    Raises ``Invalid``, beginning with ``where``, for what limits nothing or leaves nothing.
    """
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise Invalid(f"{where}: bounds are a pair, the least and the greatest value that may be, such as (0, 1), or (0, None)")
    low, high = _side(bounds[0], -math.inf, where), _side(bounds[1], math.inf, where)
    if low > high:
        raise Invalid(f"{where}: the lower bound lies above the upper one, so every value would be refused; write the smaller one first")
    if math.isinf(low) and math.isinf(high):
        raise Invalid(f"{where}: both sides are open, so nothing is limited; give a number, or leave the bounds out")
    return None if math.isinf(low) else low, None if math.isinf(high) else high


def _side(side: Any, open_side: float, where: str) -> float:
    if side is None:
        return open_side
    if isinstance(side, bool) or not isinstance(side, Real):
        raise Invalid(f"{where}: {side!r} is no number; only numbers have bounds, and None leaves a side open")
    try:
        number = float(side) + 0.0  # no -0.0 beside 0.0
    except OverflowError:  # a whole number of more digits than a float has room for
        number = -math.inf if side < 0 else math.inf
    if math.isnan(number):
        raise Invalid(f"{where}: NaN is no bound, since nothing is above or below it; None leaves a side open")
    if math.isinf(number) and number != open_side:
        raise Invalid(f"{where}: nothing can lie beyond {number}; None leaves a side open")
    return number
