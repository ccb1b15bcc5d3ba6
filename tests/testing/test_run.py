from pathlib import Path

import pytest

import clew
from clew.errors import Invalid
from clew.sdk.runs import current_run
from clew.testing.run import Run


def test_a_run_in_memory_is_the_current_one_and_touches_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Run(seed=7) as run:
        assert current_run() is run
        clew.log(loss=0.5)
        clew.log(loss=0.25, step=9)
        run.params(lr=0.1)
        run.artifact(b"x", "a.bin")
        assert run.status == "running"
    assert (run.metrics, run.points, run.status) == ({"loss": 0.25}, {"loss": [(0, 0.5), (9, 0.25)]}, "finished")
    assert (run.logged_params, run.logged_artifact("a.bin")) == ({"lr": 0.1}, b"x")
    assert run.seed("split") == Run(seed=7).seed("split") != Run(seed=8).seed("split")
    assert list(tmp_path.iterdir()) == []


def test_it_refuses_what_a_recorded_run_refuses() -> None:
    with Run() as run, pytest.raises(Invalid, match="'loss'"):
        run.log(loss="low")
