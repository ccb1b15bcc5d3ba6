"""A bad request is told which row and which field to mend."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from clew.errors import Invalid, TooLarge
from clew.serving.requests import MAX_ROWS, RequestReader
from clew.serving.schema import RequestField

NEW_YORK = "Datetime(time_unit='us', time_zone='America/New_York')"
READER = RequestReader(
    [
        RequestField("departs", NEW_YORK, required=True),
        RequestField("carrier", "String", required=True),
        RequestField("flight", "Int16", required=True),
        RequestField("tailnum", "String"),
        RequestField("distance", "Float64"),
        RequestField("charter", "Boolean"),
    ]
)
GOOD = {"departs": "2013-04-01T08:00:00-04:00", "carrier": "UA", "flight": 1545, "tailnum": "N14228", "distance": 1400, "charter": False}


def body(*rows: Any) -> bytes:
    return json.dumps({"rows": list(rows)}).encode()


def test_a_good_row_comes_in_the_types_of_its_fields() -> None:
    (row,) = READER.read(body(GOOD)).rows
    assert row == GOOD | {"departs": datetime(2013, 4, 1, 12, tzinfo=UTC), "distance": 1400.0}
    assert row["departs"].tzinfo == ZoneInfo("America/New_York")
    assert isinstance(row["distance"], float)


def test_fields_that_nobody_takes_are_left_out_and_named_once() -> None:
    rows, ignored = READER.read(body(GOOD, GOOD | {"seat": 1, "extra": 1}, GOOD | {"extra": None}))
    assert [list(row) for row in rows] == [list(GOOD)] * 3
    assert ignored == ["extra", "seat"]
    assert READER.read(body(GOOD)).ignored == []


def test_an_existing_system_takes_every_field() -> None:
    rows, ignored = RequestReader(READER.fields, others=True).read(body(GOOD | {"extra": 1}))
    assert rows[0]["extra"] == 1 and ignored == []


def test_an_entity_or_request_field_may_be_null() -> None:
    (row,) = READER.read(body(GOOD | {"tailnum": None, "distance": None})).rows
    assert row["tailnum"] is None
    assert row["distance"] is None


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("departs", "2013-04-01T08:00:00", "has no zone"),
        ("departs", "yesterday", "must be a time"),
        ("departs", 5, "must be a time"),
        ("departs", "0001-01-01T00:00:00+14:00", "outside the years 1 to 9999 in America/New_York"),
        ("departs", "9999-12-31T23:59:59-14:00", "outside the years 1 to 9999 in America/New_York"),
        ("departs", None, "is null"),
        ("carrier", 7, "must be text, not a whole number"),
        ("carrier", ["UA"], "must be text, not a list"),
        ("flight", 1.5, "must be a whole number"),
        ("flight", "1545", "must be a whole number"),
        ("flight", True, "must be a whole number"),
        ("flight", 40_000, "outside -32768 to 32767"),
        ("distance", "far", "must be a number"),
        ("distance", True, "must be a number"),
        ("distance", 10**400, "is 1000000.*, more than a number holds"),
        ("charter", 1, "must be true or false"),
    ],
)
def test_a_wrong_value_is_named_with_its_row_and_field(field: str, value: Any, says: str) -> None:
    with pytest.raises(Invalid, match=rf"row 1: '{field}' .*{says}") as caught:
        READER.read(body(GOOD, GOOD | {field: value}))
    assert caught.value.details == {"row": 1, "field": field}


@pytest.mark.parametrize("field", list(GOOD))
def test_a_missing_field_is_named(field: str) -> None:
    row = {name: value for name, value in GOOD.items() if name != field}
    with pytest.raises(Invalid, match=f"row 0: '{field}' is missing; a row names departs, carrier"):
        READER.read(body(row))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "not valid JSON"),
        (b"", "not valid JSON"),
        (b'{"rows": [{"distance": NaN}]}', "NaN and Infinity are not JSON"),
        (b'{"rows": [{"distance": 1e999}]}', "not valid JSON|row 0"),
        (b"[]", "object with a list of rows"),
        (b'{"rows": {}}', "object with a list of rows"),
        (b'{"rows": []}', "no row"),
        (b'{"rows": [5]}', "row 0: a row is an object"),
        (b'{"rows": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"rows": [{"departs": "\xff"}]}', "not valid JSON"),
    ],
)
def test_a_body_of_another_shape_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        READER.read(content)


def test_more_rows_than_one_request_may_hold_are_too_large() -> None:
    with pytest.raises(TooLarge, match="split them"):
        READER.convert([GOOD] * (MAX_ROWS + 1))
