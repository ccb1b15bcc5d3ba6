"""The demo as a stranger runs it, with a replay of two weeks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "flights" / "demo.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_ends_well_with_a_replay_of_two_weeks() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    command = [sys.executable, str(DEMO), "--exit", "--days", "14"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=570)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    for word in ("Ingest", "Train", "Gate", "Deploy", "AUC", "skew"):
        assert word.lower() in done.stdout.lower()
