"""The flavors that Clew brings, through the suite that every flavor passes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clew.registry.flavors import Flavor
from clew.registry.flavors.sklearn import SklearnFlavor
from clew.testing.flavors import FlavorConformance

Matrix = npt.NDArray[np.float32]

MODELS = {
    "histogram boosting": (HistGradientBoostingClassifier(max_iter=20, random_state=0), True),
    "histogram boosting of values": (HistGradientBoostingRegressor(max_iter=20, random_state=0), True),
    "a forest": (RandomForestClassifier(10, max_depth=5, random_state=0), True),
    "a logistic regression": (LogisticRegression(), False),
    "a linear regression": (Ridge(), False),
    "a pipeline that imputes and scales": (make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), True),
}


def make_rows(*, missing: bool) -> Matrix:
    rows = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    if missing:
        rows[::7, 2] = np.nan
    return rows


class TestSklearn(FlavorConformance):
    @pytest.fixture(params=MODELS)
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def flavor(self) -> Flavor:
        return SklearnFlavor()

    @pytest.fixture
    def rows(self, name: str) -> Matrix:
        return make_rows(missing=MODELS[name][1])

    @pytest.fixture
    def fitted(self, name: str, rows: Matrix) -> Any:  # Any: a model of scikit-learn, which ships no types
        signal = rows[:, 0] + np.nan_to_num(rows[:, 2])
        model = MODELS[name][0]
        return model.fit(rows, signal > 0 if hasattr(model, "predict_proba") else signal)
