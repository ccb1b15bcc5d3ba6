"""What a build would do, and why: each step's key against the record of its last build."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clew.backend import Backend
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion
from clew.definitions import ModelDefinition, declared_parts, definition_digest, kind_of
from clew.errors import NotFound
from clew.fingerprints import Code, fingerprint, first_difference
from clew.pipelines import service
from clew.pipelines.graph import Graph, inputs_of
from clew.pipelines.schema import BuildRecord, Plan, PlanStep, StepKey
from clew.pipelines.tracing import matches

if TYPE_CHECKING:
    from clew.sdk.assets import Asset, Declared

__all__ = ["Planner", "difference"]


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
        """The step's key over versions of its inputs."""
        definition = asset.definition
        parameters: dict[str, str] = {}
        gates: dict[str, str] = {}
        if isinstance(definition, ModelDefinition):
            parameters = {name: repr(parameter.default) for name, parameter in definition.parameters.items()} | {
                "seed": repr(definition.seed)
            }
            gates = {part: value for gate in self.graph.gates.get(asset.name, []) for part, value in self.code(gate).parts.items()}
        digests = {name: f"{version.definition_digest} {version.content_digest}" for name, version in inputs.items()}
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        return StepKey(declared_parts(definition), self.code(asset).parts, digests, parameters, python, gates)

    def latest(self, name: str) -> AssetVersion | None:
        try:
            return self.backend.call(catalog.resolve, name)
        except NotFound:
            return None

    def records(self, name: str) -> list[BuildRecord]:
        return self.backend.call(service.list_builds, name).items

    def cached(self, asset: "Asset", key: StepKey) -> BuildRecord | None:
        """The newest record of this key whose trace still holds."""
        for record in self.records(asset.name):
            if record.key == key and matches(record.trace, self.root) is None:
                return record
        return None

    def difference(self, asset: "Asset", key: StepKey) -> str:
        """The first thing in which a key differs from the last build's, in words."""
        records = self.records(asset.name)
        return difference(records[0], key, self.root) if records else "it has not been built yet"

    def plan(self, target: str) -> Plan:
        """The steps of a build of the target."""
        versions: dict[str, AssetVersion] = {}
        stale: set[str] = set()
        steps = []
        for asset in self.graph.upstream(target):
            step = self._step(asset, versions, stale)
            steps.append(step)
            if step.state in ("stale", "new", "waits"):
                stale.add(asset.name)
        return Plan(target, steps)

    def _step(self, asset: "Asset", versions: dict[str, AssetVersion], stale: set[str]) -> PlanStep:
        kind, latest = kind_of(asset.definition), self.latest(asset.name)
        number = latest.number if latest else None
        if self.graph.is_source(asset.name):
            if latest is None:
                return PlanStep(kind, asset.name, "waits", f"no rows yet: clew ingest {asset.name} <file>", None)
            versions[asset.name] = latest
            return PlanStep(kind, asset.name, "source", latest.why, number)
        upstream = [name for name in inputs_of(asset.definition) if name in stale]
        if upstream:
            return PlanStep(kind, asset.name, "stale" if latest else "new", f"{upstream[0]} is built before it", number)
        key = self.key(asset, {name: versions[name] for name in inputs_of(asset.definition)})
        record = self.cached(asset, key)
        if record is not None:
            versions[asset.name] = self.backend.call(catalog.get_version, asset.name, record.number)
            return PlanStep(kind, asset.name, "cached", f"nothing differs from {asset.name}@{record.number}", record.number)
        return PlanStep(kind, asset.name, "stale" if latest else "new", self.difference(asset, key), number)


def difference(record: BuildRecord, key: StepKey, root: Path) -> str:
    """The first thing in which a key differs from a record: code, inputs, parameters, gates, declaration, Python, then what was read."""
    before = record.key
    for word, old, new in (
        ("code", before.code, key.code),
        ("input", before.inputs, key.inputs),
        ("parameter", before.parameters, key.parameters),
        ("gate", before.gates, key.gates),
    ):
        found = first_difference(old, new)
        if found is not None:
            return f"{word}: {found}"
    if before.definition != key.definition:
        return f"definition: {_redeclared(before.definition, key.definition)}"
    if before.python != key.python:
        return f"environment: Python {before.python} became {key.python}"
    read = matches(record.trace, root)
    return f"trace: {read}" if read else f"nothing differs from {record.asset}@{record.number}"


def _redeclared(before: dict[str, str], after: dict[str, str]) -> str:
    """The first part of a declaration that differs, with what it was and is."""
    name = next(name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name))
    if name not in before:
        return f"{name} is new, {after[name]}"
    return f"{name} was {before[name]}, and is {after[name]}" if name in after else f"{name} is gone, it was {before[name]}"
