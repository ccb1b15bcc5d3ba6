"""What every flavor must do. Subclass ``FlavorConformance`` in a test and give it ``flavor``, ``fitted`` and ``rows`` fixtures."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clew.errors import Invalid, Refused
from clew.registry.flavors import Flavor, flavor_of
from clew.registry.runtime import load_onnx, verify

__all__ = ["FlavorConformance"]

Matrix = npt.NDArray[np.float32]


class FlavorConformance:
    """The port's contract as tests.

    ``fitted`` is a model of the flavor's framework, ``rows`` the matrix ``(n, features)`` of at least 100 rows that it is asked about:
    float32, with NaN where a value is missing if the model takes that.
    """

    def test_it_takes_its_own_models_and_no_others(self, flavor: Flavor, fitted: Any) -> None:  # Any: a model of any framework
        assert flavor.accepts(fitted)
        assert not flavor.accepts({"weights": [1.0]})
        assert not flavor.accepts(None)

    def test_its_models_are_found_by_their_type(self, flavor: Flavor, fitted: Any) -> None:
        assert flavor_of(fitted).name == flavor.name

    def test_a_strangers_model_is_refused_naming_the_flavors(self, flavor: Flavor) -> None:
        with pytest.raises(Invalid, match=flavor.name):
            flavor_of(object())

    def test_scores_are_one_finite_number_for_each_row(self, flavor: Flavor, fitted: Any, rows: Matrix) -> None:
        scores = flavor.score(fitted, rows)
        assert scores.shape == (len(rows),)
        assert scores.dtype == np.dtype(np.float64)
        assert np.isfinite(scores).all()

    def test_scores_of_a_classifier_are_probabilities(self, flavor: Flavor, fitted: Any, rows: Matrix) -> None:
        if not hasattr(fitted, "predict_proba"):
            return  # a regression answers with values, of which nothing is promised
        scores = flavor.score(fitted, rows)
        assert scores.min() >= 0
        assert scores.max() <= 1

    def test_a_saved_model_answers_exactly_as_before(self, flavor: Flavor, fitted: Any, rows: Matrix) -> None:
        files = flavor.save(fitted)
        assert files
        assert all(isinstance(content, bytes) and content for content in files.values())
        assert np.array_equal(flavor.score(flavor.load(files), rows), flavor.score(fitted, rows))

    def test_saved_files_are_no_pickles(self, flavor: Flavor, fitted: Any) -> None:
        for name, content in flavor.save(fitted).items():
            assert not name.endswith((".pkl", ".pickle", ".joblib"))
            assert content[:1] != b"\x80", f"{name} begins as a pickle does"

    def test_a_broken_file_is_refused_and_does_not_load(self, flavor: Flavor, fitted: Any) -> None:
        files = {name: content[: len(content) // 2] for name, content in flavor.save(fitted).items()}
        with pytest.raises(Refused):
            flavor.load(files)

    def test_an_export_answers_as_the_original(self, flavor: Flavor, fitted: Any, rows: Matrix) -> None:
        export = flavor.export(fitted, rows.shape[1])
        assert verify(load_onnx(export.content), flavor.score(fitted, rows), rows).rows == len(rows)

    def test_an_export_answers_a_row_alone_as_among_others(self, flavor: Flavor, fitted: Any, rows: Matrix) -> None:
        score = load_onnx(flavor.export(fitted, rows.shape[1]).content)
        alone = np.concatenate([score(rows[number : number + 1]) for number in range(50)])
        assert np.allclose(alone, score(rows)[:50], atol=1e-6)

    def test_exporting_leaves_the_model_as_it_was(self, flavor: Flavor, fitted: Any, rows: Matrix) -> None:
        before = flavor.score(fitted, rows)
        flavor.export(fitted, rows.shape[1])
        assert np.array_equal(flavor.score(fitted, rows), before)

    def test_the_same_model_is_exported_to_the_same_bytes(self, flavor: Flavor, fitted: Any, rows: Matrix) -> None:
        # A version is its content: an export that differs each time would make a new version of the same model.
        first, second = (flavor.export(fitted, rows.shape[1]).content for _ in range(2))
        assert first == second

    def test_threads_may_export_and_score_at_once(self, flavor: Flavor, fitted: Any, rows: Matrix) -> None:
        content = flavor.export(fitted, rows.shape[1]).content
        score, expected = load_onnx(content), flavor.score(fitted, rows)

        def work(_: int) -> bool:
            return flavor.export(fitted, rows.shape[1]).content == content and bool(np.allclose(score(rows), expected, atol=1e-5))

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(8)))

    @pytest.mark.parametrize("only_missing", [True, False])
    def test_it_has_advice_for_an_export_that_differs(self, flavor: Flavor, fitted: Any, only_missing: bool) -> None:
        assert flavor.advice(fitted, only_missing=only_missing)

    def test_it_names_installed_libraries(self, flavor: Flavor) -> None:
        from importlib.metadata import version

        assert all(version(name) for name in flavor.libraries())
