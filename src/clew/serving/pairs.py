"""What champion and candidate said of the same rows while a candidate was tried, and what came of them."""

from dataclasses import dataclass
from datetime import datetime

from clew.clock import from_micros, parse_duration
from clew.operations import Context
from clew.serving import truths
from clew.serving.answers import records_since
from clew.serving.documents import training_set_of
from clew.serving.records import Record
from clew.serving.schema import RouteDocument

__all__ = ["Pair", "matured_pairs"]


@dataclass(frozen=True)
class Pair:
    """One row that both scored, and its label."""

    event_time: datetime
    champion: float
    candidate: float
    label: float


def matured_pairs(context: Context, document: RouteDocument, candidate: int, since_epoch: int, until: datetime) -> list[Pair]:
    """Rows up to ``until`` that both scored since a route came into force, with labels that came in time; by event time, then key.

    Of several answers for one key the newest counts. ``document`` is the champion's: it says what the key and the label are. Rows that
    one of them refused have no pair.
    """
    details = training_set_of(context, document.training_set)
    if details is None:
        return []
    scored = [
        (record, *scores)
        for record in records_since(context, document.endpoint, since_epoch)
        if (scores := _scores(record, document.number, candidate)) is not None and from_micros(record.event_time) <= until
    ]
    keys = truths.keys_of(context, details.label_dataset.name, details.key, [record.row for record, *_ in scored])
    found: dict[str, tuple[Record, float, float]] = {}
    for key, one in zip(keys, scored, strict=True):  # newest first: the first of a key stays
        found.setdefault(key, one)
    ordered = sorted(found.items(), key=lambda item: (item[1][0].event_time, item[0]))
    records = [record for _, (record, _, _) in ordered]
    labels = truths.labels_of(context, details.label_dataset.name, details.label, details.key, [record.row for record in records])
    within = parse_duration(details.label_within)
    pairs = []
    for (_, (record, champion, tried)), label in zip(ordered, labels, strict=True):
        at = from_micros(record.event_time)
        truth = truths.in_time(label, at, within)
        if truth is not None:
            pairs.append(Pair(at, champion, tried, truth))
    return pairs


def _scores(record: Record, champion: int, candidate: int) -> tuple[float, float] | None:
    other = record.other
    if other is None or other.probability is None or record.probability is None:
        return None
    by: dict[int, float] = {record.number: record.probability, other.number: other.probability}
    return (by[champion], by[candidate]) if champion in by and candidate in by else None
