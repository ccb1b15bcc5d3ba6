"""Which model versions may be deployed: those that passed every gate, and where the recipe says refit, the refit alone."""

from clew.catalog import service as catalog
from clew.catalog.schema import VersionRef
from clew.definitions import GateDefinition, ModelDefinition, from_document
from clew.errors import NotFound, Refused
from clew.operations import Context
from clew.registry.schema import ModelVersion

__all__ = ["require_passed"]


def require_passed(context: Context, found: ModelVersion) -> None:
    """Raise ``Refused`` with the reason for a version that has not passed its gates."""
    version = found.version
    reference = str(version.ref)
    if found.details.external is not None:
        raise Refused(
            f"{reference} is the existing system at {found.details.external.host}, and no gate can judge what can't be asked about the "
            f"past{_way_out(reference)}",
            version=reference,
        )
    if version.state != "ready":
        raise Refused(f"{reference} is {version.state}: {version.state_reason}", version=reference)
    tested = found.details.refit_of or VersionRef(version.name, version.number)
    verdicts = {verdict.gate: verdict for verdict in reversed(catalog.list_verdicts(context, tested.name, tested.number).items)}
    declared = _declared_gates(context, version.name)
    for gate in sorted(declared | set(verdicts)):
        verdict = verdicts.get(gate)
        if verdict is None:
            raise Refused(
                f"{tested} has not been through the gate {gate!r}; `clew build {version.name}` runs it{_way_out(reference)}", gate=gate
            )
        if not verdict.passed:
            raise Refused(f"{tested} did not pass the gate {gate!r}: {verdict.word}, {verdict.reason}{_way_out(reference)}", gate=gate)
    if not verdicts:
        raise Refused(f"no gate has judged {reference}{_way_out(reference)}", version=reference)
    if found.details.refit_of is None and _is_refitted(context, version.name, version.definition_digest):
        raise Refused(
            f"{reference} was trained for its gate, without the newest rows; its recipe says refit, and only the refit is deployed: "
            f"`clew models {version.name}` shows it",
            version=reference,
        )


def _way_out(reference: str) -> str:
    return f'. To deploy it all the same: `clew deploy {reference} --ungated --reason "…"`'


def _declared_gates(context: Context, model: str) -> set[str]:
    gates = (from_document(one.document) for one in catalog.list_definitions(context, "gate").items)
    return {gate.name for gate in gates if isinstance(gate, GateDefinition) and gate.model == model}


def _is_refitted(context: Context, model: str, digest: str) -> bool:
    """Whether the recipe that made a version says refit; where it was only proposed and stands nowhere, the model's own one says it."""
    for recipe in (digest, None):
        try:
            definition = from_document(catalog.get_definition(context, "model", model, recipe).document)
        except NotFound:  # proposed; or registered by hand, and then nothing is declared at all
            continue
        return isinstance(definition, ModelDefinition) and definition.refit
    return False
