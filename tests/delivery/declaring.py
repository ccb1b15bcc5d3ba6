"""What the tests of delivery share."""

from datetime import UTC, datetime

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import DefinitionDraft
from clew.definitions import AnyDefinition, RolloutStep, definition_digest, kind_of, to_document

START = datetime(2013, 4, 1, 4, tzinfo=UTC)
STEPS = (RolloutStep("shadow", "2d"), RolloutStep("canary", "7d", 0.1))
SOURCE = "sha256:" + "5" * 64


def declare(backend: LocalBackend, *definitions: AnyDefinition) -> None:
    """Make these the project's definitions, as ``clew apply`` would."""
    drafts = [DefinitionDraft(kind_of(one), one.name, definition_digest(one), to_document(one)) for one in definitions]
    backend.call(catalog.apply_definitions, drafts, source=SOURCE)
