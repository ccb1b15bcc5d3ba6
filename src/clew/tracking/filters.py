"""The language that finds runs: ``metrics.auc > 0.7 and (params.lr < 0.2 or tags.team = "risk") and not status = "failed"``.

::

    expression  = conjunction { "or" conjunction }
    conjunction = term { "and" term }
    term        = "not" term | "(" expression ")" | field operator value | field ["not"] "in" "(" value { "," value } ")" | field "exists"
    field       = ("metrics" | "minimum" | "maximum" | "params" | "tags") "." name | one of the run's own columns
    operator    = "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "~"          (~ : contains, whatever the case)

A metric is compared by its last value; ``minimum`` and ``maximum`` compare its lowest and its highest. A name that has other characters than letters, digits and ``_ / . -`` stands in backquotes. Text stands in quotes, single or double.
"""

import re
from dataclasses import dataclass
from typing import Literal

from clew.errors import Invalid

__all__ = ["And", "Comparison", "Exists", "Expression", "Field", "Not", "Or", "fields_of", "parse", "parse_field"]

COLUMNS = ("id", "name", "title", "experiment", "status", "parent", "started", "ended", "duration", "actor")
_FAMILIES = ("metrics", "minimum", "maximum", "params", "tags")
_MAX_TERMS = 60

Value = float | int | str | bool
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~", "in"]


@dataclass(frozen=True)
class Field:
    """``metrics.auc`` has family ``metrics`` and name ``auc``; a column of the run has family ``run``."""

    family: str
    name: str

    def __str__(self) -> str:
        return self.name if self.family == "run" else f"{self.family}.{self.name}"


@dataclass(frozen=True)
class Comparison:
    field: Field
    operator: Operator
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Exists:
    field: Field


@dataclass(frozen=True)
class Not:
    part: "Expression"


@dataclass(frozen=True)
class And:
    parts: "tuple[Expression, ...]"


@dataclass(frozen=True)
class Or:
    parts: "tuple[Expression, ...]"


Expression = Comparison | Exists | Not | And | Or

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
  | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<operator><=|>=|!=|==|=|<|>|~|\(|\)|,)
  | (?P<word>[A-Za-z_](?:[\w/.-]*\w)?(?:\.?`[^`]+`)?)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str) -> Expression:
    """The expression that the text says. Raises ``Invalid`` that points at the place where it stops making sense."""
    return _Parser(text).whole()


def parse_field(text: str) -> Field:
    """A field by its text. Raises ``Invalid``."""
    family, dot, name = text.partition(".")
    if dot and family in _FAMILIES:
        name = name[1:-1] if name.startswith("`") and name.endswith("`") and len(name) > 2 else name
        if name:
            return Field(family, name)
    if text in COLUMNS:
        return Field("run", text)
    raise Invalid(f"runs have no field {text!r}; there are {', '.join(f'{family}.<name>' for family in _FAMILIES)}, {', '.join(COLUMNS)}")


def fields_of(expression: Expression) -> list[Field]:
    """The fields that an expression names, each once, in order.

    >>> [str(field) for field in fields_of(parse("metrics.auc > 0.7 and (params.lr < 0.2 or not metrics.auc exists)"))]
    ['metrics.auc', 'params.lr']
    """
    match expression:
        case And(parts) | Or(parts):
            return list(dict.fromkeys(field for part in parts for field in fields_of(part)))
        case Not(part):
            return fields_of(part)
        case Comparison(field) | Exists(field):
            return [field]
    raise AssertionError(expression)


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._terms = 0

    def _split(self) -> "list[_Token]":
        found, at = [], 0
        while self._text[at:].strip():
            match = _TOKEN.match(self._text, at)
            if match is None:
                raise self._wrong("can't be read", at + len(self._text[at:]) - len(self._text[at:].lstrip()))
            kind = str(match.lastgroup)
            found.append(_Token(kind, match[kind], match.start(kind)))
            at = match.end()
        return found

    def whole(self) -> Expression:
        found = self._expression()
        if self._next < len(self._tokens):
            raise self._wrong("was not expected; join conditions with 'and' or 'or'", self._tokens[self._next].at)
        return found

    def _expression(self) -> Expression:
        parts = [self._conjunction()]
        while self._takes("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _conjunction(self) -> Expression:
        parts = [self._term()]
        while self._takes("and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _term(self) -> Expression:
        self._terms += 1
        if self._terms > _MAX_TERMS:
            raise Invalid(f"a filter has at most {_MAX_TERMS} conditions")
        if self._takes("not"):
            return Not(self._term())
        if self._takes("("):
            inside = self._expression()
            self._demand(")")
            return inside
        return self._condition()

    def _condition(self) -> Expression:
        token = self._take("a field, such as metrics.auc")
        if token.kind != "word":
            raise self._wrong("is not a field; a condition begins with one, such as metrics.auc", token.at)
        field = parse_field(token.text)
        if self._takes("exists"):
            return Exists(field)
        if self._takes("not"):
            self._demand("in")
            return Not(self._members(field))
        if self._takes("in"):
            return self._members(field)
        operator = self._take(f"a comparison after {field}")
        if operator.kind != "operator" or operator.text in "(),":
            raise self._wrong(f"is no comparison; after {field} comes one of = != < <= > >= ~ in exists", operator.at)
        return Comparison(field, "=" if operator.text == "==" else operator.text, (self._value(),))  # type: ignore[arg-type]  # the token's pattern

    def _members(self, field: Field) -> Comparison:
        self._demand("(")
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
        self._demand(")")
        return Comparison(field, "in", tuple(values))

    def _value(self) -> Value:
        token = self._take("a value")
        if token.kind == "number":
            return float(token.text) if re.search(r"[.eE]", token.text) else int(token.text)
        if token.kind == "text":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1])
        if token.text.lower() in ("true", "false"):
            return token.text.lower() == "true"
        raise self._wrong("is no value; text stands in quotes", token.at)

    def _takes(self, text: str) -> bool:
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            if token.kind != "text" and token.text.lower() == text:
                self._next += 1
                return True
        return False

    def _demand(self, text: str) -> None:
        if not self._takes(text):
            at = self._tokens[self._next].at if self._next < len(self._tokens) else len(self._text)
            raise self._wrong(f"stands where {text!r} belongs", at)

    def _take(self, wanted: str) -> _Token:
        if self._next == len(self._tokens):
            raise Invalid(f"the filter {self._text!r} ends where {wanted} belongs")
        self._next += 1
        return self._tokens[self._next - 1]

    def _wrong(self, what: str, at: int) -> Invalid:
        rest = self._text[at:].split(maxsplit=1)
        return Invalid(f"in the filter {self._text!r}, {rest[0] if rest else 'the end'!r} at {at + 1} {what}", at=at)
