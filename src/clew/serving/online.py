"""Which view versions an endpoint keeps online: those of the route in force, and of the one that a rollback would bring back."""

from collections.abc import Iterable

from clew.catalog.schema import VersionRef
from clew.errors import Unavailable
from clew.feature_store.schema import used_views
from clew.feature_store.service import pin_views, unpin_views
from clew.operations import Context
from clew.serving.schema import RouteDocument

__all__ = ["fill", "release"]


def _owner(endpoint: str) -> str:
    return f"endpoint:{endpoint}"


def _stored(document: RouteDocument) -> list[VersionRef]:
    return [VersionRef(use.view, use.number) for use in used_views(document.uses) if use.details.kind != "request"]


def fill(context: Context, endpoint: str, documents: Iterable[RouteDocument]) -> None:
    """Bring the documents' views online, rows and all. Raises ``Unavailable`` for one that can't be filled: nothing has flipped then."""
    views = list(dict.fromkeys(view for document in documents for view in _stored(document)))
    if not views:
        return
    waiting = pin_views(context, _owner(endpoint), views).waiting
    if waiting:
        raise Unavailable(f"the online rows of {waiting[0].view} can't be brought up to date: {waiting[0].reason}", view=waiting[0].view)


def release(context: Context, endpoint: str, kept: Iterable[RouteDocument]) -> None:
    """Let go of what no kept document needs."""
    unpin_views(context, _owner(endpoint), [view for document in kept for view in _stored(document)])
