"""Settings come from the environment, then the project's file, then the embedded defaults."""

from pathlib import Path

import pytest

from clew.errors import Invalid
from clew.settings import load_settings


def test_a_folder_without_anything_is_embedded(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {})
    assert settings.home == tmp_path / ".clew"
    assert settings.project == "default"
    assert settings.database_url == f"sqlite:///{tmp_path}/.clew/clew.db"


def test_the_projects_file_is_found_from_below(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.clew]\nproject = "flights"\nfiles = ["flights.py"]\n')
    (tmp_path / "deep" / "down").mkdir(parents=True)
    settings = load_settings(tmp_path / "deep" / "down", {})
    assert (settings.root, settings.project, settings.files) == (tmp_path, "flights", ("flights.py",))


def test_the_environment_comes_first(tmp_path: Path) -> None:
    settings = load_settings(
        tmp_path, {"CLEW_HOME": str(tmp_path / "other"), "CLEW_URL": "http://127.0.0.1:1", "CLEW_DATABASE_URL": "postgresql://x/y"}
    )
    assert (settings.home, settings.url, settings.database_url) == (tmp_path / "other", "http://127.0.0.1:1", "postgresql://x/y")


def test_a_named_environment_gives_its_address(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.clew.environments]\nlocal = ".clew"\nproduction = { url = "https://clew.example" }\n')
    assert load_settings(tmp_path, {"CLEW_ENV": "production"}).url == "https://clew.example"
    with pytest.raises(Invalid, match="it has \\['local', 'production'\\]"):
        load_settings(tmp_path, {"CLEW_ENV": "staging"})


def test_settings_never_print_their_secrets(tmp_path: Path) -> None:
    assert "hunter2" not in repr(load_settings(tmp_path, {"CLEW_TOKEN": "hunter2", "CLEW_DATABASE_URL": "postgresql://u:hunter2@h/d"}))


@pytest.mark.parametrize(
    ("content", "environ"),
    [
        ("not toml [", {}),
        ("[tool.clew]\nproject = 'no spaces'", {}),
        ("", {"CLEW_DURABILITY": "maybe"}),
        ("", {"CLEW_BUILD_LIMIT": "long"}),
        ("", {"CLEW_BUILD_LIMIT": "0h"}),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, content: str, environ: dict[str, str]) -> None:
    (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(Invalid):
        load_settings(tmp_path, environ)


def test_a_project_that_lies_above_is_told_from_below(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.clew]\nproject = "flights"\n[tool.clew.environments]\nfar = {url = "http://far:7340"}\n'
    )
    inside = tmp_path / "notebooks" / "tries"
    inside.mkdir(parents=True)
    settings = load_settings(inside, {})
    assert settings.found_above(inside) == f"the project 'flights' of ../../ ({tmp_path / '.clew'})"
    assert settings.found_above(inside.parent) == f"the project 'flights' of ../ ({tmp_path / '.clew'})"
    assert load_settings(inside.parent, {"CLEW_ENV": "far"}).found_above(inside.parent) == "the project 'flights' of ../ (http://far:7340)"
    assert settings.found_above(tmp_path) == settings.found_above(tmp_path.parent) == ""
