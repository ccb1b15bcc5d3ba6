"""Ctrl-C in ``clew build``: one line, no orphans, no run that seems to run, and the next build goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SHOP = """
import os
import time
from pathlib import Path
from typing import Annotated

import clew
import polars as pl
from sklearn.linear_model import LogisticRegression


@clew.dataset(key="order", time="at")
def orders(file: Path) -> pl.DataFrame:
    return pl.read_csv(file).with_columns(pl.col("at").str.to_datetime(time_zone="UTC"))


shop = clew.entity("shop")
pace = clew.windows("pace", orders, entity=shop, over=["6h"], orders=clew.count())
training = clew.training_set(
    "orders_training", orders, label=orders["paid"], label_within="1h", holdout="3d", block="1d", zone="UTC", features=[pace]
)


@clew.model(training, tune=clew.search(trials=3, maximize="score"))
def paid(training: clew.TrainingData, c: Annotated[float, clew.log_uniform(0.01, 1)] = 0.1, *, seed: int = 7) -> LogisticRegression:
    Path(os.environ["BEGUN"], str(c)).touch()
    while "QUICK" not in os.environ:
        time.sleep(0.05)
    clew.log(score=c)
    return LogisticRegression(C=c).fit(training.X.to_numpy(), training.y)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "begun").mkdir()
    lines = [f"{number},s{number % 5},2024-01-{1 + number // 40:02}T{number % 24:02}:00:00,{number % 3 == 0}" for number in range(480)]
    (tmp_path / "orders.csv").write_text("\n".join(["order,shop,at,paid", *lines]).replace("True", "true").replace("False", "false") + "\n")
    done = clew(tmp_path, "ingest", "orders", "orders.csv")
    assert done.returncode == 0, done.stderr
    return tmp_path


def environ(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    return {**kept, "CLEW_PROJECT": "test", "BEGUN": str(folder / "begun")}


def clew(folder: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "clew.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environ(folder) | more, capture_output=True, text=True, timeout=240)


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < end
        time.sleep(0.02)


def all_end(group: int) -> bool:
    """Whether every process of a group ends by itself: one closes its pipes, and is gone a moment later."""
    end = time.monotonic() + 10
    while alive(group) and time.monotonic() < end:
        time.sleep(0.02)
    return alive(group) == []


def alive(group: int) -> list[str]:
    """The processes of a group that are more than an entry of the process table."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of_group = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(of_group) == group and state != "Z":
            found.append(status.parent.name)
    return found


@pytest.mark.parametrize(("executor", "to_all"), [("processes", True), ("processes", False), ("in_process", True)])
def test_an_interrupted_build_says_one_line_leaves_nothing_running_and_goes_on(folder: Path, executor: str, to_all: bool) -> None:
    command = [sys.executable, "-m", "clew.cli", "build", "paid", "--executor", executor, "--workers", "2"]
    build = subprocess.Popen(
        command, cwd=folder, env=environ(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    begun = 2 if executor == "processes" else 1
    wait_for(lambda: len(list((folder / "begun").iterdir())) >= begun, build)
    (os.killpg if to_all else os.kill)(build.pid, signal.SIGINT)
    out, err = build.communicate(timeout=60)
    assert (build.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith("clew: interrupted: the build of paid was stopped; what it had built stays")
    assert "Traceback" not in err
    assert all_end(build.pid)
    runs = json.loads(clew(folder, "runs", "--json").stdout)["items"]
    assert {run["status"] for run in runs} == {"stopped"}
    assert len(runs) == begun + 1, "the trials that had begun, and their study"
    if to_all:
        again = clew(folder, "build", "paid", QUICK="1")
        assert again.returncode == 0, again.stderr


def test_an_interrupt_before_the_build_has_begun_is_one_line_and_nothing_else(folder: Path) -> None:
    (folder / "shop.py").write_text(
        SHOP.replace("shop = clew.entity", "Path('begun/imported').touch()\ntime.sleep(60)\nshop = clew.entity")
    )
    build = subprocess.Popen(
        [sys.executable, "-m", "clew.cli", "build", "paid"], cwd=folder, env=environ(folder), stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    wait_for((folder / "begun" / "imported").exists, build)
    os.killpg(build.pid, signal.SIGINT)
    _, err = build.communicate(timeout=60)
    assert (build.returncode, err) == (130, "clew: interrupted\n")
    assert all_end(build.pid)


def test_an_interrupt_before_the_workers_have_begun_is_one_line_too(folder: Path) -> None:
    """Their imports take seconds, in which Python's own answer to Ctrl-C would be a traceback of each."""
    build = subprocess.Popen(
        [sys.executable, "-m", "clew.cli", "build", "paid"], cwd=folder, env=environ(folder), stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: len(alive(build.pid)) >= 3, build)
    os.killpg(build.pid, signal.SIGINT)
    _, err = build.communicate(timeout=60)
    assert build.returncode == 130
    assert err.splitlines()[-1].startswith("clew: interrupted: the build of paid was stopped")
    assert "Traceback" not in err
    assert all_end(build.pid)
