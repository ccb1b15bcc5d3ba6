"""The errors that Clew raises, one small tree, each with a stable ``code`` that survives the wire.

::

    ClewError
    ├── Invalid             400  the request or the definition is wrong: mend it and try again
    │   └── TooLarge        413  over a declared limit
    ├── Unauthenticated     401  no token, or not one that we know
    ├── Forbidden           403  known, but not allowed
    ├── NotFound            404  no such name, version, run or prediction
    ├── Conflict            409  clashes with what is there (name, alias, lease, running process)
    ├── Refused             422  well-formed data that breaks a declared rule (expectation, gate, bound)
    │   ├── OutOfBounds     422  a feature lies outside its declared bounds: view, column, value, bounds, rows
    │   └── MissingFeature  422  a feature is missing, and the model takes no missing values: view, column, rows
    ├── BuildFailed         500  a user's step raised; carries its output
    ├── Unavailable         503  a part is not up, or not yet
    │   ├── StorageFull     503  the disk is full: nothing was half-written
    │   └── StillRunning    503  the same request is at work: ask again, with its key, for its answer
    ├── ExternalFailed      502  the existing system behind an endpoint gave no answer, or none that is one
    │   └── ExternalTimeout 504  it gave none within its time
    └── MissingDependency   501  an optional library is absent; says the command that installs it

``Pruned`` is control flow, not an error: a trial that was cut short.
"""

from typing import Any, ClassVar

__all__ = [
    "BuildFailed",
    "ClewError",
    "Conflict",
    "ExternalFailed",
    "ExternalTimeout",
    "Forbidden",
    "Invalid",
    "MissingDependency",
    "MissingFeature",
    "NotFound",
    "OutOfBounds",
    "Pruned",
    "Refused",
    "StillRunning",
    "StorageFull",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "from_wire",
]


class ClewError(Exception):
    """Anything that Clew refuses or fails at. ``details`` carries the values that the message speaks of."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, **details: Any) -> None:  # Any: details travel as JSON
        super().__init__(message)
        self.message = message
        self.details = details

    def to_wire(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "details": self.details}

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes send errors by pickle; the default would drop the keyword details.
        return _rebuild, (type(self), self.message, self.details)


class Invalid(ClewError):
    code, status = "invalid", 400


class TooLarge(Invalid):
    code, status = "too_large", 413


class Unauthenticated(ClewError):
    code, status = "unauthenticated", 401


class Forbidden(ClewError):
    code, status = "forbidden", 403


class NotFound(ClewError):
    code, status = "not_found", 404


class Conflict(ClewError):
    code, status = "conflict", 409


class Refused(ClewError):
    code, status = "refused", 422


class OutOfBounds(Refused):
    code = "out_of_bounds"


class MissingFeature(Refused):
    code = "missing_feature"


class BuildFailed(ClewError):
    code, status = "build_failed", 500


class MissingDependency(ClewError):
    code, status = "missing_dependency", 501


class Unavailable(ClewError):
    code, status = "unavailable", 503


class StorageFull(Unavailable):
    code, status = "storage_full", 503


class StillRunning(Unavailable):
    code, status = "still_running", 503


class ExternalFailed(ClewError):
    code, status = "external_failed", 502


class ExternalTimeout(ExternalFailed):
    code, status = "external_timeout", 504


class Pruned(Exception):
    """Raised inside a trial by ``clew.log(step=…)`` when the study cuts it short."""


def _rebuild(kind: type[ClewError], message: str, details: dict[str, Any]) -> ClewError:
    return kind(message, **details)


def _tree(kind: type[ClewError]) -> list[type[ClewError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _tree(child))]


def from_wire(document: dict[str, Any]) -> ClewError:
    """The same class of error that the server raised, found by its ``code``."""
    by_code = {kind.code: kind for kind in _tree(ClewError)}
    kind = by_code.get(str(document.get("code")), ClewError)
    return kind(str(document.get("message", "the server gave no message")), **dict(document.get("details") or {}))
