import json
import os
import subprocess
import sys
from pathlib import Path

from clew.backend import LocalBackend
from clew.sdk.runs import run


def clew(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")} | {
        "CLEW_PROJECT": "test",
        "COLUMNS": "200",
    }
    return subprocess.run(
        [sys.executable, "-m", "clew.cli", *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_runs_are_listed_filtered_shown_and_their_output_printed(local_backend: LocalBackend, tmp_path: Path) -> None:
    assert "no run here yet" in clew(tmp_path, "runs").stdout
    identifiers = []
    for lr in (0.1, 0.3):
        with run(f"with {lr}", params={"lr": lr}) as one:
            one.log(auc=lr * 2)
            print("trained with", lr)
            identifiers.append(one.id)
    listed = clew(tmp_path, "runs", "--order", "-metrics.auc").stdout
    assert listed.index("with 0.3") < listed.index("with 0.1")
    found = json.loads(clew(tmp_path, "runs", "--filter", "params.lr < 0.2", "--json").stdout)
    assert [row["id"] for row in found["items"]] == identifiers[:1]
    shown = clew(tmp_path, "runs", identifiers[0]).stdout
    assert all(words in shown for words in ("finished", "lr", "0.1", "auc", "min 0.2"))
    assert clew(tmp_path, "runs", identifiers[0], "--log").stdout.strip() == "trained with 0.1"
    wrong = clew(tmp_path, "runs", "--filter", "metrics.auc >")
    assert wrong.returncode != 0
    assert "ends where a value belongs" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_name_that_no_run_has_is_said_with_those_near_it(local_backend: LocalBackend, tmp_path: Path) -> None:
    assert "the newest 1,000 runs have no metric at all" in clew(tmp_path, "runs", "--filter", "metrics.auc > 0").stderr
    with run("one", params={"learning_rate": 0.1}, tags={"team": "risk"}) as one:
        one.log({"valid/auc": 0.7})
    for condition, says in [
        ("metrics.valid/acu > 1", "no run has the metric 'valid/acu'; near it is valid/auc"),
        ("maximum.loss > 1", "no run has the metric 'loss'; there is valid/auc"),
        ("params.`learning rate` < 1 or tags.team = 'risk'", "no run has the parameter 'learning rate'; near it is learning_rate"),
        ("not tags.teem = 'risk'", "no run has the tag 'teem'; near it is team"),
    ]:
        done = clew(tmp_path, "runs", "--filter", condition)
        assert done.stderr.strip() == says
        assert done.returncode == 0
    assert "the metric 'auc'" in clew(tmp_path, "runs", "--order", "-metrics.auc").stderr
    assert (
        clew(tmp_path, "runs", "--filter", "metrics.valid/auc > 1 and status = 'finished'", "--order", "params.learning_rate").stderr == ""
    )


def test_sync_says_that_nothing_was_left(local_backend: LocalBackend, tmp_path: Path) -> None:
    assert clew(tmp_path, "sync").stdout.strip() == "nothing was left to ship"
