"""Two files of 1,000,000 rows and 50 columns, read and compared column by column: Clew, Evidently and NannyML, each in a process of its own.

``python benchmarks/profiles.py``; ``--rows`` makes the files smaller, ``--only clew`` leaves the peers out. The peers don't agree with each
other's pandas, so each gets an environment of its own under the user's cache, installed when it is first needed. CPU seconds and the peak
of memory are those that the system counted for the whole process, imports included.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

from side_by_side import header

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clew-benchmarks"

CLEW = """
import sys
import polars as pl
from clew.datasets.distances import shifts
from clew.datasets.profile import profile

before, after = (pl.scan_parquet(file) for file in sys.argv[1:3])
reference = profile(before)
print(len(shifts(reference, profile(after, reference))))
"""

EVIDENTLY = """
import sys
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

before, after = (pd.read_parquet(file) for file in sys.argv[1:3])
found = Report([DataDriftPreset()]).run(after, before).dict()
print(before.shape[1])
"""

NANNYML = """
import sys
import nannyml
import pandas as pd

before, after = (pd.read_parquet(file) for file in sys.argv[1:3])
calculator = nannyml.UnivariateDriftCalculator(
    column_names=list(before), chunk_number=1, continuous_methods=["jensen_shannon"], categorical_methods=["jensen_shannon"]
)
found = calculator.fit(before).calculate(after).to_df()
print(before.shape[1])
"""


@dataclass(frozen=True)
class Peer:
    """What to install, and the script that is run with the two files."""

    name: str
    requirements: tuple[str, ...]
    script: str


PEERS = (
    Peer("Evidently", ("evidently>=0.7,<0.8", "pandas<3", "pyarrow"), EVIDENTLY),
    Peer("NannyML", ("nannyml>=0.13,<0.14", "statsmodels", "pyarrow"), NANNYML),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--only", choices=["clew", *(peer.name.lower() for peer in PEERS)])
    given = arguments.parse_args()
    header(f"Two files of {given.rows:,} rows and 50 columns", "clew-ml", "polars", "numpy")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.parquet" for name in ("before", "after")]
        for seed, file in enumerate(files):
            # In a process that ends: a child begins with its parent's peak of memory, and this one would have that of the data.
            writer = multiprocessing.get_context("spawn").Process(target=write, args=(file, seed, given.rows))
            writer.start()
            writer.join()
        print(f"  {'':24}{'CPU s':>8}{'peak MiB':>10}")
        if given.only in (None, "clew"):
            measure(f"Clew {installed(Path(sys.executable), 'clew-ml')}", Path(sys.executable), CLEW, files)
        for peer in PEERS:
            if given.only in (None, peer.name.lower()):
                python = environment(peer)
                measure(f"{peer.name} {installed(python, peer.name.lower())}", python, peer.script, files)


def write(file: Path, seed: int, rows: int) -> None:
    """30 measurements with holes, 5 wide and 3 narrow integers, 2 flags, 9 texts of few and many values, one text that hardly repeats."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(seed)

    def holed(values: pl.Series) -> pl.Series:
        return pl.select(pl.when(pl.Series(random.random(rows) >= 0.05)).then(values)).to_series()

    def texts(name: str, different: int) -> pl.Series:
        names = pl.Series([f"{name} {place}" for place in range(different)])
        return holed(names[np.minimum(random.geometric(5 / different, rows) - 1, different - 1)])

    shift = 0.1 * seed
    columns = {f"normal_{place}": holed(pl.Series(random.normal(shift, 1 + place, rows))) for place in range(20)}
    columns |= {f"lognormal_{place}": holed(pl.Series(random.lognormal(shift, 1, rows))) for place in range(10)}
    columns |= {f"integer_{place}": pl.Series(random.integers(0, 10_000, rows)) for place in range(5)}
    columns |= {f"hour_{place}": pl.Series(random.integers(0, 24, rows)) for place in range(3)}
    columns |= {f"flag_{place}": pl.Series(random.random(rows) < 0.3 + shift) for place in range(2)}
    columns |= {f"few_{place}": texts("value", 20) for place in range(6)}
    columns |= {f"many_{place}": texts("a longer value", 4_000) for place in range(3)}
    columns["code"] = pl.Series(random.integers(0, rows, rows)).cast(pl.String)
    pl.DataFrame(columns).write_parquet(file)


def environment(peer: Peer) -> Path:
    """The peer's own interpreter."""
    folder = CACHE / peer.name.lower()
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "installed").is_file():
        print(f"  installing {peer.name} under {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", *peer.requirements], check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{peer.name} could not be installed:\n{done.stderr[-2_000:]}")
        (folder / "installed").touch()
    return python


def installed(python: Path, distribution: str) -> str:
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def measure(name: str, python: Path, script: str, files: list[Path]) -> None:
    """Run the script to its end and print what it cost."""
    child = subprocess.Popen([python, "-W", "ignore", "-c", script, *files], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stderr is not None
    told = child.stdout.read()
    complaint = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode or not told.strip().endswith("50"):
        raise SystemExit(f"{name} did not compare 50 columns:\n{complaint[-2_000:] or told}")
    peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1_024)
    print(f"  {name:24}{usage.ru_utime + usage.ru_stime:8.1f}{peak_bytes / (1 << 20):10,.0f}", flush=True)


if __name__ == "__main__":
    main()
