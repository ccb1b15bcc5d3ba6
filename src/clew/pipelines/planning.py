"""What a build would do, and why: each step's key against the record of its last build."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clew.backend import Backend
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion, GateVerdict
from clew.datasets.service import dataset_version
from clew.definitions import ModelDefinition, definition_digest, kind_of, to_document
from clew.errors import NotFound
from clew.fields import FieldChange, changed_documents, changed_fields, written_fields
from clew.fingerprints import Code, fingerprint, first_difference
from clew.pipelines import service
from clew.pipelines.columns import UnknownColumn, refuse_unknown, unknown_columns
from clew.pipelines.graph import Graph, inputs_of
from clew.pipelines.schema import BuildRecord, Plan, PlanStep, StepKey, StepState
from clew.pipelines.tracing import matches

if TYPE_CHECKING:
    from clew.sdk.assets import Asset, Declared

__all__ = ["Planner", "difference"]

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_MOST_RECORDS = 200


class Planner:
    """Keys and states of the assets of one graph. Fingerprints are taken once for its life."""

    def __init__(self, backend: Backend, graph: Graph) -> None:
        self.backend = backend
        self.graph = graph
        self.root: Path = backend.settings.root
        self._codes: dict[int, Code] = {}

    def code(self, declared: "Declared") -> Code:
        """What the asset's function can reach; nothing where there is no function."""
        if declared.function is None:
            return Code("", {})
        if id(declared) not in self._codes:
            self._codes[id(declared)] = fingerprint(declared.function, self.root)
        return self._codes[id(declared)]

    def digest(self, declared: "Declared") -> str:
        """The digest under which the catalog keeps the definition."""
        return definition_digest(declared.definition, self.code(declared).digest)

    def key(self, asset: "Asset", inputs: Mapping[str, AssetVersion]) -> StepKey:
        """The step's key over versions of its inputs. A model's gates don't count: a gate judges what is trained, and trains nothing."""
        definition = asset.definition
        parameters: dict[str, str] = {}
        if isinstance(definition, ModelDefinition):
            parameters = {name: repr(parameter.default) for name, parameter in definition.parameters.items()} | {
                "seed": repr(definition.seed)
            }
        return StepKey(written_fields(definition), self.code(asset).parts, _digests(inputs), parameters, _PYTHON)

    def refit_key(self, key: StepKey, candidate: AssetVersion) -> StepKey:
        """The key of the refit of what was trained under ``key``."""
        return replace(key, inputs=key.inputs | _digests({candidate.name: candidate}), step="refit")

    def gate_key(self, gate: "Declared", candidate: AssetVersion, training: AssetVersion) -> StepKey:
        """The key of a gate's verdict: its code, the version that it judges, and the rows that it judges on."""
        inputs = _digests({candidate.name: candidate, training.name: training})
        return StepKey(written_fields(gate.definition), self.code(gate).parts, inputs, {}, _PYTHON, f"gate {gate.name}")

    def latest(self, name: str) -> AssetVersion | None:
        try:
            return self.backend.call(catalog.resolve, name)
        except NotFound:
            return None

    def records(self, name: str, step: str = "build") -> list[BuildRecord]:
        """The asset's records of one step, newest first."""
        return [record for record in self.backend.call(service.list_builds, name, _MOST_RECORDS).items if record.key.step == step]

    def cached(self, asset: "Asset", key: StepKey) -> BuildRecord | None:
        """The newest record of this key whose trace still holds."""
        for record in self.records(asset.name, key.step):
            if record.key == key and matches(record.trace, self.root) is None:
                return record
        return None

    def judged(self, gate: "Declared", candidate: AssetVersion, training: AssetVersion) -> GateVerdict | None:
        """The gate's verdict on a version, while its newest is one that this gate would give again."""
        key = self.gate_key(gate, candidate, training)
        newest = next((one for one in self.records(candidate.name, key.step) if one.number == candidate.number), None)
        if newest is None or newest.key != key or matches(newest.trace, self.root) is not None:
            return None
        verdicts = self.backend.call(catalog.list_verdicts, candidate.name, candidate.number).items
        return next(one for one in verdicts if one.gate == gate.name)

    def difference(self, asset: "Asset", key: StepKey) -> str:
        """The first thing in which a key differs from the last build's, in words."""
        records = self.records(asset.name, key.step)
        return difference(records[0], key, self.root) if records else "it has not been built yet"

    def unknown_columns(self, declared: "Iterable[Declared]") -> list[UnknownColumn]:
        """The columns that these name and the newest rows do not have."""
        return unknown_columns(declared, self.graph.assets, self.latest)

    def upstream(self, target: str) -> "list[Asset]":
        """What a build of the target takes, inputs first. Raises ``Invalid`` where one of them names a column that is not there."""
        assets = self.graph.upstream(target)
        refuse_unknown(self.unknown_columns(assets))
        return assets

    def plan(self, target: str) -> Plan:
        """The steps of a build of the target. Raises as ``upstream``."""
        versions: dict[str, AssetVersion] = {}
        stale: dict[str, str] = {}
        steps = []
        for asset in self.upstream(target):
            step = self._step(asset, versions, stale)
            steps.append(step)
            if isinstance(asset.definition, ModelDefinition):
                steps += self._gates(asset, step, versions)
        return Plan(target, steps)

    def _step(self, asset: "Asset", versions: dict[str, AssetVersion], stale: dict[str, str]) -> PlanStep:
        """One step; notes its version where a build would leave it, else in ``stale`` what a build does with it."""
        kind, latest = kind_of(asset.definition), self.latest(asset.name)
        number = latest.number if latest else None
        if self.graph.is_source(asset.name):
            return self._source(asset, latest, versions, stale)
        upstream = [name for name in inputs_of(asset.definition) if name in stale]
        if upstream:
            stale[asset.name] = "is built before it"
            reason = f"{upstream[0]} {stale[upstream[0]]}"
            return PlanStep(kind, asset.name, "stale" if latest else "new", reason, number, fields=self._redeclared(asset))
        key = self.key(asset, {name: versions[name] for name in inputs_of(asset.definition)})
        record = self.cached(asset, key)
        if record is None:
            stale[asset.name] = "is built before it"
            reason = self.difference(asset, key)
            return PlanStep(kind, asset.name, "stale" if latest else "new", reason, number, fields=self._redeclared(asset))
        versions[asset.name] = made = self.backend.call(catalog.get_version, asset.name, record.number)
        if isinstance(asset.definition, ModelDefinition) and asset.definition.refit and self._passed(asset, versions):
            refit = self.cached(asset, self.refit_key(key, made))
            if refit is None:
                return PlanStep(kind, asset.name, "stale", f"{made.ref} passed its gates and is not refitted yet", number)
            record = refit
        return PlanStep(kind, asset.name, "cached", f"nothing differs from {asset.name}@{record.number}", record.number)

    def _source(self, asset: "Asset", latest: AssetVersion | None, versions: dict[str, AssetVersion], stale: dict[str, str]) -> PlanStep:
        """A dataset. A build takes the rows that were appended since its newest version into one before it does anything else."""
        name = asset.name
        if latest is None:
            stale[name] = "has no rows yet"
            return PlanStep("dataset", name, "waits", f"no rows yet: clew ingest {name} <file>", None)
        found = self.backend.call(dataset_version, name, latest.number)
        note, fields = self._changed_since(asset, found.details.code), self._redeclared_since(asset, latest)
        if found.tail_rows:
            stale[name] = "grows before it"
            words = "1 row waits" if found.tail_rows == 1 else f"{found.tail_rows:,} rows wait"
            whose = f"{name}'" if name.endswith("s") else f"{name}'s"
            return PlanStep("dataset", name, "stale", f"{words} in {whose} tail", latest.number, note, fields)
        versions[name] = latest
        return PlanStep("dataset", name, "source", latest.why, latest.number, note, fields)

    def _redeclared(self, asset: "Asset") -> list[FieldChange]:
        """The fields of what is built that are declared otherwise than at its last build."""
        records = self.records(asset.name)
        return changed_fields(records[0].key.definition, written_fields(asset.definition)) if records else []

    def _redeclared_since(self, asset: "Asset", version: AssetVersion) -> list[FieldChange]:
        """The fields of a dataset that are declared otherwise than when its newest file was read."""
        if version.definition_digest == self.digest(asset):
            return []
        try:
            before = self.backend.call(catalog.get_definition, "dataset", asset.name, version.definition_digest)
        except NotFound:  # it was read before its declaration was applied
            return []
        return changed_documents(before.document, to_document(asset.definition))

    def _changed_since(self, asset: "Asset", code: Mapping[str, str]) -> str:
        """What of a dataset's code has changed since its newest file was read. No build reads files, so its rows stay as they were read."""
        changed = first_difference(dict(code), self.code(asset).parts) if code else None
        if changed is None:
            return ""
        again = f"`clew ingest {asset.name} --replace <file>` reads it anew"
        return f"its code changed since its newest file was read (code: {changed}), and no build reads a file; {again}"

    def _passed(self, asset: "Asset", versions: Mapping[str, AssetVersion]) -> bool:
        """Whether every gate of a trained model let it through, and would again."""
        trained, training = versions[asset.name], versions[inputs_of(asset.definition)[0]]
        verdicts = [self.judged(gate, trained, training) for gate in self.graph.gates.get(asset.name, [])]
        return all(verdict is not None and verdict.passed for verdict in verdicts)

    def _gates(self, asset: "Asset", step: PlanStep, versions: Mapping[str, AssetVersion]) -> list[PlanStep]:
        """What a build would do with each gate of a model."""
        gates, trained = self.graph.gates.get(asset.name, []), versions.get(asset.name)
        if trained is None:
            state: StepState = "new" if step.version is None else "stale"
            return [PlanStep("gate", gate.name, state, f"{asset.name} is built before it", step.version) for gate in gates]
        training = versions[inputs_of(asset.definition)[0]]
        return [self._gate(gate, trained, training) for gate in gates]

    def _gate(self, gate: "Declared", trained: AssetVersion, training: AssetVersion) -> PlanStep:
        verdict = self.judged(gate, trained, training)
        if verdict is not None:
            return PlanStep("gate", gate.name, "cached", f"{trained.ref} {verdict.word}: {verdict.reason}", trained.number)
        key = self.gate_key(gate, trained, training)
        records = self.records(trained.name, key.step)
        if not records:
            return PlanStep("gate", gate.name, "new", f"it has not judged {trained.ref} yet", trained.number)
        reason, fields = difference(records[0], key, self.root), changed_fields(records[0].key.definition, key.definition)
        return PlanStep("gate", gate.name, "stale", reason, trained.number, fields=fields)


def _digests(versions: Mapping[str, AssetVersion]) -> dict[str, str]:
    return {name: f"{version.definition_digest} {version.content_digest}" for name, version in versions.items()}


def difference(record: BuildRecord, key: StepKey, root: Path) -> str:
    """The first thing in which a key differs from a record: code, inputs, parameters, declaration, Python, then what was read."""
    before = record.key
    for word, old, new in (
        ("code", before.code, key.code),
        ("input", before.inputs, key.inputs),
        ("parameter", before.parameters, key.parameters),
    ):
        found = first_difference(old, new)
        if found is not None:
            return f"{word}: {found}"
    if before.definition != key.definition:
        return f"definition: {'; '.join(map(str, changed_fields(before.definition, key.definition)))}"
    if before.python != key.python:
        return f"environment: Python {before.python} became {key.python}"
    read = matches(record.trace, root)
    return f"trace: {read}" if read else f"nothing differs from {record.asset}@{record.number}"
