"""One door for what can be swapped: built-ins by name, and other packages' entry points in the group ``clew.<kind>``."""

import importlib
from importlib.metadata import entry_points
from typing import Any

from clew.errors import NotFound

__all__ = ["load", "names"]

_BUILT_IN = {
    ("executor", "in_process"): "clew.pipelines.executors.in_process:InProcessExecutor",
    ("executor", "processes"): "clew.pipelines.executors.processes:ProcessExecutor",
    ("executor", "ray"): "clew.pipelines.executors.ray:RayExecutor",
    ("flavor", "sklearn"): "clew.registry.flavors.sklearn:SklearnFlavor",
    ("online_store", "lmdb"): "clew.feature_store.online:LmdbStore",
    ("online_store", "redis"): "clew.feature_store.online_redis:RedisStore",
    ("online_store", "rediss"): "clew.feature_store.online_redis:RedisStore",
}


def load(kind: str, name: str) -> Any:  # Any: what a kind is, its Protocol says; the caller knows which one it asked for
    """The object that a plug-in's name stands for. Raises ``NotFound`` with the names that there are."""
    target = _BUILT_IN.get((kind, name))
    if target is not None:
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)
    for entry in entry_points(group=f"clew.{kind}", name=name):
        return entry.load()
    raise NotFound(f"no {kind} is named {name!r}; there are {', '.join(names(kind)) or 'none'}")


def names(kind: str) -> list[str]:
    """Every name of a kind, sorted."""
    return sorted({name for of, name in _BUILT_IN if of == kind} | set(entry_points(group=f"clew.{kind}").names))
