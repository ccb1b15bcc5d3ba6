"""Where an error leaves Clew for a user's file: it keeps its message and the frames that are the user's, and loses ours.

What a user can mend stands in the message and in his own line that called. The frames between are dropped where the public functions and
methods end, and nowhere else: no hook is installed, and what catches an error, a debugger too, gets the same object.
"""

import functools
import inspect
import os
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

from clew.errors import ClewError
from clew.settings import full_tracebacks

__all__ = ["bordered", "errors_end_here", "named", "place_in_words", "place_of"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=type)

_NOT_THE_USERS = tuple(
    {f"{Path(__file__).parents[1]}{os.sep}", *(sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib"))}
)
_OF_PACKAGES = {"site-packages", "dist-packages"}
"""Folders of packages that lie elsewhere too: a person's own, and a distribution's."""


def bordered(function: Callable[P, R]) -> Callable[P, R]:
    """The function, whose errors of Clew end at its caller's frame; all frames stay where ``CLEW_TRACEBACK`` is ``full``."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ClewError as error:
            _say_output(error)
            if full_tracebacks():
                raise
            error.__traceback__ = _of_the_user(error.__traceback__)
            raise error from _told_cause(error)  # CLEW_TRACEBACK=full shows every frame

    return call


def errors_end_here(kind: T) -> T:
    """A class whose public methods are ``bordered``: its own, for those that it inherits are already, or a plain call of a user's function."""
    for name, member in list(vars(kind).items()):
        if inspect.isfunction(member) and not name.startswith("_") and not inspect.iscoroutinefunction(member):
            setattr(kind, name, bordered(member))
    return kind


def _is_the_users(frame_file: str) -> bool:
    return not frame_file.startswith((*_NOT_THE_USERS, "<frozen")) and _OF_PACKAGES.isdisjoint(Path(frame_file).parts)


def _of_the_user(trace: TracebackType | None) -> TracebackType | None:
    """The frames of a traceback that are of the user's own files, in order: a function of his may have raised, deep inside of ours."""
    frames = []
    while trace is not None:
        if _is_the_users(trace.tb_frame.f_code.co_filename):
            frames.append(trace)
        trace = trace.tb_next
    kept: TracebackType | None = None
    for one in reversed(frames):
        kept = TracebackType(kept, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return kept


def place_of(error: BaseException) -> dict[str, str | int]:
    """The user's ``file``, ``line`` and ``source`` line that an error came from, the innermost; nothing where none is his."""
    frames = list(traceback.extract_tb(error.__traceback__))
    if isinstance(error, SyntaxError) and error.filename:  # no frame was there to raise it
        frames.append(traceback.FrameSummary(error.filename, error.lineno, "<module>"))
    his = [frame for frame in frames if _is_the_users(frame.filename) and not frame.filename.startswith("<")]
    if not his:
        return {}
    return {"file": named(his[-1].filename), "line": his[-1].lineno or 0, "source": his[-1].line or ""}


def place_in_words(error: ClewError) -> str:
    """A line with the user's place that an error's details name; an empty one where they name none."""
    if not error.details.keys() >= {"file", "line", "source"}:
        return ""
    return "  {file}:{line}  {source}".format_map(error.details).rstrip()


def named(file: str | Path) -> str:
    """A file as one would name it in the working directory: from there on where it lies below."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _told_cause(error: ClewError) -> BaseException | None:
    """What the error came of, where the user's own code raised it; a library's complaint stands in the message already."""
    cause = error.__cause__
    while cause is not None:
        trace = _of_the_user(cause.__traceback__)
        if trace is not None:
            told = cause.with_traceback(trace)
            told.__cause__ = None  # sets __suppress_context__ too: one reason is enough
            return told
        cause = cause.__cause__
    return None


def _say_output(error: ClewError) -> None:
    """What a user's step printed or raised in another process: the command line prints it, and a traceback shows notes."""
    output = error.details.get("output")
    if isinstance(output, str) and output.strip() and output.rstrip() not in getattr(error, "__notes__", ()):
        error.add_note(output.rstrip())
