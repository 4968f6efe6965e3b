"""put and get as a user types them: to nodes, from nodes, through S3, cut off and repeated."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import programs
import pytest
from commands import PROGRAM, cli, nodes, wait_until

from spotcluster import local
from spotcluster.aws.buckets.store import Store
from spotcluster.aws.session import Session
from spotcluster.cli.main import run

CONFIG = """
[key mykey]

[cluster bare]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c1.xlarge
"""
LARGE = 150_000_000
PART = 16 * 1024 * 1024


@pytest.fixture(scope="module")
def homes(module_cloud: local.Endpoint, module_home: Path) -> Iterator[dict[str, Path]]:
    """Start a cluster of two nodes and give their homes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(module_home))
        (module_home / "config").write_text(CONFIG)
        cli("-r", "local", "createkey", "mykey")
        cli("start", "-c", "bare", "-s", "2", "mycluster")
        hosts = module_home / "local" / "hosts"
        yield {alias: hosts / node["id"] / "home" for alias, node in nodes("mycluster").items()}
        cli("terminate", "-y", "mycluster")


@pytest.fixture(autouse=True)
def here(
    in_module_cloud: local.Endpoint,
    homes: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Stand in a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def bucket(module_cloud: local.Endpoint, homes: dict[str, Path]) -> Any:
    """Make a bucket and give the client that sees it beside the program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(next(iter(homes.values())).parents[3]))
        s3 = Session("local").client("s3")
        s3.create_bucket(Bucket="my-bucket")
        return s3


def moved(*words: str, status: int = 0) -> dict[str, Any]:
    """Run a command with ``--json`` and return what it says was moved."""
    said: dict[str, Any] = json.loads(cli(*words, "--json", status=status))
    return said


def cut_off(words: list[str], when: Path, number: int) -> int:
    """Run a command, send it a signal when a part of `when` is there, and return its status."""
    with programs.spoken([*PROGRAM, *words]) as (started, lines):
        wait_until(
            f"a part of {when}",
            lambda: when.exists() and when.stat().st_size > 1_000_000,
        )
        started.send_signal(number)
        said = "".join(lines)
        status = started.wait(240)
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert "same command again" in said
    return status


def test_names_are_just_names_and_come_back(homes: dict[str, Path], here: Path) -> None:
    names = ["-rf", "a b", 'it\'s "q"', "new\nline", "$(id)", "*", "\udcff\udcfe", "~"]
    (here / "d").mkdir()
    for name in names:
        (here / "d" / name).write_text(name.encode("utf-8", "replace").decode())
    said = moved("put", "mycluster", "d", "there/")
    assert sorted(one["name"] for one in said["files"]) == sorted(f"d/{name}" for name in names)
    assert sorted(path.name for path in (homes["master"] / "there/d").iterdir()) == sorted(names)
    cli("get", "mycluster", "--", "there/d", *[f"there/d/{name}" for name in names[:6]], "back/")
    assert sorted(path.name for path in (here / "back/d").iterdir()) == sorted(names)
    assert (here / "back/new\nline").read_text() == "new\nline"


def test_node_user_and_patterns(homes: dict[str, Path], here: Path) -> None:
    (here / "f").write_text("x")
    said = moved("put", "mycluster", "--node", "node001", "-u", "ipuser", "f", "~/logs/")
    assert (said["node"], said["user"]) == ("node001", "ipuser")
    assert (homes["node001"] / "logs/f").read_text() == "x"
    (homes["node001"] / "logs/g.csv").write_text("y")
    (homes["node001"] / "logs/.h.csv").write_text("z")
    assert "Copied 1 file from node001" in cli(
        "get", "mycluster", "-n", "node001", "logs/*.csv", "."
    )
    assert sorted(path.name for path in here.iterdir()) == ["f", "g.csv"]


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("put", "mycluster", "nope", "x"), 2, "there is no 'nope'"),
        (("put", "mycluster", "f", "no/such/x"), 1, "master: there is no folder 'no/such'"),
        (("put", "mycluster", "f", "/proc/x"), 1, "master: '/proc/x' cannot be written"),
        (("put", "mycluster", "-n", "node009", "f", "x"), 2, "has no node 'node009'"),
        (("put", "mycluster", "-u", "root", "f", "x"), 1, "nothing could be started as root"),
        (("put", "mycluster", "f"), 2, "Missing argument"),
        (("put", "nosuch", "f", "x"), 2, "There is no cluster 'nosuch'"),
        (("put", "mycluster", "f", "s3://b/x"), 2, "put writes to a node"),
        (("put", "mycluster", "f", "s3://bkt/x", "y"), 2, "not all in one bucket"),
        (("put", "mycluster", "s3:///x", "y"), 2, "names no bucket"),
        (("put", "mycluster", "s3://none-such/x", "y"), 1, "There is no bucket 'none-such'"),
        (("get", "mycluster", "zz*", "."), 1, "master: there is no 'zz*'"),
        (("get", "mycluster", ".profile", "no/x"), 2, "there is no folder 'no'"),
        (("get", "mycluster", ".profile", ".bashrc", "f"), 2, "'f' is not a folder"),
        (("get", "mycluster", "s3://b/x", "."), 2, "get reads from a node"),
        (("get", "mycluster", ".profile", "s3://none-such/x"), 1, "There is no bucket"),
    ],
)
def test_wrong_input_is_one_sentence(
    here: Path, words: tuple[str, ...], status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "f").write_text("x")
    assert run(list(words)) == status
    said = capsys.readouterr()
    assert text in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    assert [path.name for path in here.iterdir()] == ["f"]


def test_file_that_cannot_be_written_is_named_and_the_others_come(
    homes: dict[str, Path], here: Path
) -> None:
    for name in ("d/1", "d/2"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(name)
    (homes["master"] / "d/1").mkdir(parents=True)
    assert "FAILED: 'd/1': there is a folder of that name" in cli(
        "put", "mycluster", "d", ".", status=1
    )
    assert (homes["master"] / "d/2").read_text() == "d/2"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_put_that_was_cut_off_goes_on(
    homes: dict[str, Path], here: Path, number: int, status: int
) -> None:
    name = f"large-{number}"
    with (here / name).open("wb") as file:
        file.truncate(LARGE)
    words = ["put", "mycluster", name, "."]
    part = homes["master"] / f".{name}.spotcluster-part"
    assert cut_off(words, part, number) == status
    assert not (homes["master"] / name).exists()
    said = moved(*words)
    assert said["bytes"] == LARGE
    assert said["bytes_sent"] <= LARGE - 1_000_000
    assert (homes["master"] / name).stat().st_size == LARGE
    assert not part.exists()
    assert moved(*words)["bytes_sent"] == 0
    (homes["master"] / name).unlink()


def test_get_that_was_killed_goes_on(homes: dict[str, Path], here: Path) -> None:
    (homes["master"] / "out").mkdir()
    (homes["master"] / "out/small").write_text("x")
    with (homes["master"] / "out/large").open("wb") as file:
        file.truncate(LARGE)
    words = ["get", "mycluster", "out", "back"]
    part = here / ".back.spotcluster-part/.large.spotcluster-part"
    assert cut_off(words, part, signal.SIGKILL) == -9
    assert not (here / "back").exists()
    said = moved(*words)
    assert said["bytes_sent"] <= LARGE - 1_000_000
    assert (here / "back/large").stat().st_size == LARGE
    assert [path.name for path in here.iterdir()] == ["back"]
    (homes["master"] / "out/large").unlink()


def test_files_go_to_s3_and_come_from_it(
    homes: dict[str, Path], here: Path, bucket: Any, module_home: Path
) -> None:
    source = homes["master"] / "results"
    (source / "deep").mkdir(parents=True)
    (source / "deep/a b+ä?.csv").write_text("x")
    (source / "empty").touch()
    (source / "large").write_bytes(os.urandom(PART + 1_000_000))
    (source / "link").symlink_to("empty")
    words = ("get", "mycluster", "results", "s3://my-bucket/to/here")
    said = moved(*words)
    assert said["left_out"][0]["name"] == "results/link"
    keys = {one.key: one for one in Store(Session("local"), "my-bucket").objects("to/")}
    assert list(keys) == ["to/here/deep/a b+ä?.csv", "to/here/empty", "to/here/large"]
    assert keys["to/here/large"].etag.endswith("-2")
    assert moved(*words)["bytes_sent"] == 0

    words = ("put", "mycluster", "-n", "node001", "s3://my-bucket/to/here", "copy")
    assert moved(*words)["bytes"] == PART + 1_000_001
    copy = homes["node001"] / "copy"
    for name in ("deep/a b+ä?.csv", "empty", "large"):
        assert (copy / name).read_bytes() == (source / name).read_bytes()
    (copy / "large").write_bytes(b"x" * (PART + 1_000_000))
    words = ("put", "mycluster", "-n", "node001", "s3://my-bucket/to/here/large", "copy")
    assert moved(*words)["bytes_sent"] == PART + 1_000_000
    assert (copy / "large").read_bytes() == (source / "large").read_bytes()
    assert moved(*words)["bytes_sent"] == 0
    assert "There is no s3://my-bucket/to/her" in cli(
        "put", "mycluster", "s3://my-bucket/to/her", "x", status=2
    )
    # The nodes got addresses, and nothing that they could sign others with.
    secret = local.endpoint().secret_key.encode()
    for home in homes.values():
        for path in home.parent.rglob("*"):
            assert not path.is_file() or secret not in path.read_bytes(), path


def test_upload_and_download_that_were_cut_off_go_on(
    homes: dict[str, Path], here: Path, bucket: Any
) -> None:
    data = os.urandom(2 * PART + 5)
    (homes["master"] / "model").write_bytes(data)
    begun = bucket.create_multipart_upload(Bucket="my-bucket", Key="models/1")["UploadId"]
    for number, body in ((1, data[:PART]), (2, b"x" * PART)):  # of another time's content
        bucket.upload_part(
            Bucket="my-bucket", Key="models/1", UploadId=begun, PartNumber=number, Body=body
        )
    said = moved("get", "mycluster", "model", "s3://my-bucket/models/1")
    assert said["bytes_sent"] == PART + 5
    assert bucket.get_object(Bucket="my-bucket", Key="models/1")["Body"].read() == data
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket="my-bucket")

    there = homes["node001"] / "m"
    for part in (data[:PART], b"x" * PART):  # one that proves right, one that does not
        (there.parent / ".m.spotcluster-part").write_bytes(part)
        cli("put", "mycluster", "-n", "node001", "s3://my-bucket/models/1", "m")
        assert there.read_bytes() == data
        there.unlink()
