"""A fitted model in two lines, from a run or a notebook."""

from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.errors import Conflict, Invalid, NotFound
from clew.registry.loading import load_scorer, load_version
from clew.registry.registering import register
from clew.registry.service import model_version, register_model
from clew.testing.server import LiveServer


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pl.DataFrame(np.random.default_rng(0).normal(size=(500, 3)), schema=["age", "visits", "spent"])


@pytest.fixture(scope="module")
def model(rows: pl.DataFrame) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=5).fit(rows.to_numpy(), rows["age"] > 0)


def test_a_registered_model_loads_and_names_its_features(
    backend: LocalBackend, rows: pl.DataFrame, model: HistGradientBoostingClassifier
) -> None:
    version = register(backend, "churn", model, rows.head(20), metrics={"auc": 0.9}, parameters={"depth": 3})
    details = backend.call(model_version, "churn", version.number).details
    assert [field.name for field in details.signature.inputs] == ["age", "visits", "spent"]
    assert (details.metrics, details.parameters) == ({"auc": 0.9}, {"depth": 3})
    loaded = load_version(backend, "churn", 1)
    assert np.array_equal(loaded.predict_proba(rows.to_numpy()), model.predict_proba(rows.to_numpy()))


def test_the_same_model_again_is_the_same_version(
    local_backend: LocalBackend, rows: pl.DataFrame, model: HistGradientBoostingClassifier
) -> None:
    first = register(local_backend, "churn", model, rows)
    again = register(local_backend, "churn", model, rows)
    assert (first.number, first.why) == (again.number, "the first version")


def test_another_fit_is_another_version_and_says_so(
    local_backend: LocalBackend, rows: pl.DataFrame, model: HistGradientBoostingClassifier
) -> None:
    register(local_backend, "churn", model, rows)
    other = HistGradientBoostingClassifier(max_iter=6).fit(rows.to_numpy(), rows["age"] > 0)
    second = register(local_backend, "churn", other, rows)
    assert (second.number, second.why) == (2, "another fit than churn@1")
    renamed = register(local_backend, "churn", other, rows.rename({"spent": "paid"}))
    assert (renamed.number, renamed.why) == (3, "another signature than churn@2")


@pytest.mark.parametrize("as_pandas", [True, False])
def test_pandas_and_matrices_are_examples_too(
    local_backend: LocalBackend, rows: pl.DataFrame, model: HistGradientBoostingClassifier, *, as_pandas: bool
) -> None:
    example = pd.DataFrame(rows.to_numpy(), columns=rows.columns) if as_pandas else rows.to_numpy()
    version = register(local_backend, "churn", model, example)
    names = [field["name"] for field in version.details["signature"]["inputs"]]
    assert names == (rows.columns if as_pandas else ["feature_0", "feature_1", "feature_2"])


def test_an_example_with_other_columns_is_refused(
    local_backend: LocalBackend, rows: pl.DataFrame, model: HistGradientBoostingClassifier
) -> None:
    with pytest.raises(Invalid, match="fitted on 3 features and example= has 2"):
        register(local_backend, "churn", model, rows.drop("age"))
    with pytest.raises(Invalid, match="'age' as String"):
        register(local_backend, "churn", model, rows.with_columns(pl.col("age").cast(pl.String)))


def test_a_version_whose_files_were_never_uploaded_is_refused(
    backend: LocalBackend, rows: pl.DataFrame, model: HistGradientBoostingClassifier
) -> None:
    version = register(backend, "churn", model, rows)
    details = backend.call(model_version, "churn", version.number).details
    absent = "sha256:" + "0" * 64
    broken = replace(details, onnx=absent)
    with pytest.raises(NotFound, match="no file sha256:0000"):
        backend.call(register_model, "other", "sha256:d", absent, "the first version", broken)
    with pytest.raises(NotFound):
        backend.call(catalog.resolve, "other")


def test_a_name_of_a_dataset_is_no_name_for_a_model(
    local_backend: LocalBackend, rows: pl.DataFrame, model: HistGradientBoostingClassifier
) -> None:
    with local_backend.database.write() as connection:
        context = replace(local_backend.context("test"), connection=connection)
        catalog.add_version(
            context, kind="dataset", name="visits", definition_digest="d", content_digest="c", why="the first version", details={}
        )
    with pytest.raises(Conflict, match="is a dataset"):
        register(local_backend, "visits", model, rows)


def test_over_http_a_model_is_registered_loaded_and_refused_alike(
    live_server: LiveServer, rows: pl.DataFrame, model: HistGradientBoostingClassifier
) -> None:
    backend = live_server.backend()
    version = register(backend, "churn", model, rows, parameters={"depth": 3})
    assert (version.number, register(backend, "churn", model, rows).number) == (1, 1)
    matrix = rows.to_numpy().astype(np.float32)
    expected = model.predict_proba(rows.to_numpy())
    assert np.array_equal(load_version(backend, "churn", 1).predict_proba(rows.to_numpy()), expected)
    assert np.allclose(load_scorer(backend, "churn", 1)(matrix), model.predict_proba(matrix)[:, 1], atol=1e-6)
    details = backend.call(model_version, "churn", 1).details
    with pytest.raises(NotFound, match="has been uploaded to this project"):
        backend.call(register_model, "churn", "sha256:d", "c", "another", replace(details, files="sha256:" + "0" * 64))
