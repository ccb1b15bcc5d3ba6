"""The file of rules: what is written is read back, what is mistyped is said."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.datasets.expectation_file import from_toml, path_of, read, to_toml, write
from clew.datasets.expectations import ColumnExpectation, Expectations
from clew.errors import Invalid

RULES = Expectations(
    {
        "departs": ColumnExpectation("Datetime", "America/New_York", 0.0, None, None, ""),
        'a column, with "quotes"': ColumnExpectation("Float64", None, 0.0012, (-100.0, 0.5), None, ""),
        "origin": ColumnExpectation("String", None, 0.0, None, ("EWR", "über\t"), ""),
        "open": ColumnExpectation(between=(None, 3.0)),
        "free": ColumnExpectation(),
    }
)


def test_what_is_written_is_read_back() -> None:
    assert from_toml(to_toml("landings", RULES)) == RULES


@given(st.text(max_size=20), st.tuples(st.floats(-1e300, 0), st.floats(0, 1e300)), st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_any_name_number_and_text_survive_the_file(name: str, between: tuple[float, float], choices: list[str]) -> None:
    rules = Expectations({name: ColumnExpectation("String", None, 0.25, between, tuple(choices))})
    assert from_toml(to_toml("d", rules)) == rules


def test_the_file_reads_well() -> None:
    rules = Expectations({"delay": ColumnExpectation("Float64", None, 0.01, (-100.0, 2700.0), None, "-70 to 1272")})
    text = to_toml("landings", rules, "26,398 rows of 2013-01.csv")
    assert text.startswith("# What the rows of landings must look like, inferred from 26,398 rows of 2013-01.csv.\n")
    assert text.endswith('[columns.delay]    # seen: -70 to 1272\ntype = "Float64"\nnulls = 0.01\nbetween = [-100, 2700]\n')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[columns.a]\nbetwen = [1, 2]", "'betwen' of column 'a' is no rule; the rules are type, zone"),
        ("[columns.a]\nbetween = [2, 1]", "is empty"),
        ('[columns.a]\nnulls = "few"', "nulls"),
        ("[columns.a]\nnulls = 5", "nulls = 5 is no share"),
        ("[colums.a]", "'colums' is not known"),
        ("[columns.a\n", "not valid TOML"),
        ("columns.a = 3", "is no rule"),
    ],
)
def test_a_mistake_in_the_file_is_said(text: str, message: str) -> None:
    with pytest.raises(Invalid, match=r"^landings\.toml"):
        from_toml(text, "landings.toml")
    with pytest.raises(Invalid) as raised:
        from_toml(text, "landings.toml")
    assert message in raised.value.message


def test_a_file_that_may_have_been_reviewed_is_not_overwritten(tmp_path: Path) -> None:
    assert read(tmp_path, "landings") is None
    assert write(tmp_path, "landings", RULES) == path_of(tmp_path, "landings")
    assert read(tmp_path, "landings") == RULES
    with pytest.raises(Invalid, match="is there already"):
        write(tmp_path, "landings", Expectations())
    assert read(tmp_path, "landings") == RULES
