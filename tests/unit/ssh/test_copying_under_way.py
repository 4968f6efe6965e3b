"""What goes over in a copy, and what may happen meanwhile."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import pytest

from spotcluster.ssh.copying import parts, wire
from spotcluster.ssh.copying.sender import Sender

from .copies import content, copy, refused, tree


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
