"""The same versions on the nodes as here."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from pydantic import ValidationError

from spotcluster import templates
from spotcluster.errors import RemoteCommandFailed
from spotcluster.plugins import environment, ipcluster
from spotcluster.plugins.index import Index
from spotcluster.plugins.pypackages import PyPkgInstaller
from spotcluster.plugins.requirements import Content
from spotcluster.steps import Step


def test_what_is_installed_here_is_pinned() -> None:
    lines = environment.constraints().splitlines()
    assert f"numpy=={importlib.metadata.version('numpy')}" in lines
    assert lines == sorted(
        lines, key=lambda line: re.sub(r"[-_.]+", "-", line.split("=")[0]).lower()
    )


def test_package_with_a_version_of_the_users_is_not_pinned() -> None:
    names = [line.split("==")[0] for line in environment.constraints(["NumPy"]).splitlines()]
    assert "numpy" not in names
    assert "psutil" in names


def test_what_was_not_installed_from_an_index_constrains_nothing() -> None:
    assert not any(
        line.startswith("spotcluster==") for line in environment.constraints().splitlines()
    )


def test_a_local_build_is_pinned_as_the_version_that_an_index_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "built_here-2.9.0+cpu.dist-info"
    info.mkdir()
    head = "Metadata-Version: 2.1\nName: built_here\nVersion: 2.9.0+cpu\n"
    (info / "METADATA").write_text(f"{head}\nName: described\nVersion: 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    lines = environment.constraints().splitlines()
    assert "built_here==2.9.0" in lines
    assert not any(line.startswith("described==") for line in lines)


def test_of_two_distributions_the_one_that_python_imports_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(folder: str, name: str, version: str, *, editable: bool = False) -> None:
        info = tmp_path / folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        if editable:
            (info / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {}}')

    put("first", "twice_there", "2.0")
    put("second", "Twice.There", "1.0")
    put("first", "own", "2.0", editable=True)
    put("second", "own", "1.0")
    for folder in ("second", "first"):
        monkeypatch.syspath_prepend(tmp_path / folder)
    lines = environment.constraints().lower().splitlines()
    assert [line for line in lines if "there" in line] == ["twice_there==2.0"]
    assert not [line for line in lines if line.startswith("own=")]


def test_packages_are_read_from_a_comma_list() -> None:
    plugin = PyPkgInstaller.model_validate({"packages": "scikit-learn, psutil,\n pandas>=2 "})
    assert plugin.packages == ("scikit-learn", "psutil", "pandas>=2")


def test_commas_within_a_requirement_are_its_own() -> None:
    one = "pandas[excel, plot]>=2,<4"
    others = ("numpy >= 1, != 2.0", "x; python_version in '3.11, 3.12'", "y (>=1,<2)", "z")
    found = PyPkgInstaller.model_validate({"packages": f"{one},\n{', '.join(others)}"}).packages
    assert [str(Requirement(item)) for item in found] == [
        str(Requirement(item)) for item in (one, *others)
    ]


@pytest.mark.parametrize(
    "bad", ["--index-url=http://x", "a b", "<2, a", "a[b, c", "x;rm -rf /", "$(id)"]
)
def test_what_is_no_requirement_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError, match="not a requirement"):
        PyPkgInstaller.model_validate({"packages": bad})


@pytest.mark.parametrize(
    "url",
    ["https://pypi.example.com/simple/", "https://10.0.0.2:8443/x", "http://[fd00::1]/s/"],
)
def test_index_url_is_taken_as_it_is(url: str) -> None:
    assert PyPkgInstaller.model_validate({"index_url": url}).index_url == url


@pytest.mark.parametrize(
    "bad",
    [
        "pypi.example.com",
        "ftp://x/simple",
        "https://",
        "https://x/ --pre",
        "http://x:port/",
        "-r x",
    ],
)
def test_what_is_no_index_url_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError, match="index_url"):
        PyPkgInstaller.model_validate({"index_url": bad})


@pytest.mark.parametrize("key", ["index_url", "extra_index_url"])
def test_index_url_with_a_password_is_refused_and_the_password_not_told(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PyPkgInstaller.model_validate({key: "https://me:pa55@mirror.example/simple/"})
    (one,) = caught.value.errors()
    assert one["msg"].startswith("Value error, 'https://...@mirror.example' holds a name")
    assert "pa55" not in one["msg"]


class Recorder:
    """A node that keeps the scripts it is given."""

    def __init__(self) -> None:
        self.scripts: list[str] = []
        self.account = self
        self.name = "me"
        self.facts = SimpleNamespace(sudo=False)

    def run_each(self, steps: Sequence[Step]) -> list[str]:
        self.scripts += [step.script for step in steps]
        return ["" for _ in steps]


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("http://mirror.example:8080/simple/", "mirror.example:8080"),
        ("https://mirror.example/simple/", ""),
        ("", ""),
    ],
)
def test_pip_is_told_to_trust_an_index_without_tls_only(url: str, trusted: str) -> None:
    node = Recorder()
    environment.install(node, index=Index(url))  # type: ignore[arg-type]
    assert f"\ntrusted=({trusted})\n" in node.scripts[0]


def test_index_url_is_quoted() -> None:
    node = Recorder()
    environment.install(node, index=Index("https://x/$(id)'"))  # type: ignore[arg-type]
    assert """\nindex='https://x/$(id)'"'"''\n""" in node.scripts[0]


def test_pip_that_python_has_for_new_environments_runs_where_it_is() -> None:
    _, found, rest = templates.read("install.sh").partition("find_pip='\n")
    program = rest.partition("\n'\n")[0]
    assert found
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    words = [sys.executable, f"{done.stdout.strip()}/pip", "--version"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.startswith(
        "pip "
    )


PIP = """
import os, subprocess, sys, time
with open(sys.argv[2], "a") as file:
    file.write("begin\\n")
    file.flush()
    if "NESTED" not in os.environ:
        nested = [sys.executable, "-m", "pip", "install", os.devnull]
        subprocess.run(nested, env={**os.environ, "NESTED": "1"}, check=True, timeout=60)
        time.sleep(0.2)
    file.write("end\\n")
"""


def with_one_pip(folder: Path, pip: str, limit: float = 1800) -> str:
    """Return the Python of an environment that has `pip`, one of which runs at a time."""
    venv.create(folder, symlinks=True)
    (packages,) = (folder / "lib").glob("python3*/site-packages")
    program = templates.read("one_pip.py").replace("_LIMIT = 1800", f"_LIMIT = {limit}")
    (packages / "spotcluster_one_pip.py").write_text(program)
    (packages / "spotcluster_one_pip.pth").write_text("import spotcluster_one_pip\n")
    (packages / "pip.py").write_text(pip)
    return str(folder / "bin" / "python")


def test_pips_of_the_engines_of_a_node_wait_for_one_another(tmp_path: Path) -> None:
    python, note = with_one_pip(tmp_path / "env", PIP), tmp_path / "note"
    words = [python, "-m", "pip", "install", str(note)]
    running = [subprocess.Popen(words) for _ in range(3)]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    assert note.read_text().split() == ["begin", "end"] * 3


def test_a_pip_waits_so_long_for_another_one_and_says_for_which(tmp_path: Path) -> None:
    program = "import os, sys\nprint(os.getpid(), flush=True)\nsys.stdin.read()\n"
    python = with_one_pip(tmp_path / "env", program, limit=0.2)
    words = [python, "-m", "pip", "install", "x"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == f"{first.pid}\n"
        second = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert (second.returncode, second.stdout) == (1, "")
        assert f"process {first.pid} of " in second.stderr
        assert second.stderr.count("\n") == 1
        listed = subprocess.run([*words[:3], "list"], stdin=subprocess.DEVNULL)
        assert listed.returncode == 0  # which changes nothing
        first.kill()  # it cannot clean up
    third = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (third.returncode, third.stderr) == (0, "")


# --- what the master has --------------------------------------------------------------------------


def listed(home: Path, *, asked_for: Sequence[str]) -> environment.Installed:
    """Return what the script lists of an environment in which some packages were asked for."""
    site = home / ".spotcluster" / "env" / "lib" / "python3.11" / "site-packages"
    for name in ("scikit_learn-1.9.1", "a.b-2.0rc1"):
        folder = site / f"{name}.dist-info"
        folder.mkdir(parents=True, exist_ok=True)
        if name in asked_for:
            (folder / "REQUESTED").touch()
    said = subprocess.run(
        ["bash", "-euc", templates.read("packages.sh")],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return environment.Installed.read(said)


def test_names_with_dashes_are_read_as_pip_writes_them(tmp_path: Path) -> None:
    found = listed(tmp_path, asked_for=[])
    assert found.versions == {"a.b": "2.0rc1", "scikit_learn": "1.9.1"}


def test_what_the_cluster_brought_is_told_from_what_somebody_asked_for(tmp_path: Path) -> None:
    both = ["a.b-2.0rc1", "scikit_learn-1.9.1"]
    assert listed(tmp_path, asked_for=both).later == frozenset()  # by a release before this
    given = tmp_path / ".spotcluster" / "env" / "given.txt"
    given.write_text("scikit_learn-1.9.1\n")
    assert listed(tmp_path, asked_for=both).later == {"a.b"}
    given.write_text("scikit_learn-1.9.0\na.b-2.0rc1\n")  # another version, by hand
    assert listed(tmp_path, asked_for=both).later == {"scikit_learn"}


class Installed:
    """A node with packages, by the names of their folders; `frozen` is what pip says of them."""

    def __init__(self, *names: str, frozen: str = "", fails: bool = False) -> None:
        self.names, self.frozen, self.fails = names, frozen, fails
        self.account = self
        self.name = "me"
        self.asked: list[str] = []

    def run_each(self, steps: Sequence[Step]) -> list[str]:
        is_listing = [step.script == templates.read("packages.sh") for step in steps]
        return ["\n".join(self.names) if listing else "" for listing in is_listing]

    def get(self, source: str) -> bytes:
        return source.encode()

    def run(self, script: str, **_: object) -> str:
        self.asked.append(script.partition("pip --disable-pip-version-check ")[2])
        if self.fails:
            raise RemoteCommandFailed("node002", "installing", "pip", 1, "no such version")
        return self.frozen


FROZEN = """
# Editable, whatever it is
-e git+https://example.org/own.git@1#egg=own
joblib==1.6.0
local @ file:///home/ipuser/local-1.0-py3-none-any.whl
scikit-learn==1.9.1
tabulate==0.10.0
Theirs @ git+https://example.org/theirs.git@c0ffee
"""


def followed(node: Any, master: Any) -> list[str]:
    """Have a node follow its master; return what was noted."""
    notes: list[str] = []
    cluster: Any = SimpleNamespace(
        master=master, note=notes.append, together=lambda _, one, do: do([one])
    )
    given = ipcluster._given_by_master(cluster, node)
    ipcluster._follow(cluster, node, environment.installed(node), given.packages)
    return notes


def test_node_added_after_percent_pip_lacked_what_the_others_had() -> None:
    names = ("joblib-1.6.0", "scikit_learn-1.9.1", "tabulate-0.10.0", "own-1.0", "local-1.0")
    master = Installed(*names, "Theirs-2.0", frozen=FROZEN)
    node: Any = Installed("joblib-1.6.0", "scikit_learn-1.9.2", "more-1.0")
    assert followed(node, master) == []
    assert master.asked == ["freeze --all"]
    assert node.asked == [
        "install --quiet --no-deps scikit-learn==1.9.1 tabulate==0.10.0"
        " 'Theirs @ git+https://example.org/theirs.git@c0ffee'"
    ]


def test_node_that_has_what_the_master_has_installs_nothing() -> None:
    master, node = Installed("joblib-1.6.0"), Installed("joblib-1.6.0", "more-1.0")
    assert followed(node, master) == []
    assert (master.asked, node.asked) == ([], [])


def test_node_that_cannot_install_what_the_master_has_joins_all_the_same() -> None:
    (note,) = followed(Installed(fails=True), Installed("tabulate-0.10.0", frozen=FROZEN))
    assert "no such version" in note


# --- what a plugin needs beside it ----------------------------------------------------------------


class InHome:
    """A node whose scripts run here, with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.account = SimpleNamespace(name="me")

    def run_each(self, steps: Sequence[Step]) -> list[str]:
        return [
            subprocess.run(
                ["bash", "-c", f"set -euo pipefail\n{one.script}"],
                env={"HOME": str(self.home), "PATH": "/usr/bin:/bin"},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for one in steps
        ]


def test_only_what_is_lacking_is_installed_from_its_index_for_the_python_that_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another Python than this computer's would have been replaced, with all that was in it."""
    asked: list[Any] = []
    monkeypatch.setattr(environment, "install", lambda *words, **more: asked.append((words, more)))
    node: Any = InHome(tmp_path)
    wanted = {"nosuchmodule": "no-such[all]", "json": "json"}
    environment.complete(node, wanted)
    nothing = Content()
    whole = (node, ["no-such[all]", "json"], nothing), {"python": None, "index": Index()}
    venv.create(tmp_path / ".spotcluster" / "env", symlinks=True)
    environment.complete(node, wanted)
    version = "{}.{}".format(*sys.version_info)
    lacking = (node, ["no-such[all]"], nothing)
    conf = tmp_path / ".spotcluster" / "env" / "pip.conf"
    url, extra = "https://mirror.example/100%/simple", "https://one.example/"
    conf.write_text(f"[global]\nindex-url = {url}\nextra-index-url = {extra}\n")
    environment.complete(node, wanted)
    environment.complete(node, {"json": "json"})
    assert asked == [
        whole,
        (lacking, {"python": version, "index": Index()}),
        (lacking, {"python": version, "index": Index(url, (extra,))}),
    ]


def test_what_a_plugin_needed_beside_it_moved_what_the_user_had_pinned(tmp_path: Path) -> None:
    """As numpy below bokeh, to the version of whoever started the cluster."""
    node = Recorder()
    env = tmp_path / ".spotcluster" / "env"
    venv.create(env, symlinks=True)
    (packages,) = env.glob("lib/python3*/site-packages")
    for name in ("numpy-1.2.3", "Odd_Name-2.0+cpu", "legacy-not.a.version"):
        info = packages / f"{name}.dist-info"
        info.mkdir()
        own, version = name.split("-", 1)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {own}\nVersion: {version}\n")
    seen: Any = InHome(tmp_path)
    node.run_each = lambda steps: (  # type: ignore[method-assign]
        seen.run_each(steps) if "find_spec" in steps[0].script else Recorder.run_each(node, steps)
    )
    environment.complete(node, {"nosuchmodule": "no-such"})  # type: ignore[arg-type]
    (script,) = node.scripts
    constraints = [
        line
        for name in ("constraints", "pinned")
        for line in script.partition(f"\n{name}='")[2].partition("'")[0].splitlines()
    ]
    assert [one for one in constraints if one.startswith(("numpy=", "legacy"))] == ["numpy==1.2.3"]
    assert "Odd_Name==2.0+cpu" in constraints
    assert f"psutil=={importlib.metadata.version('psutil')}" in constraints  # which it lacks


def test_venv_was_not_installed_where_the_machine_updated_its_own_lists(tmp_path: Path) -> None:
    programs = {
        "sudo": 'shift\nexec "$@"',
        "python3": "exit 1",
        "apt-get": 'PATH=/usr/bin:/bin; echo "$*" >>"$HOME/asked"\n'
        '[ "$(wc -l <"$HOME/asked")" -gt 2 ] || '
        '{ echo "E: Could not get lock /var/lib/apt/lists/lock." >&2; exit 100; }',
        "sleep": "exit 0",
    }
    for name, script in programs.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    for name in ("env", "bash"):
        (tmp_path / name).symlink_to(shutil.which(name, path="/usr/bin:/bin") or "")
    script = f"set -euo pipefail\n{templates.read('python_venv.sh')}"
    env = {"HOME": str(tmp_path), "PATH": str(tmp_path)}
    subprocess.run(["/bin/bash", "-c", script], env=env, check=True, capture_output=True)
    said = (tmp_path / "asked").read_text().splitlines()
    assert said[:3] == ["update -qq"] * 3
    assert said[3].endswith("install -y -qq python3-venv")
