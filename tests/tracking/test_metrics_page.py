"""The reader that docs/explanation/metrics.md shows reads what is stored."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from clew.tracking.series import Points, encode_points

PAGE = Path(__file__).parents[2] / "docs/explanation/metrics.md"


def test_the_documented_reader_reads_a_stored_chunk() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    points = Points(np.array([0, 5, 3]), np.array([10, 20, 30]), np.array([0.5, np.nan, -1.0]))
    steps, times, values = names["read_chunk"](encode_points(points))
    assert (steps.tolist(), times.tolist()) == ([0, 5, 3], [10, 20, 30])
    np.testing.assert_array_equal(values, points.values)
