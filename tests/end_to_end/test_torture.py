"""Half a minute of `make torture`, with a fixed seed."""

import importlib.util
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("torture", Path(__file__).with_name("torture.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
torture = importlib.util.module_from_spec(_SPEC)
sys.modules["torture"] = torture
_SPEC.loader.exec_module(torture)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_to_kills_at_random(tmp_path: Path) -> None:
    told, lost = torture.torture(tmp_path, seconds=25, seed=7)
    assert lost == []
    assert all(told.kills.values()), f"the seed must kill each kind at least once: {told.kills}"
    assert len(told.projects) > 10
    assert sum(told.points.values()) > 100
