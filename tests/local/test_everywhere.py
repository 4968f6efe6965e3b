"""A command on all nodes, files to all of them, and ports of this computer that lead to theirs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import programs
import psutil
import pytest
from commands import PROGRAM, cli, nodes, wait_until
from terminal import Terminal

from spotcluster import local, ssh
from spotcluster.aws import tags
from spotcluster.aws.session import Session
from spotcluster.cli.main import run

CONFIG = """
[key mykey]

[cluster bare]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c1.xlarge
"""
ALIASES = ["master", "node001", "node002"]


@pytest.fixture(scope="module")
def homes(module_cloud: local.Endpoint, module_home: Path) -> Iterator[dict[str, Path]]:
    """Start a cluster of three nodes and give their homes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(module_home))
        (module_home / "config").write_text(CONFIG)
        cli("-r", "local", "createkey", "mykey")
        cli("start", "-c", "bare", "-s", "3", "mycluster")
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


def each(*words: str, status: int = 0) -> dict[str, dict[str, Any]]:
    """Run a command everywhere and return what it says came of it, by node."""
    done = programs.run([*PROGRAM, "exec", "mycluster", "--json", *words])
    assert done.returncode == status, done.stderr
    return {one["alias"]: one for one in json.loads(done.stdout)["nodes"]}


# --- a command everywhere -------------------------------------------------------------------------


def test_alike_outputs_are_shown_once_under_a_folded_name(homes: dict[str, Path]) -> None:
    for alias, home in homes.items():
        (home / "which").write_text("worker\n" if alias != "master" else "head\n")
    said = cli("exec", "mycluster", "--", "cat", "which")
    assert said == "master\nhead\nnode[001-002] (2)\nworker\n"


def test_status_is_each_nodes_own_and_the_largest_is_the_commands(homes: dict[str, Path]) -> None:
    (homes["node002"] / "wrong").touch()
    found = each("--", "test ! -e wrong || exit 3", status=3)
    assert {alias: one["status"] for alias, one in found.items()} == {
        "master": 0,
        "node001": 0,
        "node002": 3,
    }
    said = cli("exec", "mycluster", "--", "test ! -e wrong || exit 3", status=3)
    assert "Exit statuses: master, node001: 0; node002: 3." in said
    (homes["node002"] / "wrong").unlink()


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ((), ALIASES),
        (("--workers",), ["node001", "node002"]),
        (("--nodes", "node0*"), ["node001", "node002"]),
        (("--nodes", "node[001-002]"), ["node001", "node002"]),
        (("--nodes", "master,node002"), ["master", "node002"]),
        (("--nodes", "master", "--nodes", "*2"), ["master", "node002"]),
    ],
)
def test_nodes_are_chosen_by_name(words: tuple[str, ...], chosen: list[str]) -> None:
    assert list(each(*words, "--", "true")) == chosen


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("exec", "mycluster", "--nodes", "node9*", "--", "true"), "is named 'node9*'"),
        (("exec", "mycluster"), "Missing argument 'COMMAND...'"),
        (("exec", "nosuch", "--", "true"), "There is no cluster 'nosuch'"),
        (("tunnel", "mycluster", "8787:node009:8787"), "has no node 'node009'"),
        (("tunnel", "mycluster", "8787:8787"), "'8787:8787' is no way"),
        (("tunnel", "mycluster", "0:master:1"), "'0:master:1' is no way"),
        (("tunnel", "mycluster", "8787:master:1", "8787:node001:1"), "cannot lead to two places"),
    ],
)
def test_wrong_input_is_one_sentence(
    words: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(list(words)) == 2
    said = capsys.readouterr()
    assert text in said.err
    assert said.out == ""


def test_command_is_read_by_the_shell_there_and_sees_no_strict_mode() -> None:
    found = each(
        "--nodes", "master", "--", "false; echo $unset; false | true; echo 'a  b' >&2; pwd"
    )
    assert found["master"]["status"] == 0
    assert found["master"]["stdout"].startswith("\n/")
    assert found["master"]["stderr"] == "a  b\n"


def test_standard_input_is_not_read_unless_asked() -> None:
    words = [*PROGRAM, "exec", "mycluster", "--workers"]
    for more, said in (([], ""), (["--stdin"], "x y\n")):
        done = programs.run([*words, *more, "--", "cat"], given="x y\n")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"node[001-002] (2)\n{said}"


def test_limit_ends_what_hangs_and_names_it() -> None:
    found = each("--nodes", "node*", "--timeout", "1", "--", "echo begun; sleep 1000", status=124)
    assert {one["output"] for one in found.values()} == {"begun\n"}
    assert {one["problem"] for one in found.values()} == {"it was stopped at its limit of 1 s"}
    assert not sleeping("1000")


def test_interrupt_ends_the_commands_there(homes: dict[str, Path]) -> None:
    command = "echo begun >begun; trap '' HUP; sleep 1001; echo over >begun"
    with programs.spoken([*PROGRAM, "exec", "mycluster", "--", command]) as (started, lines):
        wait_until(
            "all to have begun", lambda: all((one / "begun").exists() for one in homes.values())
        )
        started.send_signal(signal.SIGINT)
        said = "".join(lines)
        assert started.wait(240) == 130
    assert "master, node[001-002] is ended" in said
    wait_until("their end", lambda: not sleeping("1001"))
    assert {(one / "begun").read_text() for one in homes.values()} == {"begun\n"}


def test_commands_end_with_a_computer_that_is_gone(homes: dict[str, Path]) -> None:
    command = "echo begun >gone; sleep 1002"
    with programs.spoken([*PROGRAM, "exec", "mycluster", "--", command]) as (started, _):
        wait_until(
            "all to have begun", lambda: all((one / "gone").exists() for one in homes.values())
        )
        started.kill()
    wait_until("their end", lambda: not sleeping("1002"))


def test_node_that_is_not_reached_is_named_and_the_others_answer(homes: dict[str, Path]) -> None:
    ec2, found = Session("local").client("ec2"), homes["node001"].parent.name
    (own,) = [
        one["Value"]
        for one in ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [found]}])["Tags"]
        if one["Key"] == tags.HOST_KEY
    ]

    def pin(key: str) -> None:
        ec2.create_tags(Resources=[found], Tags=[{"Key": tags.HOST_KEY, "Value": key}])

    pin(ssh.keys.generate().public)
    try:
        came = each("--", "echo here", status=255)
    finally:
        pin(own)
    assert came["node001"]["status"] == 255
    assert "host key" in came["node001"]["problem"]
    assert {came[alias]["output"] for alias in ("master", "node002")} == {"here\n"}


def sleeping(seconds: str) -> list[int]:
    """Return the processes that sleep for so many seconds."""
    wanted = ["sleep", seconds]
    return [one.pid for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == wanted]


# --- ports and terminals --------------------------------------------------------------------------

ANSWER = """
import socket
with socket.create_server(("127.0.0.1", {port})) as server:
    while True:
        with server.accept()[0] as one:
            one.sendall(b"here")
"""


def test_port_here_leads_to_a_port_of_a_node_until_interrupted(free_ports: list[int]) -> None:
    here, there, unused, nowhere = free_ports
    serving = subprocess.Popen([sys.executable, "-c", ANSWER.format(port=there)])
    ways = (f"{here}:node001:{there}", f"{unused}:node002:{nowhere}")
    try:
        with programs.spoken([*PROGRAM, "tunnel", "mycluster", *ways]) as (started, lines):
            wait_until_said(lines, "Ctrl-C closes it.")
            wait_until("an answer", lambda: asked(here) == b"here")
            assert asked(unused) == b""
            wait_until_said(lines, f"127.0.0.1:{unused}: node002:{nowhere} was not reached")
            started.send_signal(signal.SIGINT)
            assert started.wait(240) == 130
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", here), 20)
    finally:
        serving.kill()
        serving.wait()


def asked(port: int) -> bytes:
    """Return what a port here says first; nothing where it leads nowhere."""
    with socket.create_connection(("127.0.0.1", port), 60) as one:
        try:
            return one.recv(100)
        except ConnectionResetError:
            return b""


def wait_until_said(lines: Iterator[str], text: str) -> None:
    assert any(text in line for line in lines), text


@pytest.fixture
def free_ports() -> list[int]:
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        return [one.getsockname()[1] for one in made]


@pytest.mark.parametrize(
    "words", [("sshmaster", "-t", "mycluster"), ("sshnode", "--pseudo-tty", "mycluster", "node001")]
)
def test_command_gets_a_terminal_when_it_is_asked_for(words: tuple[str, ...]) -> None:
    terminal = Terminal([*PROGRAM, *words, "test -t 0 && test -t 1 && echo it is one"])
    terminal.expect("it is one")
    assert terminal.close() == 0


# --- files everywhere -----------------------------------------------------------------------------


def spread(*words: str, status: int = 0) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Put files on all nodes; return what is said of the master, and of the others by name."""
    done = programs.run([*PROGRAM, "put", "mycluster", "--all", "--json", *words])
    assert done.returncode == status, done.stderr
    said = json.loads(done.stdout)
    return said, {one["node"]: one for one in said["passed_on"]}


def tree(root: Path) -> dict[str, str]:
    """Return what is in a folder: files with their content, links with where they lead."""
    return {
        str(path.relative_to(root)): (
            f"-> {path.readlink()}"
            if path.is_symlink()
            else "/"
            if path.is_dir()
            else path.read_text()
        )
        for path in root.rglob("*")
    }


@pytest.fixture
def data(here: Path) -> Path:
    """Give a folder with all that a copy can meet."""
    made = here / "data"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "empty").mkdir()
    (made / "deep" / "er" / "a b\n*").write_text("odd")
    (made / "large").write_text("x" * 1_500_000)
    (made / "link").symlink_to("deep/er")
    return made


@pytest.mark.parametrize(
    ("dest", "place"),
    [("new/", "new/data"), ("renamed", "renamed"), ("~/further/", "further/data"), ("~", "data")],
)
def test_folder_is_the_same_on_all_nodes(
    homes: dict[str, Path], data: Path, dest: str, place: str
) -> None:
    spread("data", dest)
    for home in homes.values():
        assert tree(home / place) == tree(data)


def test_only_what_is_new_goes_over_again_and_others_files_stay_where_they_are(
    homes: dict[str, Path], data: Path
) -> None:
    spread("data", "again/")
    (homes["master"] / "again" / "data" / "own").write_text("of the master's")
    (homes["node001"] / "again" / "data" / "large").unlink()
    (data / "small").write_text("new")
    said, passed = spread("data", "again/")
    assert said["bytes_sent"] == 3
    assert {alias: one["bytes_sent"] for alias, one in passed.items()} == {
        "node001": 1_500_003,
        "node002": 3,
    }
    assert not (homes["node001"] / "again" / "data" / "own").exists()


def test_files_keep_time_and_mode(homes: dict[str, Path], here: Path) -> None:
    (here / "tool").write_text("#!/bin/sh\n")
    (here / "tool").chmod(0o755)
    os.utime(here / "tool", (1_000_000_000, 1_000_000_000))
    spread("tool", "bin/")
    for home in homes.values():
        found = (home / "bin" / "tool").stat()
        assert (found.st_mode & 0o777, found.st_mtime) == (0o755, 1_000_000_000)


def test_node_that_cannot_take_it_is_named_and_the_others_have_it(
    homes: dict[str, Path], here: Path
) -> None:
    (here / "f").write_text("x")
    (homes["node001"] / "shut").write_text("a file")
    _, passed = spread("f", "shut/", status=1)
    assert "'shut/' is not a folder" in passed["node001"]["problem"]
    assert (homes["node002"] / "shut" / "f").read_text() == "x"
    (homes["node002"] / ".ssh" / "authorized_keys").rename(homes["node002"] / "kept")
    try:
        said = cli("put", "mycluster", "--all", "f", "more/", status=1)
    finally:
        (homes["node002"] / "kept").rename(homes["node002"] / ".ssh" / "authorized_keys")
    assert "FAILED: node002:" in said
    assert "Permission denied" in said
    assert (homes["node001"] / "more" / "f").read_text() == "x"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--node", "node001", "f", "x"), "--all is every node"),
        (("s3://bucket/x", "y"), "each node takes by itself"),
        (("no-such", "y"), "there is no 'no-such'"),
    ],
)
def test_what_makes_no_sense_for_all_is_refused(
    here: Path, words: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "f").write_text("x")
    assert run(["put", "mycluster", "--all", *words]) == 2
    assert text in capsys.readouterr().err
