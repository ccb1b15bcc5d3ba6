"""``clew features`` and ``clew revert``."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from clew import console
from clew.backend import Backend, current
from clew.catalog import service as catalog
from clew.errors import Invalid
from clew.feature_store import service
from clew.feature_store.schema import FeatureViewDetails, FeatureViewVersion

__all__ = ["COMMANDS"]


def features(
    reference: Annotated[
        str | None,
        typer.Argument(autocompletion=console.complete_assets("feature_view"), help="One view, or a version such as carrier_delays@3."),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", help="Show so many rows.")] = 0,
) -> None:
    """List feature views, or show one: what it is made of, its features, and whether it is kept online."""
    backend = current()
    if reference is None:
        if rows:
            raise Invalid("name the view whose rows you want, such as `clew features origin_weather --rows 20`")
        _list(backend)
        return
    version = backend.call(catalog.resolve, reference)
    found = backend.call(service.feature_view_version, version.name, version.number)
    if rows:
        from clew.feature_store.reading import scan_version

        frame = scan_version(backend, version.name, version.number).head(rows).collect()
        console.show_rows(frame.to_dicts(), frame.columns, frame.rows(), empty="no rows")
        return
    _show(backend, found)


def _list(backend: Backend) -> None:
    page = backend.call(catalog.list_assets, "feature_view")
    online = _online(backend)
    table = []
    for item in page.items:
        pinned = ", ".join(str(number) for view, number in sorted(online) if view == item.name)
        table.append((item.name, item.latest, item.versions, pinned, item.updated_at))
    columns = ("feature view", "newest", "versions", "online", "updated")
    console.show_rows(page, columns, table, empty="no feature view yet; `clew apply` with the file that declares one, then `clew build`")


def _online(backend: Backend) -> dict[tuple[str, int], list[str]]:
    owners: dict[tuple[str, int], list[str]] = {}
    for pin in backend.call(service.list_pins).items:
        owners.setdefault((pin.view, pin.number), []).append(pin.owner)
    return owners


def _show(backend: Backend, found: FeatureViewVersion) -> None:
    version, details = found.version, found.details
    owners = _online(backend).get((version.name, version.number), [])
    console.say(f"{version.ref}: {_made_of(details)}; {version.why}")
    kept = f"kept online for {', '.join(map(_in_words, owners))}" if owners else "not kept online"
    console.say(f"entity {', '.join(one.name for one in details.entity) or 'none'}; {kept}")
    table = [(column.name, column.dtype) for column in details.columns]
    console.show_rows(found, ("feature", "type"), table, empty="no features")


def _in_words(owner: str) -> str:
    """Whom a view version is kept online for."""
    kind, _, name = owner.partition(":")
    return {"endpoint": f"the endpoint {name}", "feature_view": "the revert that brought it back"}.get(kind, owner)


def _made_of(details: FeatureViewDetails) -> str:
    inputs = ", ".join(str(one) for one in details.inputs)
    if details.kind == "windows":
        return f"windows over {inputs}, {details.rows:,} rows"
    if details.kind == "table":
        return f"{details.rows:,} rows made from {inputs}"
    return f"made from the request{f' and {inputs}' if inputs else ''}"


def revert(
    reference: Annotated[
        str, typer.Argument(autocompletion=console.complete_assets("feature_view"), help="A version such as carrier_delays@3.")
    ],
) -> None:
    """Go back to a feature view's version: definition, data and online rows together, as a new number."""
    backend = current()
    if "@" not in reference:
        raise Invalid(
            f"say which version of {reference} to go back to, such as `clew revert {reference}@3`; `clew features {reference}` shows it"
        )
    version = backend.call(catalog.resolve, reference)
    done = backend.call(service.revert_view, name=version.name, number=version.number)
    console.show(
        done,
        lambda: (
            f"{done.version.ref} is {version.ref} again: its definition, its data, and {done.online_rows:,} rows online. "
            f"Endpoints serve what they did. Your files still lead: the next `clew build` takes {version.name} as they declare it, over the "
            f"newest rows. To keep this definition, change the file back to it"
        ),
    )


COMMANDS: dict[str, Callable[..., Any]] = {"features": features, "revert": revert}
