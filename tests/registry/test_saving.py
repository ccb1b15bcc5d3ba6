"""Models become files that answer as they did, or are refused with the reason."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from clew.backend import LocalBackend
from clew.errors import Invalid, NotFound, Refused
from clew.registry import service as registry
from clew.registry.flavors.sklearn import SklearnFlavor
from clew.registry.loading import load_scorer, load_version
from clew.registry.runtime import load_onnx, verify
from clew.registry.saving import SavedModel, _verified, save_model
from clew.registry.schema import ModelDetails, ModelVersion


@pytest.fixture
def frame() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3_000, 4)).astype(np.float32)
    values[::7, 2] = np.nan
    return pl.DataFrame(values, schema=["a", "b", "c", "d"])


@pytest.fixture
def labels(frame: pl.DataFrame) -> np.ndarray:
    return (frame["a"].to_numpy() + np.nan_to_num(frame["c"].to_numpy())) > 0


def register(backend: LocalBackend, saved: SavedModel) -> ModelVersion:
    details = ModelDetails(
        None, (), saved.signature, saved.flavor, saved.files, saved.onnx, saved.verification, "recipe", {"depth": 3}, {"auc": 0.7},
        None, None, None, libraries=saved.libraries,
    )  # fmt: skip
    return backend.call(registry.register_model, "late", "sha256:d", saved.onnx, "the first version", details)


def test_a_boosted_model_answers_the_same_after_export_and_load(
    local_backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray
) -> None:
    model = HistGradientBoostingClassifier(max_iter=30).fit(frame, labels)
    saved = save_model(local_backend, model, frame)
    assert saved.verification.rows_with_missing > 0
    assert saved.verification.largest_difference < 1e-6
    version = register(local_backend, saved).version
    matrix = frame.to_numpy().astype(np.float32)
    expected = model.predict_proba(frame)[:, 1]
    assert np.allclose(load_version(local_backend, "late", version.number).predict_proba(frame)[:, 1], expected)
    assert np.allclose(load_scorer(local_backend, "late", version.number)(matrix), expected, atol=1e-6)


@pytest.mark.parametrize("model", [LogisticRegression(), LinearRegression()])
def test_linear_models_convert_too(local_backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray, model: BaseEstimator) -> None:
    full = frame.fill_nan(0.0)
    saved = save_model(local_backend, model.fit(full.to_numpy(), labels), full)
    assert saved.verification.largest_difference < 1e-5


def test_an_export_that_answers_otherwise_blocks(frame: pl.DataFrame, labels: np.ndarray) -> None:
    model = HistGradientBoostingClassifier(max_iter=5).fit(frame, labels)
    other = HistGradientBoostingClassifier(max_iter=5).fit(frame, ~labels)
    matrix = frame.to_numpy().astype(np.float32)
    flavor = SklearnFlavor()
    with pytest.raises(Refused, match="does not answer as the model does"):
        verify(load_onnx(flavor.export(other, 4).content), flavor.score(model, matrix), matrix)


class Odd(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that no converter knows."""

    def fit(self, rows: object, labels: object) -> "Odd":
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        return np.full((len(rows), 2), 0.5)


def test_a_model_that_does_not_convert_is_refused_with_the_reason(local_backend: LocalBackend, frame: pl.DataFrame) -> None:
    with pytest.raises(Refused, match="Odd does not convert to ONNX"):
        save_model(local_backend, Odd().fit(None, None), frame)


def test_three_classes_are_refused(local_backend: LocalBackend, frame: pl.DataFrame) -> None:
    model = HistGradientBoostingClassifier(max_iter=2).fit(frame, np.arange(frame.height) % 3)
    with pytest.raises(Refused, match="3 classes"):
        save_model(local_backend, model, frame)


def test_a_stranger_has_no_flavor(local_backend: LocalBackend, frame: pl.DataFrame) -> None:
    with pytest.raises(Invalid, match=r"no flavor takes a builtins\.dict"):
        save_model(local_backend, {}, frame)


def test_a_file_with_a_foreign_type_is_not_loaded(frame: pl.DataFrame) -> None:
    flavor = SklearnFlavor()
    with pytest.raises(Refused, match="no type of scikit-learn"):
        flavor.load(flavor.save(Odd().fit(None, None)))


def test_the_card_says_what_is_recorded(backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray) -> None:
    saved = save_model(backend, HistGradientBoostingClassifier(max_iter=2).fit(frame, labels), frame)
    version = register(backend, saved).version
    card = backend.call(registry.model_card, "late", version.number).markdown
    assert card.startswith("# late@1")
    assert "by no gate" in card
    assert "depth: 3" in card
    with pytest.raises(NotFound):
        backend.call(registry.model_card, "late", 9)


def test_values_one_float_apart_go_the_same_way_after_export() -> None:
    # A threshold between two neighbouring float32 values, rounded to float32, can meet the upper one.
    rng = np.random.default_rng(0)
    ladder = [np.float32(1 / 3)]
    for _ in range(9):
        ladder.append(np.nextafter(ladder[-1], np.float32(2)))
    step = rng.integers(0, 10, 4_000)
    matrix = np.column_stack([np.array(ladder)[step], rng.normal(size=4_000)]).astype(np.float32)
    model = HistGradientBoostingClassifier(max_iter=20).fit(matrix, step >= rng.integers(0, 10, 4_000))
    flavor = SklearnFlavor()
    assert verify(load_onnx(flavor.export(model, 2).content), flavor.score(model, matrix), matrix).largest_difference < 1e-6


ESTIMATORS: dict[str, tuple[Any, bool]] = {
    "a decision tree": (DecisionTreeClassifier(random_state=0), True),
    "a decision tree of values": (DecisionTreeRegressor(random_state=0), True),
    "a forest": (RandomForestClassifier(20, random_state=0), True),
    "a forest of values": (RandomForestRegressor(20, random_state=0), True),
    "extra trees": (ExtraTreesClassifier(20, random_state=0), True),
    "extra trees of values": (ExtraTreesRegressor(20, random_state=0), True),
    "bagged trees": (BaggingClassifier(random_state=0), True),
    "bagged trees of values": (BaggingRegressor(random_state=0), True),
    "a scaled forest": (make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)), True),
    "a calibrated forest": (CalibratedClassifierCV(RandomForestClassifier(10, random_state=0), cv=3), True),
    "an imputed forest": (make_pipeline(SimpleImputer(), RandomForestClassifier(20, random_state=0)), True),
    "an imputed regression": (make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), True),
    "histogram boosting": (HistGradientBoostingClassifier(max_iter=20), True),
    "histogram boosting of values": (HistGradientBoostingRegressor(max_iter=20), True),
    "boosting": (GradientBoostingClassifier(n_estimators=20), False),
    "boosting of values": (GradientBoostingRegressor(n_estimators=20), False),
    "boosted stumps": (AdaBoostClassifier(n_estimators=20), False),
    "a logistic regression": (LogisticRegression(), False),
    "a scaled logistic regression": (make_pipeline(StandardScaler(), LogisticRegression()), False),
    "a linear regression": (LinearRegression(), False),
    "a ridge regression": (Ridge(), False),
    "neighbours": (KNeighborsClassifier(), False),
    "naive Bayes": (GaussianNB(), False),
    "a network": (make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=500, random_state=0)), False),
}
"""Each with whether it takes missing values."""


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("gaps", [False, True], ids=["whole rows", "rows with gaps"])
def test_every_supported_estimator_answers_as_it_did(
    local_backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray, name: str, gaps: bool
) -> None:
    estimator, takes_missing = ESTIMATORS[name]
    if gaps and not takes_missing:
        return  # it can't be fitted on such rows
    rows = frame.head(1_200) if gaps else frame.head(1_200).fill_nan(0.0)
    truth = labels[:1_200] if hasattr(estimator, "predict_proba") else rows["a"].to_numpy() + rows["b"].to_numpy() ** 2
    checked = save_model(local_backend, clone(estimator).fit(rows.to_numpy(), truth), rows).verification
    assert checked.takes_missing == takes_missing
    assert checked.largest_difference < 1e-5
    assert (checked.rows_with_gaps > 0) == takes_missing


def test_an_export_that_differs_only_where_a_value_is_missing_takes_none(frame: pl.DataFrame, labels: np.ndarray) -> None:
    whole = frame.fill_nan(0.0).to_numpy()
    model = RandomForestClassifier(5, random_state=0).fit(whole, labels)
    flavor = SklearnFlavor()
    unaware = _without_sides(flavor.export(model, 4).content)
    assert not _verified(flavor, model, unaware, whole).takes_missing
    with pytest.raises(Refused, match=r"Only rows with a missing value differ: let the model impute them"):
        _verified(flavor, model, unaware, frame.to_numpy())


def _without_sides(content: bytes) -> bytes:
    """The export as skl2onnx writes it: a missing value goes right at every node of a tree."""
    import onnx

    graph = onnx.load_from_string(content)
    for node in graph.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_missing_value_tracks_true":
                attribute.ints[:] = [0] * len(attribute.ints)
    return bytes(graph.SerializeToString())


def test_rows_with_gaps_are_refused_for_a_model_that_takes_none(
    local_backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray
) -> None:
    model = LogisticRegression().fit(frame.fill_nan(0.0).to_numpy(), labels)
    with pytest.raises(Refused, match=r"429 of 3,000 rows have a missing value, and LogisticRegression takes none.*make_pipeline"):
        save_model(local_backend, model, frame)


def test_a_model_that_takes_no_missing_values_scores_none_of_such_rows(
    local_backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray
) -> None:
    whole = frame.fill_nan(0.0)
    model = GradientBoostingClassifier(n_estimators=5).fit(whole.to_numpy(), labels)
    version = register(local_backend, save_model(local_backend, model, whole)).version
    scores = load_scorer(local_backend, "late", version.number)(frame.to_numpy())
    assert np.array_equal(np.isnan(scores), frame["c"].is_nan().to_numpy())


@pytest.mark.parametrize("model", [LinearSVC(), Perceptron()])
def test_a_classifier_without_probabilities_is_told_how_to_have_some(
    local_backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray, model: BaseEstimator
) -> None:
    whole = frame.fill_nan(0.0)
    with pytest.raises(Refused, match=r"has no predict_proba.*CalibratedClassifierCV"):
        save_model(local_backend, model.fit(whole.to_numpy(), labels), whole)


def test_scaling_before_histogram_boosting_is_refused_with_its_reason(local_backend: LocalBackend) -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame(rng.normal(size=(1_500, 4)).astype(np.float32), schema=["a", "b", "c", "d"])
    truth = rows["a"].to_numpy() + rows["b"].to_numpy() * rows["c"].to_numpy() + rng.normal(size=1_500) / 2 > 0
    model = make_pipeline(StandardScaler(), HistGradientBoostingClassifier()).fit(rows.to_numpy(), truth)
    with pytest.raises(Refused, match="StandardScaler before it is rounded otherwise: leave it out"):
        save_model(local_backend, model, rows)


def test_missing_values_are_verified_even_where_the_rows_have_none(
    local_backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray
) -> None:
    full = frame.fill_nan(0.0)
    checked = save_model(local_backend, HistGradientBoostingClassifier(max_iter=5).fit(full, labels), full).verification
    assert (checked.rows_with_missing, checked.rows_with_gaps, checked.takes_missing) == (0, 256, True)
    linear = save_model(local_backend, LogisticRegression().fit(full.to_numpy(), labels), full).verification
    assert (linear.rows_with_gaps, linear.takes_missing) == (0, False)


def test_categorical_splits_that_convert_wrong_are_refused(local_backend: LocalBackend) -> None:
    rng = np.random.default_rng(2)
    rows = pl.DataFrame({"carrier": rng.integers(0, 16, 3_000).astype(np.float32), "x": rng.normal(size=3_000).astype(np.float32)})
    late = np.isin(rows["carrier"].to_numpy(), [1, 4, 9, 14]) ^ (rng.random(3_000) < 0.1)
    model = HistGradientBoostingClassifier(max_iter=20, categorical_features=[0]).fit(rows, late)
    with pytest.raises(Refused, match=r"[Cc]ategor"):
        save_model(local_backend, model, rows)


def test_the_verified_rows_are_spread_over_the_whole_frame(local_backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray) -> None:
    # Missing values stand in the last rows only: a sample of the first would not have seen one.
    model = HistGradientBoostingClassifier(max_iter=2).fit(frame, labels)
    long = pl.concat([frame.fill_nan(0.0)] * 3)[:8_000].with_columns(pl.when(pl.int_range(pl.len()) < 7_000).then(pl.col("a")).alias("a"))
    checked = save_model(local_backend, model, long).verification
    assert checked.rows == 4_096
    assert checked.rows_with_missing > 400


def test_no_rows_verify_nothing(local_backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray) -> None:
    with pytest.raises(Invalid, match="real rows"):
        save_model(local_backend, HistGradientBoostingClassifier(max_iter=2).fit(frame, labels), frame.head(0))
