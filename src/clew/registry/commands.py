"""``clew models``: what is registered, or one version described."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from clew import console
from clew.backend import current
from clew.catalog import service as catalog
from clew.registry.service import model_card, model_version, retraining

__all__ = ["COMMANDS", "models"]


def models(
    reference: Annotated[
        str | None, typer.Argument(help="A model, such as late, late@7 or late@champion.", autocompletion=console.complete_assets("model"))
    ] = None,
) -> None:
    """List models, or show the versions of one, or the card of a version."""
    backend = current()
    if reference is None:
        page = backend.call(catalog.list_assets, "model")
        rows = [(one.name, one.latest, one.versions, _aliases(one.aliases), one.updated_at) for one in page.items]
        console.show_rows(
            page.items, ("model", "newest", "versions", "aliases", "updated"), rows, empty="no model yet; `clew build <model>` makes one"
        )
    elif "@" in reference:
        version = backend.call(catalog.resolve, reference)
        model = backend.call(model_version, version.name, version.number)
        console.show(model, lambda: backend.call(model_card, version.name, version.number).markdown)
    else:
        versions = backend.call(catalog.list_versions, reference).items
        if not versions:
            backend.call(catalog.resolve, reference)  # raises, saying what to do
        lines = [(str(one.ref), ", ".join(one.aliases), one.state, one.why, one.created_at) for one in versions]
        console.show_rows(versions, ("version", "aliases", "state", "why", "made"), lines, empty="")
        if not (found := backend.call(retraining, reference)).improves:
            console.note(f"retraining does not improve {reference}: {found.reason}")


def _aliases(aliases: dict[str, int]) -> str:
    return ", ".join(f"{alias} → {number}" for alias, number in sorted(aliases.items()))


COMMANDS: dict[str, Callable[..., Any]] = {"models": models}
