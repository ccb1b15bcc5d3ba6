"""Copies of the example, for what somebody else might make of it."""

import shutil
from pathlib import Path

__all__ = ["copy_of_example"]


def copy_of_example(folder: Path) -> Path:
    """A project of its own with the same recipe; the path of the copied ``flights.py``, to be changed."""
    folder.mkdir()
    for name in ("flights.py", "prepare.py", "pyproject.toml"):
        shutil.copy(Path(__file__).parent / name, folder / name)
    return folder / "flights.py"
