"""``clew models``: what is registered, or one version described; ``clew register``: an existing system as a version."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from clew import console
from clew.backend import current
from clew.catalog import service as catalog
from clew.registry.schema import ExternalSystem
from clew.registry.service import model_card, model_version, register_external, retraining

__all__ = ["COMMANDS", "models", "register"]


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


def register(
    name: Annotated[str, typer.Argument(help="The model.", autocompletion=console.complete_assets("model"))],
    url: Annotated[str, typer.Argument(help="Where the service scores: each row is posted to it as JSON.")],
    training: Annotated[
        str | None,
        typer.Option(
            help="The training set that says what is asked and what its label is.", autocompletion=console.complete_assets("training_set")
        ),
    ] = None,
    answer: Annotated[str, typer.Option(help="The path to the probability, such as predictions.0.probability.")] = "probability",
    timeout: Annotated[str, typer.Option(help="How long a row may take.")] = "1s",
    token_env: Annotated[str | None, typer.Option(help="The serving process's variable that holds a bearer token.")] = None,
) -> None:
    """Register a scoring service that you have as a version of a model, to deploy it and try versions beside it."""
    system = ExternalSystem.of(url, answer, timeout, token_env)
    made = current().call(register_external, name, system, training)
    console.show(made, f"{made.version.ref} is {made.version.why}")
    if training is None:
        console.note("it has no training set: it can answer, and nothing can be tried beside it; --training names one")
    console.note(f'`clew deploy {made.version.ref} --ungated --reason "the existing system"` puts Clew in front of it')


COMMANDS: dict[str, Callable[..., Any]] = {"models": models, "register": register}
