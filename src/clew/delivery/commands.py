"""``clew deploy``, ``rollback``, ``rollouts``, ``promote``, ``pause``, ``resume``, ``propose`` and ``triggers``."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from clew import console
from clew.backend import current
from clew.delivery.schema import Rollout, Trigger
from clew.errors import Invalid

__all__ = ["COMMANDS"]

_Version = Annotated[
    str,
    typer.Argument(
        help="A model's version, such as late@9; a model's name for its newest.", autocompletion=console.complete_assets("model")
    ),
]
_Endpoint = Annotated[str, typer.Argument(help="The endpoint.")]
_Reason = Annotated[str, typer.Option(help="Why; it stays on record.")]


def deploy(
    reference: _Version,
    endpoint: Annotated[str | None, typer.Option(help="The endpoint; the one that serves the model unless given.")] = None,
    ungated: Annotated[bool, typer.Option("--ungated", help="Without a gate's word; a permission of its own, and on record.")] = False,
    reason: Annotated[str, typer.Option(help="Why; needed with --ungated.")] = "",
    without_bounds: Annotated[bool, typer.Option("--without-bounds", help="With --ungated: without the bounds declared today.")] = False,
    now: Annotated[bool, typer.Option("--now", help="At once, without the steps that the endpoint declares.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Make the endpoint, which no file declares.")] = False,
) -> None:
    """Bring a model version behind an endpoint by its declared steps; at once where it declares none, or with --now."""
    from clew.catalog.service import resolve
    from clew.delivery.deploying import deploy as run
    from clew.serving.commands import endpoint_of, show_status

    backend = current()
    name = endpoint_of(backend, reference.partition("@")[0], endpoint, new=new)
    before = _epoch(name)
    status = run(backend, name, reference, ungated=ungated, reason=reason, now=now, bounds=not without_bounds)
    if status.route.epoch == before and status.route.candidate is None:
        newest = backend.call(resolve, status.route.document.model)
        told = "" if newest.number == status.route.document.number else f"; the newest version is {newest.ref}, {newest.state}"
        console.say(f"{status.route.ref} answers already, and nothing has changed{told}")
    show_status(status)


def _epoch(endpoint: str) -> int | None:
    from clew.serving.service import live_epochs

    return current().call(live_epochs).get(endpoint)


def rollback(endpoint: _Endpoint, reason: _Reason = "") -> None:
    """End the rollout that is under way, else go back to the route's last good document."""
    from clew.delivery.deploying import rollback as run
    from clew.serving.commands import show_status

    show_status(run(current(), endpoint, reason=reason))


def rollouts(
    endpoint: Annotated[str | None, typer.Argument(help="One endpoint, with what happened to its newest rollout.")] = None,
    limit: Annotated[int, typer.Option(help="Show so many.")] = 20,
) -> None:
    """List versions on their way behind endpoints, and those that have been, newest first."""
    from clew.delivery.service import list_rollouts
    from clew.sdk.verbs import say_overdue

    found = current().call(list_rollouts, endpoint, limit).items
    say_overdue()
    rows = (
        (one.endpoint, one.reference, one.state, _step(one), one.started_at, one.ended_at, one.history[-1].reason if one.history else "")
        for one in found
    )
    columns = ("endpoint", "version", "state", "step", "from", "to", "why")
    console.show_rows(found, columns, rows, empty="no version has been on its way yet: `clew deploy <model>@<version>` sends one")
    if endpoint is not None and found and not console.as_json():
        told = ((one.at, one.state, one.step + 1, one.by, one.reason) for one in found[0].history)
        console.show_rows(found[0].history, ("at", "state", "step", "by", "why"), told, empty="")
        if found[0].harm is not None:
            console.say(_harm(found[0]))


def _step(rollout: Rollout) -> str:
    step = rollout.at_step
    share = f" {step.share * 100:.0f} %" if step.share else ""
    return f"{rollout.step + 1} of {len(rollout.steps)}: {step.kind}{share} for {step.duration}"


def _harm(rollout: Rollout) -> str:
    harm = rollout.harm
    assert harm is not None  # the caller looked
    counted = f"{harm.blocks} {harm.unit}, {harm.rows:,} rows"
    if harm.mean is None or harm.low is None or harm.high is None:
        return f"harm: {harm.word} ({counted})"
    return (
        f"harm: {harm.word}; log loss {harm.mean:+.4f} nats against the champion, 95 % {harm.low:+.4f} to {harm.high:+.4f} at every look, "
        f"{harm.tolerance:g} may be ({counted})"
    )


def promote(endpoint: _Endpoint, reason: _Reason = "") -> None:
    """Let the version that is on its way answer all now."""
    from clew.delivery.deploying import under_way
    from clew.delivery.service import promote_rollout

    _show(current().call(promote_rollout, under_way(current(), endpoint).id, reason))


def pause(endpoint: _Endpoint, reason: _Reason = "") -> None:
    """Hold the version that is on its way at its step; the guard goes on watching."""
    from clew.delivery.deploying import under_way
    from clew.delivery.service import pause_rollout

    _show(current().call(pause_rollout, under_way(current(), endpoint).id, reason))


def resume(endpoint: _Endpoint, reason: _Reason = "") -> None:
    """Let the version that was held go on."""
    from clew.delivery.deploying import under_way
    from clew.delivery.service import resume_rollout

    _show(current().call(resume_rollout, under_way(current(), endpoint).id, reason))


def _show(rollout: Rollout) -> None:
    last = rollout.history[-1]
    console.show(rollout, f"{rollout.reference} behind {rollout.endpoint} is {rollout.state}, {_step(rollout)}: {last.reason}")


def propose(
    model: Annotated[str, typer.Argument(help="A model's name.", autocompletion=console.complete_assets("model"))],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="What to change: late_training.last=30d, late.max_leaf_nodes=15.")
    ] = None,
    files: Annotated[list[Path] | None, typer.Option("--file", "-f", help="A file with definitions; [tool.clew] files else.")] = None,
    roll_out: Annotated[bool, typer.Option(help="Send what the gate lets through on its way behind the model's endpoints.")] = True,
) -> None:
    """Build a candidate by a changed recipe, which must be better, and leave the definitions as they are.

    One that the gate rejects ends it with 0: a verdict is no failure of the command. CI asks `--json` for the `state`.
    """
    from clew.sdk import verbs
    from clew.sdk.files import load_files

    load_files(current().settings, files or ())
    pairs = dict(one.partition("=")[::2] for one in changes or ())
    if not all(pairs.values()):
        raise Invalid("--set takes asset.field=value, such as --set late_training.last=30d")
    version = verbs.propose(model, pairs, roll_out=roll_out)
    console.show(version, lambda: f"{version.ref} is {version.state}: {version.state_reason or version.why}")


triggers = typer.Typer(invoke_without_command=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
_Trigger = Annotated[str, typer.Argument(help="The trigger's name.")]


@triggers.callback()
def _list_triggers(context: typer.Context) -> None:
    """List triggers and what they have brought, or `fire`, `pause`, `resume` one."""
    if context.invoked_subcommand is not None:
        return
    from clew.delivery.service import list_triggers
    from clew.sdk.verbs import say_overdue

    found = current().call(list_triggers).items
    say_overdue()
    rows = ((one.name, one.model, _conditions(one), one.state, one.next_at, len(one.builds), _last(one)) for one in found)
    columns = ("trigger", "builds", "when", "state", "next", "so far", "the last")
    console.show_rows(found, columns, rows, empty="no trigger is declared: clew.on(…), then `clew apply`")


def _conditions(trigger: Trigger) -> str:
    return " or ".join(f"{one.cron} ({one.zone})" if one.kind == "cron" else f"{one.monitor} says worse" for one in trigger.conditions)


def _last(trigger: Trigger) -> str:
    if trigger.state != "active":
        return trigger.reason + ("; retraining does not improve the model" if trigger.not_improved else "")
    return trigger.builds[0].outcome if trigger.builds else ""


@triggers.command("fire")
def _fire(name: _Trigger, reason: _Reason = "") -> None:
    """Ask for the build now."""
    from clew.delivery.service import fire_trigger

    job = current().call(fire_trigger, name, reason)
    console.show(job, f"the build {job.id} of {job.subject} is {job.state}")


@triggers.command("pause")
def _pause(name: _Trigger, reason: _Reason = "") -> None:
    """Let it ask for nothing until it is resumed."""
    from clew.delivery.service import pause_trigger

    trigger = current().call(pause_trigger, name, reason)
    console.show(trigger, f"{name} is {trigger.state}: {trigger.reason}")


@triggers.command("resume")
def _resume(name: _Trigger, reason: _Reason = "") -> None:
    """Let it ask again; what its earlier builds brought counts no more."""
    from clew.delivery.service import resume_trigger

    trigger = current().call(resume_trigger, name, reason)
    console.show(trigger, f"{name} is {trigger.state}")


COMMANDS: dict[str, Callable[..., Any]] = {
    "deploy": deploy, "rollback": rollback, "rollouts": rollouts, "promote": promote, "pause": pause, "resume": resume, "propose": propose,
    "triggers": triggers,
}  # fmt: skip
