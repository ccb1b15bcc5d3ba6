"""What a disk refuses, in our words: it is full, or the folder may not be written."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clew.errors import ClewError, StorageFull, Unavailable

__all__ = ["demand_room", "refusal", "writing_under"]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_BARRED = {errno.EROFS, errno.EACCES, errno.EPERM}
_FULL_WORDS = ("No space left", "Disk quota", "StorageFull")
_BARRED_WORDS = ("Read-only file system", "Permission denied", "readonly database", "unable to open database file")


def refusal(error: Exception, folder: "Path | str") -> ClewError | None:
    """The error for what a disk said, by number or, where a library has only words left of it, by those; ``None`` for anything else."""
    number, text = getattr(error, "errno", None), str(error)
    if number in _FULL or any(words in text for words in _FULL_WORDS):
        return StorageFull(f"the disk under {folder} is full; nothing was kept. Free some space and try again")
    if number in _BARRED or any(words in text for words in _BARRED_WORDS):
        return Unavailable(
            f"{folder} can't be written ({getattr(error, 'strerror', None) or text}); make it writable, or set CLEW_HOME to a folder that is"
        )
    return None


@contextmanager
def writing_under(folder: Path) -> Iterator[None]:
    """Raise ``StorageFull`` and ``Unavailable`` for what the block's writes are refused."""
    try:
        yield
    except OSError as error:
        ours = refusal(error, folder)
        if ours is None:
            raise
        raise ours from error


def demand_room(folder: Path, size_bytes: int) -> None:
    """Raise ``StorageFull`` now for a file that is mapped into memory: writing to a mapping of a full disk ends the process by a signal."""
    if shutil.disk_usage(folder).free < size_bytes:
        raise StorageFull(f"the disk under {folder} has no {size_bytes >> 10} KiB left; nothing was kept. Free some space and try again")
