"""What a job takes along, and what the words of `run` mean."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from spotcluster.cluster.on_master import bundle
from spotcluster.errors import UsageError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    for name in ("main.py", "train.py", "tool", "package/deep.py", ".git/config", "__pycache__/x"):
        path = folder / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" if name == "tool" else "")
    (folder / "venv").mkdir()
    (folder / "project" / ".env").mkdir()
    (folder / "project" / ".env" / "pyvenv.cfg").touch()
    (folder / "empty").mkdir()
    for name in ("script.py", "script.sh", "-dash.py", "data.csv"):
        (folder / name).touch()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("words", "root", "command"),
    [
        (["script.py"], "script.py", ["python", "script.py"]),
        (["--", "script.py", "--", "-x"], "script.py", ["python", "script.py", "--", "-x"]),
        (["script.sh", "a b"], "script.sh", ["bash", "script.sh", "a b"]),
        (["--", "-dash.py"], "-dash.py", ["python", "./-dash.py"]),
        (["project/tool", "-v"], "project/tool", ["./tool", "-v"]),
        (["project"], "project", ["python", "main.py"]),
        (["project/", "train.py", "-n", "3"], "project", ["python", "train.py", "-n", "3"]),
        (["project", "--", "python", "main.py"], "project", ["python", "main.py"]),
        (["project", "package/deep.py"], "project", ["python", "package/deep.py"]),
        (["project", "tool"], "project", ["./tool"]),
        ([".", "--", "python", "-m", "x"], ".", ["python", "-m", "x"]),
    ],
)
def test_words_of_the_command_line(
    here: Path, words: list[str], root: str, command: list[str]
) -> None:
    found = bundle.of(words)
    assert found.root == Path(root)
    assert list(found.command) == command


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "nothing to run"),
        (["--"], "nothing to run"),
        (["nowhere.py"], "no file or folder 'nowhere.py'"),
        (["-D", "script.py"], "before the cluster's name"),
        (["data.csv"], "no Python or shell script"),
        (["empty"], "no main.py"),
        (["project", "nowhere.py"], "has no file 'nowhere.py'"),
        (["/dev/null"], "neither a file nor a folder"),
    ],
)
def test_words_that_mean_nothing_are_refused(here: Path, words: list[str], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        bundle.of(words)


def packed(words: list[str]) -> tuple[tarfile.TarFile, tuple[int, int]]:
    file = io.BytesIO()
    counted = bundle.of(words).pack(file)
    file.seek(0)
    return tarfile.open(fileobj=file), counted


def test_folder_is_packed_without_what_belongs_to_this_computer(here: Path) -> None:
    os.mkfifo(here / "project" / "pipe")
    archive, (count, _) = packed(["project"])
    names = {name.removeprefix("./") for name in archive.getnames()}
    assert names == {"main.py", "train.py", "tool", "package", "package/deep.py"}
    assert count == 4


def test_links_inside_stay_links_and_those_that_lead_out_become_files(here: Path) -> None:
    (here / "data.csv").write_text("1,2")
    (here / "project" / "out.csv").symlink_to(here / "data.csv")
    (here / "project" / "in.py").symlink_to("main.py")
    (here / "project" / "loop").symlink_to("..")
    archive, _ = packed(["project"])
    assert archive.extractfile("./out.csv").read() == b"1,2"  # type: ignore[union-attr]
    assert archive.getmember("./in.py").linkname == "main.py"
    assert archive.getmember("./loop").issym()


def test_names_are_just_names(here: Path) -> None:
    names = ["a b", "-rf", "new\nline", "$(x)", "ü", os.fsdecode(b"\xff")]
    for name in names:
        (here / "empty" / name).write_text(name if name.isascii() else "")
    archive, _ = packed(["empty", "--", "true"])
    assert {name.removeprefix("./") for name in archive.getnames()} == set(names)
