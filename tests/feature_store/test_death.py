"""``kill -9`` between the append of rows and their push, and within a push: nothing acknowledged is lost, nothing is half-visible."""

import json
import signal
import subprocess
import sys

import pytest
from small_airline import Airline, landing_rows

from clew.catalog import service as catalog
from clew.catalog.schema import VersionRef
from clew.feature_store.online import open_store, view_key
from clew.feature_store.reader import stored_views
from clew.feature_store.schema import training_set_details
from clew.feature_store.service import catch_up, pin_views, push_rows

PUSHER = """
import json, os, signal, sys
from dataclasses import replace
from pathlib import Path
from clew.backend import LocalBackend
from clew.feature_store import online, pushing
from clew.feature_store.service import push_rows
from clew.settings import load_settings

folder, database, point = sys.argv[1:]
backend = LocalBackend(replace(load_settings(Path(folder), {}), project="test", database_url=database))
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if point == "before the push":
    pushing.push = die
elif point == "within the push":
    put, count = pushing.OnlineRows.put, iter(range(100))
    pushing.OnlineRows.put = lambda *a, **k: die() if next(count) == 2 else put(*a, **k)
elif point == "before the note":
    online._LmdbTransaction.advance = die
backend.call(push_rows, name="landings", rows=json.loads(sys.stdin.read()))
"""


@pytest.mark.parametrize("point", ["before the push", "within the push", "before the note"])
@pytest.mark.parametrize("by", ["catching up", "the next push"])
def test_rows_of_a_killed_push_are_kept_and_come_online_whole(airline: Airline, point: str, by: str) -> None:
    airline.build()
    backend = airline.backend
    views = training_set_details(backend.call(catalog.resolve, "training")).views
    backend.call(pin_views, owner="endpoint:late", views=[VersionRef(use.view, use.number) for use in stored_views(views)])
    pace = view_key("test", "pace", str(backend.call(catalog.resolve, "pace@1").details["online_key"]))
    store = open_store(backend.settings.online_url)
    before = store.count(pace)
    rows = landing_rows(airline.later("landed")).head(6)
    sent = json.dumps(rows.head(5).to_dicts(), default=lambda time: time.isoformat())
    command = [sys.executable, "-c", PUSHER, str(backend.settings.root), backend.settings.database_url, point]
    died = subprocess.run(command, input=sent, text=True, capture_output=True, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert store.count(pace) == before
    if by == "catching up":
        backend.call(catch_up)
    else:
        backend.call(push_rows, name="landings", rows=rows.tail(1).to_dicts())
    assert store.count(pace) == before + (5 if by == "catching up" else 6)
