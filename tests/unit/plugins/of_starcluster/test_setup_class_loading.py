"""A setup class of StarCluster's is loaded with the names that it imports, and no others are."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from spotcluster import files
from spotcluster.cli.main import run
from spotcluster.plugins import loader
from spotcluster.plugins.base import Plugin
from spotcluster.plugins.loader import PluginError
from spotcluster.plugins.starcluster.adapter import Adapted
from spotcluster.plugins.starcluster.modules import NAME

SETUP = """\
from starcluster.clustersetup import ClusterSetup
from starcluster.logger import log
from starcluster import exception, utils

class MySetup(ClusterSetup):
    def __init__(self, word, times=2, where=None):
        self.given = (word, times, where)

    def run(self, nodes, master, user, user_shell, volumes):
        from starcluster import static
        self.seen = static.MASTER_ALIAS
"""


def write(name: str, text: str = SETUP) -> Path:
    path = files.private_dir("plugins") / name
    path.parent.mkdir(exist_ok=True)
    files.write_private(path, text)
    return path


def made(setup_class: str, **settings: str) -> Adapted:
    plugin = loader.make("mine", setup_class, settings)
    assert isinstance(plugin, Adapted)
    return plugin


def refusal(setup_class: str, **settings: str) -> str:
    with pytest.raises(PluginError) as caught:
        loader.make("mine", setup_class, settings)
    return str(caught.value)


def test_its_settings_are_what_init_takes() -> None:
    write("mine.py")
    plugin = made("mine.MySetup", word="hello", where="/tmp")
    assert plugin._setup.given == ("hello", 2, "/tmp")  # type: ignore[attr-defined]
    assert plugin.assembles
    assert "WORD: is missing" in refusal("mine.MySetup", times="3")
    assert "Did you mean 'TIMES'?" in refusal("mine.MySetup", word="x", tims="3")


def test_class_without_init_takes_no_settings_and_one_that_takes_any_takes_all() -> None:
    write(
        "mine.py",
        SETUP.replace("word, times=2, where=None", "**kw").replace("(word, times, where)", "kw"),
    )
    assert made("mine.MySetup", a="1", b="2")._setup.given == {  # type: ignore[attr-defined]
        "a": "1",
        "b": "2",
    }
    write("bare.py", SETUP.replace("__init__", "other"))
    assert made("bare.MySetup")
    assert "ZOO" in refusal("bare.MySetup", zoo="1")


def test_what_init_refuses_is_said_with_the_section() -> None:
    write("mine.py", SETUP.replace("self.given", "raise exception.PluginError('no such word'); x"))
    assert refusal("mine.MySetup", word="x") == (
        "[plugin mine] mine.MySetup: it fails with these settings: PluginError: no such word."
    )


def test_names_of_starcluster_are_found_by_plugins_and_by_nobody_else() -> None:
    write("mine.py")
    loader.load_class("mine.MySetup")
    assert not [name for name in sys.modules if name.partition(".")[0] == "starcluster"]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(NAME)


def test_a_real_package_of_that_name_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of that name is about stars."""
    (tmp_path / "starcluster").mkdir()
    (tmp_path / "starcluster" / "__init__.py").write_text("age = 13e9\n")
    monkeypatch.syspath_prepend(tmp_path)
    write("mine.py")
    loader.load_class("mine.MySetup")
    try:
        assert importlib.import_module(NAME).age == 13e9
        loader.load_class("mine.MySetup")
        assert sys.modules["starcluster"].age == 13e9
    finally:
        sys.modules.pop("starcluster", None)


def test_plugin_may_use_what_a_real_package_of_that_name_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "starcluster").mkdir()
    (tmp_path / "starcluster" / "__init__.py").write_text("")
    (tmp_path / "starcluster" / "isochrones.py").write_text("AGE = 13\n")
    monkeypatch.syspath_prepend(tmp_path)
    write(
        "stars.py",
        "from starcluster.isochrones import AGE\nfrom spotcluster.plugins.base import Plugin\n"
        "class Stars(Plugin):\n    age: int = AGE\n",
    )
    try:
        assert loader.load_class("stars.Stars")().age == 13  # type: ignore[attr-defined]
    finally:
        for name in ("starcluster", "starcluster.isochrones"):
            sys.modules.pop(name, None)


def test_neighbour_that_a_hook_imports_is_understood_too() -> None:
    write("late.py", "from starcluster.static import MASTER_ALIAS\n")
    write(
        "mine.py",
        SETUP.replace("from starcluster import static", "import late").replace(
            "static.MASTER_ALIAS", "late.MASTER_ALIAS"
        ),
    )
    setup = made("mine.MySetup", word="x")._setup
    setup.run([], None, "", "", {})
    assert setup.seen == "master"  # type: ignore[attr-defined]


def test_setting_whose_name_cannot_be_one_is_refused() -> None:
    write("mine.py", SETUP.replace("where=None", "_where=None").replace("where)", "_where)"))
    assert "'_where' cannot be the name of a setting" in refusal("mine.MySetup", word="x")


def test_neighbours_are_imported_as_python_2_did() -> None:
    write("words.py", "from starcluster.logger import log\nWORD = 'from beside'\n")
    write("mine.py", "import words\n" + SETUP.replace("(word, times, where)", "words.WORD"))
    assert made("mine.MySetup", word="x")._setup.given == "from beside"  # type: ignore[attr-defined]


def test_plugin_in_a_package_on_the_python_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_plugins").mkdir()
    (tmp_path / "their_plugins" / "__init__.py").write_text("from starcluster.logger import log\n")
    (tmp_path / "their_plugins" / "mine.py").write_text(SETUP)
    monkeypatch.syspath_prepend(tmp_path)
    assert issubclass(loader.load_class("their_plugins.mine.MySetup"), Adapted)


def test_what_plugins_do_not_get_is_named() -> None:
    write("mine.py", "from starcluster.templates import sge\n" + SETUP)
    assert "its module mine needs 'starcluster.templates', which plugins do not get" in refusal(
        "mine.MySetup"
    )
    write("other.py", "from starcluster import spinner\n" + SETUP)
    assert "starcluster.spinner is StarCluster's own" in refusal("other.MySetup")


def test_plugin_that_cannot_be_read_is_named_with_the_line() -> None:
    path = write("mine.py", SETUP + "x = = 1\n")
    assert (
        f"its module mine cannot be read: it is neither Python 3 nor Python 2 that can be"
        f" converted ({path}, line 12" in refusal("mine.MySetup")
    )


def test_python_2_leaves_no_bytecode_that_an_ordinary_import_would_take() -> None:
    path = write("mine.py", SETUP + "print 'python 2'\n")
    assert loader.load_class("mine.MySetup").converted  # type: ignore[attr-defined]
    assert not list(path.parent.rglob("*.pyc"))


def test_plugin_that_starcluster_would_find_is_to_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    former = tmp_path / ".starcluster" / "plugins" / "mine.py"
    former.parent.mkdir(parents=True)
    former.write_text(SETUP)
    home = files.home() / "plugins"
    assert refusal("mine.MySetup").endswith(f"on the Python path. Copy {former} to {home}.")


def test_base_class_alone_is_no_plugin() -> None:
    write("mine.py", "from starcluster.clustersetup import ClusterSetup\n")
    assert "this is not a subclass of" in refusal("mine.ClusterSetup")


# --- plugins of installed packages ----------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of an installed package with two plugins: one of each kind."""
    info = tmp_path / "spotcluster_swap-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spotcluster-swap\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[spotcluster.plugins]\nswap = swapping:Swap\nold = swapping_old:MySetup\n"
    )
    (tmp_path / "swapping.py").write_text(
        "from spotcluster.plugins.base import Plugin\nclass Swap(Plugin):\n    gigabytes: int = 4\n"
    )
    (tmp_path / "swapping_old.py").write_text(SETUP)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_plugin_of_a_package_is_found_by_its_entry_point(package: Path) -> None:
    plugin = loader.make("mine", "swap", {"gigabytes": "8"})
    assert type(plugin).__name__ == "Swap"
    assert isinstance(plugin, Plugin)
    assert made("old", word="x")._setup.given == ("x", 2, None)  # type: ignore[attr-defined]


def test_names_of_installed_plugins_are_listed_where_none_has_the_one_that_was_given(
    package: Path,
) -> None:
    said = refusal("swop")
    assert "nor one of the plugins of installed packages (old and swap)" in said or (
        "nor one of the plugins of installed packages (old, swap)" in said
    )


def test_config_check_names_the_plugins_of_installed_packages(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.write_private(files.config_file(), "[plugin mine]\nSETUP_CLASS = swap\nGIGABYTES = 8\n")
    assert run(["config", "check"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "old (swapping_old.MySetup), swap (swapping.Swap)" in said
    assert run(["config", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plugins"]["swap"] == "swapping.Swap"
