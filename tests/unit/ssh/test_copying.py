"""Both ends of a copy, over a pair of sockets: what arrives, what goes over, what is refused."""

from __future__ import annotations

import ast
import errno
import os
import shutil
import socket
import stat
import tempfile
import threading
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import spotcluster.ssh.copying as package
from spotcluster.ssh import transfer
from spotcluster.ssh.copying import parts, wire
from spotcluster.ssh.copying.receiver import Receiver
from spotcluster.ssh.copying.sender import Sender
from spotcluster.ssh.copying.wire import Pipe, RefusedError, Watch


class Counting(Watch):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.files = self.size = self.done = 0

    def total(self, files: int, size: int) -> None:
        self.files, self.size = files, size

    def moved(self, size: int) -> None:
        self.done += size


@dataclass
class Copy:
    """What became of one copy."""

    sender: Sender
    receiver: Receiver
    turns: tuple[int, int]
    watch: Counting
    errors: list[BaseException] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return sum(self.sender.sent.values())


def pipes(cut_after: int | None = None) -> tuple[Pipe, Pipe, list[socket.socket]]:
    """Return both ends of a stream; the first one's writing may be cut after some bytes."""
    one, other = socket.socketpair()
    for end in (one, other):
        end.settimeout(60)
    left = [cut_after]

    def write(data: bytes) -> None:
        if left[0] is not None:
            if len(data) >= left[0]:
                one.sendall(data[: left[0]])
                one.shutdown(socket.SHUT_RDWR)
                raise EOFError
            left[0] -= len(data)
        one.sendall(data)

    return Pipe(one.recv, write), Pipe(other.recv, other.sendall), [one, other]


def copy(
    sources: list[Path | bytes],
    dest: Path | bytes,
    *,
    follow: bool = False,
    patterns: list[str] | None = None,
    cut_after: int | None = None,
) -> Copy:
    """Copy as `put` and `get` do; errors of either end are collected."""
    near, far, sockets = pipes(cut_after)
    names = [os.fsencode(one) for one in sources]
    watch = Counting()
    done = Copy(
        Sender(near, names, Watch(), follow=follow),
        Receiver(far, os.fsencode(dest), watch, patterns),
        (0, 0),
        watch,
    )

    def give() -> None:
        try:
            done.sender.run()
        except (RefusedError, EOFError, OSError) as error:
            done.errors.append(error)
            sockets[0].close()

    thread = threading.Thread(target=give)
    thread.start()
    try:
        done.receiver.run()
        far.tell(wire.RESULT, [])
        far.flush()
    except (RefusedError, EOFError, OSError) as error:
        done.errors.append(error)
    finally:
        if done.errors:
            sockets[1].close()
        thread.join(60)
        for one in sockets:
            one.close()
    done.turns = (near.turns, far.turns)
    return done


def tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(done: Copy) -> str:
    (error,) = [one for one in done.errors if isinstance(one, RefusedError)]
    return error.text


# What arrives.


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
    ],
)
def test_wrong_input_is_named(tmp_path: Path, sources: list[str], dest: str, text: str) -> None:
    tree(tmp_path, {"a/f": b"1", "b/a": b"", "b/g": b"", "there/x": b""})
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
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
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


# What goes over.


@pytest.mark.parametrize("number", [1, 3000])
def test_turns_do_not_depend_on_the_number_of_files(tmp_path: Path, number: int) -> None:
    source = tree(tmp_path / "a", {f"{n % 7}/{n}": b"%d" % n for n in range(number)})
    done = copy([source], tmp_path / "b")
    assert done.errors == []
    assert len(content(tmp_path / "b")) == number
    # The sender waits for the plan and for the result, the receiver for the list and the files.
    assert done.turns[0] == 2
    assert done.watch.done == done.watch.size
    again = copy([os.fsencode(source) + b"/."], tmp_path / "b")
    assert (again.turns[0], again.sent) == (2, 0)


def test_large_file_is_not_held_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(150_000_000)
    tracemalloc.start()
    try:
        done = copy([tmp_path / "large"], tmp_path / "there")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert done.errors == []
    assert (tmp_path / "there").stat().st_size == 150_000_000
    assert peak < 10_000_000


def test_cut_copy_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = os.urandom(3_000_000)
    source = tree(tmp_path / "a", {"1": b"1", "2": whole, "3": b"3", "d/4": b"4"})
    cut = copy([source], tmp_path / "b", cut_after=2_000_000)
    assert cut.errors
    assert not (tmp_path / "b").exists()  # nothing half-written has the name
    (tmp_path / ".b.spotcluster-part" / "stray").write_bytes(b"of a file that is gone")
    done = copy([source], tmp_path / "b")
    assert done.errors == []
    assert content(tmp_path / "b") == {"1": b"1", "2": whole, "3": b"3", "d/4": b"4"}
    assert done.sent <= len(whole) - 1_000_000
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_single_file_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = os.urandom(3_000_000)
    tree(tmp_path, {"a": whole, "there/a": b"the former one"})
    assert copy([tmp_path / "a"], tmp_path / "there", cut_after=2_000_000).errors
    assert (tmp_path / "there/a").read_bytes() == b"the former one"
    done = copy([tmp_path / "a"], tmp_path / "there")
    assert content(tmp_path / "there") == {"a": whole}
    assert 0 < done.sent < 1_600_000
    assert done.watch.done == done.watch.size


def test_beginning_that_is_another_files_is_not_gone_on_with(tmp_path: Path) -> None:
    whole = os.urandom(1_000_000)
    tree(tmp_path, {"a": whole, "there/.a.spotcluster-part": b"x" * 500_000})
    done = copy([tmp_path / "a"], tmp_path / "there")
    assert content(tmp_path / "there") == {"a": whole}
    assert done.sent == len(whole)


def test_same_size_with_other_content_is_sent_again(tmp_path: Path) -> None:
    tree(tmp_path, {"a": b"new", "there/a": b"old"})
    os.utime(tmp_path / "there/a", ns=(5, 5))
    os.utime(tmp_path / "a", ns=(5, 5))
    copy([tmp_path / "a"], tmp_path / "there")
    assert (tmp_path / "there/a").read_bytes() == b"new"


def test_file_that_another_copy_writes_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr(wire, "HELD", 0.3)
    tree(tmp_path, {"a": b"1", "there/.a.spotcluster-part": b""})
    with (tmp_path / "there/.a.spotcluster-part").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = copy([tmp_path / "a"], tmp_path / "there")
        assert done.receiver.failed == [("a", "another copy is writing it")]
    assert copy([tmp_path / "a"], tmp_path / "there").receiver.failed == []


def test_file_that_shrinks_meanwhile_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, {"a/f": b"x" * 1000, "a/g": b"y"})
    announce = Sender.announce

    def late(self: Sender) -> None:
        announce(self)
        (tmp_path / "a/f").write_bytes(b"short")

    monkeypatch.setattr(Sender, "announce", late)
    done = copy([tmp_path / "a"], tmp_path / "b")
    assert done.receiver.failed == [("a/f", "it was changed while it was read")]
    assert content(tmp_path / "b") == {"g": b"y"}


def test_file_that_grows_meanwhile_is_taken_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, {"log": b"one\n"})
    announce = Sender.announce

    def late(self: Sender) -> None:
        announce(self)
        with (tmp_path / "log").open("ab") as file:
            file.write(b"two\n")

    monkeypatch.setattr(Sender, "announce", late)
    assert copy([tmp_path / "log"], tmp_path / "b").receiver.failed == []
    assert (tmp_path / "b").read_bytes() == b"one\n"


def test_too_little_room_is_said_before_anything_goes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, {"a": b"x" * 100_000, "there/x": b""})
    real = os.fstatvfs

    class Small:
        f_blocks, f_bavail, f_frsize = 100, 1, 4096

    monkeypatch.setattr(os, "fstatvfs", lambda fd: Small if real(fd) else None)
    done = copy([tmp_path / "a"], tmp_path / "there")
    assert "has no room: 100 kB are needed and 4.1 kB are free" in refused(done)
    assert content(tmp_path / "there") == {"x": b""}


def test_disk_that_fills_up_ends_the_copy_and_is_left_with_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, {"a/1": b"1", "a/2": b"x" * 10})
    real = parts.write

    def write(handle: int, data: bytes) -> OSError | None:
        if len(data) > 5:
            return OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data)

    monkeypatch.setattr(parts, "write", write)
    done = copy([tmp_path / "a"], tmp_path / "b")
    assert refused(done) == "there is no room for 'a/2': No space left on device"
    assert content(tmp_path / ".b.spotcluster-part") == {"1": b"1"}


# A sender that is not ours.


def hostile(
    dest: Path, manifest: list[Any], *frames: tuple[bytes, Any], patterns: list[str] | None = None
) -> Receiver:
    """Have a receiver take what a hostile machine sends; return it, or raise what it raises."""
    near, far, sockets = pipes()
    near.tell(wire.MANIFEST, manifest)
    near.send(wire.END)
    for kind, payload in frames:
        if isinstance(payload, bytes):
            near.send(kind, payload)
        else:
            near.tell(kind, payload)
    near.send(wire.END)
    near.flush()
    try:
        receiver = Receiver(far, os.fsencode(dest), Watch(), patterns)
        receiver.run()
        return receiver
    finally:
        for one in sockets:
            one.close()


def entry(name: str, kind: str = "f", size: int = 1, target: str = "") -> list[Any]:
    return [name, kind, 0o777, 0, size, target]


def one_file(index: int, data: bytes) -> list[tuple[bytes, Any]]:
    import hashlib

    digest = hashlib.sha256(data).digest()
    return [(wire.FILE, [index, 0]), (wire.DATA, data), (wire.DIGEST, digest)]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Return a folder `dest` beside things that nobody may touch."""
    tree(tmp_path, {"secret": b"s", "outside/f": b"o", "dest/keep": b"k"})
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/tmp/evil",
        "a/../../evil",
        "a//b",
        "",
        "..",
        "a/.",
        "./../evil",
        "a/./b",
        "a\0b",
        "a/.x.spotcluster-part",
        "\ud800",
        5,
        None,
    ],
)
@pytest.mark.parametrize("kind", ["f", "d", "l"])
def test_names_that_lead_elsewhere_are_refused_whole(house: Path, name: Any, kind: str) -> None:
    before = content(house)
    with pytest.raises(RefusedError) as caught:
        hostile(house / "dest", [entry("good", "d"), entry(name, kind)], *one_file(1, b"e"))
    assert caught.value.code == "hostile"
    assert content(house) == before


@pytest.mark.parametrize(
    "target", ["/etc", "../outside", "..", "", "x/../../outside", "d/../..", "../../outside"]
)
def test_links_that_lead_out_are_refused(house: Path, target: str) -> None:
    with pytest.raises(RefusedError) as caught:
        hostile(
            house / "dest",
            [entry("a", "d"), entry("a/l", "l", 0, f"../{target}" if target == ".." else target)],
        )
    assert caught.value.code == "hostile"
    assert not any(path.is_symlink() for path in house.rglob("*"))


def test_nothing_is_written_through_a_link(house: Path) -> None:
    (house / "dest/a").mkdir()
    (house / "dest/a/l").symlink_to(house / "outside")
    (house / "dest/a/f").symlink_to(house / "secret")
    (house / "dest/a/.g.spotcluster-part").symlink_to(house / "secret")
    (house / "dest/a/.h.spotcluster-part").hardlink_to(house / "secret")
    files = [entry(f"a/{name}") for name in ("l/f", "f", "g", "h", "in/x")]
    listed = [entry("a", "d"), entry("a/l", "d"), entry("a/in", "l", 0, "f"), *files]
    frames = [frame for index in range(3, 8) for frame in one_file(index, b"e")]
    done = hostile(house / "dest", listed, *frames)
    assert (house / "secret").read_bytes() == b"s"
    assert content(house / "outside") == {"f": b"o"}
    assert (house / "dest/a/f").read_bytes() == b"e"  # the link was replaced, not followed
    assert not (house / "dest/a/f").is_symlink()
    assert {name for name, _ in done.failed} == {"a/l", "a/l/f", "a/g", "a/h", "a/in/x"}


def test_what_was_not_asked_for_is_refused(house: Path) -> None:
    asked = transfer.patterns(["logs/*.txt", "data/"])
    assert asked == ["*.txt", "data"]
    for name in (".bashrc", "evil", "x.txt.sh", "."):
        with pytest.raises(RefusedError, match="was not asked for"):
            hostile(house / "dest", [entry(name, "d")], patterns=asked)
    hostile(
        house / "dest", [entry("x.txt"), entry("data", "d")], *one_file(0, b"e"), patterns=asked
    )
    assert content(house / "dest") == {"keep": b"k", "x.txt": b"e"}


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([(wire.FILE, [0, 0]), (wire.DATA, b"too much"), (wire.DIGEST, b"")], "more came"),
        ([(wire.FILE, [0, 0]), (wire.DATA, b"e"), (wire.DIGEST, b"wrong")], "damaged"),
        ([(wire.FILE, [0, 0]), (wire.DIGEST, b"")], "damaged"),
        ([(wire.CHANGED, [0, "gone"])], "gone"),
    ],
)
def test_file_that_is_not_what_was_announced_is_not_kept(
    house: Path, frames: list[Any], why: str
) -> None:
    ((name, said),) = hostile(house / "dest", [entry("f")], *frames).failed
    assert name == "f"
    assert why in said
    assert content(house / "dest") == {"keep": b"k"}


@pytest.mark.parametrize(
    "frame",
    [
        (wire.FILE, [9, 0]),
        (wire.FILE, [-1, 0]),
        (wire.FILE, ["x", 0]),
        (wire.FILE, {}),
        (wire.FILE, [0, 5]),
        (wire.SAME, [1]),
        (wire.DATA, [0]),
        (wire.PLAN, b"\xff"),
        (wire.RESULT, [[]]),
    ],
)
def test_frames_that_make_no_sense_are_refused(house: Path, frame: tuple[bytes, Any]) -> None:
    with pytest.raises(RefusedError) as caught:
        hostile(house / "dest", [entry("f"), entry("d", "d")], frame)
    assert caught.value.code == "hostile"


def test_frame_of_any_length_is_not_read() -> None:
    near = Pipe(lambda _: b"D\xff\xff\xff\xff", lambda _: None)
    with pytest.raises(RefusedError):
        near.receive()


def test_names_in_sentences_cannot_steer_a_terminal() -> None:
    assert wire.shown("a\x1b[2Jb\n\udcff") == "'a\\x1b[2Jb\\n\\udcff'"


# The program that is sent.


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
    sent = {name for name, _ in transfer._sources()}
    assert sent == {path.stem for path in folder.glob("*.py")} - {"__init__"}
