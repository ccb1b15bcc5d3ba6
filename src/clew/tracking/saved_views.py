"""Saved views: how a page of the screen was set, under a name that the whole project shares."""

import sqlalchemy as sa

from clew.clock import wall_now
from clew.errors import Invalid, NotFound
from clew.identifiers import check_slug
from clew.operations import Context, Page, operation
from clew.tracking.schema import SavedView, saved_views

__all__ = ["delete_view", "list_views", "save_view"]

_MAX_ADDRESS = 8_000
_MAX_VIEWS = 500


@operation("GET /projects/{project}/saved-views", permission="tracking.read", kind="read")
def list_views(context: Context) -> Page[SavedView]:
    """The saved views of the project, by name."""
    rows = context.db.execute(sa.select(saved_views).where(saved_views.c.project == context.project).order_by(saved_views.c.name))
    return Page([SavedView(row.name, row.page, row.address, row.saved_at, row.saved_by) for row in rows])


@operation("PUT /projects/{project}/saved-views/{name}", permission="tracking.write", kind="write")
def save_view(context: Context, name: str, page: str, address: str) -> SavedView:
    """Keep a page's address under a name, in place of the view that had it. ``address`` is what stands behind the page's ``?``."""
    check_slug(name, "saved view's name")
    check_slug(page, "page")
    if len(address) > _MAX_ADDRESS:
        raise Invalid(f"the address has {len(address)} characters; a view keeps up to {_MAX_ADDRESS}")
    here = sa.and_(saved_views.c.project == context.project, saved_views.c.name == name)
    view = SavedView(name, page, address, wall_now(), context.actor)
    values = {"page": page, "address": address, "saved_at": view.saved_at, "saved_by": view.saved_by}
    if context.db.execute(sa.update(saved_views).where(here).values(**values)).rowcount:
        return view
    count = context.db.scalar(sa.select(sa.func.count()).select_from(saved_views).where(saved_views.c.project == context.project))
    if count is not None and count >= _MAX_VIEWS:
        raise Invalid(f"the project has {count} saved views, and may have {_MAX_VIEWS}; delete one first")
    context.db.execute(sa.insert(saved_views).values(project=context.project, name=name, **values))
    return view


@operation("DELETE /projects/{project}/saved-views/{name}", permission="tracking.write", kind="write")
def delete_view(context: Context, name: str) -> None:
    """Forget a saved view. Raises ``NotFound`` where there is none of that name."""
    gone = context.db.execute(sa.delete(saved_views).where(saved_views.c.project == context.project, saved_views.c.name == name))
    if not gone.rowcount:
        raise NotFound(f"no saved view {name!r} in the project {context.project!r}")
