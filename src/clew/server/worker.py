"""``python -m clew.server.worker``: a process that builds what a job asks for, from the source snapshot that the definition pins.

User code runs here and in the processes that it starts, not in the server. It reaches the server over HTTP like any client and has no
address of a database.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clew.errors import BuildFailed, ClewError

if TYPE_CHECKING:
    from clew.backend import Backend
    from clew.catalog.schema import AssetVersion

__all__ = ["main"]

_LOOK_SECONDS = 0.2


def _build(backend: "Backend", model: str, source: str | None, folder: Path) -> "AssetVersion":
    from clew.sdk import declarations, verbs
    from clew.sdk.files import load_files
    from clew.settings import load_settings
    from clew.tracking.source import snapshot, unpack

    if source is None:
        raise BuildFailed(f"nothing says which code makes {model}: it was defined without a source snapshot; `clew apply` keeps one")
    unpack(backend, source, folder)
    backend.settings = load_settings(folder)  # as the snapshot's own pyproject.toml says it; where Clew is stays the environment's word
    load_files(backend.settings)
    if declarations.declared("model", model) is None:
        raise BuildFailed(f"the source snapshot {source} declares no model {model!r}")
    builder = verbs.builder()
    builder.use_source(replace(snapshot(backend, folder), digest=source, git=None))
    return builder.build(model)


def _end_with(parent: int, folder: Path) -> None:
    """End this process, and all that it has started, when the server that started it is gone: the next server begins anew."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


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
    parser.add_argument("--parent", type=int, help="the server's process; this one ends with it")
    options = parser.parse_args(arguments)
    folder = Path.cwd()
    if options.parent is not None:
        threading.Thread(target=_end_with, args=(options.parent, folder.parent), daemon=True).start()
    from clew.backend import current
    from clew.delivery import service as delivery
    from clew.sdk.border import place_in_words

    backend = current()
    job = backend.call(delivery.get_job, options.job)
    try:
        version = _build(backend, job.subject, job.arguments.get("source"), folder)
        word, reason = _verdict(backend, version)
    except ClewError as error:
        said = (error.message, place_in_words(error), str(error.details.get("output") or ""))
        backend.call(delivery.fail_job, options.job, options.token, "\n".join(line for line in said if line))
        return 0
    done = backend.call(delivery.conclude_build, options.job, options.token, version.number, word, reason)
    sys.stdout.write(json.dumps(done.result) + "\n")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
