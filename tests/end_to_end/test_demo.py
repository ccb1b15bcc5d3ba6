"""The demo as a stranger runs it: with a replay of two weeks, and on to the first retraining and its promotion."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "flights" / "demo.py"


PARTS = """
import sys
from datetime import datetime
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import replay
from source_data import fetch

folder = fetch(Path(sys.argv[1]) / "data")
borders = ["2013-04-01T04:30", "2013-05-01", "2013-07-15", "2013-10-14", "2013-10-14T08:00", "2013-10-22", "2014-01-01"]
times = [datetime.fromisoformat(text).replace(tzinfo=replay.ZONE) for text in borders]
whole = {name: rows.height for name, rows in replay.arrivals(folder, times[0], times[-1]).items()}
parts = dict.fromkeys(whole, 0)
for place, (start, end) in enumerate(zip(times, times[1:])):
    for name, rows in replay.arrivals(folder, start, end, goes_on=place > 0).items():
        parts[name] += rows.height
assert parts == whole, (parts, whole)
"""
"""What is published a day ahead, or lands a day later, is handed out once, however a year is cut into parts."""


def test_a_year_replayed_in_parts_hands_out_every_row_once() -> None:
    done = subprocess.run([sys.executable, "-c", PARTS, str(DEMO.parent)], cwd=DEMO.parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def run(*options: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    command = [sys.executable, str(DEMO), "--exit", *options]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=1_150)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_the_demo_ends_well_with_a_replay_of_two_weeks() -> None:
    told = run("--until", "2013-04-15")
    for word in ("Ingest", "Train", "Gate", "Deploy", "AUC", "skew"):
        assert word.lower() in told.lower()


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_the_demo_goes_on_to_a_retraining_that_is_rolled_out_and_promoted() -> None:
    """Two tests of one file run one after the other: the demo has one folder."""
    told = run("--until", "2013-05-12", "--every", "16", "--later", "16")
    for line in (
        "late_retrain asks for a build: schedule",
        "sets out behind late: step 1 of 2, shadow for 2d",
        "late@4 is promoted: every step is over",
    ):
        assert line in told
    assert "1 promotions, 0 rollbacks" in told
