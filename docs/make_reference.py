"""Writes ``docs/reference`` from what the code says of itself: public names, operations, commands. ``make reference`` runs it."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import clew
from clew.cli import COMMANDS
from clew.operations import load_all

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/make_reference.py; change the docstrings, then run `make reference`. -->\n"


def python_page() -> str:
    """Every public name with its signature and docstring."""
    parts = ["# Python\n", NOTE, "Everything that `import clew` offers. Names load when they are first used.\n"]
    for name in clew.__all__:
        value = getattr(clew, name)
        parts.append(f"## `clew.{name}`\n\n```python\n{_signature(name, value)}\n```\n\n{_words(value)}\n")
        if inspect.isclass(value) and not issubclass(value, Exception):
            parts += [_method(value, key) for key in vars(value) if not key.startswith("_") and _is_documented(value, key)]
    return "\n".join(parts)


def _signature(name: str, value: Any) -> str:
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return f"clew.{name}"
    if inspect.isclass(value):
        text = text.removesuffix(" -> None")
    return f"clew.{name}{_plain(text)}"


def _plain(text: str) -> str:
    """A signature as it is written, without where its types live."""
    bare = re.sub(r"\b(?:clew|collections|typing|pathlib|types|polars|numpy|datetime)(?:\.[a-z_]+)*\.(?=[A-Za-z])", "", text)
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", bare)


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


def _is_documented(kind: type, key: str) -> bool:
    member = inspect.getattr_static(kind, key)
    return bool(inspect.getdoc(member)) and (inspect.isfunction(member) or isinstance(member, property | classmethod))


def _method(kind: type, key: str) -> str:
    member = inspect.getattr_static(kind, key)
    heading = key if isinstance(member, property) else f"{key}{_plain(str(inspect.signature(getattr(kind, key))))}"
    return f"**`.{heading}`** {_words(member)}"


def api_page() -> str:
    """Every operation with its address and permission."""
    parts = ["# HTTP operations\n", NOTE, "All stand under `/api/v1`; the whole contract is at `/api/v1/openapi.json`.\n"]
    parts.append("| operation | what it does | permission |\n|---|---|---|")
    for one in load_all():
        words = (inspect.getdoc(one.function) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|").replace("``", "`")
        parts.append(f"| `{one.method} {one.path}` | {words} | `{one.permission}` |")
    return "\n".join(parts) + "\n"


def commands_page() -> str:
    """Every command with its parameters."""
    parts = ["# Commands\n", NOTE, "Each takes `--json`, and `clew COMMAND --help` says more.\n"]
    for name, (module, summary) in COMMANDS.items():
        parts.append(f"## `clew {name}`\n\n{summary}\n")
        command = dict(importlib.import_module(module).COMMANDS)[name]
        if inspect.isfunction(command):
            parts += [*_parameters(command), ""]
        for part in getattr(command, "registered_commands", ()):
            parts += [f"### `clew {name} {part.name}`\n", _words(part.callback), *_parameters(part.callback), ""]
    return "\n".join(parts)


def _parameters(function: Any) -> list[str]:
    lines = []
    for key, parameter in inspect.signature(function).parameters.items():
        told = next((item for item in getattr(parameter.annotation, "__metadata__", ()) if getattr(item, "help", None)), None)
        if told is not None:
            # Inside Annotated, Typer keeps the first name where a default would be.
            names = [one for one in (told.default, *(told.param_decls or ())) if isinstance(one, str) and one.startswith("--")]
            named = (names or ["--" + key.replace("_", "-")])[0].partition("/")[0]
            option = key if type(told).__name__ == "ArgumentInfo" else named
            lines.append(f"- `{option}`: {told.help}")
    return lines


PAGES = {"python.md": python_page, "http.md": api_page, "commands.md": commands_page}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
