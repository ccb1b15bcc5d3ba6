"""The same script against a server: views, training set, rows online and a revert over HTTP."""

from dataclasses import replace

import polars as pl
import view_functions
from small_airline import PACE, Airline, landing_rows, weather_rows

from clew.catalog import service as catalog
from clew.catalog.schema import VersionRef
from clew.feature_store.online import open_store
from clew.feature_store.reader import FeatureReader, stored_views
from clew.feature_store.reading import load_functions, load_training_data, recompute
from clew.feature_store.schema import training_set_details
from clew.feature_store.service import pin_views, push_rows, revert_view
from clew.testing.server import LiveServer


def test_a_project_behind_a_server_is_built_pushed_to_and_reverted(remote_airline: Airline, live_server: LiveServer) -> None:
    airline, backend = remote_airline, remote_airline.backend
    views = training_set_details(airline.build()).views
    assert len(load_training_data(backend, "training", 1, "all")) > 100
    refs = [VersionRef(use.view, use.number) for use in stored_views(views)]
    assert not backend.call(pin_views, owner="endpoint:late", views=refs).waiting
    rows = {"landings": landing_rows(airline.later("landed")), "weather": weather_rows(72).tail(40)}
    for name, frame in rows.items():
        plain = frame.with_columns(pl.col(pl.Datetime("us", "America/New_York")).dt.strftime("%Y-%m-%dT%H:%M:%S%.f%:z")).to_dicts()
        pushed = backend.call(push_rows, name=name, rows=plain)
        assert (pushed.added, pushed.waiting) == (frame.height, [])

    asked = airline.later("departs").head(40)
    store = open_store(live_server.settings.online_url)  # serving stands on the server's machine
    reader = FeatureReader(views, store, project="test", time="departs", functions=load_functions(views))
    online = reader.read([row | {"departs": row["departs"].isoformat()} for row in asked.to_dicts()])
    functions = load_functions(views) | {"station_weather": view_functions.station_weather}
    again = recompute(backend, asked, "departs", views, functions).to_numpy()
    assert ((abs(online.matrix - again) <= 1e-6 * abs(again)) | ((online.matrix != online.matrix) & (again != again))).all()

    airline.view(PACE)  # pace@2: the landings are in the tail still, so it is pace@1
    assert backend.call(catalog.resolve, "pace").number == 1
    airline.view(replace(PACE, over=("3h",)))
    assert backend.call(revert_view, name="pace", number=1).version.number == 3
