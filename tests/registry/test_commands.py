"""``clew models``, as a person calls it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from clew import console
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.cli import app
from clew.errors import Invalid, NotFound
from clew.registry.registering import register
from clew.storage.events import emit


def call(*words: str) -> str:
    console.use_json(False)  # as in a process of its own
    done = CliRunner().invoke(app, ["models", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def as_json(*words: str) -> Any:
    return json.loads(call(*words, "--json"))


@pytest.fixture
def registered(local_backend: LocalBackend) -> LocalBackend:
    rows = np.random.default_rng(0).normal(size=(200, 2))
    for strength in (1.0, 0.1):
        register(local_backend, "churn", LogisticRegression(C=strength).fit(rows, rows[:, 0] > 0), rows)
    local_backend.call(catalog.set_alias, "churn", "champion", 1)
    return local_backend


def test_without_a_model_it_says_how_to_make_one(local_backend: LocalBackend) -> None:
    assert "clew build" in call()
    assert as_json() == []


def test_models_are_listed_with_their_aliases(registered: LocalBackend) -> None:
    assert "champion → 1" in call()
    assert [(one["name"], one["latest"], one["versions"]) for one in as_json()] == [("churn", 2, 2)]


def test_the_versions_of_one_say_why_they_are_new(registered: LocalBackend) -> None:
    shown = call("churn")
    assert "the first version" in shown
    assert "another fit than churn@1" in shown
    assert [one["number"] for one in as_json("churn")] == [2, 1]


@pytest.mark.parametrize("reference", ["churn@1", "churn@champion"])
def test_a_version_is_shown_by_its_card(registered: LocalBackend, reference: str) -> None:
    shown = call(reference)
    assert shown.startswith("# churn@1")
    assert "by no gate" in shown
    assert as_json(reference)["details"]["flavor"] == "sklearn"


def test_names_that_are_not_there_are_errors_that_teach(registered: LocalBackend) -> None:
    with pytest.raises(NotFound, match=r"nothing is named 'late'.*there is churn"):
        call("late")
    with pytest.raises(NotFound, match=r"its newest is churn@2"):
        call("churn@9")
    with registered.database.write() as connection:
        context = replace(registered.context("test"), connection=connection)
        catalog.add_version(
            context, kind="dataset", name="visits", definition_digest="d", content_digest="c", why="the first version", details={}
        )
    with pytest.raises(Invalid, match="is a dataset, not a model"):
        call("visits@1")


def test_a_model_that_retraining_does_not_improve_says_so_until_it_is_tried_again(registered: LocalBackend) -> None:
    def tell(kind: str) -> None:
        context = registered.context(registered.project)
        context.run_write(lambda inside: emit(inside, kind, "churn", {"reason": "3 retrainings in a row brought nothing"}))

    assert "retraining" not in call("churn")
    tell("model.not_improved")
    assert "retraining does not improve churn: 3 retrainings in a row brought nothing" in call("churn")
    tell("model.tried_again")
    assert "retraining" not in call("churn")
