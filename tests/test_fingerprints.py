"""A key changes with everything that a step can reach, and with nothing else."""

import importlib
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from clew.fingerprints import fingerprint, first_difference

_numbers = itertools.count()


class Project:
    """A folder of modules that can be written, loaded and loaded again after a change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: set[str] = set()

    def write(self, **files: str) -> None:
        for name, source in files.items():
            (self.root / f"{name}.py").write_text(dedent(source))
            self.names.add(name)

    def digest(self, function: str = "step") -> str:
        return self.parts(function)[0]

    def parts(self, function: str = "step") -> tuple[str, dict[str, str]]:
        for name in self.names:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            code = fingerprint(getattr(importlib.import_module("steps"), function), self.root)
        finally:
            sys.dont_write_bytecode = before
        return code.digest, code.parts


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Project(tmp_path)
    yield made
    for name in made.names:
        sys.modules.pop(name, None)


STALE = {
    "the body": ({"steps": "def step(): return 1"}, {"steps": "def step(): return 2"}),
    "a helper": (
        {"steps": "def helper(x): return x + 1\ndef step(): return helper(1)"},
        {"steps": "def helper(x): return x + 2\ndef step(): return helper(1)"},
    ),
    "a helper's helper in another file": (
        {"deep": "def deep(): return 1", "steps": "import deep\ndef helper(): return deep.deep()\ndef step(): return helper()"},
        {"deep": "def deep(): return 2"},
    ),
    "a class's method": (
        {"steps": "class A:\n    def f(self): return 1\ndef step(): return A().f()"},
        {"steps": "class A:\n    def f(self): return 2\ndef step(): return A().f()"},
    ),
    "a base class's method in another file": (
        {"base": "class B:\n    def f(self): return 1", "steps": "from base import B\nclass A(B): pass\ndef step(): return A().f()"},
        {"base": "class B:\n    def f(self): return 2"},
    ),
    "a global constant": ({"steps": "LIMIT = 1\ndef step(): return LIMIT"}, {"steps": "LIMIT = 2\ndef step(): return LIMIT"}),
    "a constant inside a container": (
        {"steps": "C = {'a': [1, 2]}\ndef step(): return C"},
        {"steps": "C = {'a': [1, 3]}\ndef step(): return C"},
    ),
    "a constant of a module": ({"config": "RATE = 1", "steps": "import config\ndef step(): return config.RATE"}, {"config": "RATE = 2"}),
    "a closure's value": (
        {"steps": "def make(x):\n    def step(): return x\n    return step\nstep = make(1)"},
        {"steps": "def make(x):\n    def step(): return x\n    return step\nstep = make(2)"},
    ),
    "a default": ({"steps": "def step(x=1): return x"}, {"steps": "def step(x=2): return x"}),
    "a keyword default": ({"steps": "def step(*, x=1): return x"}, {"steps": "def step(*, x=2): return x"}),
    "what a decorator wraps": (
        {
            "steps": "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def g(): return 2 * f()\n    return g\n@twice\ndef step(): return 1"
        },
        {
            "steps": "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def g(): return 2 * f()\n    return g\n@twice\ndef step(): return 3"
        },
    ),
    "the decorator": (
        {"steps": "def twice(f):\n    def g(): return 2 * f()\n    return g\n@twice\ndef step(): return 1"},
        {"steps": "def twice(f):\n    def g(): return 3 * f()\n    return g\n@twice\ndef step(): return 1"},
    ),
    "a cached function": (
        {"steps": "import functools\n@functools.cache\ndef helper(): return 1\ndef step(): return helper()"},
        {"steps": "import functools\n@functools.cache\ndef helper(): return 2\ndef step(): return helper()"},
    ),
    "a partial's argument": (
        {"steps": "from functools import partial\ndef f(x): return x\nh = partial(f, 1)\ndef step(): return h()"},
        {"steps": "from functools import partial\ndef f(x): return x\nh = partial(f, 2)\ndef step(): return h()"},
    ),
    "a function in a container": (
        {"steps": "def a(): return 1\nTABLE = {'a': a}\ndef step(): return TABLE['a']()"},
        {"steps": "def a(): return 2\nTABLE = {'a': a}\ndef step(): return TABLE['a']()"},
    ),
    "an import in the body": (
        {"inner": "def f(): return 1", "steps": "def step():\n    from inner import f\n    return f()"},
        {"inner": "def f(): return 2"},
    ),
    "a module imported in the body": (
        {"inner": "def f(): return 1", "steps": "def step():\n    import inner\n    return inner.f()"},
        {"inner": "def f(): return 2"},
    ),
    "a module used dynamically": (
        {"inner": "def f(): return 1", "steps": "import inner\ndef step(name='f'): return getattr(inner, name)()"},
        {"inner": "def f(): return 2"},
    ),
    "a constant that a dynamically used module imports": (
        {
            "config": "LIMIT = 1",
            "inner": "from config import LIMIT\ndef f(): return LIMIT",
            "steps": "import inner\ndef step(n='f'): return getattr(inner, n)()",
        },
        {"config": "LIMIT = 22222"},
    ),
    "a table that a dynamically used module imports": (
        {
            "config": "T = {'a': 1}",
            "inner": "from config import T\ndef f(): return T",
            "steps": "import inner\ndef step(n='f'): return getattr(inner, n)()",
        },
        {"config": "T = {'a': 2}"},
    ),
    "a nested function": (
        {"steps": "def step():\n    def g(): return 1\n    return g()"},
        {"steps": "def step():\n    def g(): return 2\n    return g()"},
    ),
    "a lambda": ({"steps": "f = lambda x: x + 1\ndef step(): return f(1)"}, {"steps": "f = lambda x: x + 2\ndef step(): return f(1)"}),
    "a class attribute": (
        {"steps": "class A:\n    rate = 1\ndef step(): return A.rate"},
        {"steps": "class A:\n    rate = 2\ndef step(): return A.rate"},
    ),
    "a property": (
        {"steps": "class A:\n    @property\n    def x(self): return 1\ndef step(): return A().x"},
        {"steps": "class A:\n    @property\n    def x(self): return 2\ndef step(): return A().x"},
    ),
    "an instance's state": (
        {"steps": "class A:\n    def __init__(self, n): self.n = n\na = A(1)\ndef step(): return a.n"},
        {"steps": "class A:\n    def __init__(self, n): self.n = n\na = A(2)\ndef step(): return a.n"},
    ),
    "a bound method": (
        {"steps": "class A:\n    def f(self): return 1\nf = A().f\ndef step(): return f()"},
        {"steps": "class A:\n    def f(self): return 2\nf = A().f\ndef step(): return f()"},
    ),
    "an array": (
        {"steps": "import numpy as np\nW = np.array([1.0, 2.0])\ndef step(): return W"},
        {"steps": "import numpy as np\nW = np.array([1.0, 3.0])\ndef step(): return W"},
    ),
    "a pattern": (
        {"steps": "import re\nP = re.compile('a')\ndef step(): return P"},
        {"steps": "import re\nP = re.compile('b')\ndef step(): return P"},
    ),
    "an expression of Polars": (
        {"steps": "import polars as pl\nE = pl.col('a') > 15\ndef step(): return E"},
        {"steps": "import polars as pl\nE = pl.col('a') > 30\ndef step(): return E"},
    ),
    "mutual recursion": (
        {"steps": "def a(n): return b(n)\ndef b(n): return n and a(n - 1)\ndef step(): return a(3)"},
        {"steps": "def a(n): return b(n)\ndef b(n): return n and a(n - 2)\ndef step(): return a(3)"},
    ),
    "a comprehension's helper": (
        {"steps": "def f(x): return x\ndef step(): return [f(x) for x in (1, 2)]"},
        {"steps": "def f(x): return -x\ndef step(): return [f(x) for x in (1, 2)]"},
    ),
}


@pytest.mark.parametrize("case", STALE)
def test_a_change_of_what_is_reached_changes_the_key(project: Project, case: str) -> None:
    before, after = STALE[case]
    project.write(**before)
    first = project.digest()
    assert project.digest() == first, "the same code has the same key"
    project.write(**after)
    assert project.digest() != first


SAME = {
    "comments and line numbers": ("def step():\n    return 1\n", "# a comment\n\n\ndef step():\n    # why\n    return 1\n"),
    "a docstring": ("def step():\n    return None\n", 'def step():\n    "What it does."\n    return None\n'),
    "another docstring": (
        'def step():\n    "One."\n    return [1, None]\n',
        'def step():\n    "Another, longer one."\n    return [1, None]\n',
    ),
    "a function that is not reached": (
        "def step():\n    return 1\ndef other():\n    return 1\n",
        "def step():\n    return 1\ndef other():\n    return 2\n",
    ),
    "the name of nothing": ("def step():\n    return 1\n", "unused = 5\ndef step():\n    return 1\n"),
}


@pytest.mark.parametrize("case", SAME)
def test_what_changes_nothing_keeps_the_key(project: Project, case: str) -> None:
    before, after = SAME[case]
    project.write(steps=before)
    first = project.digest()
    project.write(steps=after)
    assert project.digest() == first


def test_a_comment_in_a_module_used_dynamically_keeps_the_key(project: Project) -> None:
    project.write(inner="def f(): return 1", steps="import inner\ndef step(n='f'): return getattr(inner, n)()")
    first = project.digest()
    project.write(inner="# why\ndef f():\n    'doc'\n    return 1")
    assert project.digest() == first


def test_the_difference_has_a_name(project: Project) -> None:
    project.write(steps="def helper(): return 1\ndef step(): return helper()")
    _, before = project.parts()
    project.write(steps="def helper(): return 2\ndef step(): return helper()")
    _, after = project.parts()
    assert first_difference(before, after) == "steps.helper changed"


def test_libraries_count_by_their_version(project: Project) -> None:
    project.write(steps="import polars as pl\ndef step(): return pl.DataFrame()")
    assert any(name.startswith("polars ") for name in project.parts()[1])


def test_a_function_has_one_fingerprint_in_every_process_and_as_a_script(tmp_path: Path) -> None:
    printing = "from clew.fingerprints import fingerprint; from pathlib import Path; print(fingerprint(tidy, Path('.')).digest)"
    tidy = "import polars as pl\n\ndef tidy(rows):\n    return rows.with_columns(pl.col('a').dt.hour())\n\n"
    (tmp_path / "over_polars.py").write_text(f"{tidy}if __name__ == '__main__':\n    {printing}\n")
    commands = [["-c", f"from over_polars import tidy; {printing}"]] * 2 + [["over_polars.py"]]
    runs = [subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True) for command in commands]
    assert len({run.stdout for run in runs}) == 1


@pytest.mark.parametrize("read", ["os.environ['SEASON']", "os.environ.get('SEASON')", "sorted(os.environ)", "os.environb[b'SEASON']"])
def test_the_environment_is_no_part_of_the_code_that_reads_it(project: Project, monkeypatch: pytest.MonkeyPatch, read: str) -> None:
    """What a step reads of it is in its trace."""
    project.write(steps=f"import os\ndef step(): return {read}")
    before = project.digest()
    monkeypatch.setenv("ANOTHER_TERMINAL", "2")
    assert project.digest() == before


def test_code_that_names_its_own_folder_is_the_same_wherever_the_project_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a worker has unpacked it."""
    source = "from pathlib import Path\nHERE = Path(__file__).parent\ndef step(): return HERE, __file__, str(HERE / 'x')"
    digests = set()
    for name in ("one", "another"):
        root = tmp_path / name
        root.mkdir()
        with monkeypatch.context() as patched:
            patched.syspath_prepend(str(root))
            project = Project(root)
            project.write(steps=source)
            digests.add(project.digest())
            sys.modules.pop("steps")
    assert len(digests) == 1
    for folder in ("/elsewhere", f"{tmp_path}/one-more"):
        beside = Project(tmp_path / "another")
        with monkeypatch.context() as patched:
            patched.syspath_prepend(str(beside.root))
            beside.write(steps=source.replace("Path(__file__).parent", f"Path({folder!r})"))
            digests.add(beside.digest())
            sys.modules.pop("steps")
    assert len(digests) == 3, "another folder is another value"
