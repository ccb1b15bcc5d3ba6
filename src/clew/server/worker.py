"""``python -m clew.server.worker``: a process that builds what a job asks for, from the source snapshot that the definition pins.

User code runs here and in the processes that it starts, not in the server. It reaches the server over HTTP like any client and has no
address of a database.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clew.errors import BuildFailed, ClewError

if TYPE_CHECKING:
    from clew.backend import Backend
    from clew.catalog.schema import AssetVersion

__all__ = ["main"]


def _build(backend: "Backend", model: str, source: str | None, folder: Path) -> "AssetVersion":
    from clew.sdk import declarations, verbs
    from clew.sdk.files import load_files
    from clew.tracking.source import unpack

    if source is None:
        raise BuildFailed(f"nothing says which code makes {model}: it was defined without a source snapshot; `clew apply` keeps one")
    unpack(backend, source, folder)
    load_files(backend.settings)
    if declarations.declared("model", model) is None:
        raise BuildFailed(f"the source snapshot {source} declares no model {model!r}")
    return verbs.builder().build(model)


def _verdict(backend: "Backend", version: "AssetVersion") -> tuple[str, str]:
    """The gate's word on a version, or on the one that it refits."""
    from clew.catalog import service as catalog

    refitted = version.details.get("refit_of")
    name, number = (refitted["name"], refitted["number"]) if refitted else (version.name, version.number)
    verdicts = backend.call(catalog.list_verdicts, name, number).items
    stopped = [one for one in verdicts if not one.passed]
    one = (stopped or verdicts)[0] if verdicts else None
    return ("", "") if one is None else (one.word, one.reason)


def main(arguments: list[str] | None = None) -> int:
    """Work on one job; 0 when its word was delivered, whatever it was."""
    parser = argparse.ArgumentParser(prog="python -m clew.server.worker", description=__doc__)
    parser.add_argument("job")
    parser.add_argument("token", type=int)
    options = parser.parse_args(arguments)
    folder = Path.cwd()
    # A folder without a pyproject.toml above it is a project's root as it is; the snapshot brings its own.
    from clew.backend import current
    from clew.delivery import service as delivery

    backend = current()
    job = backend.call(delivery.get_job, options.job)
    try:
        version = _build(backend, job.subject, job.arguments.get("source"), folder)
        word, reason = _verdict(backend, version)
    except ClewError as error:
        said = error.message if not error.details.get("output") else f"{error.message}\n{error.details['output']}"
        backend.call(delivery.fail_job, options.job, options.token, said)
        return 0
    done = backend.call(delivery.conclude_build, options.job, options.token, version.number, word, reason)
    sys.stdout.write(json.dumps(done.result) + "\n")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
