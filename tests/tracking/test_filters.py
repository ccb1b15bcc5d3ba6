import pytest

from clew.errors import Invalid
from clew.tracking.filters import And, Comparison, Exists, Expression, Field, Not, Or, parse

AUC = Field("metrics", "auc")
LR = Field("params", "lr")
STATUS = Field("run", "status")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.auc > 0.7", Comparison(AUC, ">", (0.7,))),
        ("metrics.auc>0.7 and params.lr < 0.2", And((Comparison(AUC, ">", (0.7,)), Comparison(LR, "<", (0.2,))))),
        (
            "metrics.auc > .7 or params.lr = 1 and not status == 'failed'",
            Or((Comparison(AUC, ">", (0.7,)), And((Comparison(LR, "=", (1,)), Not(Comparison(STATUS, "=", ("failed",)))))))
        ),
        (
            "(metrics.auc > 1e-3 OR params.lr = -1) AND tags.team ~ \"risk\"",
            And((Or((Comparison(AUC, ">", (0.001,)), Comparison(LR, "=", (-1,)))), Comparison(Field("tags", "team"), "~", ("risk",)))),
        ),
        ("status in ('failed', 'lost')", Comparison(STATUS, "in", ("failed", "lost"))),
        ("status not in ('lost')", Not(Comparison(STATUS, "in", ("lost",)))),
        ("metrics.train/loss exists", Exists(Field("metrics", "train/loss"))),
        ("metrics.`a b` < 2", Comparison(Field("metrics", "a b"), "<", (2,))),
        ("params.deep = true", Comparison(Field("params", "deep"), "=", (True,))),
        ("title = 'it\\'s'", Comparison(Field("run", "title"), "=", ("it's",))),
    ],
)  # fmt: skip
def test_a_filter_says_what_it_reads_like(text: str, expected: Expression) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "ends where a field"),
        ("metrics.auc", "ends where a comparison"),
        ("metrics.auc >", "ends where a value"),
        ("metric.auc > 1", "no field 'metric.auc'"),
        ("metrics.auc > high", "'high' at 15 is no value; text stands in quotes"),
        ("metrics.auc > 1 params.lr < 2", "join conditions"),
        ("(metrics.auc > 1", "belongs"),
        ("metrics.auc > 1; drop table runs", "can't be read"),
        ("0.7 < metrics.auc", "is not a field"),
        ("status in 'failed'", "belongs"),
        (" and ".join(["params.a = 1"] * 61), "at most 60"),
        ("(" * 100 + "status = 'lost'", "at most 60"),
        ("not " * 5000 + "status = 'lost'", "at most 60"),
    ],
)
def test_a_filter_that_makes_no_sense_points_at_the_place(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=None) as caught:
        parse(text)
    assert words in caught.value.message
