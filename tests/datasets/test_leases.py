"""One writer per asset: waiting, taking over from the dead, and fencing out the one that was thought dead."""

import subprocess
import sys
from datetime import timedelta

import pytest
import sqlalchemy as sa

from clew.backend import LocalBackend
from clew.clock import wall_now
from clew.datasets.leases import writer
from clew.datasets.schema import writer_leases
from clew.errors import Conflict


def test_a_second_writer_waits_its_turn_and_is_told_when_it_is_too_long(backend: LocalBackend) -> None:
    context = backend.context("test")
    with writer(context, "landings") as first:
        with pytest.raises(Conflict, match="another writer has been at 'landings'"), writer(context, "landings", wait_seconds=0.1):
            pass
        with writer(context, "weather"):
            context.run_write(first.check)
    with writer(context, "landings") as second:
        assert second.token > first.token


def test_a_writer_whose_lease_ran_out_commits_nothing(backend: LocalBackend) -> None:
    context = backend.context("test")
    with writer(context, "landings") as slow:
        past = wall_now() - timedelta(seconds=1)
        context.run_write(lambda inside: inside.db.execute(sa.update(writer_leases).values(expires_at=past)))
        with writer(context, "landings", wait_seconds=0.1) as quick:
            context.run_write(quick.check)
            with pytest.raises(Conflict, match="another writer took over"):
                context.run_write(slow.check)


HOLDS = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from clew.backend import LocalBackend
from clew.datasets.leases import writer
from clew.settings import load_settings

backend = LocalBackend(replace(load_settings(Path(sys.argv[1]), {}), project="test", database_url=sys.argv[2]))
with writer(backend.context("test"), "landings"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_was_killed_holds_nobody_up(backend: LocalBackend) -> None:
    command = [sys.executable, "-c", HOLDS, str(backend.settings.root), backend.settings.database_url]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert killed.returncode == -9, killed.stderr
    with writer(backend.context("test"), "landings", wait_seconds=0.5) as fence:
        assert fence.token == 2
