"""What goes to engines with code of the user's in it, in a process that has no such files."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.svm import SVC

from spotcluster.search import parcels
from spotcluster.search.parcels import parcel

Write = Callable[..., Any]

ENGINE = """
import pickle, sys
sys.path[:] = [name for name in sys.path if name not in ("", {project!r})]
thing, modules = pickle.loads({data!r})
sys.modules.update(modules)
print(thing())
"""


def elsewhere(thing: Any, project: Path) -> str:
    """Call a thing in another process, which has not the files of the project."""
    script = ENGINE.format(project=str(project), data=parcel(thing).data)
    done = subprocess.run(
        [sys.executable, "-"], input=script, capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules of a project, and import the first one."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def written(**modules: str) -> Any:
        for name, text in modules.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(next(iter(modules)).replace("__", "."))

    yield written
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_every_message_of_numbers_cost_a_look_through_all_modules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parcels, "_own_modules", None)  # whoever calls it fails
    items = [((3, 0), {"C": np.float64(0.1), "kernel": "rbf", "clf": SVC()}, np.arange(3))]
    assert pickle.loads(parcels.by_value(items))[0][:1] == ((3, 0),)
    with pytest.raises(TypeError):
        parcels.by_value(lambda: None)


def test_a_module_that_only_the_client_has_was_not_found(write: Write, tmp_path: Path) -> None:
    mine = write(mine="def answer(): return helper() + 1\ndef helper(): return 41")
    assert elsewhere(mine.answer, tmp_path) == "42"


@pytest.mark.parametrize(
    ("modules", "answer"),
    [
        # Another module, by its name; this one has what cannot be pickled and is not needed.
        (
            {
                "mine": "import other\ndef answer(): return other.value()",
                "other": "import threading\nL = open(__file__)\nV = 7\ndef value(): return V",
            },
            "7",
        ),
        # Only when it runs.
        (
            {
                "mine": "def answer():\n import other\n from third import n\n return other.v() + n",
                "other": "def v():\n from third import n\n return n",
                "third": "n = 4",
            },
            "8",
        ),
        # A package whose modules import each other, by relative names.
        (
            {
                "pack__mine": "from . import tools\nimport pack.tools\n"
                "def answer(): return tools.f() + pack.tools.K",
                "pack__tools": "import pack.mine\nK = 1\n"
                "def f(): return 1 if pack.mine.answer else 0",
                "pack____init__": "",
            },
            "2",
        ),
        (
            {
                "pack__mine": "def answer():\n from .tools import f\n from . import tools\n"
                " return f() + tools.f()",
                "pack__tools": "def f(): return 3",
                "pack____init__": "raise_ = 1",
            },
            "6",
        ),
        # What cloudpickle alone sends by its name, or not at all.
        (
            {
                "mine": "import functools, threading\nLOCK = threading.RLock()\n"
                "@functools.lru_cache(maxsize=3)\ndef twice(x):\n with LOCK: return 2 * x\n"
                "class A:\n @functools.cached_property\n def x(self): return twice(6)\n"
                "def answer(): return A().x, twice.cache_parameters()['maxsize']"
            },
            "(12, 3)",
        ),
        # A dataclass, an enumeration, a base class of another module.
        (
            {
                "mine": "import dataclasses, enum, other\n"
                "@dataclasses.dataclass\nclass D(other.B):\n"
                " x: int = 3\nclass E(enum.Enum):\n a = 5\n"
                "def answer(): return D().f() + E.a.value + isinstance(D(), other.B)",
                "other": "class B:\n def f(self): return self.x",
            },
            "9",
        ),
        # That a module of the client alone imports what is not there is nobody's trouble.
        (
            {
                "mine": "import shown\ndef answer(): return 1",
                "shown": "figure = open(__file__)",
            },
            "1",
        ),
    ],
)
def test_more_of_a_module_goes_along(
    write: Write, tmp_path: Path, modules: dict[str, str], answer: str
) -> None:
    assert elsewhere(write(**modules).answer, tmp_path) == answer


def test_an_edit_is_sent(write: Write, tmp_path: Path) -> None:
    mine = write(mine="def answer(): return 1")
    assert elsewhere(mine.answer, tmp_path) == "1"
    (tmp_path / "mine.py").write_text("def answer(): return 200")
    importlib.reload(mine)
    assert elsewhere(mine.answer, tmp_path) == "200"


def test_what_a_distribution_brought_goes_by_its_name(write: Write, tmp_path: Path) -> None:
    from sklearn.svm import SVC

    assert not parcel(SVC(C=2)).classes
    target = tmp_path / "target"
    (target / "theirs-1.dist-info").mkdir(parents=True)
    (target / "theirs.py").write_text("class Model: pass")
    sys.path.insert(0, str(target))
    try:
        theirs = write(mine="import theirs").theirs
    finally:
        sys.path.remove(str(target))
    found = parcel(theirs.Model())
    assert (list(found.foreign), list(found.needed)) == (["theirs"], ["theirs"])
    assert not found.classes


def test_the_users_registry_is_as_it_was(write: Write) -> None:
    mine = write(mine="def answer(): return 1")
    parcels.cloudpickle.register_pickle_by_value(mine)
    before = parcels.cloudpickle.list_registry_pickle_by_value()
    parcel(mine.answer)
    assert parcels.cloudpickle.list_registry_pickle_by_value() == before
    parcels.cloudpickle.unregister_pickle_by_value(mine)
    with pytest.raises(TypeError):
        parcel(threading.Thread(target=Path(__file__).open().read))  # noqa: SIM115
    assert mine.__name__ not in parcels.cloudpickle.list_registry_pickle_by_value()


def test_compiled_modules_of_the_user_are_noted(write: Write, tmp_path: Path) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    mine = write(mine="class Model: pass")
    mine.__file__ = str(tmp_path / f"mine{suffix}")
    found = parcel(mine.Model())
    assert found.compiled == {"mine"}
    assert not found.classes
