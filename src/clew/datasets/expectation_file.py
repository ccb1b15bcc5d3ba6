"""``expectations/<dataset>.toml``: the rules as a file that a person reads, mends and keeps under version control."""

import json
import math
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from clew.datasets.expectations import ColumnExpectation, Expectations
from clew.errors import Invalid

__all__ = ["from_toml", "path_of", "read", "to_toml", "write"]

_RULES = ("type", "zone", "nulls", "between", "one_of")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = """\
# What the rows of {dataset} must look like{origin}.
# Review it, keep it beside your code: rows that break a rule are refused as a whole, naming column, rows and rule.
#   type, zone   the column's type and, for a time, the zone that it is in
#   nulls        the largest share of rows that may lack a value; 0 means that every row has one
#   between      the smallest and the largest number; -inf and inf leave a side open
#   one_of       every text that may stand here
# A rule that you delete is not checked any more.
"""


def path_of(root: Path, dataset: str) -> Path:
    return root / "expectations" / f"{dataset}.toml"


def to_toml(dataset: str, expectations: Expectations, origin: str = "") -> str:
    """The file's text; ``origin`` says in words what the rules were inferred from."""
    blocks = [_HEADER.format(dataset=dataset, origin=f", inferred from {origin}" if origin else "")]
    for name, rules in expectations.columns.items():
        lines = [f"[columns.{_key(name)}]" + (f"    # seen: {rules.seen}" if rules.seen else "")]
        lines += [f"{rule} = {_value(value)}" for rule in _RULES if (value := _closed(rule, getattr(rules, rule))) is not None]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def from_toml(text: str, where: str = "the expectations") -> Expectations:
    """Raises ``Invalid`` saying what in the file can't be read."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{where} is not valid TOML: {error}") from error
    for name, rules in document.get("columns", {}).items():
        unknown = sorted(set(rules) - set(_RULES)) if isinstance(rules, dict) else [str(rules)]
        if unknown:
            raise Invalid(f"{where}: {unknown[0]!r} of column {name!r} is no rule; the rules are {', '.join(_RULES)}")
    unknown = sorted(set(document) - {"columns"})
    if unknown:
        raise Invalid(f"{where}: {unknown[0]!r} is not known; rules stand under [columns.<name>]")
    try:
        read = msgspec.convert(document, Expectations)
        return Expectations({name: _opened(rules) for name, rules in read.columns.items()})
    except (msgspec.ValidationError, Invalid) as error:
        raise Invalid(f"{where}: {error}") from error


def read(root: Path, dataset: str) -> Expectations | None:
    """The rules in force, or ``None`` when there is no file yet."""
    path = path_of(root, dataset)
    return from_toml(path.read_text("utf-8"), str(path)) if path.is_file() else None


def write(root: Path, dataset: str, expectations: Expectations, origin: str = "") -> Path:
    """Write the file, unless there is one: a file that a person may have reviewed is never overwritten."""
    path = path_of(root, dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(to_toml(dataset, expectations, origin))
    except FileExistsError as error:
        raise Invalid(f"{path} is there already; delete it to have the rules inferred anew") from error
    return path


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    # JSON's strings are TOML's basic strings, except that TOML wants DEL escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:  # Any: one of the rules' own types
    match value:
        case str():
            return _text(value)
        case tuple():
            return "[" + ", ".join(_value(item) for item in value) + "]"
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case _:
            return repr(value)


def _closed(rule: str, value: Any) -> Any:
    """A side of a range that is open is ``None`` in a document, since JSON has no infinity, and infinite in the file."""
    if rule != "between" or value is None:
        return value
    low, high = value
    return (-math.inf if low is None else low, math.inf if high is None else high)


def _opened(rules: ColumnExpectation) -> ColumnExpectation:
    if rules.nulls is not None and not 0 <= rules.nulls <= 1:
        raise Invalid(f"nulls = {rules.nulls:g} is no share: give a number from 0 to 1")
    if rules.between is None:
        return rules
    low, high = rules.between
    if low is not None and high is not None and not low <= high:
        raise Invalid(f"between = [{low:g}, {high:g}] is empty: the first number must not be above the second")
    return replace(rules, between=(_finite(low), _finite(high)))


def _finite(side: float | None) -> float | None:
    return side if side is not None and math.isfinite(side) else None
