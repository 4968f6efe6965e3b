"""The same versions on the nodes as here."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from spotcluster import templates
from spotcluster.plugins import environment
from spotcluster.plugins.pypackages import PyPkgInstaller
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


@pytest.mark.parametrize("bad", ["--index-url=http://x", "a b", "x;rm -rf /", "$(id)"])
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


def test_index_url_with_a_password_is_refused_and_the_password_not_told() -> None:
    with pytest.raises(ValidationError) as caught:
        PyPkgInstaller.model_validate({"index_url": "https://me:pa55@mirror.example/simple/"})
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
        ("https://mirror.example/simple/", "''"),
        (None, "''"),
    ],
)
def test_pip_is_told_to_trust_an_index_without_tls_only(url: str | None, trusted: str) -> None:
    node = Recorder()
    environment.install(node, index_url=url)  # type: ignore[arg-type]
    assert f"\ntrusted={trusted}\n" in node.scripts[0]


def test_index_url_is_quoted() -> None:
    node = Recorder()
    environment.install(node, index_url="https://x/$(id)'")  # type: ignore[arg-type]
    assert """\nindex='https://x/$(id)'"'"''\n""" in node.scripts[0]


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


def test_pips_of_the_engines_of_a_node_wait_for_one_another(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    (packages,) = (tmp_path / "env" / "lib").glob("python3*/site-packages")
    (packages / "spotcluster_one_pip.py").write_text(templates.read("one_pip.py"))
    (packages / "spotcluster_one_pip.pth").write_text("import spotcluster_one_pip\n")
    (packages / "pip.py").write_text(PIP)
    python, note = tmp_path / "env" / "bin" / "python", tmp_path / "note"
    words = [str(python), "-m", "pip", "install", str(note)]
    running = [subprocess.Popen(words) for _ in range(3)]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    assert note.read_text().split() == ["begin", "end"] * 3
