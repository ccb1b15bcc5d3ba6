"""A card says what is recorded, and what a gate found."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import DefinitionDraft
from clew.registry.registering import register
from clew.registry.service import model_card


@pytest.fixture
def judged(local_backend: LocalBackend) -> LocalBackend:
    rows = pl.DataFrame(np.random.default_rng(0).normal(size=(200, 2)), schema=["wind", "hour"])
    register(local_backend, "late", LogisticRegression().fit(rows.to_numpy(), rows["wind"] > 0), rows, metrics={"auc": 0.75})
    missing = [
        {"view": "weather", "log_loss": 0.4, "log_loss_without": 0.87, "fallback": "hold", "log_loss_fallback": 0.45},
        {"view": "calendar", "log_loss": 0.4, "log_loss_without": None, "fallback": None, "log_loss_fallback": None},
    ]
    with local_backend.database.write() as connection:
        context = replace(local_backend.context("test"), connection=connection)
        catalog.add_verdict(
            context, gate="no_worse", model="late", number=1, passed=True, word="passed", reason="the first version",
            figures={"report": {"missing_views": missing}},
        )  # fmt: skip
    return local_backend


def test_the_card_tells_the_verdict_and_what_happens_without_each_view(judged: LocalBackend) -> None:
    card = judged.call(model_card, "late", 1).markdown
    assert "- no_worse: **passed**: the first version" in card
    assert "- auc 0.7500 in its own run" in card
    assert "- without weather its log loss was 0.870 where it was 0.400; with the declared fallback (hold) 0.450" in card
    assert "- without calendar it has no answer" in card


def test_the_card_shows_parameters_to_six_digits_and_the_declared_seed(local_backend: LocalBackend) -> None:
    rows = pl.DataFrame(np.random.default_rng(0).normal(size=(200, 2)), schema=["wind", "hour"])
    model = LogisticRegression().fit(rows.to_numpy(), rows["wind"] > 0)
    made = register(local_backend, "late", model, rows, parameters={"learning_rate": 0.026896859411709814, "leaves": 14})
    assert "- learning_rate: 0.0268969\n- leaves: 14\n" in (card := local_backend.call(model_card, "late", 1).markdown)
    assert "- seed" not in card
    draft = DefinitionDraft("model", "late", made.definition_digest, {"seed": 7})
    local_backend.call(catalog.apply_definitions, [draft], source=None)
    assert "- leaves: 14\n- seed: 7\n" in local_backend.call(model_card, "late", 1).markdown


def test_the_card_tells_how_well_the_export_was_verified(judged: LocalBackend) -> None:
    assert "on 200 real rows" in judged.call(model_card, "late", 1).markdown
