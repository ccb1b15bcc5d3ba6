"""Runs two things alternately and prints their medians, the ratio, the machine and the versions."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

__all__ = ["compare", "header", "timed"]


def header(title: str, *distributions: str) -> None:
    """What is measured, on which machine, with which versions."""
    print(f"\n{title}")
    versions = ", ".join(f"{name} {version(name)}" for name in distributions)
    print(
        f"  {platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"
    )


def timed(function: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def compare(
    clew: Callable[[], float], peer: Callable[[], float], *, peer_name: str, unit: str, scale: float = 1.0, repeats: int = 5
) -> float:
    """The median of each, in ``unit`` (seconds times ``scale``), and how many times the peer takes what Clew does."""
    ours, theirs = [], []
    for _ in range(repeats):  # alternately, so that a slow moment of the machine meets both
        ours.append(clew())
        theirs.append(peer())
    us, them = statistics.median(ours), statistics.median(theirs)
    print(
        f"  clew {us * scale:.4g} {unit}; {peer_name} {them * scale:.4g} {unit}; {peer_name} takes {them / us:.2f} times as long (medians of {repeats})"
    )
    return them / us
