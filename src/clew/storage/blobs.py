"""Files by the digest of their content, over any object store; and manifests, which list files under one digest.

A blob is written under a temporary name and renamed (or put whole), so that a reader sees all of it or nothing.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from clew.errors import Invalid, NotFound
from clew.storage.disks import writing_under

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["Blob", "Blobs", "Manifest", "ManifestFile", "digest_bytes", "digest_file", "local_folder", "sync_folder"]

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Blob:
    """A stored file: ``digest`` is ``sha256:`` and 64 hexadecimal digits."""

    digest: str
    size_bytes: int


@dataclass(frozen=True)
class ManifestFile:
    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class Manifest:
    """A folder by content: files sorted by path, so the same folder always has the same digest."""

    files: tuple[ManifestFile, ...]


def digest_bytes(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def local_folder(storage_url: str) -> Path | None:
    """The folder behind a ``file://`` URL, ``None`` for any other scheme."""
    parts = urlsplit(storage_url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


class Blobs:
    """Content-addressed files. Thread-safe. Putting the same content twice stores it once."""

    def __init__(self, storage_url: str, *, cache: Path | None = None, durability: str = "process") -> None:
        self._folder = local_folder(storage_url)
        self._url = storage_url
        self._fsync = durability == "full"
        self._cache = cache or (self._folder / "cache" if self._folder else Path(tempfile.gettempdir()) / "clew-blobs")
        self._remote: ObjectStore | None = None

    def put(self, source: bytes | Path) -> Blob:
        """Store the bytes, or the file at a path. Raises ``StorageFull`` with nothing half-written."""
        if isinstance(source, Path):
            digest, size_bytes = digest_file(source), source.stat().st_size
        else:
            digest, size_bytes = digest_bytes(source), len(source)
        if not self.exists(digest):
            self._write(digest, source)
        return Blob(digest, size_bytes)

    def get(self, digest: str) -> bytes:
        """All the bytes of a blob. Raises ``NotFound``."""
        if self._folder is not None:
            return self.path(digest).read_bytes()
        try:
            return bytes(self._store().get(_key(digest)).bytes())
        except FileNotFoundError as error:
            raise _missing(digest) from error

    def path(self, digest: str) -> Path:
        """A local file with the blob's content, to read and never to change; downloaded once where the store is remote."""
        if self._folder is not None:
            path = self._folder / _key(digest)
            if not path.is_file():
                raise _missing(digest)
            return path
        path = self._cache / _key(digest)
        if not path.is_file():
            _place(path, self.get(digest), fsync=False)
        return path

    def exists(self, digest: str) -> bool:
        if self._folder is not None:
            return (self._folder / _key(digest)).is_file()
        try:
            self._store().head(_key(digest))
        except FileNotFoundError:
            return False
        return True

    def put_manifest(self, files: Iterable[ManifestFile]) -> str:
        """The digest of a manifest over files that are already stored."""
        manifest = Manifest(tuple(sorted(files, key=lambda file: file.path)))
        return self.put(msgspec.json.encode(manifest)).digest

    def get_manifest(self, digest: str) -> Manifest:
        return msgspec.json.decode(self.get(digest), type=Manifest)

    def _write(self, digest: str, source: bytes | Path) -> None:
        if self._folder is not None:
            _place(self._folder / _key(digest), source, fsync=self._fsync)
        else:
            self._store().put(_key(digest), source)

    def _store(self) -> "ObjectStore":
        if self._remote is None:
            from obstore.store import from_url

            self._remote = from_url(self._url)
        return self._remote


def _key(digest: str) -> str:
    algorithm, _, text = digest.partition(":")
    if algorithm != "sha256" or len(text) != 64 or not all(character in "0123456789abcdef" for character in text):
        raise Invalid(f"{digest!r} is no blob digest; one looks like sha256: and 64 hexadecimal digits")
    return f"blobs/{text[:2]}/{text}"


def _missing(digest: str) -> NotFound:
    return NotFound(f"no blob {digest} is stored; it may have been collected, or its upload did not end")


def _place(path: Path, source: bytes | Path, *, fsync: bool) -> None:
    with writing_under(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".put-", dir=path.parent)
        _fill(path, handle, name, source, fsync=fsync)


def _fill(path: Path, handle: int, name: str, source: bytes | Path, *, fsync: bool) -> None:
    try:
        with os.fdopen(handle, "wb") as target:
            if isinstance(source, Path):
                with source.open("rb") as file:
                    shutil.copyfileobj(file, target, _CHUNK_BYTES)
            else:
                target.write(source)
            if fsync:
                target.flush()
                os.fsync(target.fileno())
        Path(name).replace(path)
        if fsync:
            sync_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder, and the folder's own, outlive a power cut."""
    for one in (folder, folder.parent):
        descriptor = os.open(one, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
