"""Finding and importing the user's definition files."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from clew.errors import Conflict, Invalid, NotFound
from clew.sdk import declarations
from clew.sdk.files import find_declared, load_files
from clew.settings import Settings

DATASET = "import clew\n\n@clew.dataset(key='k')\ndef {name}(file):\n    return None\n"


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    kept = declarations._DECLARED.copy(), declarations._CLASHES.copy()
    declarations.forget()
    yield
    declarations._DECLARED.update(kept[0])
    declarations._CLASHES.update(kept[1])


def test_the_only_file_that_declares_something_is_found(settings: Settings) -> None:
    (settings.root / "first_only.py").write_text(DATASET.format(name="landings"))
    (settings.root / "first_helper.py").write_text("x = 1\n")
    assert find_declared(settings, "dataset", "landings").name == "landings"
    with pytest.raises(NotFound, match="no dataset 'nope' is declared in your files; they declare landings"):
        find_declared(settings, "dataset", "nope")


def test_files_of_the_settings_come_before_a_search_and_named_ones_before_both(settings: Settings) -> None:
    for name in ("settled_a", "settled_b"):
        (settings.root / f"{name}.py").write_text(DATASET.format(name=f"of_{name}"))
    with pytest.raises(Invalid, match=r"2 files here declare assets: settled_a\.py, settled_b\.py; list those"):
        load_files(settings)
    configured = replace(settings, files=("settled_b.py",))
    assert load_files(configured) == [settings.root / "settled_b.py"]
    assert load_files(configured, [settings.root / "settled_a.py"]) == [settings.root / "settled_a.py"]


def test_a_folder_without_definitions_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(Invalid, match=r"declares assets; list those that you mean in pyproject\.toml"):
        load_files(settings)
    with pytest.raises(NotFound, match=r"there is no file .*gone\.py"):
        load_files(replace(settings, files=("gone.py",)))


def test_a_value_that_clew_refuses_is_said_with_the_users_innermost_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings.root / "with_steps.py").write_text("import clew\nfrom its_steps import steps\n\nsteps()\n")
    (settings.root / "its_steps.py").write_text("import clew\n\n\ndef steps():\n    return [\n        clew.canary(1.5, '2d'),\n    ]\n")
    monkeypatch.chdir(settings.root)
    with pytest.raises(Invalid, match="a share lies between 0 and 1") as raised:
        load_files(settings, [settings.root / "with_steps.py"])
    assert raised.value.details == {"file": "its_steps.py", "line": 6, "source": "clew.canary(1.5, '2d'),"}


@pytest.mark.parametrize(
    ("source", "said", "of_line"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero", "1 / 0"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'", "import nowhere_at_all"),
        ("json.loads('{')", "JSONDecodeError: Expecting property name", "json.loads('{')"),
        ("clew.canry(0.1)", "AttributeError: module 'clew' has no attribute 'canry'", "clew.canry(0.1)"),
        ("raise KeyError", "KeyError", "raise KeyError"),
        ("x = (\n", "SyntaxError: '(' was never closed", "x = ("),
        ("compile('def (', '<string>', 'exec')", "SyntaxError: invalid syntax", "compile('def (', '<string>', 'exec')"),
    ],
)
def test_what_a_file_raises_is_said_with_its_own_line(settings: Settings, source: str, said: str, of_line: str) -> None:
    file = settings.root / "raises.py"
    file.write_text(f"import json\nimport clew\n{source}\n")
    with pytest.raises(Invalid) as raised:
        load_files(settings, [file])
    assert raised.value.message.startswith(f"{file} can't be imported: {said}")
    assert raised.value.details == {"file": str(file), "line": 3, "source": of_line}


def test_what_a_module_of_the_users_raises_is_said_with_its_line_there(settings: Settings) -> None:
    (settings.root / "with_broken.py").write_text("import clew\nimport its_broken\n")
    for source, said, line, of_line in (
        ("def (\n", "SyntaxError: invalid syntax", 1, "def ("),
        ("\n{}['a']\n", "KeyError: 'a'", 2, "{}['a']"),
    ):
        (settings.root / "its_broken.py").write_text(source)
        with pytest.raises(Invalid, match=rf"with_broken\.py can't be imported: {said}") as raised:
            load_files(settings, [settings.root / "with_broken.py"])
        assert raised.value.details == {"file": str(settings.root / "its_broken.py"), "line": line, "source": of_line}


def test_a_library_that_can_not_be_imported_is_said_with_the_users_line(settings: Settings) -> None:
    library = settings.root / "site-packages" / "its_library.py"
    library.parent.mkdir()
    library.write_text("def (\n")
    (settings.root / "with_library.py").write_text(
        "import sys\nsys.path.append('SITE')\nimport its_library\n".replace("SITE", str(library.parent))
    )
    with pytest.raises(Invalid, match="SyntaxError: invalid syntax") as raised:
        load_files(settings, [settings.root / "with_library.py"])
    assert raised.value.details == {"file": str(settings.root / "with_library.py"), "line": 3, "source": "import its_library"}


def test_two_files_that_declare_one_name_clash(settings: Settings) -> None:
    for name in ("clash_a", "clash_b"):
        (settings.root / f"{name}.py").write_text(DATASET.format(name="same"))
    load_files(settings, [settings.root / "clash_a.py", settings.root / "clash_b.py"])
    with pytest.raises(Conflict, match=r"clash_a\.py and .*clash_b\.py"):
        declarations.all_declared()
