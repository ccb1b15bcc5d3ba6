import subprocess
from pathlib import Path

import msgspec
import pytest

from clew.backend import LocalBackend
from clew.errors import Invalid
from clew.storage.blobs import Manifest, ManifestFile
from clew.tracking.source import git_state, project_files, snapshot, unpack


def write(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path / "project", train_dot_py="import helper\n", lib__helper_dot_py="A = 1\n", pyproject_dot_toml="[tool.clew]\n")


def test_a_snapshot_unpacks_to_the_same_files(sqlite_backend: LocalBackend, project: Path, tmp_path: Path) -> None:
    taken = snapshot(sqlite_backend, project)
    assert (taken.files, taken.git) == (3, None)
    into = unpack(sqlite_backend, taken.digest, tmp_path / "there")
    unpack(sqlite_backend, taken.digest, tmp_path / "there")
    assert (into / "lib/helper.py").read_text() == "A = 1\n"
    assert sorted(str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()) == [
        "lib/helper.py",
        "pyproject.toml",
        "train.py",
    ]
    assert "polars==" in sqlite_backend.download(taken.environment).read_text()


def test_the_digest_follows_the_content(sqlite_backend: LocalBackend, project: Path) -> None:
    first = snapshot(sqlite_backend, project).digest
    assert snapshot(sqlite_backend, project).digest == first
    (project / "lib/helper.py").write_text("A = 2\n")
    assert snapshot(sqlite_backend, project).digest != first


def test_what_is_no_source_stays_out(project: Path) -> None:
    write(project, _dot_venv__lib_dot_py="x", _dot_clew__clew_dot_py="x", data_dot_csv="1,2", __pycache__="")
    write(project, big_dot_json="x" * 2_000_000, key_dot_pem="secret", credentials_dot_json="{}")
    taken, skipped = project_files(project)
    assert taken == ["lib/helper.py", "pyproject.toml", "train.py"]
    assert skipped == ["big.json", "credentials.json"]


def test_git_says_which_files_belong_and_where_they_stand(project: Path) -> None:
    write(project, _dot_gitignore="ignored.py\n", ignored_dot_py="x", new_dot_py="x", notes_dot_xyz="kept too")
    assert git_state(project) is None
    git(project, "init", "-q", "-b", "trunk")
    git(project, "remote", "add", "origin", "https://user:secret@example.org/project.git")
    assert git_state(project) is None, "no commit yet"
    git(project, "add", "train.py", "lib", ".gitignore")
    git(project, "commit", "-q", "-m", "first")
    state = git_state(project)
    assert state is not None
    assert (len(state.commit), state.branch, state.dirty, state.remote) == (40, "trunk", True, "https://example.org/project.git")
    assert project_files(project)[0] == [".gitignore", "lib/helper.py", "new.py", "notes.xyz", "pyproject.toml", "train.py"]
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "second")
    assert git_state(project).dirty is False  # type: ignore[union-attr]


def test_a_snapshot_never_writes_outside_of_its_folder(sqlite_backend: LocalBackend, tmp_path: Path) -> None:
    blob = sqlite_backend.upload(b"evil")
    digest = sqlite_backend.upload(msgspec.json.encode(Manifest((ManifestFile("../evil.py", blob.digest, 4),)))).digest
    with pytest.raises(Invalid, match="outside"):
        unpack(sqlite_backend, digest, tmp_path / "there")
    assert not (tmp_path / "evil.py").exists()
