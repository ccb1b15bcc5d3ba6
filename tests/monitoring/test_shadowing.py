"""A version in the shadow of people, or of another system's scores, over half a year of a small airport."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from season import END, FUNCTIONS, SERVED, Season, before
from small_airline import ZONE
from typer.testing import CliRunner

from clew import backend as backends
from clew import console
from clew.cli import app
from clew.errors import Invalid, NotFound
from clew.feature_store.service import push_rows
from clew.monitoring import service
from clew.monitoring.schema import ShadowReport
from clew.monitoring.shadowing import shadow

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Skipping features without:UserWarning")
KEY = ["departs", "flight"]


@pytest.fixture
def lived(season: Season) -> Season:
    """Twelve weeks after the version was trained, all labels there."""
    season.now(END + timedelta(days=1))
    return season


def guesses(season: Season, seed: int = 0) -> pl.DataFrame:
    """What somebody without any knowledge decided, from the first served day on."""
    rows = season.asked(SERVED, END).select(KEY)
    said = np.random.default_rng(seed).random(rows.height) < 0.4
    return rows.with_columns(held=pl.Series(said))


def judge(season: Season, decisions: pl.DataFrame | Path, **options: object) -> ShadowReport:
    return shadow(season.backend, "late@2", decisions, "late", functions=FUNCTIONS, **options)  # type: ignore[arg-type]


def test_a_model_that_knows_something_beats_people_who_guess(lived: Season) -> None:
    report = judge(lived, guesses(lived))
    assert report.contest.word == "better"
    assert (report.contest.blocks, report.contest.rows) == (84, report.given)
    assert (report.unknown, report.seen, report.waiting, report.unlabelled, report.unscored) == (0, 0, 0, 0, 0)
    assert str(report).startswith("better: late@2 would have been wrong in ")
    assert "% were (it says yes from a score of" in str(report) and "84 days, 2,5" in str(report)


def test_the_scores_are_those_that_serving_gave(lived: Season) -> None:
    """Held against the very scores that the endpoint answered with, there is no difference at all."""
    from clew.serving.answers import all_answers

    lived.serve(SERVED, END)
    context = lived.backend.context(lived.backend.project)
    with context.reading() as inside:
        answers = all_answers(inside, "late", None, None)
    rows = lived.asked(SERVED, END).select(KEY).with_columns(score=answers.sort("event_time", maintain_order=True)["probability"])
    report = judge(lived, rows)
    assert (report.contest.measure, report.contest.word) == ("log loss", "no worse")
    assert report.contest.difference is not None
    assert abs(report.contest.difference.estimate) < 1e-6


def test_a_version_that_is_turned_around_would_be_worse_than_people_who_know(lived: Season) -> None:
    truth = lived.frame.select(*KEY, known="late")
    known = lived.asked(SERVED, END).select(KEY).join(truth, on=KEY, how="left", maintain_order="left")
    assert judge(lived, known).contest.word == "worse"


def test_rows_that_it_was_trained_on_that_wait_or_are_unknown_are_left_out_and_counted(season: Season) -> None:
    season.now(SERVED + timedelta(days=20))
    given = season.asked(SERVED - timedelta(days=3), SERVED + timedelta(days=21)).select(KEY)
    given = given.with_columns(held=pl.Series(np.arange(given.height) % 3 == 0))
    strange = given.tail(2).with_columns(flight=pl.col("flight") + 1_000_000)
    report = judge(season, pl.concat([given, strange]))
    assert (report.given, report.unknown) == (given.height + 2, 2)
    assert report.seen == before(given, "departs", SERVED).height > 80
    matured = before(given, "departs", SERVED + timedelta(days=19))  # of the 20th day the last flights' six hours are not over
    assert report.waiting == given.height - matured.height > 50
    assert report.contest.rows == given.height - report.seen - report.waiting
    assert f"2 with a key that is in no dataset, {report.seen} that it was trained on, {report.waiting} waiting for labels" in str(report)


def test_decisions_are_read_from_a_file_and_the_report_is_kept(lived: Season, tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    rows = guesses(lived).with_columns(
        departs=pl.col("departs").map_elements(lambda at: at.isoformat(), return_dtype=pl.String),
        held=pl.when("held").then(pl.lit("Yes")).otherwise(pl.lit("no")),
    )
    rows.write_csv(file)
    report = judge(lived, file)
    assert (report.source, report.decided) == ("decisions.csv", "held")
    assert report.contest == judge(lived, guesses(lived)).contest
    kept = lived.backend.call(service.list_reports, "late", "shadow").items
    assert [one.shadow and one.shadow.source for one in kept] == ["a frame", "decisions.csv"]
    assert kept[1].shadow == report


def test_rows_that_were_appended_and_not_cut_yet_are_found(lived: Season) -> None:
    at = (END + timedelta(hours=1)).astimezone(pl.Series([SERVED]).dt.convert_time_zone(ZONE)[0].tzinfo)
    row = {"departs": at, "flight": 77_777}
    lived.backend.call(
        push_rows, "schedule", [{**row, "carrier": "UA", "station": "EWR", "distance": 300.0, "published": at - timedelta(hours=6)}]
    )
    given = pl.DataFrame({**{name: [value] for name, value in row.items()}, "held": [True]})
    report = judge(lived, given.cast({"departs": lived.frame.schema["departs"], "flight": pl.Int64}))
    assert (report.unknown, report.given) == (0, 1)
    assert report.contest.word == "not enough data yet"


def test_labels_that_came_by_decision_are_said_and_nothing_else(lived: Season) -> None:
    """Schedules whose landing never came, among those that got a no."""
    start = END + timedelta(hours=2)
    rows, given = [], guesses(lived)
    for number in range(4_000):
        at = start + timedelta(seconds=number)
        rows.append({"departs": at, "flight": 900_000 + number, "carrier": "UA", "station": "EWR", "distance": 300.0, "published": at})
    lived.now(END + timedelta(days=3))
    lived.backend.call(push_rows, "schedule", rows)
    never = pl.DataFrame(rows).select(pl.col("departs").cast(given.schema["departs"]), pl.col("flight").cast(pl.Int64), held=False)
    report = judge(lived, pl.concat([given, never]))
    assert report.contest.word == "not enough data yet"
    assert "labels came for 100 % of the rows that got a yes and 2" in report.reason
    assert report.unlabelled == 4_000


@pytest.mark.parametrize(("held", "word"), [(True, "yes"), (False, "no")])
def test_decisions_that_are_all_alike_tell_nothing_apart_and_the_report_says_so(lived: Season, held: bool, word: str) -> None:
    report = judge(lived, guesses(lived).with_columns(held=pl.lit(held)))
    assert str(report).startswith(f"not enough data yet: {word} was decided about all of these rows, which tells none from another")
    assert f"(84 days, {report.contest.rows:,} rows)" in str(report)


def test_decisions_on_too_few_days_say_how_many_are_needed(lived: Season) -> None:
    report = judge(lived, guesses(lived).filter(pl.col("departs").dt.convert_time_zone("UTC") < SERVED + timedelta(days=3)))
    assert str(report).startswith("not enough data yet: a comparison takes decisions on at least 14 days (3 days, ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.drop("flight"), "lack the key column 'flight'"),
        (lambda rows: rows.drop("held"), "say which column is the decision, with --decision: there are none but the key"),
        (lambda rows: rows.with_columns(note=pl.lit("x")), "there are held, note"),
        (lambda rows: rows.with_columns(held=pl.lit("perhaps")), "row 1: 'held' is 'perhaps'"),
        (lambda rows: rows.with_columns(held=pl.lit(17.0)), "row 1: 'held' is 17.0"),
        (lambda rows: rows.with_columns(held=pl.lit(None)), "row 1: 'held' is None"),
        (lambda rows: pl.concat([rows.head(1), rows.head(1).with_columns(~pl.col("held"))]), "two decisions differ about"),
        (lambda rows: rows.head(1).with_columns(flight=pl.lit("BA 1")), "the key 'flight' can't be read as"),
        (lambda rows: rows.with_columns(departs=pl.lit("2013-04-01T08:00")), "has no zone; write its offset"),
    ],
)
def test_decisions_that_cannot_be_read_are_told_with_what_to_mend(lived: Season, change, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Invalid, match=said.replace("(", r"\(")):
        judge(lived, change(guesses(lived)))


def test_a_file_that_names_nothing_that_there_is_and_one_that_is_not_there(lived: Season, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="none of the 2 keys in a frame is in schedule; it is keyed by"):
        judge(lived, guesses(lived).head(2).with_columns(flight=pl.col("flight") + 1_000_000))
    with pytest.raises(Invalid, match=r"can't be read as a CSV file"):
        judge(lived, tmp_path / "nowhere.csv")


def test_the_command_says_the_word_and_gives_json(lived: Season, tmp_path: Path) -> None:
    backends.use(lived.backend)
    file = tmp_path / "decisions.csv"
    guesses(lived).with_columns(departs=pl.col("departs").map_elements(lambda at: at.isoformat(), return_dtype=pl.String)).write_csv(file)
    for arguments, wanted in ((["shadow", "late@2", str(file)], "better: "), (["shadow", "late@2", str(file), "--json"], "{")):
        console.use_json(False)
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "400"})
        console.use_json(False)
        assert result.exit_code == 0, result.output
        assert result.output.startswith(wanted)
    assert json.loads(result.output)["contest"]["word"] == "better"
