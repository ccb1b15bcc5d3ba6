"""The small project of loans under a real server in replay: what its driver does, and what it sees."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl

from clew.access.service import list_events
from clew.backend import HttpBackend
from clew.catalog import service as catalog
from clew.delivery import service as delivery
from clew.delivery.schema import Rollout
from clew.feature_store.service import push_rows
from clew.sdk.replays import Replay
from clew.serving import service as serving
from clew.storage.schema import Job
from clew.testing.server import LiveServer, live_server

HERE = Path(__file__).parent / "loans_project"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
INGESTED = FIRST + timedelta(days=60)
OPENED = datetime(2026, 3, 2, 12, tzinfo=UTC)
A_DAY = 30


def loans(days: int, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Loans as they are asked for, thirty a day, and their outcomes two hours later, which follow from their size."""
    rng, count = np.random.default_rng(seed), days * A_DAY
    asked = pl.DataFrame({
        "loan": [f"l{row}" for row in range(count)], "at": [FIRST + timedelta(days=row // A_DAY, minutes=40 * (row % A_DAY)) for row in range(count)],
        "size": rng.normal(size=count), "term": rng.normal(size=count),
    })  # fmt: skip
    bad = pl.Series("bad", rng.random(count) < 1 / (1 + np.exp(-2 * asked["size"].to_numpy())))
    return asked, asked.select("loan", done=pl.col("at") + timedelta(hours=2)).with_columns(bad)


@dataclass
class Loans:
    """The project, its server, and a client of it."""

    root: Path
    server: LiveServer
    backend: HttpBackend
    witness: Path
    environ: dict[str, str]

    def clew(self, *arguments: str) -> str:
        """A command in the project's folder, which ends well; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "clew.cli", *arguments], cwd=self.root, env=self.environ, capture_output=True, text=True, timeout=170
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def bring(self, until: datetime, since: datetime = INGESTED) -> None:
        """The rows of a span, as a stream brings them."""
        for name, column, frame in zip(("asked", "outcomes"), ("at", "done"), loans(300), strict=True):
            rows = frame.filter(pl.col(column) >= since, pl.col(column) < until)
            if rows.height:
                self.backend.call(push_rows, name, rows.to_dicts())

    def ask(self, *rows: dict[str, Any]) -> list[dict[str, Any]]:
        answer = httpx.post(f"{self.server.serving_url}/endpoints/risk/predict", json={"rows": list(rows)}, timeout=20)
        assert answer.status_code == 200, answer.text
        predictions: list[dict[str, Any]] = answer.json()["predictions"]
        return predictions

    @property
    def clock(self) -> Replay:
        return Replay(self.backend)

    @property
    def rollout(self) -> Rollout:
        return self.backend.call(delivery.list_rollouts, "risk").items[0]

    @property
    def jobs(self) -> list[Job]:
        return self.backend.call(delivery.list_jobs).items

    @property
    def versions(self) -> list[str]:
        """The model's versions, oldest first, with their state and why they are."""
        found = self.backend.call(catalog.list_versions, "risk").items
        return [f"{one.ref} {one.state}: {one.why}" for one in reversed(found)]

    @property
    def answers_with(self) -> str:
        return str(self.backend.call(serving.endpoint_status, "risk").route.ref)

    def told(self, *kinds: str) -> list[tuple[str, str, dict[str, Any]]]:
        """What happened, without what differs from run to run."""
        found = self.backend.call(list_events, limit=1_000).items
        random = ("job", "rollout", "begun", "process", "salt")
        return [
            (one.kind, one.subject, {name: value for name, value in one.body.items() if name not in random})
            for one in found
            if one.kind in kinds
        ]

    def fits(self) -> list[list[str]]:
        """What each fit wrote down: the process that it is a child of, the file of its code, and the names in its environment."""
        return [path.read_text().split("\n") for path in sorted(self.witness.glob("fit-*"))]

    def forget_fits(self) -> None:
        for path in self.witness.glob("fit-*"):
            path.unlink()

    def wait_for_fits(self, count: int, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while len(self.fits()) < count:
            assert time.monotonic() < end, self.server.log.read_text()[-3_000:]
            time.sleep(0.05)


def prepare(folder: Path) -> Path:
    """The project's folder with a first version behind the endpoint, at noon of the second of March; to copy from."""
    root, witness = folder / "loans", folder / "witness"
    shutil.copytree(HERE, root, ignore=shutil.ignore_patterns("__pycache__"))
    witness.mkdir()
    for name, frame in zip(("asked", "outcomes"), loans(60), strict=True):
        frame.write_parquet(root / f"{name}.parquet")
    script = f"""
import datetime, clew, loans
clew.replay(datetime.datetime.fromisoformat({OPENED.isoformat()!r}))
for dataset in (loans.asked, loans.outcomes):
    dataset.ingest(f"{{dataset.name}}.parquet")
clew.apply()
loans.service.deploy(loans.risk.build().number)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=outside() | {"WITNESS": str(witness)}, capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def outside() -> dict[str, str]:
    """The environment of somebody who has no settings of Clew's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}


@contextmanager
def served(prepared: Path, folder: Path, *arguments: str, **environ: str) -> Iterator[Loans]:
    """A server in a copy of the prepared project's folder."""
    root, witness = folder / "loans", folder / "witness"
    shutil.copytree(prepared, root)
    witness.mkdir()
    with live_server(root, *arguments, project="loans", environ={"WITNESS": str(witness), **environ}) as server:
        client = {"CLEW_URL": server.url, "CLEW_PROJECT": "loans", "CLEW_HOME": str(folder / "client"), "WITNESS": str(witness)}
        yield Loans(root, server, server.backend(), witness, outside() | client)
