"""ONNX models as functions of a float32 matrix, and the check that an export answers as its original."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clew.errors import Refused
from clew.registry.schema import Verification

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Scorer", "load_onnx", "verify"]

Scorer = Callable[["npt.NDArray[np.float32]"], "npt.NDArray[np.float32]"]
"""``(n, features)`` to the scores ``(n,)``."""

TOLERANCE = 1e-5
_MIB = 1 << 20


def load_onnx(source: "bytes | Path", *, threads: int = 1) -> Scorer:
    """The scores ``(n,)`` of a matrix ``(n, features)``: the positive class's probability, or the value. Thread-safe.

    One thread inside a call: a row takes microseconds, and a server has more requests than cores anyway.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    content = source if isinstance(source, bytes) else source.read_bytes()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = session.get_outputs()
    wanted = [outputs[-1].name]

    def score(matrix: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float32]":
        answer: Any = session.run(wanted, {name: matrix})[0]
        result: npt.NDArray[np.float32] = answer[:, -1] if answer.ndim == 2 else answer
        return result

    return score


def verify(
    exported: Scorer,
    original: "npt.NDArray[np.float64]",
    matrix: "npt.NDArray[np.float32]",
    *,
    tolerance: float = TOLERANCE,
) -> Verification:
    """Compare the export's answers with the original's on real rows, those with missing values among them.

    Raises ``Refused`` when they differ by more than ``tolerance``: an export that answers otherwise is another model.
    """
    import numpy as np

    answers = np.asarray(exported(matrix), dtype=np.float64)
    distance = np.abs(answers - original) / np.maximum(1.0, np.abs(original))
    if not np.all(np.isfinite(answers)):
        raise Refused(f"the ONNX export answers {int((~np.isfinite(answers)).sum())} of {len(answers)} real rows with NaN or infinity")
    largest = float(distance.max(initial=0.0))
    if largest > tolerance:
        row = int(distance.argmax())
        share = float((distance > tolerance).mean())
        raise Refused(
            f"the ONNX export does not answer as the model does: {share * 100:.0f} % of {len(answers):,} real rows differ, row {row} by "
            f"{largest:.3g} ({answers[row]:.4f} where the model says {original[row]:.4f})",
            largest_difference=largest,
        )
    return Verification(len(matrix), int(np.isnan(matrix).any(axis=1).sum()), largest, tolerance)
