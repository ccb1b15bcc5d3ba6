"""What one logged scalar costs, beside tensorboardX where it is installed (`pip install tensorboardX`), in one run on one machine.

`python benchmarks/logged_scalar.py [calls]`. Ratios carry over to other machines, microseconds don't. Run it on a quiet machine.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

Log = Callable[[float, int], object]


def measure(name: str, log: Log, calls: int, folder: Path) -> None:
    for step in range(1_000):
        log(0.5, step)
    taken = []
    for step in range(calls):
        began = time.perf_counter_ns()
        log(1.0 / (step + 1), step)
        taken.append(time.perf_counter_ns() - began)
    taken.sort()
    size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    p50, p99 = taken[len(taken) // 2] / 1_000, taken[len(taken) * 99 // 100] / 1_000
    print(
        f"{name:24} p50 {p50:8.2f} µs   p99 {p99:8.2f} µs   longest {taken[-1] / 1_000:10.0f} µs   {size_bytes >> 10:8} KiB on disk, all told"
    )


def ours(calls: int, folder: Path) -> None:
    os.environ["CLEW_HOME"] = str(folder)
    import clew

    with clew.run("benchmark", capture=False) as run:
        measure("clew", lambda value, step: run.log(loss=value, step=step), calls, folder)


def tensorboard(calls: int, folder: Path) -> None:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        print("tensorboardX is not installed: pip install tensorboardX")
        return
    writer = SummaryWriter(str(folder))
    measure("tensorboardX", lambda value, step: writer.add_scalar("loss", value, step), calls, folder)
    writer.close()


if __name__ == "__main__":
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for subject in (ours, tensorboard):
        with tempfile.TemporaryDirectory() as folder:
            subject(calls, Path(folder))
