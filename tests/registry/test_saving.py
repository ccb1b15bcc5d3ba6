"""Models become files that answer as they did, or are refused with the reason."""

import warnings

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from clew.backend import LocalBackend
from clew.errors import Invalid, NotFound, Refused
from clew.registry import service as registry
from clew.registry.flavors.sklearn import SklearnFlavor
from clew.registry.loading import load_scorer, load_version
from clew.registry.runtime import load_onnx, verify
from clew.registry.saving import SavedModel, save_model
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
        None, (), saved.signature, saved.flavor, saved.files, saved.onnx, saved.verification, "recipe", {"depth": 3}, {"auc": 0.7}, None, None, None,
        libraries=saved.libraries,
    )  # fmt: skip
    return backend.call(registry.register_model, "late", "sha256:d", saved.onnx, "the first version", details)


def test_a_boosted_model_answers_the_same_after_export_and_load(local_backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray) -> None:
    model = HistGradientBoostingClassifier(max_iter=30).fit(frame, labels)
    saved = save_model(local_backend, model, frame)
    assert saved.verification.rows_with_missing > 0 and saved.verification.largest_difference < 1e-6
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
    with warnings.catch_warnings(), pytest.raises(Refused, match="Odd does not convert to ONNX"):
        warnings.simplefilter("ignore")
        save_model(local_backend, Odd().fit(None, None), frame)


def test_three_classes_are_refused(local_backend: LocalBackend, frame: pl.DataFrame) -> None:
    model = HistGradientBoostingClassifier(max_iter=2).fit(frame, np.arange(frame.height) % 3)
    with pytest.raises(Refused, match="3 classes"):
        save_model(local_backend, model, frame)


def test_a_stranger_has_no_flavor(local_backend: LocalBackend, frame: pl.DataFrame) -> None:
    with pytest.raises(Invalid, match="no flavor takes a builtins.dict"):
        save_model(local_backend, {}, frame)


def test_a_file_with_a_foreign_type_is_not_loaded(frame: pl.DataFrame) -> None:
    flavor = SklearnFlavor()
    with pytest.raises(Refused, match="not a type of scikit-learn"):
        flavor.load(flavor.save(Odd().fit(None, None)))


def test_the_card_says_what_is_recorded(backend: LocalBackend, frame: pl.DataFrame, labels: np.ndarray) -> None:
    saved = save_model(backend, HistGradientBoostingClassifier(max_iter=2).fit(frame, labels), frame)
    version = register(backend, saved).version
    card = backend.call(registry.model_card, "late", version.number).markdown
    assert card.startswith("# late@1") and "by no gate" in card and "depth: 3" in card
    with pytest.raises(NotFound):
        backend.call(registry.model_card, "late", 9)
