"""Writes ``docs/reference`` from what the code says of itself: public names, operations, commands, settings. ``make reference`` runs it."""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer.main

import clew
import clew.testing
from clew.cli import COMMANDS, app
from clew.operations import load_all
from clew.settings import TABLE_KEYS, VARIABLES

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/make_reference.py; change the docstrings, then run `make reference`. -->\n"
_WIDTH = 110

HELD: dict[str, tuple[str, ...]] = {
    "clew.sdk.datasets": ("Dataset",),
    "clew.sdk.features": ("Windows", "Features"),
    "clew.sdk.training": ("TrainingSet",),
    "clew.feature_store.training_data": ("Split",),
    "clew.sdk.models": ("Model", "Gate"),
    "clew.pipelines.comparison": ("Comparison",),
    "clew.pipelines.intervals": ("Interval",),
    "clew.sdk.endpoints": ("Endpoint", "Prediction"),
    "clew.sdk.versions": ("Version",),
    "clew.sdk.runs": ("RunView",),
    "clew.sdk.monitors": ("Monitor", "Trigger"),
    "clew.sdk.replays": ("Replay",),
    "clew.testing": ("Run", "OpenProject"),
    "clew.catalog.schema": ("ApplyResult", "DefinitionChange", "AssetVersion", "GateVerdict", "LineageGraph", "Edge"),
    "clew.pipelines.schema": ("Plan", "PlanStep"),
    "clew.datasets.schema": ("VersionProfile",),
    "clew.feature_store.schema": ("PushResult",),
    "clew.serving.schema": ("EndpointStatus", "Answer", "Truth", "Explanation"),
    "clew.monitoring.schema": ("PerformanceReport", "SkewReport", "FeatureSkew"),
    "clew.monitoring.performance": ("Performance", "BlockPerformance"),
}
"""What public functions and methods return, by home. ``clew`` does not export these: nobody makes one by hand, those of ``clew.testing`` apart."""


FOR_TESTS = ("project",)
"""Functions of ``clew.testing``, which has what only tests call."""


def python_page() -> str:
    """Every public name with its signature and docstring, then every class whose objects these return, with what one calls on them."""
    parts = ["# Python\n", NOTE, "Everything that `import clew` offers. Names load when they are first used.\n"]
    parts.append(f"Objects that these return: {', '.join(f'[`{name}`](#{_anchor(name)})' for name in _held_names())}.\n")
    for name in clew.__all__:
        parts += _described(f"clew.{name}", getattr(clew, name))
    for name in FOR_TESTS:
        parts += _described(f"clew.testing.{name}", getattr(clew.testing, name))
    parts.append("# What these return\n")
    for home, names in HELD.items():
        for name in names:
            shown = f"clew.testing.{name}" if home == "clew.testing" else name
            parts += _described(shown, getattr(importlib.import_module(home), name), makes=home == "clew.testing")
    return "\n".join(parts)


def _held_names() -> Iterator[str]:
    for home, names in HELD.items():
        for name in names:
            yield f"clew.testing.{name}" if home == "clew.testing" else name


def _anchor(name: str) -> str:
    return name.replace(".", "").lower()


def _described(name: str, value: Any, *, makes: bool | None = None) -> list[str]:
    """A section: how it is called, or for a class that nobody calls its fields; its words; and a class's members."""
    shown = name.startswith("clew.") if makes is None else makes
    parts = [f"## `{name}`\n"]
    if shown:
        parts.append(f"```python\n{_signature(name, value)}\n```\n")
    elif dataclasses.is_dataclass(value):
        fields = (f"{field.name}: {_plain(_annotation(field.type))}".replace("'", '"') for field in dataclasses.fields(value))
        parts.append("```python\n" + "\n".join(fields) + "\n```\n")
    parts.append(_words(value))
    if inspect.isclass(value) and not issubclass(value, Exception):
        parts += [_method(value, key) for key in members(value)]
    return parts


def members(kind: type) -> list[str]:
    """What one calls on an object of a class, nearest class first: its own and what it has from our other classes."""
    names: dict[str, None] = {}
    for base in kind.__mro__:
        if base.__module__.startswith("clew."):
            names |= dict.fromkeys(key for key in vars(base) if not key.startswith("_") and _is_member(kind, key))
    return list(names)


def _is_member(kind: type, key: str) -> bool:
    member = inspect.getattr_static(kind, key)
    return inspect.isfunction(member) or isinstance(member, property | classmethod)


def _annotation(kind: Any) -> str:
    return kind if isinstance(kind, str) else kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)


def _signature(name: str, value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    text = _plain(str(signature))
    if inspect.isclass(value):
        text = text.removesuffix(" -> None")
    if len(name) + len(text) <= _WIDTH:
        return f"{name}{text}"
    inside = _plain(str(signature.replace(return_annotation=inspect.Signature.empty)))[1:-1]
    result = text[len(inside) + 2 :]
    return f"{name}(\n" + "".join(f"    {part},\n" for part in _parts_of(inside)) + f"){result}"


def _parts_of(inside: str) -> Iterator[str]:
    """The parameters of a signature's text: split at the commas that lie in no bracket and no quotes."""
    depth, quoted, start = 0, False, 0
    for place, letter in enumerate(inside):
        quoted ^= letter == "'"
        depth += 0 if quoted else (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0 and not quoted:
            yield inside[start:place].strip()
            start = place + 1
    yield inside[start:].strip()


def _plain(text: str) -> str:
    """A signature as it is written, without where its types live."""
    bare = re.sub(r"\b(?:clew|collections|typing|pathlib|types|polars|numpy|datetime)(?:\.[a-z_]+)*\.(?=[A-Za-z])", "", text)
    bare = re.sub(r"""(: |-> )(?:'([^']*)'|"([^"]*)")""", r"\1\2\3", bare)
    return bare.replace("<factory>", "…")


def _words(value: Any) -> str:
    found = inspect.getdoc(value) or ""
    lines, fenced = [], False
    for line in found.splitlines():
        if line.lstrip().startswith(">>>") and not fenced:
            lines.append("```python")
            fenced = True
        elif fenced and not line.strip():
            lines.append("```")
            fenced = False
        lines.append(line.replace("``", "`") if not fenced else line)
    return "\n".join([*lines, "```"] if fenced else lines) + "\n"


def _method(kind: type, key: str) -> str:
    member = inspect.getattr_static(kind, key)
    if isinstance(member, property):
        returned = _plain(_annotation(inspect.signature(member.fget).return_annotation)) if member.fget else ""
        return f"**`.{key}: {returned}`** {_words(member)}"
    function = member.__func__ if isinstance(member, classmethod) else member
    signature = inspect.signature(function)
    first, *others = signature.parameters.values()
    assert first.name in ("self", "cls")
    # A class that nobody calls is told from an object's side: what stands before the dot is not named again.
    heading = _plain(str(signature.replace(parameters=others)))
    asynchronous = "await " if inspect.iscoroutinefunction(function) else ""
    return f"**`{asynchronous}.{key}{heading}`** {_words(getattr(kind, key))}"


def api_page() -> str:
    """Every operation with its address and permission, then what a serving process answers."""
    parts = ["# HTTP operations\n", NOTE]
    parts.append("Two servers answer: the API, at `http://127.0.0.1:7340` unless told otherwise, and")
    parts.append("[the serving process](#the-serving-process), which answers for endpoints, at `http://127.0.0.1:7341`.\n")
    parts.append("## The API\n")
    parts.append("All stand under `/api/v1`; the whole contract is at `/api/v1/openapi.json`.\n")
    parts.append("| operation | what it does | permission |\n|---|---|---|")
    for one in load_all():
        words = (inspect.getdoc(one.function) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|").replace("``", "`")
        parts.append(f"| `{one.method} {one.path}` | {words} | `{one.permission}` |")
    return "\n".join([*parts, "", "## The serving process\n", inspect.cleandoc(_SERVING)]) + "\n"


def commands_page() -> str:
    """Every command with its parameters, read from the commands themselves."""
    parts = ["# Commands\n", NOTE, "Each takes `--json`, and `clew COMMAND --help` says more.\n"]
    group: Any = typer.main.get_command(app)  # Any: Typer's own command classes are private to it
    for name, (_, summary) in COMMANDS.items():
        command = group.get_command(None, name)
        parts.append(f"## `clew {name}`\n\n{summary}\n")
        if more := (command.help or "").partition("\n\n")[2]:
            parts.append(f"{more}\n")
        commands = getattr(command, "commands", None)
        if commands is None:
            parts += [*_parameters(command), ""]
            continue
        if getattr(command, "invoke_without_command", False):
            parts += [*_parameters(command), ""]
        for part in commands.values():
            parts += [f"### `clew {name} {part.name}`\n", _words(part.callback), *_parameters(part), ""]
    return "\n".join(parts)


def _parameters(command: Any) -> list[str]:
    """What a command is given: arguments by name, options as they are typed, a switch with its opposite."""
    lines = []
    for one in command.params:
        if one.name in ("help", "as_json") or getattr(one, "hidden", False):
            continue
        if one.param_type_name == "argument":
            option = f"`{one.name}`"
        else:
            long_first = sorted(one.opts, key=len, reverse=True)
            option = ", ".join(f"`{name}`" for name in [*long_first, *one.secondary_opts])
        stands = "" if one.param_type_name == "argument" else _default(one)
        lines.append(f"- {option}: {one.help}{stands}")
    return lines


def _default(option: Any) -> str:
    value = option.default
    if value is None or value is False or value == "" or value == 0 or callable(value) or not isinstance(value, str | int | float):
        return ""
    return f" (`{option.opts[0] if value is True else value}` unless given)"


def settings_page() -> str:
    """Every environment variable and every key of ``[tool.clew]``."""
    parts = ["# Settings\n", NOTE, inspect.cleandoc(_SETTINGS)]
    parts.append("\n## Environment variables\n\n| variable | what it says | where it is left out |\n|---|---|---|")
    parts += [f"| `{name}` | {_cell(words)} | {_cell(default)} |" for name, (words, default) in VARIABLES.items()]
    parts.append("\n## `[tool.clew]` in `pyproject.toml`\n\n| key | what it says | where it is left out |\n|---|---|---|")
    parts += [f"| `{name}` | {_cell(words)} | {_cell(default)} |" for name, (words, default) in TABLE_KEYS.items()]
    return "\n".join([*parts, "", _EXAMPLE])


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


_SERVING = """
`clew up` starts it beside the API, `clew serve` alone. It answers without the API, and on loopback without a token; elsewhere a request carries
`Authorization: Bearer <token>`. Its paths stand under no prefix.

| request | what it answers |
|---|---|
| `POST /endpoints/{name}/predict` | An answer for each row; see below. |
| `GET /v2` | The server's name and version, by the Open Inference Protocol. |
| `GET /v2/health/live` | `{"live": true}`. |
| `GET /v2/health/ready` | The same as `/readyz`. |
| `GET /v2/models/{name}` | An endpoint's inputs, one tensor for each field of a row, and outputs. |
| `GET /v2/models/{name}/ready` | 200 while the endpoint can answer; 503 with what is missing. |
| `POST /v2/models/{name}/infer` | The same answers, in tensors. |
| `GET /healthz` | 200 while the process runs. |
| `GET /readyz` | 200 while every endpoint can answer; 503 with what is missing. Both say which endpoints there are. |
| `GET /metrics` | Figures for Prometheus. |

### `POST /endpoints/{name}/predict`

A row names the key and the event time of the training set, the entities of its views, and the fields of features of the request; a missing
one is refused by name. A time carries its offset; what is not known is `null`. At most 10,000 rows and 16 MiB at once.

```json
{"rows": [{"trip": "t-301", "starts": "2024-03-01T08:00:00+01:00", "line": "S1"}]}
```

The answers are in the order of the rows. `probability` is that of the label being true; a regression says `value`. `missing` names the views that had
nothing for the row, `features` the version of each view, and `epoch` the route that answered. `prediction_id` is what `clew explain` takes.

```json
{
  "predictions": [{"prediction_id": "p_3625…", "probability": 0.274, "model": "late@2", "missing": []}],
  "features": {"line_delays": 1},
  "epoch": 1
}
```

Other fields are left out, and the answer names them: `"ignored": ["hr"]`, which isn't there otherwise. `clew endpoints late` says in how many requests of
the last hour, and `clew_serving_ignored_total` counts those requests. Only an existing system, which knows what it wants, gets them all.

An error says what to mend: 400 for a row that is wrong, 404 for an endpoint that is not served here, 413 for too much at once, 422 for a feature outside
of its declared bounds, 503 while the process can't answer, 502 and 504 where the existing system that it stands in front of doesn't.

```json
{"error": {"code": "invalid", "message": "row 0: 'line' is missing; a row names trip, starts, line", "details": {"row": 0, "field": "line"}}}
```

### `POST /v2/models/{name}/infer`

One tensor for each field, all of the same length; times are text. Version 2 of the protocol, in JSON. The names of tensors that nobody takes stand in
the parameter `ignored`, with commas between.

```json
{"inputs": [
  {"name": "trip", "datatype": "BYTES", "shape": [1], "data": ["t-301"]},
  {"name": "starts", "datatype": "BYTES", "shape": [1], "data": ["2024-03-01T08:00:00+01:00"]},
  {"name": "line", "datatype": "BYTES", "shape": [1], "data": ["S1"]}
]}
```

```json
{
  "model_name": "late", "model_version": "2", "parameters": {"epoch": 1, "view:line_delays": 1},
  "outputs": [
    {"name": "probability", "datatype": "FP32", "shape": [1], "data": [0.274]},
    {"name": "prediction_id", "datatype": "BYTES", "shape": [1], "data": ["p_3625…"]}
  ]
}
```
"""

_SETTINGS = """
Nothing has to be set. A setting is looked for in the environment first, then in `[tool.clew]` of the nearest `pyproject.toml`, the folder that
one is in or one above it; the rest is embedded: everything lies in the folder `.clew`. A command that writes in a project above says so.
"""
_EXAMPLE = """\
```toml
[tool.clew]
project = "flights"
files = ["flights.py"]

[tool.clew.environments]
local = ".clew"
production = { url = "https://clew.example.org" }
```

`CLEW_ENV=production clew endpoints` then asks the server, and without `CLEW_ENV` everything happens in `.clew`.
"""


PAGES: dict[str, Callable[[], str]] = {
    "python.md": python_page,
    "http.md": api_page,
    "commands.md": commands_page,
    "settings.md": settings_page,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
