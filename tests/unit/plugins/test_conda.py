"""What an environment.yml asks conda for: read, solved and locked here, installed by the lock."""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from conda_channels import LOGIN, MINOR, PLATFORM, Channel, served
from uv import find_uv_bin

from spotcluster import templates
from spotcluster.errors import NodeError
from spotcluster.plugins import conda, environment, loader, pypackages
from spotcluster.plugins.index import Index
from spotcluster.plugins.loader import PluginError
from spotcluster.plugins.pypackages import PyPkgInstaller
from spotcluster.plugins.requirements import Content

SETUP_CLASS = "spotcluster.plugins.pypackages.PyPkgInstaller"
PLATFORMS = f"platforms: [{PLATFORM}]\n"
OTHER = "linux-aarch64" if PLATFORM != "linux-aarch64" else "linux-64"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """Give a channel that nobody serves yet, and that nobody changes."""
    made = Channel(tmp_path_factory.mktemp("channel") / "channel")
    made.add_python()
    for version in ("1.0", "1.5", "2.0"):
        made.add_module("greetings", version, f"WORD = {version!r}\n")
    made.add_module("careful", "1.0", "", depends=["greetings <2"])
    # In an instant, and of no index: what is asked of pip beside --version fails.
    made.add_module("pip", "1.0", "import sys\nsys.exit('--version' not in sys.argv)\n")
    made.index()
    return made


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def channel(packed: Channel, own_cache: None) -> Iterator[Channel]:
    with served(packed) as given:
        yield given


@pytest.fixture
def private(packed: Channel, own_cache: None) -> Iterator[Channel]:
    with served(packed, private=True) as given:
        yield given


def asked(dependencies: str, *channels: str, more: str = PLATFORMS) -> conda.Asked:
    text = f"channels: [{', '.join(channels)}]\ndependencies: [{dependencies}]\n{more}"
    return conda.read(text, "e.yml")


def locked(wanted: conda.Asked, **liked: str) -> list[str]:
    """Return the packages of a lock, as NAME-VERSION."""
    text = conda.lock(wanted, MINOR, liked=liked, logins={})
    lines = {one for one in text.splitlines() if one.startswith("- conda: ")}
    names = sorted(one.rpartition("/")[2].removesuffix("-0.tar.bz2") for one in lines)
    assert len(lines) == text.count("sha256: ")
    return [one for one in names if not one.startswith("python-")]


def refusal(wanted: conda.Asked, python: str = MINOR) -> str:
    with pytest.raises(ValueError, match=r"^'e\.yml': ") as caught:
        conda.lock(wanted, python, liked={}, logins={})
    return str(caught.value).removeprefix("'e.yml': ")


# --- what is read ---------------------------------------------------------------------------------


def test_channels_are_those_of_conda() -> None:
    given = ("conda-forge", "nodefaults", "bioconda/label/main", "https://c.example/x/", "defaults")
    found = asked("numpy", *given)
    assert found.channels == (
        "https://conda.anaconda.org/conda-forge",
        "https://conda.anaconda.org/bioconda/label/main",
        "https://c.example/x",
        "https://repo.anaconda.com/pkgs/main",
        "https://repo.anaconda.com/pkgs/r",
    )
    assert found.private == ("https://c.example/x",)
    assert asked("numpy").channels == ("https://conda.anaconda.org/conda-forge",)


def test_python_and_pip_alone_ask_nothing_of_conda() -> None:
    assert asked("python=3.12, pip>=24, pip: [numpy]", "x").specs == ()
    assert asked("python=3.12, pip, numpy", "x").specs == ("python=3.12", "pip", "numpy")


@pytest.mark.parametrize(
    "place", ["/srv/channel", "file:///srv/channel", "./x", "ftp://x/y", "a b"]
)
def test_channel_that_nodes_do_not_have_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match=r"'e\.yml': nodes do not have the channel"):
        asked("numpy", f"'{place}'")


@pytest.mark.parametrize("place", ["https://me:pa55@c.example/x", "https://c.example/t/pa55/x"])
def test_password_in_a_channel_is_refused_and_not_told(place: str) -> None:
    for given in (lambda: asked("numpy", place), lambda: asked(f"'{place}::numpy'", "x")):
        with pytest.raises(ValueError, match=r"INDEX_LOGIN") as caught:
            given()
        assert "pa55" not in str(caught.value)


def test_platforms_are_those_of_nodes() -> None:
    assert asked("numpy", more="platforms: [osx-64, linux-aarch64]\n").platforms == (
        "linux-aarch64",
    )
    assert asked("numpy", more="").platforms == ()
    with pytest.raises(ValueError, match="none of the nodes', linux-64 and linux-aarch64"):
        asked("numpy", more="platforms: [win-64]\n")


def test_what_nodes_cannot_have_is_refused() -> None:
    for given in ("./own-1.0-0.conda", "{git: [x]}"):
        with pytest.raises(ValueError, match=r"file, which nodes|nothing that conda takes"):
            asked(given)
    with pytest.raises(ValueError, match="not given its variables"):
        asked("numpy", more="variables: {A: b}\n")


def test_files_of_users_are_read_as_conda_reads_them() -> None:
    assert asked("'conda-forge::python=3.12', 'conda-forge::pip', pip: [x]").specs == ()
    assert asked("'conda-forge::python=3.12', numpy").python == "3.12"
    assert asked("Python=3.12, numpy").python == "3.12"
    major, minor = sys.version_info[:2]
    for bounds in (f">={MINOR}.1", f">=3.8,<{major}.{minor + 1}", f"3.8|{MINOR}", f"={major}"):
        assert asked(f"'python{bounds}', numpy").python == ""
    text = (
        "name: mine\nchannels:\n  - conda-forge\n  - nodefaults\ndependencies:\n"
        "  - numpy=1.26.4=py311h64a7726_0  # [linux]\n  - pip:\nprefix: /home/me/envs/mine\n"
    )
    found = conda.read(text.replace("\n", "\r\n"), "e.yml")
    assert (found.specs, found.pip) == (("numpy=1.26.4=py311h64a7726_0",), "")


@pytest.mark.parametrize(
    ("dependencies", "said"),
    [
        ("\n- numpy\n-\n", "an empty one of its dependencies is nothing"),
        ("\n- ''\n", "an empty one of its dependencies is nothing"),
        ("\n- numpy: 1.26\n", "'{'numpy': 1.26}' of its dependencies is nothing that conda takes;"),
        ("\n- 3.12\n", "'3.12' of its dependencies"),
        ("\n- |\n  numpy\n  scipy\n", r"'numpy\nscipy\n' of its dependencies"),
        (f"\n- {{a: {'x' * 5000}}}\n", "xxx...' of its dependencies"),
        ("\n- pip:\n  - numpy\n  -\n", "its lines for pip are no list of text: '['numpy', None]'"),
        ("\n- pip: numpy\n", "its lines for pip are no list of text: 'numpy'"),
        ("\n- python=2.7\n", "'python =2.7' is none of nodes, which have Python 3"),
        ("\n- own-1.0-0.tar.bz2\n", "is a file, which nodes do not have"),
        ("\n\t- numpy\n", "line 2: this is not YAML"),
        ("[" * 3000 + "]" * 3000, "this is not YAML"),
        ("null\n", "there is no list of dependencies"),
    ],
)
def test_what_a_file_cannot_say_is_told_in_one_sentence(dependencies: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^'e\.yml'") as caught:
        conda.read(f"dependencies: {dependencies}", "e.yml")
    told = str(caught.value)
    assert said in told
    assert "\n" not in told
    assert len(told) < 250


# --- what is solved -------------------------------------------------------------------------------


def test_lock_has_the_newest_that_goes_together(channel: Channel) -> None:
    assert locked(asked("greetings", channel.url)) == ["greetings-2.0"]
    assert locked(asked("greetings, careful", channel.url)) == ["careful-1.0", "greetings-1.5"]
    assert locked(asked("greetings=1.0", channel.url)) == ["greetings-1.0"]


def test_versions_of_this_computer_are_liked_where_they_can_be_had(channel: Channel) -> None:
    both = asked("greetings", channel.url)
    assert locked(both, greetings="1.0") == ["greetings-1.0"]
    assert locked(both, greetings="1.7") == ["greetings-2.0"]
    assert locked(asked("greetings>=2", channel.url), greetings="1.0") == ["greetings-2.0"]
    careful = asked("greetings, careful", channel.url)
    assert locked(careful, greetings="2.0") == ["careful-1.0", "greetings-1.5"]
    assert locked(asked("careful", channel.url), greetings="1.0") == [
        "careful-1.0",
        "greetings-1.0",
    ]


def test_platform_that_nobody_has_named_is_had_where_it_can_be() -> None:
    wanted = conda._wanted(())
    assert [name for name, needed in wanted.items() if needed] == ["linux-64"]
    assert "linux-aarch64" in wanted


def test_nodes_have_cuda_where_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONDA_OVERRIDE_CUDA", raising=False)
    assert "__cuda" not in {name for name, _, _ in conda._has("linux-64")}
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "12.4")
    assert ("__cuda", "12.4", "0") in conda._has("linux-64")


def test_what_there_is_not_is_said(channel: Channel) -> None:
    where = f"for {PLATFORM} on {channel.url}"
    assert refusal(asked("gretings", channel.url)) == f"there is no gretings {where}"
    assert refusal(asked("greetings=7", channel.url)) == f"there is no greetings 7.* {where}"
    told = refusal(asked("greetings=1.0=py311h64a7726_0", channel.url))
    assert told.startswith(
        f"there is no greetings ==1.0 py311h64a7726_0 {where}; a build is for one"
    )
    assert refusal(asked("greetings", channel.url), "3.99") == f"there is no python 3.99.* {where}"
    told = refusal(asked("greetings", channel.url, more=f"platforms: [win-64, {OTHER}]\n"))
    assert told == f"there is no python {MINOR}.* for {OTHER} on {channel.url}"
    told = refusal(asked("greetings>=2, careful", channel.url))
    assert told.startswith(f"what it asks for does not go together {where}: ")
    assert "careful 1.0 would require greetings <2" in told
    assert "\n" not in told
    assert refusal(asked("'greetings>'", channel.url)).startswith("'greetings>' is nothing that")


def test_channel_that_cannot_be_read_is_named(channel: Channel) -> None:
    url = channel.url.replace("/ours", "/others")
    assert f"channel '{url}/'" in refusal(asked("greetings", url))
    told = refusal(asked("greetings", "http://127.0.0.1:1/x"))
    assert told.startswith("a channel cannot be read: ")
    assert "http://127.0.0.1:1/x" in told


def test_without_the_library_it_is_said_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    lacking = lambda name, *more: None if name == "rattler" else there(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", lacking)
    told = refusal(asked("mkl=2024, 'conda-forge::xgboost'"))
    assert told.startswith("mkl=2024, conda-forge::xgboost would come from conda")
    assert "pip install 'spotcluster[conda]'" in told


def test_the_extra_is_what_nodes_get() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert extras["conda"] == [conda.RATTLER]


def test_solving_ends_with_the_command_that_was_killed(channel: Channel) -> None:
    """Of a channel that does not answer it would have waited on, for nobody."""
    channel.requests.clear()
    channel.held = ".zst"  # an index
    channel.released.clear()
    program = (
        "import sys; from spotcluster.plugins import conda;"
        "asked = conda.read(sys.argv[1], 'e.yml');"
        "conda.lock(asked, sys.argv[2], liked={}, logins={})"
    )
    text = f"channels: [{channel.url}]\ndependencies: [greetings]\n{PLATFORMS}"
    process = subprocess.Popen([sys.executable, "-c", program, text, MINOR])
    try:
        wait_until(lambda: any(one.endswith(channel.held) for one in channel.requests))
        (child,) = psutil.Process(process.pid).children()
        process.kill()
        process.wait()
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    finally:
        process.kill()
        process.wait()
        channel.held = ""
        channel.released.set()


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


# --- from the config to nodes ---------------------------------------------------------------------


def settled(folder: Path, channel: Channel, **more: str) -> dict[str, str]:
    (folder / "e.yml").write_text(
        f"channels: [{channel.url}]\ndependencies: [greetings]\n{PLATFORMS}"
    )
    given = loader.settle("p", SETUP_CLASS, {"packages": "e.yml", **more}, folder)
    return loader.resolve("p", SETUP_CLASS, given, lambda _: None)


def test_login_of_a_private_channel_is_looked_for_here(
    tmp_path: Path, private: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PluginError, match="lets nobody in without a login") as caught:
        settled(tmp_path, private)
    assert [key for key, _ in caught.value.reasons] == ["packages"]
    with pytest.raises(PluginError, match="NAME:PASSWORD") as caught:
        settled(tmp_path, private, index_login="env SOME_LOGIN")
    assert [key for key, _ in caught.value.reasons] == ["index_login"]
    monkeypatch.setenv("SOME_LOGIN", ":".join(LOGIN))
    given = settled(tmp_path, private, index_login="env SOME_LOGIN")
    assert given["channels"] == private.url
    assert LOGIN[1] not in str(given)
    made = loader.make("p", SETUP_CLASS, given)
    assert isinstance(made, PyPkgInstaller)
    assert made.index.logins() == {"127.0.0.1": LOGIN}
    monkeypatch.delenv("SOME_LOGIN")
    with pytest.raises(Exception, match="NAME:PASSWORD"):
        made.check("me")


def test_lock_is_that_of_the_start_whatever_the_channel_has_later(
    tmp_path: Path, channel: Channel
) -> None:
    given = settled(tmp_path, channel)
    assert given["python"] == MINOR
    made = loader.make("p", SETUP_CLASS, given)
    assert isinstance(made, PyPkgInstaller)
    pypackages._read_here.cache_clear()  # another process, to which the channel would not answer
    channel.requests.clear()
    node: Any = SimpleNamespace(is_master=False, alias="node001")
    content = made._content(SimpleNamespace(), node)  # type: ignore[arg-type]
    assert "greetings-2.0" in content.conda
    assert channel.requests == []


def test_login_that_no_channel_of_the_file_wants_is_no_mistake(tmp_path: Path) -> None:
    """Of a file that was wrong it said so, too, and a file without conda's packages was refused."""
    (tmp_path / "e.yml").write_text("dependencies: [pip: [numpy]]\n")
    given = {"packages": "e.yml", "index_login": "env NO_SUCH_LOGIN"}
    made = loader.make("p", SETUP_CLASS, loader.settle("p", SETUP_CLASS, given, tmp_path))
    made.check("me")
    with pytest.raises(PluginError, match="and there is none"):
        loader.make("p", SETUP_CLASS, {**given, "packages": "numpy"})


def test_lock_that_another_command_removes_meanwhile_stops_nothing(
    tmp_path: Path, spotcluster_home: Path, channel: Channel
) -> None:
    folder = spotcluster_home / "packages"
    folder.mkdir(mode=0o700, parents=True)
    (folder / "gone.json").symlink_to("nothing")
    given = settled(tmp_path, channel)
    assert (folder / f"{given['digest']}.json").exists()


def test_disk_that_cannot_keep_a_lock_is_told_in_one_sentence(
    tmp_path: Path, spotcluster_home: Path, channel: Channel
) -> None:
    spotcluster_home.mkdir(exist_ok=True)
    (spotcluster_home / "packages").write_text("")
    with pytest.raises(PluginError, match=r"PACKAGES: what comes of it cannot be kept in ") as told:
        settled(tmp_path, channel)
    assert [key for key, _ in told.value.reasons] == ["packages"]


def test_what_conda_had_brought_goes_when_the_file_has_none_of_it(
    tmp_path: Path, channel: Channel
) -> None:
    former = settled(tmp_path, channel)
    for text in ("dependencies: [pip: [numpy]]\n", "dependencies: []\n"):
        (tmp_path / "e.yml").write_text(text)
        given = loader.settle("p", SETUP_CLASS, {"packages": "e.yml"}, tmp_path)
        assert "from_conda" not in loader.resolve("p", SETUP_CLASS, given, lambda _: None)
        notes: list[str] = []
        now = loader.resolve("p", SETUP_CLASS, given, notes.append, former)
        assert now["from_conda"] == "gone"
        assert len(notes) == 1
        assert "until they are restarted" in notes[0]
        again = loader.resolve("p", SETUP_CLASS, given, notes.append, now)
        assert (again, len(notes)) == (now, 1)


def test_file_that_nobody_has_solved_is_not_left_out_in_silence(tmp_path: Path) -> None:
    (tmp_path / "e.yml").write_text("dependencies: [numpy]\n")
    node: Any = SimpleNamespace(is_master=True, alias="master")
    for packages in ("e.yml, numpy", "numpy"):
        given = loader.settle("p", SETUP_CLASS, {"packages": packages}, tmp_path)
        made = loader.make("p", SETUP_CLASS, given)
        assert isinstance(made, PyPkgInstaller)
        if packages == "numpy":
            assert made._content(SimpleNamespace(), node) == Content()  # type: ignore[arg-type]
        else:
            with pytest.raises(NodeError, match=r"e\.yml has was not looked up"):
                made._content(SimpleNamespace(), node)  # type: ignore[arg-type]


def test_content_without_a_lock_kept_its_digest() -> None:
    """Clusters that run go by it."""
    assert Content(("a",)).digest == "fb49cfc60081006e78654b8f90d31d4e"
    whole = Content(("a",), python="3.12", conda="lock")
    assert Content.parse(whole.text) == whole
    assert whole.digest != Content(("a",), python="3.12").digest


# --- on a node ------------------------------------------------------------------------------------


def installing(
    home: Path,
    lock: str,
    *packages: str,
    index: Index | None = None,
    drops: bool = False,
    path: str = "",
) -> subprocess.Popen[str]:
    """Begin what a node runs, with this Python's own rattler, and no index."""
    root = home / ".spotcluster"
    root.mkdir(exist_ok=True, parents=True)
    if not (root / "conda").exists():
        (root / "conda").symlink_to(Path(sys.executable).parent.parent)
    script = environment._script(packages, packages, Content(conda=lock), MINOR, index or Index())
    began = "set -euo pipefail\n" + "drops_conda=1\n" * drops
    (home / "script").write_text(began + script)
    uv = Path(find_uv_bin()).parent
    return subprocess.Popen(
        ["bash", home / "script"],
        env={
            "HOME": str(home),
            "PATH": f"{path}:{uv}:{os.environ['PATH']}",
            "UV_OFFLINE": "1",
            "PIP_NO_INDEX": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def install(
    home: Path, lock: str, *packages: str, drops: bool = False, path: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    process = installing(home, lock, *packages, drops=drops, path=path)
    printed, said = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, printed, said)


def test_a_package_with_another_hash_is_not_installed(tmp_path: Path, channel: Channel) -> None:
    lock = conda.lock(asked("greetings", channel.url), MINOR, liked={}, logins={})
    wrong = "".join(
        "  sha256: " + "0" * 64 + "\n" if "sha256: " in line else line
        for line in lock.splitlines(keepends=True)
    )
    done = install(tmp_path, wrong)
    assert done.returncode != 0
    assert "conda: " in done.stderr
    assert "hash mismatch" in done.stderr.lower()
    assert not list(tmp_path.glob(".spotcluster/env/lib/python3*/site-packages/greetings.py"))


def test_machine_of_which_the_lock_says_nothing_is_told_so(
    tmp_path: Path, channel: Channel
) -> None:
    lock = conda.lock(asked("greetings", channel.url), MINOR, liked={}, logins={})
    done = install(tmp_path, lock.replace(PLATFORM, "linux-ppc64le"))
    assert done.returncode != 0
    assert f"solved for linux-ppc64le, and this machine is {PLATFORM}" in done.stderr


def test_what_is_installed_later_leaves_what_conda_has_brought(
    tmp_path: Path, channel: Channel
) -> None:
    """As a notebook's packages, for which nobody reads the lock again."""
    lock = conda.lock(asked("greetings", channel.url), MINOR, liked={}, logins={})
    channel.requests.clear()
    for text in (lock, "", lock):
        done = install(tmp_path, text, "greetings")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / ".spotcluster" / "env" / "conda.lock").read_text() == lock
    fetched = [one for one in channel.requests if one.endswith(".tar.bz2")]
    assert len(fetched) == len(set(fetched)) == 2


@contextmanager
def cut_off(
    channel: Channel, home: Path, lock: str, index: Index | None = None
) -> Iterator[psutil.Process]:
    """Give the process that installs while a package comes, and kill it."""
    channel.requests.clear()
    channel.held = "greetings-2.0-0.tar.bz2"
    channel.released.clear()
    process = installing(home, lock, "greetings", index=index)
    try:
        end = time.monotonic() + 60
        while not any(one.endswith(channel.held) for one in channel.requests):
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        yield psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        channel.held = ""
        channel.released.set()


def test_login_of_a_channel_is_in_no_command_line_environment_or_file(
    tmp_path: Path, private: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = {"127.0.0.1": LOGIN}
    wanted = asked("greetings", private.url)
    lock = conda.lock(wanted, MINOR, liked={}, logins=logins)
    monkeypatch.setenv("SOME_LOGIN", ":".join(LOGIN))
    index = Index(login="env SOME_LOGIN", channels=wanted.private)
    with cut_off(private, tmp_path, lock, index) as process:
        monkeypatch.delenv("SOME_LOGIN")
        seen = [process, *process.children(recursive=True)]
        assert any("rattler" in " ".join(one.cmdline()) for one in seen)
        for one in seen:
            assert LOGIN[1] not in f"{one.cmdline()} {one.environ()}"
    (tmp_path / "script").unlink()  # which a node has in memory only
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {"conda.lock", "constraints.txt"} & {path.name for path in kept}
    assert not [path for path in kept if LOGIN[1].encode() in path.read_bytes()]


def test_node_that_was_cut_off_while_packages_came_gets_all_of_them(
    tmp_path: Path, channel: Channel
) -> None:
    lock = conda.lock(asked("greetings", channel.url), MINOR, liked={}, logins={})
    with cut_off(channel, tmp_path, lock):
        pass
    assert (tmp_path / ".spotcluster" / "conda-begun").exists()
    done = install(tmp_path, lock, "greetings")
    assert done.returncode == 0, done.stderr
    words = [tmp_path / ".spotcluster" / "env" / "bin" / "python", "-c", "import greetings"]
    subprocess.run(words, check=True)
    assert not list((tmp_path / ".spotcluster").glob("conda-*"))


def test_environment_that_was_half_removed_is_not_taken_for_whole(
    tmp_path: Path, channel: Channel
) -> None:
    lock = conda.lock(asked("greetings, pip", channel.url), MINOR, liked={}, logins={})
    assert install(tmp_path, lock, "greetings").returncode == 0
    rm = tmp_path / "programs" / "rm"
    rm.parent.mkdir()
    rm.write_text(
        '#!/bin/bash\nlast=${!#}\n[ -d "$last/conda-meta" ] || exec /bin/rm "$@"\n'
        '/bin/rm -rf "$last/conda-meta"\nkill -9 $PPID\n'
    )
    rm.chmod(0o755)
    done = install(tmp_path, "", "psutil", drops=True, path=str(rm.parent))
    assert done.returncode == -signal.SIGKILL
    install(tmp_path, "", "psutil", drops=True)  # which no index has here
    root = tmp_path / ".spotcluster"
    assert list(root.glob("env/lib/python3*/site-packages"))
    assert not list(root.glob("env*/lib/python3*/site-packages/greetings.py"))


def test_pip_that_fails_leaves_what_conda_has_brought(tmp_path: Path, channel: Channel) -> None:
    """An environment made anew would have lacked it, and nobody would have said so."""
    lock = conda.lock(asked("greetings, pip", channel.url), MINOR, liked={}, logins={})
    done = install(tmp_path, lock, "no-such-package==1")
    assert done.returncode != 0
    assert "no-such-package" in done.stderr
    env = tmp_path / ".spotcluster" / "env"
    words = [env / "bin" / "python", "-c", "import greetings; print(greetings.WORD)"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "2.0\n"
    assert (env / "conda.lock").read_text() == lock


def test_versions_here_do_not_hold_for_what_conda_has_brought(tmp_path: Path) -> None:
    meta = tmp_path / "conda-meta"
    meta.mkdir()
    files = [
        "lib/python3.12/site-packages/scikit_learn-1.7.2.dist-info/METADATA",
        "lib/python3.12/site-packages/PyYAML-6.0.egg-info",
        "share/numpy-1.0.dist-info/x",
    ]
    (meta / "some-1-0.json").write_text(f'{{"files": {str(files).replace(chr(39), chr(34))}}}')
    program = templates.read("install.sh").partition("not_condas='\n")[2].partition("\n'\n")[0]
    words = f"{sys.executable} -c '{program}' {shlex.quote(str(tmp_path))}"
    given = "numpy==2.4\nscikit-learn==1.8\npyyaml==6.1\nscikit-learn-extra==1\n"
    done = subprocess.run(
        ["bash", "-c", words], input=given, capture_output=True, text=True, check=True
    )
    assert done.stdout == "numpy==2.4\nscikit-learn-extra==1\n"
