"""Records of builds: what a later build finds its cached results by."""

from typing import Any

import msgspec
import sqlalchemy as sa

from clew.catalog import service as catalog
from clew.clock import wall_now
from clew.operations import Context, Page, operation
from clew.pipelines.schema import BuildRecord, StepKey, builds

__all__ = ["list_builds", "record_build", "record_verdict"]


@operation("POST /projects/{project}/assets/{asset}/builds", permission="pipelines.build", kind="write")
def record_build(
    context: Context, asset: str, number: int, key: StepKey, trace: dict[str, str], seconds: float, run_id: str | None = None
) -> BuildRecord:
    """Keep under which key a version was built."""
    catalog.get_version(context, asset, number)
    record = BuildRecord(asset, number, key, trace, run_id, seconds, wall_now())
    context.db.execute(sa.insert(builds).values(project=context.project, **vars(record)))
    return record


@operation("GET /projects/{project}/assets/{asset}/builds", permission="pipelines.read", kind="read")
def list_builds(context: Context, asset: str, limit: int = 20) -> Page[BuildRecord]:
    """The builds of an asset, newest first."""
    query = (
        sa.select(builds)
        .where(builds.c.project == context.project, builds.c.asset == asset)
        .order_by(builds.c.id.desc())
        .limit(max(1, min(limit, 200)))
    )
    return Page([
        BuildRecord(row.asset, row.number, msgspec.convert(row.key, StepKey), row.trace, row.run_id, row.seconds, row.built_at)
        for row in context.db.execute(query)
    ])  # fmt: skip


@operation("POST /projects/{project}/assets/{model}/versions/{number}/verdicts", permission="pipelines.build", kind="write")
def record_verdict(
    context: Context,
    model: str,
    number: int,
    gate: str,
    passed: bool,
    word: str,
    reason: str,
    figures: dict[str, Any],
    key: StepKey,
    trace: dict[str, str],
    seconds: float,
) -> None:
    """Keep what a gate found; a version that it stopped is marked with the reason, unless it is or was champion.

    One that has served stays what it was: a later word on other rows, such as *not enough data yet*, takes no route back from it.
    """
    catalog.add_verdict(context, gate=gate, model=model, number=number, passed=passed, word=word, reason=reason, figures=figures)
    record_build(context, model, number, key, trace, seconds)
    newest = {one.gate: one for one in reversed(catalog.list_verdicts(context, model, number).items)}
    stopping = [one for one in newest.values() if not one.passed]
    version = catalog.get_version(context, model, number)
    served = any(move.alias == "champion" and move.number == number for move in catalog.alias_history(context, model).items)
    if stopping and not served:
        catalog.mark_version(context, model, number, "rejected", f"{stopping[0].gate}: {stopping[0].word}: {stopping[0].reason}")
    elif version.state == "rejected" and version.state_reason.partition(": ")[0] in newest:
        catalog.mark_version(context, model, number, "ready", "")  # the same version, before a gate that was mended
