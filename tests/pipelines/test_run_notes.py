"""What Clew itself notes about a run is no input of the step that the run records."""

import time
from pathlib import Path

from clew.backend import LocalBackend
from clew.pipelines.tracing import tracing
from clew.sdk.runs import run


def test_the_source_snapshot_of_a_run_is_not_in_the_trace_of_its_step(local_backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")
    (tmp_path / "read.json").write_text("{}")
    with run(capture=False) as one, tracing(tmp_path, (local_backend.settings.home,)) as seen:
        (tmp_path / "read.json").read_text()
        end = time.monotonic() + 10
        one.flush()
        while "source" not in _facts(local_backend, one.id) and time.monotonic() < end:
            time.sleep(0.1)
    assert "source" in _facts(local_backend, one.id)
    assert set(seen.files) == {"read.json"}


def _facts(backend: LocalBackend, run_id: str) -> dict[str, object]:
    from clew.tracking.service import get_run

    return backend.call(get_run, run_id).facts
