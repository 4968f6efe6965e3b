"""What a copy brings, and the program that makes it."""

from __future__ import annotations

import ast
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import spotcluster.ssh.copying as package
from spotcluster import assembly
from spotcluster.ssh import transfer
from spotcluster.ssh.copying import folders

from .copies import content, copy, refused, tree


def test_modes_and_times_are_kept(tmp_path: Path) -> None:
    source = tree(tmp_path / "a", {"f": b"1", "ro/g": b"2"})
    (source / "f").chmod(0o751)
    for path, when in ((source / "f", 10**18 + 7), (source / "ro/g", 5), (source / "ro", 77)):
        os.utime(path, ns=(when, when))
    (source / "ro").chmod(0o555)
    source.chmod(0o700)
    done = copy([source], tmp_path / "b")
    assert done.errors == []
    for name in (".", "f", "ro", "ro/g"):
        was, now = (source / name).stat(), (tmp_path / "b" / name).stat()
        assert (now.st_mode, now.st_mtime_ns) == (was.st_mode, was.st_mtime_ns), name
    again = copy(
        [os.fsencode(source) + b"/."], tmp_path / "b"
    )  # into folders that may not be written
    assert again.errors == []
    assert again.receiver.failed == []
    assert again.sent == 0


def test_setuid_is_not_kept(tmp_path: Path) -> None:
    source = tree(tmp_path / "a", {"f": b"1"})
    (source / "f").chmod(0o4755)
    copy([source / "f"], tmp_path / "g")
    assert stat.S_IMODE((tmp_path / "g").stat().st_mode) == 0o755


def test_destination_is_as_with_cp(tmp_path: Path) -> None:
    a = tree(tmp_path / "a", {"f": b"1"})
    (tmp_path / "there").mkdir()
    copy([a], tmp_path / "there")
    assert content(tmp_path / "there") == {"a/f": b"1"}
    copy([a], tmp_path / "new")
    assert content(tmp_path / "new") == {"f": b"1"}
    copy([a / "f"], os.fsencode(tmp_path / "made" / "deep") + b"/")
    assert content(tmp_path / "made") == {"deep/f": b"1"}
    copy([os.fsencode(a) + b"/."], tmp_path / "there")
    assert content(tmp_path / "there") == {"a/f": b"1", "f": b"1"}
    copy([a / "f"], tmp_path / "g")
    assert (tmp_path / "g").read_bytes() == b"1"
    (tmp_path / "link").symlink_to("there")
    copy([a / "f"], tmp_path / "link")  # the destination is the user's own word
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    ("sources", "dest", "text"),
    [
        (["a", "a/f"], "no", "several things need a folder, and there is no folder"),
        (["a", "b/a"], "there", "would have the same name there"),
        (["zz*"], "there", "there is no"),
        (["a/f/x"], "there", "there is no"),
        (["a/f"], "no/such/x", "there is no folder"),
        (["a"], "a/f/", "is not a folder"),
        (["a", "b/g"], "a/f", "is not a folder"),
        (["/dev/null"], "there", "is neither a file nor a folder"),
        (["c/.f.spotcluster-part"], "there", "is called as what is not whole yet"),
    ],
)
def test_wrong_input_is_named(tmp_path: Path, sources: list[str], dest: str, text: str) -> None:
    tree(
        tmp_path,
        {"a/f": b"1", "b/a": b"", "b/g": b"", "there/x": b"", "c/.f.spotcluster-part": b""},
    )
    before = content(tmp_path)
    done = copy(
        [os.fsencode(tmp_path / one) for one in sources],
        os.fsencode(tmp_path) + b"/" + os.fsencode(dest),
    )
    assert text in refused(done)
    assert content(tmp_path) == before


def test_patterns_are_ours_and_a_name_that_is_there_wins(tmp_path: Path) -> None:
    names = ["1.txt", "2.txt", "3.csv", ".h.txt", "[1].txt", "$(id).txt"]
    a = tree(tmp_path / "a", {name: name.encode() for name in names})
    copy([a / "*.txt"], os.fsencode(tmp_path / "b") + b"/")
    assert sorted(content(tmp_path / "b")) == ["$(id).txt", "1.txt", "2.txt", "[1].txt"]
    copy([a / "[1].txt"], tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"[1].txt"


def test_links_stay_links_where_they_lead_inside(tmp_path: Path) -> None:
    a = tree(tmp_path / "a", {"d/f": b"1"})
    tree(tmp_path, {"secret": b"s"})
    leads = {"in": "d/f", "d/up": "../d/f", "d/root": "..", "gone": "nothing"}
    out = {
        "out": "../secret",
        "abs": str(a / "d"),
        "d/far": "../../secret",
        "via": "d/root/../secret",
    }
    for name, target in {**leads, **out}.items():
        (a / name).symlink_to(target)
    done = copy([a], tmp_path / "b")
    links = [path for path in (tmp_path / "b").rglob("*") if path.is_symlink()]
    found = {str(path.relative_to(tmp_path / "b")): str(path.readlink()) for path in links}
    assert found == leads
    left = {transfer.to_wire(one.name) for one in done.sender.items if one.kind == "-"}
    assert left == {f"a/{name}" for name in out}


def test_followed_links_are_copied_and_do_not_go_round(tmp_path: Path) -> None:
    a = tree(tmp_path / "a", {"d/f": b"1"})
    tree(tmp_path, {"secret": b"s"})
    (a / "out").symlink_to("../secret")
    (a / "d/round").symlink_to("..")
    (a / "gone").symlink_to("nothing")
    done = copy([a], tmp_path / "b", follow=True)
    assert content(tmp_path / "b") == {"d/f": b"1", "out": b"s"}
    assert {name for name, _ in done.receiver.failed} == {"a/gone"}


def test_what_is_neither_file_nor_folder_is_left_out_and_said(tmp_path: Path) -> None:
    a = tree(tmp_path / "a", {"f": b"1"})
    os.mkfifo(a / "pipe")
    done = copy([a], tmp_path / "b")
    assert content(tmp_path / "b") == {"f": b"1"}
    assert [one.name for one in done.sender.items if one.kind == "-"] == [b"a/pipe"]


def test_what_an_interrupted_copy_has_left_had_the_next_one_refused_as_hostile(
    tmp_path: Path,
) -> None:
    a = tree(
        tmp_path / "a", {"f": b"1", ".g.spotcluster-part": b"half", "d/.h.spotcluster-part": b""}
    )
    done = copy([a], tmp_path / "b")
    assert done.errors == []
    assert content(tmp_path / "b") == {"f": b"1"}
    told = [one.name for one in done.sender.items if one.kind == "-"]
    assert told == [b"a/.g.spotcluster-part", b"a/d/.h.spotcluster-part"]


def test_files_that_cannot_be_written_are_named_and_the_others_come(tmp_path: Path) -> None:
    a = tree(tmp_path / "a", {"1": b"1", "2": b"2", "3/x": b"3"})
    there = tree(tmp_path / "there", {"a/1/in": b"the way", "a/3": b"too"})
    done = copy([a], there)
    assert dict(done.receiver.failed) == {
        "a/1": "there is a folder of that name",
        "a/3": "a file of that name is in the way",
        "a/3/x": "Not a directory",
    }
    assert content(there) == {"a/1/in": b"the way", "a/2": b"2", "a/3": b"too"}


_NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: (
        b"/" not in name
        and b"\0" not in name
        and name not in (b".", b"..")
        and not name.endswith(folders.ASIDE)
    )
)


@pytest.mark.skipif(os.uname().sysname == "Darwin", reason="its file system takes UTF-8 only")
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(folder=_NAMES, name=_NAMES, data=st.binary(max_size=50))
@example(folder=b"-rf", name=b"--", data=b"x")
@example(folder=b"a b'c\"\n$(id)`e*?[", name=b"\xff\xfe\xed\xa0\x80", data=b"x")
@example(folder=b"~", name=b"." * 255, data=b"")
@example(folder=b"\\", name="ä".encode() * 127, data=b"x")
def test_names_are_just_names(folder: bytes, name: bytes, data: bytes) -> None:
    top = Path(tempfile.mkdtemp(prefix="sc-"))
    try:
        source, there = top / os.fsdecode(folder), top / "\n there"
        source.mkdir()
        (source / os.fsdecode(name)).write_bytes(data)
        there.mkdir()
        done = copy([source], there, patterns=transfer.patterns([str(source)]))
        assert done.errors == []
        assert done.receiver.failed == []
        (found,) = (there / os.fsdecode(folder)).iterdir()
        assert (os.fsencode(found.name), found.read_bytes()) == (name, data)
    finally:
        shutil.rmtree(top)


def test_program_is_the_standard_library_in_the_words_of_python_3_7() -> None:
    import sys

    folder = Path(str(package.__file__)).parent
    for path in folder.glob("*.py"):
        parsed = ast.parse(path.read_text(), feature_version=(3, 7))
        for node in ast.walk(parsed):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            assert all(name.split(".")[0] in sys.stdlib_module_names for name in names), path
    sent = {name for name, _ in assembly.sources(package.__name__)}
    assert sent == {path.stem for path in folder.glob("*.py")} - {"__init__"}
