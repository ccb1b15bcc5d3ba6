"""Is this step cached? Beside joblib, which looks at the function's own source and its arguments, and misses a changed helper."""

import tempfile
from pathlib import Path

from side_by_side import compare, header, timed

STEP = "import math\n\ndef helper(x):\n    return math.sqrt(x)\n\ndef step(x):\n    return [helper(x) for _ in range(10)]\n"
CHECKS = 200


def main() -> None:
    import importlib
    import sys

    import joblib

    from clew.fingerprints import fingerprint

    header(f"A cached step is recognised, {CHECKS} checks", "clew-ml", "joblib")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "steps.py").write_text(STEP)
        sys.path.insert(0, folder)
        step = importlib.import_module("steps").step
        memory = joblib.Memory(folder, verbose=0)
        cached = memory.cache(step)
        cached(2.0)

        def ours() -> float:
            return timed(lambda: [fingerprint(step, Path(folder)) for _ in range(CHECKS)]) / CHECKS

        def theirs() -> float:
            return timed(lambda: [cached.check_call_in_cache(2.0) for _ in range(CHECKS)]) / CHECKS

        compare(ours, theirs, peer_name="joblib", unit="ms a check", scale=1e3)
        before = fingerprint(step, Path(folder)).digest
        (Path(folder) / "steps.py").write_text(STEP.replace("math.sqrt(x)", "math.exp(x)"))
        changed = importlib.reload(sys.modules["steps"]).step
        stale = memory.cache(changed).check_call_in_cache(2.0)
        print(
            f"  after a helper changed: clew {'sees it' if fingerprint(changed, Path(folder)).digest != before else 'MISSES IT'}, ", end=""
        )
        print(f"joblib {'serves the stale result' if stale else 'sees it'}")


if __name__ == "__main__":
    main()
