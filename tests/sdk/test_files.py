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


def test_what_a_file_raises_is_said_from_its_own_line_on(settings: Settings) -> None:
    (settings.root / "raises.py").write_text("import clew\n\n1 / 0\n")
    with pytest.raises(Invalid, match=r"raises\.py can't be imported: ZeroDivisionError: division by zero") as raised:
        load_files(settings, [settings.root / "raises.py"])
    assert raised.value.details["output"].lstrip().startswith(f'File "{settings.root / "raises.py"}", line 3')


def test_a_value_that_clew_refuses_is_said_with_the_users_innermost_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings.root / "with_steps.py").write_text("import clew\nfrom its_steps import steps\n\nsteps()\n")
    (settings.root / "its_steps.py").write_text("import clew\n\n\ndef steps():\n    return [\n        clew.canary(1.5, '2d'),\n    ]\n")
    monkeypatch.chdir(settings.root)
    with pytest.raises(Invalid, match="a share lies between 0 and 1") as raised:
        load_files(settings, [settings.root / "with_steps.py"])
    assert raised.value.details == {"file": "its_steps.py", "line": 6, "statement": "clew.canary(1.5, '2d'),"}


def test_a_file_that_is_no_python_is_said_without_pythons_own_frames(settings: Settings) -> None:
    (settings.root / "with_broken.py").write_text("import clew\nimport its_broken\n")
    (settings.root / "its_broken.py").write_text("def (\n")
    for name, files in (("with_broken", ["with_broken.py", "its_broken.py"]), ("its_broken", ["its_broken.py"])):
        with pytest.raises(Invalid, match="SyntaxError: invalid syntax") as raised:
            load_files(settings, [settings.root / f"{name}.py"])
        said = [line.strip() for line in raised.value.details["output"].splitlines() if line.strip().startswith("File ")]
        assert [line.split('"')[1] for line in said] == [str(settings.root / file) for file in files]


def test_two_files_that_declare_one_name_clash(settings: Settings) -> None:
    for name in ("clash_a", "clash_b"):
        (settings.root / f"{name}.py").write_text(DATASET.format(name="same"))
    load_files(settings, [settings.root / "clash_a.py", settings.root / "clash_b.py"])
    with pytest.raises(Conflict, match=r"clash_a\.py and .*clash_b\.py"):
        declarations.all_declared()
