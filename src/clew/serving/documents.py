"""Making a route's document: everything that a serving process needs, looked up once, at deploy."""

from collections.abc import Iterable
from dataclasses import replace

from clew.catalog import service as catalog
from clew.catalog.schema import VersionRef
from clew.datasets.growth import details_of
from clew.definitions import FeaturesDefinition, from_document
from clew.errors import NotFound, Refused
from clew.feature_store.schema import TrainingSetDetails, UsedView, training_set_details, used_views
from clew.operations import Context, operation
from clew.registry.schema import ModelVersion
from clew.registry.service import model_version
from clew.serving.schema import RequestField, RouteDocument, ServedView

__all__ = ["make", "model_document", "training_set_of"]


def make(context: Context, endpoint: str, found: ModelVersion, *, bounds: bool = True) -> RouteDocument:
    """The document that serves a model version. Raises ``Refused`` where the version can't be served.

    The bounds that its views' definitions declare today hold beside those of the versions that it uses: a version that was built when
    nobody had declared any, or by a recipe that left them out, is held to them all the same. ``bounds=False`` leaves today's out.
    """
    details = found.details
    reference = str(found.version.ref)
    if details.external is not None:
        return _of_external(context, endpoint, found)
    if not details.onnx:
        raise Refused(
            f"{reference} has no ONNX export, and an endpoint serves that; register it with a flavor that converts", version=reference
        )
    features = tuple(field.name for field in details.signature.inputs)
    output = details.signature.outputs[0].name if details.signature.outputs else "probability"
    plain = RouteDocument(
        endpoint, found.version.name, found.version.number, details.onnx, features, (), output,
        takes_missing=details.verification.takes_missing,
    )  # fmt: skip
    if details.training_set is None:
        return replace(plain, fields=tuple(RequestField(field.name, field.dtype) for field in details.signature.inputs))
    training = training_set_of(context, details.training_set)
    assert training is not None  # the model has one
    brought = [name for use in training.views for name in use.columns]
    absent = [name for name in features if name not in brought]
    if absent:
        raise Refused(f"{reference} takes the feature {absent[0]!r}, which no view of {details.training_set} brings", version=reference)
    return replace(
        plain,
        fields=_fields(context, training),
        key=training.key,
        time=training.time,
        training_set=details.training_set,
        views=tuple(ServedView(use.view, use.number) for use in training.views),
        uses=tuple(_with_todays_bounds(context, use) for use in training.views) if bounds else training.views,
        sources=_sources(context, training.views),
    )


def _of_external(context: Context, endpoint: str, found: ModelVersion) -> RouteDocument:
    """Requests name what the training set asks for, so that a version which was trained on it can be tried beside the existing system."""
    details, version = found.details, found.version
    plain = RouteDocument(endpoint, version.name, version.number, "", (), (), external=details.external)
    training = training_set_of(context, details.training_set)
    if training is None:
        return plain
    return replace(
        plain, fields=_fields(context, training), key=training.key, time=training.time, training_set=details.training_set
    )  # fmt: skip


@operation("GET /projects/{project}/models/{name}/versions/{number}/document", permission="serving.read", kind="read")
def model_document(context: Context, name: str, number: int) -> RouteDocument:
    """What a process would need to answer with a version, at an endpoint of the model's name; no route is made."""
    return make(context, name, model_version(context, name, number))


def training_set_of(context: Context, reference: VersionRef | None) -> TrainingSetDetails | None:
    """The training set's version that a document, or a model's details, name; ``None`` for a model that was registered without one."""
    return None if reference is None else training_set_details(catalog.get_version(context, reference.name, reference.number))


def _fields(context: Context, training: TrainingSetDetails) -> tuple[RequestField, ...]:
    """Key and event time, then entities, then what request features take, each once, in the type of the spine or of its declaration."""
    spine = details_of(catalog.get_version(context, training.spine.name, training.spine.number))
    dtypes = {column.name: column.dtype for column in spine.columns}
    required = dict.fromkeys([*training.key, training.time])
    wanted = dict.fromkeys(required)
    for use in used_views(training.views):
        wanted |= dict.fromkeys(use.by.values())
    for use in used_views(training.views):
        definition = from_document(use.details.definition)
        if isinstance(definition, FeaturesDefinition) and use.details.kind == "request":
            for name, dtype in definition.request.items():
                wanted.setdefault(name)
                dtypes.setdefault(name, dtype)
    return tuple(RequestField(name, dtypes[name], name in required) for name in wanted)


def _with_todays_bounds(context: Context, use: UsedView) -> UsedView:
    """The view with the bounds of its current definition for those columns that its version declares none for."""
    own = dict(use.details.definition)
    try:
        today = catalog.get_definition(context, "feature_view", use.view).document
    except NotFound:  # nobody declares it any more
        return use
    if own.get("type") != today.get("type"):
        return use
    if own.get("aggregates"):
        declared = today.get("aggregates", {})
        own["aggregates"] = {
            name: one if one.get("bounds") else {**one, "bounds": declared.get(name, {}).get("bounds")}
            for name, one in own["aggregates"].items()
        }
    else:
        columns = {column.name for column in use.details.columns}
        inherited = {name: bounds for name, bounds in (today.get("bounds") or {}).items() if name in columns}
        own["bounds"] = {**inherited, **(own.get("bounds") or {})}
    return replace(use, details=replace(use.details, definition=own))


def _sources(context: Context, views: Iterable[UsedView]) -> dict[str, str]:
    """By view the snapshot that holds its function's code. Serving runs those of request features; recomputing runs all."""
    found = {}
    for use in used_views(views):
        if isinstance(from_document(use.details.definition), FeaturesDefinition):
            try:
                definition = catalog.get_definition(context, "feature_view", use.view, use.definition_digest or None)
            except NotFound:  # built without `apply`, as tests do: the file itself is all there is
                continue
            if definition.source:
                found[use.view] = definition.source
    return found
