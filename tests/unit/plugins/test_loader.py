"""From SETUP_CLASS to a plugin, and never from where nobody meant it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from spotcluster import files
from spotcluster.errors import UsageError
from spotcluster.plugins import loader
from spotcluster.plugins.ipcluster import IPCluster, IPClusterRestartEngines, IPClusterStop
from spotcluster.plugins.loader import PluginError
from spotcluster.plugins.pypackages import PyPkgInstaller

MINE = """\
from spotcluster.plugins.base import CommaList, Plugin

class Mine(Plugin):
    port: int
    names: CommaList = ()
    password: str | None = None

class Other:
    pass

number = 1
"""


def write(name: str, text: str = MINE) -> Path:
    path = files.private_dir("plugins") / name
    files.write_private(path, text)
    return path


def refusal(setup_class: str) -> str:
    with pytest.raises(PluginError) as caught:
        loader.load_class(setup_class)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("starcluster.plugins.ipcluster.IPCluster", IPCluster),
        ("starcluster.plugins.ipcluster.IPClusterStop", IPClusterStop),
        ("starcluster.plugins.ipcluster.IPClusterRestartEngines", IPClusterRestartEngines),
        ("starcluster.plugins.pypkginstaller.PyPkgInstaller", PyPkgInstaller),
    ],
)
def test_names_of_starcluster_mean_ours(name: str, kind: type) -> None:
    assert loader.load_class(name) is kind
    assert loader.load_class(loader.canonical(name)) is kind
    assert loader.canonical(name) == f"{kind.__module__}.{kind.__name__}"


@pytest.mark.parametrize("name", loader.BUILT_IN)
def test_every_built_in_plugin_is_there(name: str) -> None:
    assert loader.load_class(name).__name__ == name.rpartition(".")[2]


@pytest.mark.parametrize(
    "name",
    [
        "starcluster.plugins.sge.SGEPlugin",
        "starcluster.plugins.ipcluster.Nothing",
        "starcluster.plugins.ipcluster",
    ],
)
def test_plugin_that_only_starcluster_has_is_refused_as_such(name: str) -> None:
    assert f"{name}: this plugin of StarCluster has no counterpart here" in refusal(name)


def test_class_that_is_nearly_right_is_suggested() -> None:
    said = refusal("spotcluster.plugins.ipcluster.IPClustr")
    assert said.endswith("has no class 'IPClustr'. Did you mean 'IPCluster'?")
    said = refusal("spotcluster.plugins.ipclustr.IPCluster")
    assert "Did you mean 'spotcluster.plugins.ipcluster.IPCluster'?" in said


@pytest.mark.parametrize("name", ["", "x", ".", "a..B", "a.b c", "../x.Y", "a/b.C", "1.2", "a.\0"])
def test_what_is_not_the_name_of_a_class_is_refused(name: str) -> None:
    assert "this is not the name of a class" in refusal(name)


@pytest.mark.parametrize(
    "name", ["json.JSONDecoder", "spotcluster.plugins.base.Plugin", "spotcluster.files.Path"]
)
def test_class_that_is_no_plugin_is_refused(name: str) -> None:
    assert "this is not a subclass of spotcluster.plugins.base.Plugin" in refusal(name)


def test_plugin_is_found_in_the_users_folder() -> None:
    write("mine.py")
    assert loader.load_class("mine.Mine").__name__ == "Mine"
    assert "this is not a subclass" in refusal("mine.Other")
    assert "mine has no class 'number'" in refusal("mine.number")


def test_plugin_may_be_in_a_package_and_use_its_neighbours() -> None:
    write("mine/__init__.py", "")
    write("mine/helper.py")
    write("mine/deep.py", "from .helper import Mine\nclass Deep(Mine): pass\n")
    write("top.py", "from .mine.deep import Deep\nclass Top(Deep): pass\n")
    assert loader.load_class("mine.deep.Deep").__name__ == "Deep"
    assert loader.load_class("top.Top").__name__ == "Top"
    assert "there is no module 'mine.shallow' in" in refusal("mine.shallow.X")


def test_plugin_shadows_no_module_of_python() -> None:
    before = sys.path[:]
    write("json.py")
    assert loader.load_class("json.Mine").__name__ == "Mine"
    import json

    assert json.loads("1") == 1
    assert sys.path == before


def test_plugin_of_another_home_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("mine.py")
    loader.load_class("mine.Mine")
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(tmp_path / "other"))
    assert "there is no module 'mine'" in refusal("mine.Mine")


def test_plugin_is_found_on_the_python_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "on_the_path.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    assert loader.load_class("on_the_path.Mine").__name__ == "Mine"


@pytest.mark.parametrize("entry", ["", ".", "the folder", "the folder/", "a link"])
def test_current_directory_is_never_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('trapped')\n")
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    path = {"the folder": str(tmp_path), "the folder/": f"{tmp_path}/", "a link": str(link)}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path.get(entry, entry), *sys.path])
    assert "there is no module 'trap'" in refusal("trap.Mine")
    assert sys.path[0] == path.get(entry, entry)


def test_current_directory_that_is_gone_is_no_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert "there is no module 'trap'" in refusal("trap.Mine")


def test_what_a_plugin_puts_on_the_python_path_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    write("mine.py", f"import sys\nsys.path.append('/own')\n{MINE}")
    loader.load_class("mine.Mine")
    assert sys.path[-1] == "/own"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_file_that_others_can_write_is_refused(mode: int) -> None:
    path = write("mine.py")
    path.chmod(mode)
    said = refusal("mine.Mine")
    assert f"other users can write {path}; run `chmod -R go-w {files.home()}`" in said
    path.chmod(0o644)
    assert loader.load_class("mine.Mine")


@pytest.mark.parametrize("parts", [(), ("plugins",), ("plugins", "mine")])
def test_folder_that_others_can_write_is_refused(parts: tuple[str, ...]) -> None:
    write("mine/__init__.py")
    folder = files.home().joinpath(*parts)
    folder.chmod(0o777)
    assert f"other users can write {folder};" in refusal("mine.Mine")


def test_link_to_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open.py").write_text(MINE)
    (tmp_path / "open.py").chmod(0o666)
    (files.private_dir("plugins") / "mine.py").symlink_to(tmp_path / "open.py")
    assert "other users can write" in refusal("mine.Mine")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_file_of_another_user_is_refused() -> None:
    path = write("mine.py")
    os.chown(path, 12345, -1)
    assert f"{path} belongs to another user" in refusal("mine.Mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (
            "import no_such_library.part",
            "its module mine needs the module 'no_such_library', which is not installed",
        ),
        ("from json import nothing", "ImportError: cannot import name 'nothing'"),
    ],
)
def test_module_that_fails_is_named_with_its_reason(text: str, said: str) -> None:
    write("mine.py", text)
    assert said in refusal("mine.Mine")


def test_plugin_is_made_from_text() -> None:
    write("mine.py")
    plugin = loader.make("m", "mine.Mine", {"port": "80", "names": "a, b"})
    assert plugin.model_dump() == {"port": 80, "names": ("a", "b"), "password": None}


def test_every_wrong_setting_is_named() -> None:
    write("mine.py")
    with pytest.raises(PluginError) as caught:
        loader.make("m", "mine.Mine", {"port": "eighty", "nams": "x"})
    assert str(caught.value) == (
        "[plugin m] mine.Mine: PORT: 'eighty' is not a whole number."
        " NAMS: is not known here. Did you mean 'NAMES'?"
    )
    assert [key for key, _ in caught.value.reasons] == ["port", "nams"]


def test_missing_setting_is_named_with_section_and_class() -> None:
    write("mine.py")
    with pytest.raises(PluginError, match=r"\[plugin m\] mine.Mine: PORT: is missing"):
        loader.make("m", "mine.Mine", {})


def test_class_that_cannot_be_loaded_is_named_with_its_section() -> None:
    with pytest.raises(PluginError, match=r"^\[plugin m\] no.Such: there is no module 'no'"):
        loader.make("m", "no.Such", {})


def test_secret_setting_is_not_shown() -> None:
    write("mine.py", MINE.replace("password: str", "password: int"))
    with pytest.raises(PluginError) as caught:
        loader.make("m", "mine.Mine", {"port": "1", "password": "hunter2"})
    assert "hunter2" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"


def test_error_is_one_that_users_read() -> None:
    with pytest.raises(UsageError) as caught:
        loader.load_class("no.Such")
    assert isinstance(caught.value, ValueError)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("what", ["sys.exit('no licence')", "1 / 0", "{}['x']"])
def test_class_that_fails_with_its_settings_is_named(what: str) -> None:
    """What a plugin checks may raise anything: it was taken for a bug of ours."""
    write(
        "odd.py",
        "import sys\nfrom spotcluster.plugins.base import Plugin\n"
        f"class Odd(Plugin):\n    def model_post_init(self, _):\n        {what}\n",
    )
    with pytest.raises(PluginError, match=r"\[plugin p\] odd.Odd: it fails with these settings"):
        loader.make("p", "odd.Odd", {})


@pytest.mark.parametrize("what", ["sys.exit('no licence')", "1 / 0", "{}['x']"])
def test_whatever_a_plugin_raises_when_it_looks_at_this_computer_names_it(what: str) -> None:
    write(
        "odd.py",
        "import sys\nfrom spotcluster.plugins.base import Plugin\n"
        f"class Odd(Plugin):\n    def check(self, user):\n        {what}\n"
        f"    @classmethod\n    def settled(cls, settings, folder):\n        {what}\n",
    )
    with pytest.raises(PluginError, match=r"\[plugin p\] odd.Odd: it fails with these settings"):
        loader.settle("p", "odd.Odd", {}, Path())
    with pytest.raises(PluginError, match=r"\[plugin p\] Odd: its check raised"):
        loader.check("p", loader.make("p", "odd.Odd", {}), "ipuser")
