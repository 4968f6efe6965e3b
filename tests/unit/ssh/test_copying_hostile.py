"""A sender that is not ours: what it says is not believed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from spotcluster.ssh import transfer
from spotcluster.ssh.copying import wire
from spotcluster.ssh.copying.receiver import Receiver
from spotcluster.ssh.copying.wire import Pipe, RefusedError, Watch

from .copies import content, pipes, tree


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
