"""The project's files as they are now, by digest, with the environment's lock and the state of git: what can be unpacked and run again."""

import os
import shutil
import subprocess
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from clew.backend import Backend
from clew.errors import Invalid
from clew.storage.blobs import Manifest, ManifestFile, digest_bytes, digest_file
from clew.tracking.environment import environment_lock

__all__ = ["GitState", "SourceSnapshot", "git_state", "project_files", "snapshot", "unpack"]

_MAX_FILE_BYTES = 1 << 20
_MAX_FILES = 2_000
_MAX_WALK = 20_000
_GIT_SECONDS = 10
_SOURCES = (
    ".py", ".pyi", ".ipynb", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".json", ".sql", ".txt", ".md", ".rst", ".sh", ".r", ".c", ".h",
    ".cpp", ".rs", ".pyx", "Makefile", "Dockerfile",
)  # fmt: skip
_SKIPPED_FOLDERS = {
    ".clew", ".git", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".svn", ".tox", ".venv",
    "__pycache__", "build", "dist", "node_modules", "site-packages", "venv",
}  # fmt: skip
_SECRETS = (".env", ".netrc", ".pem", ".key", ".p12", ".pfx", "id_rsa", "id_ed25519", "credentials.json")


@dataclass(frozen=True)
class GitState:
    """Where the folder stood: ``dirty`` when files differ from the commit."""

    commit: str
    branch: str | None
    dirty: bool
    remote: str | None


@dataclass(frozen=True)
class SourceSnapshot:
    """``digest`` names the manifest of the files, ``environment`` the lock; ``skipped`` lists files left out: too big, or secret."""

    digest: str
    files: int
    size_bytes: int
    environment: str
    git: GitState | None
    skipped: tuple[str, ...] = ()


_uploaded: "weakref.WeakKeyDictionary[Backend, set[str]]" = weakref.WeakKeyDictionary()
_uploading = threading.Lock()


def snapshot(backend: Backend, root: Path) -> SourceSnapshot:
    """Keep the project's files under ``root``: what git tracks or does not ignore; where there is no git, files that look like source.

    Files over 1 MiB and files that look like secrets are left out and named.
    """
    paths, skipped = project_files(root)
    files = []
    for path in paths:
        content = (root / path).read_bytes()
        files.append(ManifestFile(path, _keep(backend, content), len(content)))
    manifest = Manifest(tuple(sorted(files, key=lambda file: file.path)))
    digest = _keep(backend, msgspec.json.encode(manifest))
    lock = _keep(backend, environment_lock().encode())
    return SourceSnapshot(digest, len(files), sum(file.size_bytes for file in files), lock, git_state(root), tuple(skipped))


def unpack(backend: Backend, digest: str, into: Path) -> Path:
    """Write a snapshot's files under ``into``, which is returned. Files that are there already with the same content stay."""
    manifest = msgspec.json.decode(backend.download(digest).read_bytes(), type=Manifest)
    into = into.resolve()
    for file in manifest.files:
        target = (into / file.path).resolve()
        if not target.is_relative_to(into):
            raise Invalid(f"the snapshot {digest} names {file.path!r}, which is outside of its folder; it is not unpacked")
        if target.is_file() and digest_file(target) == file.digest:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(backend.download(file.digest), target)
    into.mkdir(parents=True, exist_ok=True)
    return into


def git_state(root: Path) -> GitState | None:
    """The state of git in a folder; ``None`` where there is no git, no repository or no commit."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return None
    branch, remote = _git(root, "symbolic-ref", "--short", "HEAD"), _git(root, "config", "--get", "remote.origin.url")
    dirty = bool(_git(root, "status", "--porcelain", "--", "."))
    return GitState(commit.strip(), branch and branch.strip(), dirty, _without_secret(remote))


def project_files(root: Path) -> tuple[list[str], list[str]]:
    """The paths that a snapshot holds, relative to ``root`` and sorted, and the project's files that it leaves out."""
    listed = _git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", ".")
    candidates = sorted(set(filter(None, listed.split("\0")))) if listed is not None else sorted(_walk(root))
    taken: list[str] = []
    skipped: list[str] = []
    for path in candidates:
        file = root / path
        if not file.is_file() or file.is_symlink() or set(Path(path).parts[:-1]) & _SKIPPED_FOLDERS:
            continue
        secret = file.name.startswith(".env") or file.name.endswith(_SECRETS)
        if secret or file.stat().st_size > _MAX_FILE_BYTES or len(taken) == _MAX_FILES:
            skipped.append(path)
        else:
            taken.append(path)
    return taken, skipped


def _walk(root: Path) -> Iterable[str]:
    """Files that look like source, without git to say so; a script may stand in a home folder, so the walk has an end."""
    seen = 0
    for folder, names, files in os.walk(root):
        seen += len(files) + len(names)
        if seen > _MAX_WALK:
            return
        names[:] = [name for name in names if name not in _SKIPPED_FOLDERS and not (Path(folder, name) / "pyvenv.cfg").exists()]
        for name in sorted(files):
            if not name.startswith(".") and name.endswith(_SOURCES):
                yield str(Path(folder, name).relative_to(root))


def _keep(backend: Backend, content: bytes) -> str:
    """The digest of content that the backend has now; each is sent once by a process."""
    digest = digest_bytes(content)
    with _uploading:
        if digest in _uploaded.setdefault(backend, set()):
            return digest
    backend.upload(content)
    with _uploading:
        _uploaded[backend].add(digest)
    return digest


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no git on this machine, or a repository on a disk that does not answer
        return None
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else None


def _without_secret(remote: str | None) -> str | None:
    """An address without the user and password that may stand in it."""
    if remote is None:
        return None
    scheme, separator, rest = remote.strip().partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if separator else scheme
