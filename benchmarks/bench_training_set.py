"""A training set's windows, beside pandas: the mean of 6 hours for 1,000,000 requests over 1,000,000 events of 1,000 entities.

Both are exact at the request's own time. pandas has no window as of another frame's times, so that its best way is cumulative sums and
two as-of merges, which is what Clew does in arrays.
"""

from side_by_side import compare, header, timed

ROWS, ENTITIES = 1_000_000, 1_000
HOURS_6 = 6 * 3_600_000_000


def main() -> None:
    import numpy as np
    import pandas as pd

    from clew.feature_store.windows import EventColumn, Events, sliding

    header(f"A window of 6 h, {ROWS:,} requests over {ROWS:,} events", "clew-ml", "pandas")
    rng = np.random.default_rng(0)
    times, asked = (np.sort(rng.integers(0, 90 * 86_400_000_000, ROWS)) for _ in range(2))
    entities, wanted = (rng.integers(0, ENTITIES, ROWS) for _ in range(2))
    values = rng.normal(size=ROWS)

    def ours() -> float:
        events = Events(entities, times, times, {"value": EventColumn(values, np.ones(ROWS, bool))})
        return timed(lambda: sliding(wanted, asked, events, HOURS_6, [("mean", "value")]))

    def theirs() -> float:
        def run() -> None:
            events = pd.DataFrame({"entity": entities, "time": times, "value": values})
            events["total"] = events.groupby("entity")["value"].cumsum()
            events["count"] = events.groupby("entity").cumcount() + 1
            edges = events[["entity", "time", "total", "count"]]
            requests = pd.DataFrame({"entity": wanted, "time": asked})
            now = pd.merge_asof(requests, edges, on="time", by="entity")
            before = pd.merge_asof(requests.assign(time=requests["time"] - HOURS_6), edges, on="time", by="entity")
            (now["total"] - before["total"].fillna(0)) / (now["count"] - before["count"].fillna(0))

        return timed(run)

    compare(ours, theirs, peer_name="pandas", unit="s", repeats=3)


if __name__ == "__main__":
    main()
