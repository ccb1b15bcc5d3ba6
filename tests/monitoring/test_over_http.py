"""Monitors and alerts of a running server: the same answers, and the same errors, as in the process."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from clew.access.service import set_event_time
from clew.backend import HttpBackend, connect
from clew.catalog.schema import DefinitionDraft
from clew.catalog.service import apply_definitions
from clew.definitions import DatasetDefinition, MonitorDefinition, definition_digest, to_document
from clew.errors import Conflict, NotFound
from clew.monitoring.alerts import acknowledge_alert, list_alerts, resolve_alert, silence_alert
from clew.monitoring.looking import list_monitors, look, monitor_looks
from clew.sdk.ingest import ingest_frame
from clew.testing.server import LiveServer

START = datetime(2013, 1, 1, tzinfo=UTC)


def test_a_stream_that_stops_is_seen_answered_and_told(live_server: LiveServer) -> None:
    backend = connect(live_server.url, settings=live_server.settings)
    assert isinstance(backend, HttpBackend)
    backend.call(set_event_time, START + timedelta(days=10))
    times = pl.Series("at", [START + timedelta(hours=hour) for hour in range(240)], dtype=pl.Datetime("us", "UTC"))
    ingest_frame(backend, DatasetDefinition("readings", ("at",), "at", None, None), pl.DataFrame([times]), source="test")
    watch = MonitorDefinition("readings_quality", None, "readings")
    backend.call(apply_definitions, [DefinitionDraft("monitor", watch.name, definition_digest(watch), to_document(watch))])
    backend.call(set_event_time, START + timedelta(days=11))
    found = backend.call(look, watch.name).items
    assert [one.word for one in found][-1] == "missing"
    assert backend.call(monitor_looks, watch.name, kind="missing", limit=10).items == found[::-1]
    assert [one.alerts for one in backend.call(list_monitors).items] == [1]
    (alert,) = backend.call(list_alerts).items
    assert backend.call(acknowledge_alert, alert.id, reason="seen").state == "acknowledged"
    assert backend.call(silence_alert, alert.id, "6h").silenced_until == START + timedelta(days=11, hours=6)
    assert backend.call(resolve_alert, alert.id).state == "resolved"
    with pytest.raises(Conflict, match="is resolved since 2013-01-12"):
        backend.call(resolve_alert, alert.id)
    with pytest.raises(NotFound, match="there is no alert 99"):
        backend.call(acknowledge_alert, 99)
    assert backend.call(list_alerts, resolved=True).items[0].state == "resolved"
    backend.dispose()
