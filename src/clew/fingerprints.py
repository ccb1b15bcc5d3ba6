"""What a step is: the code it can reach, and what it read while it ran. The key that a cached build is found by.

The walk starts at a function's code object and follows what the bytecode can reach inside the project: helpers, constants, closures,
defaults, classes along their bases, modules. What lies outside counts by its distribution's version. It sees no network, no clock, no
C extension's state and no monkey-patching.
"""

import ast
import dis
import enum
import functools
import hashlib
import importlib
import os
import pickle
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path, PurePath
from typing import Any

from clew.definitions import AnyDefinition

__all__ = ["Code", "first_difference", "fingerprint", "is_project_file"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
_IGNORED_OPERATIONS = {"CACHE", "EXTENDED_ARG", "NOP", "RESUME", "PRECALL", "COPY_FREE_VARS", "MAKE_CELL", "NOT_TAKEN"}
_LOADS = {"LOAD_GLOBAL", "LOAD_NAME"}
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
_CLASS_NOISE = {
    "__module__",
    "__dict__",
    "__weakref__",
    "__doc__",
    "__firstlineno__",
    "__static_attributes__",
    "__abstractmethods__",
    "_abc_impl",
}
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class Code:
    """``digest`` of everything that a function can reach, and the digest of each part by name, so that a difference has a name."""

    digest: str
    parts: dict[str, str]


def fingerprint(function: Callable[..., Any], root: Path) -> Code:
    """The code that a function can reach inside the project under ``root``. Comments, docstrings and line numbers don't count.

    >>> fingerprint(fingerprint, Path(__file__).parent).digest == fingerprint(fingerprint, Path(__file__).parent).digest
    True
    """
    walk = _Walk(root.resolve())
    walk.visit(function, _name_of(function))
    parts = dict(sorted(walk.parts.items()))
    return Code(_digest("".join(f"{name}={value};" for name, value in parts.items())), parts)


def first_difference(before: dict[str, str], after: dict[str, str]) -> str | None:
    """The first part that was changed, added or removed, in words."""
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            return f"{name} is new"
        if name not in after:
            return f"{name} is gone"
        if before[name] != after[name]:
            return f"{name} changed"
    return None


@functools.cache
def _outside() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(
        {str(Path(paths[key]).resolve()) for key in ("stdlib", "platstdlib", "purelib", "platlib")} | {str(Path(__file__).resolve().parent)}
    )


def is_project_file(file: str | None, root: Path) -> bool:
    """Whether a file is the user's own: under the root and no installed package. A notebook's cell and ``-c`` are, too."""
    if file is None:
        return False
    if file.startswith("<"):
        return not file.startswith("<frozen")
    path = str(Path(file).resolve())
    return path.startswith(f"{root}/") and not path.startswith(_outside()) and "/site-packages/" not in path


def _digest(text: str | bytes) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass") if isinstance(text, str) else text).hexdigest()[:32]


def _name_of(value: Any) -> str:
    return f"{_module_name(getattr(value, '__module__', None) or '?')}.{getattr(value, '__qualname__', type(value).__qualname__)}"


def _module_name(module: str) -> str:
    """``python flights.py`` and ``clew build`` run the same code, the one as ``__main__``: it counts by its file's name in both."""
    file = getattr(sys.modules.get("__main__"), "__file__", None) if module == "__main__" else None
    return module if file is None else Path(file).stem


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return {name: list(found) for name, found in packages_distributions().items()}


@functools.cache
def _foreign(module: str) -> str:
    """What lies outside the project, by distribution and version; the standard library by Python's minor version."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == "builtins":
        return f"python {sys.version_info.major}.{sys.version_info.minor}"
    for distribution in _distributions().get(top, []):
        try:
            return f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            continue
    return f"module {top}"


@dataclass
class _Walk:
    """One walk. ``visit`` gives a value's digest; named parts (functions, classes, modules) are kept in ``parts`` as they are met."""

    root: Path
    parts: dict[str, str] = field(default_factory=dict)
    _seen: dict[int, str] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)  # keeps ids from being used again while the walk lasts

    def visit(self, value: Any, name: str) -> str:
        if isinstance(value, _PLAIN):
            return _digest(f"{type(value).__name__} {self._wherever(value)!r}")
        if id(value) in self._seen:
            return self._seen[id(value)]
        self._seen[id(value)] = _digest(f"cycle {name}")
        self._kept.append(value)
        found = self._digest_of(value, name)
        self._seen[id(value)] = found
        return found

    def _wherever(self, value: Any) -> Any:  # Any: a plain value
        """A path into the project as it would be wherever the project lies: a worker unpacks it in a folder of its own."""
        root = str(self.root)
        if not isinstance(value, str) or not value.startswith(root) or value[len(root) :][:1] not in ("", "/", "\\"):
            return value
        return f"<the project>{value[len(root) :]}"

    def _all(self, values: Any, name: str) -> str:
        return _digest(",".join(self.visit(value, f"{name}[{place}]") for place, value in enumerate(values)))

    def _digest_of(self, value: Any, name: str) -> str:
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if isinstance(value, types.MethodType):
            return _digest(self.visit(value.__func__, name) + self.visit(value.__self__, name))
        if isinstance(value, functools.partial):
            return _digest(self.visit(value.func, name) + self._all(value.args, name) + self.visit(value.keywords, name))
        if isinstance(value, staticmethod | classmethod):
            return self.visit(value.__func__, name)
        if isinstance(value, property):
            return self._all([value.fget, value.fset, value.fdel], name)
        if isinstance(value, functools.cached_property):
            return self.visit(value.func, name)
        if isinstance(value, list | tuple):
            return _digest(type(value).__name__ + self._all(value, name))
        if isinstance(value, set | frozenset):
            return _digest("set" + ",".join(sorted(self.visit(item, name) for item in value)))
        if isinstance(value, dict):
            return _digest("dict" + ",".join(self.visit(key, name) + self.visit(item, f"{name}[{key!r}]") for key, item in value.items()))
        return self._object(value, name)

    # ── functions ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _function(self, function: types.FunctionType) -> str:
        name = _name_of(function)
        if not is_project_file(function.__code__.co_filename, self.root):
            # A decorator of another package wraps a function of ours: what it wraps is reached through __wrapped__ and its closure.
            inner = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
            ours = [one for one in (*inner, getattr(function, "__wrapped__", None)) if self._is_ours(one)]
            self.parts.setdefault(f"{_foreign(function.__module__ or '?')}", "")
            return _digest(name + _foreign(function.__module__ or "?") + self._all(ours, name))
        pieces = [
            self._code(function.__code__, function.__globals__, name),
            self._all(function.__defaults__ or (), f"{name} default"),
            self.visit(function.__kwdefaults__ or {}, f"{name} default"),
            self._all([cell.cell_contents if _is_filled(cell) else None for cell in function.__closure__ or ()], f"{name} closure"),
            self.visit(getattr(function, "__wrapped__", None), name),
        ]
        found = _digest("".join(pieces))
        self.parts[name] = found
        return found

    def _is_ours(self, value: Any) -> bool:
        if isinstance(value, types.FunctionType):
            return is_project_file(value.__code__.co_filename, self.root)
        return isinstance(value, type | types.MethodType | functools.partial)

    def _code(self, code: types.CodeType, scope: dict[str, Any], name: str) -> str:
        """A code object by its operations with their arguments resolved, and by what its global names stand for."""
        instructions = [one for one in dis.get_instructions(code) if one.opname not in _IGNORED_OPERATIONS]
        place = {one.offset: index for index, one in enumerate(instructions)}
        # The docstring is a constant that no operation loads, so that reading operations leaves it out by itself.
        words = [f"{code.co_argcount} {code.co_kwonlyargcount} {code.co_posonlyargcount} {code.co_flags & 0x2C}"]
        for one in instructions:
            words.append(f"{one.opname} {self._argument(one, place, scope, name)}")
        words += [self._global(chain, scope, name) for chain in _chains(instructions)]
        words += [self._import(one, scope, name) for one in _imports(instructions)]
        return _digest("\n".join(words))

    def _argument(self, one: dis.Instruction, place: dict[int, int], scope: dict[str, Any], name: str) -> str:
        if isinstance(one.argval, types.CodeType):
            return self._code(one.argval, scope, name)
        if one.opcode in dis.hasjrel or one.opcode in dis.hasjabs:
            # A jump by how many operations it skips: offsets move when a constant's index grows a byte.
            target = min((index for offset, index in place.items() if offset >= one.argval), default=len(place))
            return str(target - place[one.offset])
        if one.opcode in dis.hasconst:
            return self.visit(one.argval, f"{name} constant")
        return repr(one.argval) if one.argval is not None else ""

    def _global(self, chain: tuple[str, ...], scope: dict[str, Any], name: str) -> str:
        if chain[0] not in scope:
            return f"builtin {chain[0]}"
        value, reached, rest = scope[chain[0]], chain[0], chain[1:]
        # Through modules the chain says which of their names is meant; a module that is not looked into counts whole.
        while isinstance(value, types.ModuleType) and rest and hasattr(value, rest[0]):
            value, reached, rest = getattr(value, rest[0]), f"{reached}.{rest[0]}", rest[1:]
        if isinstance(value, _PLAIN):
            self.parts[f"{scope.get('__name__', '?')}.{reached}"] = self.visit(value, reached)
        found = self.visit(value, f"{scope.get('__name__', '?')}.{reached}")
        return f"{reached} {found}"

    def _import(self, statement: tuple[str, int, tuple[str, ...] | None], scope: dict[str, Any], name: str) -> str:
        """An import in a function's body: the names taken from a module of the project, or the module whole."""
        module_name, level, names = statement
        package = scope.get("__package__") or ""
        try:
            module = importlib.import_module("." * level + module_name, package if level else None)
        except Exception as error:  # the step itself will raise it, or never come there
            return f"import {module_name} fails with {type(error).__name__}"
        taken = [getattr(module, one, None) for one in names or ()]
        if not names or any(one is None for one in taken):
            return self.visit(module, module.__name__)
        return ",".join(self.visit(one, f"{module.__name__}.{part}") for one, part in zip(taken, names, strict=True))

    # ── classes, modules, objects ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _class(self, kind: type) -> str:
        name = _name_of(kind)
        if not self._is_project_module(kind.__module__):
            self.parts.setdefault(_foreign(kind.__module__), "")
            return _digest(f"{name} {_foreign(kind.__module__)}")
        members = [
            (key, item) for key, item in vars(kind).items() if key not in _CLASS_NOISE and not isinstance(item, types.MemberDescriptorType)
        ]
        words = [f"{key} {self.visit(item, f'{name}.{key}')}" for key, item in sorted(members) if not key.startswith("__annot")]
        words += [self.visit(base, _name_of(base)) for base in kind.__mro__[1:]]
        words.append(self.visit(type(kind), _name_of(type(kind))))
        found = _digest("\n".join(words))
        self.parts[name] = found
        return found

    def _is_project_module(self, name: str) -> bool:
        module = sys.modules.get(name)
        if module is None or (name == "__main__" and not hasattr(module, "__file__")):
            return True
        return is_project_file(getattr(module, "__file__", None), self.root)

    def _module(self, module: types.ModuleType) -> str:
        """A module that is used as a whole: its source without comments and docstrings, and the modules of the project that it holds."""
        file = getattr(module, "__file__", None)
        if not is_project_file(file, self.root):
            self.parts.setdefault(_foreign(module.__name__), "")
            return _digest(_foreign(module.__name__))
        assert file is not None  # is_project_file says no to None
        words = [_source_digest(Path(file))]
        for key, value in sorted(vars(module).items()):
            # Values that another module gave: the source of this one only names them. A private container is a cache more often than not.
            given = isinstance(value, _PLAIN) or (isinstance(value, tuple | list | dict | set | frozenset) and not key.startswith("_"))
            foreign = callable(value) and getattr(value, "__module__", None) != module.__name__
            if isinstance(value, types.ModuleType) or foreign or (given and not key.startswith("__")):
                words.append(f"{key} {self.visit(value, f'{module.__name__}.{key}')}")
        found = _digest("\n".join(words))
        self.parts[f"{module.__name__} (whole file)"] = found
        return found

    def _object(self, value: Any, name: str) -> str:
        kind = type(value)
        if value is os.environ or value is getattr(
            os, "environb", None
        ):  # which variables are read, and what they were, is noted while the step runs
            return _digest("the environment")
        # By type, not by whether the attributes are there: ``pl.col`` makes a new expression of any attribute that it is asked for.
        definition = getattr(value, "definition", None)
        if isinstance(definition, AnyDefinition) and hasattr(value, "function"):  # another asset: its code and what it declares
            words = self.visit(value.function, name) + repr(definition)
            return _digest(re.sub(r"FunctionRef\([^)]*\)", "", words))
        if isinstance(value, enum.Enum):
            return _digest(self.visit(kind, name) + value.name)
        if isinstance(value, re.Pattern):
            return _digest(f"pattern {value.pattern!r} {value.flags}")
        if isinstance(value, PurePath):
            return _digest(f"path {self._wherever(str(value))}")
        if isinstance(
            value, types.BuiltinFunctionType | types.BuiltinMethodType | types.MethodDescriptorType | types.WrapperDescriptorType
        ):
            return _digest(f"{_name_of(value)} {_foreign(getattr(value, '__module__', None) or 'builtins')}")
        wrapped = getattr(value, "__wrapped__", None)  # functools.lru_cache and its like
        if wrapped is not None:
            return _digest(_name_of(kind) + self.visit(wrapped, name))
        if self._is_project_module(kind.__module__):
            return _digest(self.visit(kind, _name_of(kind)) + self.visit(dict(_state(value)), name))
        self.parts.setdefault(_foreign(kind.__module__), "")
        return _digest(f"{_name_of(kind)} {_foreign(kind.__module__)} {_foreign_state(value)}")


def _state(value: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(value, "__dict__", {}).items()
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, slot) and slot not in ("__dict__", "__weakref__"):
                yield slot, getattr(value, slot)


def _foreign_state(value: Any) -> str:
    """The value of an object of another package: by its pickle, else by how it prints; one that says neither counts by its type."""
    try:
        return _digest(pickle.dumps(value, protocol=4))
    except Exception:  # locks, handles, connections: nothing that is a value
        text = repr(value)
        return "" if _ADDRESS.search(text) else _digest(text)


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty cell raises
    except ValueError:
        return False
    return True


def _chains(instructions: list[dis.Instruction]) -> Iterator[tuple[str, ...]]:
    """Global names with the attributes that are taken from them at once: ``config.LIMITS.rows``."""
    index = 0
    while index < len(instructions):
        one = instructions[index]
        index += 1
        if one.opname not in _LOADS:
            continue
        chain = [str(one.argval)]
        while index < len(instructions) and instructions[index].opname in _ATTRIBUTES:
            chain.append(str(instructions[index].argval))
            index += 1
        yield tuple(chain)


def _imports(instructions: list[dis.Instruction]) -> Iterator[tuple[str, int, tuple[str, ...] | None]]:
    for index, one in enumerate(instructions):
        if one.opname == "IMPORT_NAME":
            level, names = (instructions[index - 2].argval, instructions[index - 1].argval) if index >= 2 else (0, None)
            yield str(one.argval), level if isinstance(level, int) else 0, names if isinstance(names, tuple) else None


@functools.lru_cache(maxsize=256)
def _parsed(path: str, stamp: tuple[int, int]) -> str:
    tree = ast.parse(Path(path).read_text("utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
            and body
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = body[1:]
    return _digest(ast.dump(tree))


def _source_digest(file: Path) -> str:
    found = file.stat()
    return _parsed(str(file), (found.st_mtime_ns, found.st_size))
