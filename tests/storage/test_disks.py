"""A disk that is full, or that may not be written: each verb says so in our words, on real mounts, and what can be read is read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

VERBS = """
import json, os, sys
from pathlib import Path
import numpy as np
import polars as pl
import clew
from clew import backend as backends
from clew.access import service as access
from clew.backend import LocalBackend
from clew.definitions import DatasetDefinition
from clew.errors import ClewError
from clew.feature_store.online import open_store
from clew.sdk.ingest import ingest_frame
from clew.settings import load_settings

root, rows = Path(sys.argv[1]), int(sys.argv[2])
settings = load_settings(root, {})
told = {}

def attempt(name, verb):
    try:
        verb()
        told[name] = "done"
    except ClewError as error:
        told[name] = f"{type(error).__name__}: {error.message}"
    except BaseException as error:
        told[name] = f"not ours: {type(error).__name__}: {error}"
    return told[name] == "done"

def a_run():
    with clew.run("tried", capture=False) as run:
        run.log(loss=1.0)
        run.artifact(bytes(rows), "zeros.bin")

if attempt("open", lambda: backends.use(LocalBackend(settings).prepare())):
    backend = backends.current()
    frame = pl.DataFrame({"k": range(rows), "x": np.random.default_rng(0).random(rows)})
    attempt("read", lambda: backend.call(access.list_projects))
    attempt("write", lambda: backend.call(access.create_project, f"p{os.getpid()}"))
    attempt("run", a_run)
    attempt("upload", lambda: backend.upload(os.urandom(8 * rows)))
    attempt("ingest", lambda: ingest_frame(backend, DatasetDefinition("d", ("k",), None, None, None), frame, source="x"))
    attempt("online", lambda: open_store(settings.online_url))
print(json.dumps(told))
"""


def verbs(root: Path, rows: int, mount: str = "true") -> dict[str, str]:
    """What each verb said, with something mounted on ``.clew`` first."""
    (root / ".clew").mkdir(exist_ok=True)
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount + ' && exec "$2" -c "$3" "$1" "$4"']
    command += ["sh", str(root), sys.executable, VERBS, str(rows)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150)
    if "unshare" in ended.stderr or "mount:" in ended.stderr:
        pytest.skip(f"no user namespace to mount in (sysctl kernel.unprivileged_userns_clone=1): {ended.stderr.strip()}")
    assert ended.returncode == 0, f"ended by {ended.returncode}: {ended.stderr}"
    told: dict[str, str] = json.loads(ended.stdout.splitlines()[-1])
    assert [f"{name} {words}" for name, words in told.items() if words.startswith("not ours")] == []
    return told


def test_a_folder_that_may_not_be_written_is_named_and_read(tmp_path: Path) -> None:
    assert set(verbs(tmp_path, 100).values()) == {"done"}
    told = verbs(tmp_path, 100, 'mount --bind "$1/.clew" "$1/.clew" && mount -o remount,ro,bind "$1/.clew"')
    assert (told.pop("open"), told.pop("read")) == ("done", "done")
    assert [f"{name}: {words}" for name, words in told.items() if not ("Unavailable" in words and "can't be written" in words)] == []


def test_a_project_in_a_folder_that_may_not_be_written_is_told_before_anything_is_made(tmp_path: Path) -> None:
    told = verbs(tmp_path, 100, 'rmdir "$1/.clew" && mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"')
    assert list(told) == ["open"]
    assert "can't be written" in told["open"] and "CLEW_HOME" in told["open"]


@pytest.mark.parametrize("size", ["256k", "600k", "2m", "6m"])
def test_a_full_disk_is_said_by_whatever_needs_more_of_it(tmp_path: Path, size: str) -> None:
    told = verbs(tmp_path, 900_000, f'mount -t tmpfs -o size={size} none "$1/.clew"')
    assert any(words.startswith("StorageFull") for words in told.values()), told
    assert {words.partition(":")[0] for words in told.values()} <= {"done", "StorageFull"}, told
