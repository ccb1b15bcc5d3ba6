"""Registering model versions and reading them."""

import msgspec
import sqlalchemy as sa

from clew.access.service import owns_blob
from clew.catalog import service as catalog
from clew.catalog.schema import VersionRef
from clew.errors import Invalid, NotFound
from clew.operations import Context, operation
from clew.registry.card import write_card
from clew.registry.external import checked, details_of, question
from clew.registry.schema import ExternalSystem, ModelCard, ModelDetails, ModelVersion, Retraining
from clew.storage.schema import events

__all__ = ["model_card", "model_version", "register_external", "register_model", "retraining"]


@operation("POST /projects/{project}/models/{name}/versions", permission="registry.register", kind="write")
def register_model(
    context: Context, name: str, definition_digest: str, content_digest: str, why: str, details: ModelDetails, run_id: str | None = None
) -> ModelVersion:
    """A new version of a model, or the one that the same definition and content have already; its lineage in the same transaction.

    The files must have been uploaded and verified before.
    """
    if details.external is not None:
        raise Invalid("an existing system is registered by register_external, which checks its address")
    for digest in (details.files, details.onnx):
        if not owns_blob(context, digest):
            raise NotFound(f"{name!r} can't be registered: no file {digest} has been uploaded to this project", digest=digest)
    inputs = [(VersionRef(used.view, used.number), "feature") for used in details.views]
    if details.training_set is not None:
        inputs.append((details.training_set, "training"))
    if details.refit_of is not None:
        inputs.append((details.refit_of, "gated_by"))
    version = catalog.add_version(
        context, kind="model", name=name, definition_digest=definition_digest, content_digest=content_digest, why=why,
        details=details, run_id=run_id, inputs=inputs,
    )  # fmt: skip
    return model_version(context, name, version.number)


@operation("POST /projects/{project}/models/{name}/external", permission="registry.register", kind="write")
def register_external(context: Context, name: str, external: ExternalSystem, training_set: str | None = None) -> ModelVersion:
    """A scoring service of your own as a version of the model, so that it can be deployed, and versions be tried beside it.

    ``training_set`` says what key, event time and fields a request has, and what its label is; its newest version is pinned. Without one
    the system can answer, and nothing can be tried beside it. The same service again is the version that it has. Raises ``Invalid``.
    """
    checked(external)
    training = None if training_set is None else catalog.resolve(context, training_set)
    details = details_of(external, training)
    version = catalog.add_version(
        context, kind="model", name=name, definition_digest=details.recipe, content_digest=question(training),
        why=f"the existing system at {external.url}", details=details,
        inputs=[] if training is None else [(training.ref, "question")],
    )  # fmt: skip
    return model_version(context, name, version.number)


@operation("GET /projects/{project}/models/{name}/versions/{number}", permission="registry.read", kind="read")
def model_version(context: Context, name: str, number: int) -> ModelVersion:
    """One version with its details typed: signature, files, lineage, and what it has seen."""
    version = catalog.get_version(context, name, number)
    if version.kind != "model":
        raise Invalid(f"{name}@{number} is a {version.kind.replace('_', ' ')}, not a model")
    return ModelVersion(version, msgspec.convert(version.details, ModelDetails))


@operation("GET /projects/{project}/models/{name}/versions/{number}/card", permission="registry.read", kind="read")
def model_card(context: Context, name: str, number: int) -> ModelCard:
    """The version for people: what it is for and made of, how it was judged, what it must not be asked."""
    found = model_version(context, name, number)
    gated = found.details.refit_of or VersionRef(name, number)
    verdicts = catalog.list_verdicts(context, gated.name, gated.number).items
    return ModelCard(f"{name}@{number}", write_card(found, verdicts, seed=_declared_seed(context, found)))


def _declared_seed(context: Context, model: ModelVersion) -> int | None:
    """The seed of the definition that the version was built by; ``None`` where it declares none, or was registered by hand."""
    try:
        document = catalog.get_definition(context, "model", model.version.name, model.version.definition_digest).document
    except NotFound:
        return None
    seed = document.get("seed")
    return seed if isinstance(seed, int) else None


@operation("GET /projects/{project}/models/{name}/retraining", permission="registry.read", kind="read")
def retraining(context: Context, name: str) -> Retraining:
    """Whether building a model anew improves it: not any more once retrainings have brought nothing, until somebody tries again."""
    columns = events.c
    query = sa.select(columns.kind, columns.body, columns.at).where(
        columns.project == context.project, columns.subject == name, columns.kind.in_(("model.not_improved", "model.tried_again"))
    )
    newest = context.db.execute(query.order_by(columns.sequence.desc()).limit(1)).first()
    if newest is None or newest.kind == "model.tried_again":
        return Retraining(name, improves=True)
    return Retraining(name, improves=False, reason=str(newest.body["reason"]), since=newest.at)
