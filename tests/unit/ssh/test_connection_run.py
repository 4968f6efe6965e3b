"""Scripts over a connection."""

from __future__ import annotations

import shlex
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import paramiko
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotcluster import ssh, templates
from spotcluster.errors import ConnectionFailed, RemoteCommandFailed
from spotcluster.ssh.script import LOOKS

from .conftest import Server

_ONE_SERVER = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_returns_both_streams_and_the_status(connection: ssh.Connection) -> None:
    assert connection.run("echo out; echo err >&2") == ssh.Result(0, "out\n", "err\n")


def test_runs_in_the_home_with_no_arguments(server: Server, connection: ssh.Connection) -> None:
    assert connection.run('pwd; echo "$# $0"').stdout == f"{server.home}\n0 bash\n"


def test_who_only_looks_is_known_by_its_command_line(
    server: Server, connection: ssh.Connection
) -> None:
    """So that `status`, left open, keeps no idle cluster up; see templates/autostop.py."""
    said = connection.run('tr "\\0" " " </proc/$PPID/cmdline; echo "$# $0"', looks=True).stdout
    assert LOOKS in said
    assert said.endswith("0 bash\n")
    assert LOOKS not in connection.run('tr "\\0" " " </proc/$PPID/cmdline').stdout
    assert f'LOOKS = b"{LOOKS}"' in templates.read("autostop.py")


def test_script_is_nowhere_in_a_command_line(server: Server, connection: ssh.Connection) -> None:
    connection.run("token=s3cr3t; echo $token >/dev/null")
    assert len(server.commands) == 1
    assert "s3cr3t" not in server.commands[0]


def test_commands_cannot_eat_the_script(connection: ssh.Connection) -> None:
    assert connection.run("cat; read line || echo none; echo end").stdout == "none\nend\n"


def test_input_reaches_the_commands(connection: ssh.Connection) -> None:
    raw = bytes(range(256)) * 3
    result = connection.run("od -An -v -tx1 | tr -d ' \\n'", input=raw)
    assert bytes.fromhex(result.stdout) == raw


def test_empty_input_is_the_end_at_once(connection: ssh.Connection) -> None:
    assert connection.run("wc -c", input=b"").stdout.strip() == "0"


def test_large_input_and_output_at_once_do_not_block(connection: ssh.Connection) -> None:
    raw = b"0123456789abcde\n" * 500_000  # 8 MB, more than any window
    result = connection.run("tee /dev/stderr", input=raw, timeout=60)
    assert len(result.stdout) == len(result.stderr) == len(raw)


def test_much_on_standard_error_does_not_block(connection: ssh.Connection) -> None:
    script = "head -c 5000000 /dev/zero | tr '\\0' x >&2; head -c 5000000 /dev/zero | tr '\\0' y"
    result = connection.run(script, timeout=60)
    assert (len(result.stdout), len(result.stderr)) == (5_000_000, 5_000_000)


def test_big_script_goes_over_whole(connection: ssh.Connection) -> None:
    lines = "".join(f"x={number}  # {'.' * 40}\n" for number in range(6000))
    assert len(lines) > 300_000
    assert connection.run(lines + "echo $x").stdout == "5999\n"


@pytest.mark.parametrize(
    ("script", "command", "status"),
    [
        ("echo a\nls /nope\necho b", "ls /nope", 2),
        ("f() {\n  grep x /dev/null\n}\nf", "grep x /dev/null", 1),
        ("true | false | cat", "true | false | cat", 1),
        ("true\nfalse \\\n  | cat", "false | cat", 1),
        ("true\nfalse |\n  cat |\n  cat", "false | cat | cat", 1),
        ("x=$(false; true); exit 3", "exit 3", 3),
        ("exit 7", "exit 7", 7),
        ("echo $NOT_SET", "echo $NOT_SET", 1),
        ("{ false; } 2>/dev/null", "false", 1),
        ("trap 'echo bye' EXIT\nfalse", "false", 1),
        ("( cd /nope && pwd )", "( cd /nope && pwd )", 1),
        ("if true; then", "if true; then", 2),
        ("# why\n\nkill -9 $BASHPID", "kill -9 $BASHPID", 137),
        ("python3 - <<'X'\nraise SystemExit(9)\nX", "python3 - <<'X' ...", 9),
    ],
)
def test_failure_names_the_command(
    connection: ssh.Connection, script: str, command: str, status: int
) -> None:
    with pytest.raises(RemoteCommandFailed) as caught:
        connection.run(script, what="plugin demo")
    assert (caught.value.command, caught.value.status) == (command, status)
    assert caught.value.what == "plugin demo"
    assert str(caught.value).startswith(f"node001: plugin demo failed: `{command}` ended with")


def test_failure_shows_the_last_output_in_order(connection: ssh.Connection) -> None:
    # They are two streams: what is written after a while comes after a while.
    script = "echo out1; sleep 0.5; echo err1 >&2; sleep 0.5; echo out2; sleep 0.5; exit 1"
    with pytest.raises(RemoteCommandFailed) as caught:
        connection.run(script)
    assert caught.value.output == "out1\nerr1\nout2\n"
    assert "printed last:\nout1" in str(caught.value)


def test_standard_error_holds_nothing_of_ours(connection: ssh.Connection) -> None:
    result = connection.run("echo one >&2; false", check=False)
    assert result == ssh.Result(1, "", "one\n")
    assert connection.run("kill -9 $BASHPID", check=False) == ssh.Result(137, "", "")


def test_status_without_a_description_is_the_first_line(connection: ssh.Connection) -> None:
    with pytest.raises(RemoteCommandFailed, match=r"node001: `ls /nope` failed"):
        connection.run("# look\nls /nope\n")


def test_what_the_login_prints_is_not_output(server: Server, connection: ssh.Connection) -> None:
    server.prints_before = b"Welcome to Ubuntu\nno newline"
    assert connection.run("echo mine").stdout == "mine\n"


def test_login_that_runs_no_commands_is_told(server: Server, connection: ssh.Connection) -> None:
    server.shell = ("sh", "-c", 'echo "This account is not available" >&2; exit 1', "--")
    with pytest.raises(RemoteCommandFailed) as caught:
        connection.run("echo hi", what="asking")
    assert "This account is not available" in str(caught.value)
    assert "did not start" in caught.value.hint


@pytest.mark.parametrize("shell", [("sh", "-c"), ("bash", "-c"), ("bash", "--posix", "-c")])
def test_works_from_any_login_shell(
    server: Server, connection: ssh.Connection, shell: tuple[str, ...]
) -> None:
    server.shell = shell
    assert connection.run("x='a b'; [[ $x == 'a b' ]]; echo \"$x\"").stdout == "a b\n"


def test_bash_env_is_not_read(server: Server, connection: ssh.Connection) -> None:
    (server.home / "env").write_text("echo intruder; exit 5\n")
    server.shell = ("sh", "-c")
    server.environment["BASH_ENV"] = str(server.home / "env")
    assert connection.run('echo "${BASH_ENV-unset}"; bash -c "echo in"').stdout == "unset\nin\n"


def test_unwritable_temporary_folder_is_no_obstacle(
    server: Server, connection: ssh.Connection
) -> None:
    server.environment["TMPDIR"] = "/nope"
    assert connection.run("echo fine").stdout == "fine\n"
    assert connection.run("false", check=False) == ssh.Result(1, "", "")


def test_nothing_stays_in_the_temporary_folder(server: Server, connection: ssh.Connection) -> None:
    server.environment["TMPDIR"] = str(server.home)
    connection.run("false", check=False)
    assert list(server.home.iterdir()) == []


def test_exit_trap_of_the_script_runs(connection: ssh.Connection) -> None:
    assert connection.run("trap 'echo bye' EXIT; echo hi").stdout == "hi\nbye\n"


def test_background_process_with_our_streams_closed_ends_the_session(
    connection: ssh.Connection,
) -> None:
    begin = time.monotonic()
    pid = connection.run("nohup sleep 250 >/dev/null 2>&1 </dev/null & echo $!").stdout
    assert time.monotonic() - begin < 200
    connection.run(f"kill {int(pid)}")


@pytest.mark.parametrize("has_timeout", [True, False])
def test_limit_ends_the_processes_on_the_machine(
    server: Server, connection: ssh.Connection, has_timeout: bool
) -> None:
    if not has_timeout:
        _path_without_timeout(server)
    with pytest.raises(RemoteCommandFailed) as caught:
        connection.run(
            "echo before; echo $$ >pid; sleep 250; echo after", timeout=2.0, what="waiting"
        )
    error = caught.value
    assert error.status == -1
    assert "waiting, stopped at its limit of 2 s, failed" in str(error)
    assert "before" in error.output
    assert "after" not in error.output
    if has_timeout:
        assert error.command == "sleep 250"
    pid = int((server.home / "pid").read_text())
    assert _ends(pid)


def test_limit_ends_what_ignores_term(server: Server, connection: ssh.Connection) -> None:
    with pytest.raises(RemoteCommandFailed, match=r"limit of 2 s"):
        connection.run("trap '' TERM; echo $$ >pid; while :; do sleep 1; done", timeout=2.0)
    pid = int((server.home / "pid").read_text())
    assert _ends(pid)


def test_own_status_124_is_not_taken_for_the_limit(connection: ssh.Connection) -> None:
    assert connection.run("exit 124", check=False).status == 124


def test_lost_connection_is_told(server: Server, connection: ssh.Connection) -> None:
    started = threading.Event()

    def drop() -> None:
        assert started.wait(120)
        server.drop_connections()

    dropper = threading.Thread(target=drop)
    dropper.start()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connection.run, "touch here; sleep 60", what="plugin demo")
        while not (server.home / "here").exists() and not running.done():
            time.sleep(0.01)
        started.set()
        with pytest.raises(ConnectionFailed, match="was lost during plugin demo"):
            running.result(120)
    dropper.join()
    assert not connection.alive
    with pytest.raises(ConnectionFailed, match="lost"):
        connection.run("true")


@pytest.mark.parametrize("use", ["run", "get"])
def test_reset_while_a_command_begins_is_a_lost_connection(
    server: Server, connection: ssh.Connection, use: str
) -> None:
    transport: Any = connection._transport
    send = transport._send_user_message

    def reset(message: Any) -> None:
        if message.asbytes()[:1] == paramiko.common.cMSG_CHANNEL_REQUEST:
            server.reset_connections(lambda: send(message))
        else:
            send(message)

    transport._send_user_message = reset
    with pytest.raises(ConnectionFailed, match="was lost during"):
        getattr(connection, use)("true")


def test_several_threads_share_a_connection(connection: ssh.Connection) -> None:
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda n: connection.run(f"echo {n}").stdout, range(30)))
    assert results == [f"{n}\n" for n in range(30)]


def test_other_user_is_reached_by_sudo(server: Server, connection: ssh.Connection) -> None:
    sudo = server.home / "bin" / "sudo"
    sudo.parent.mkdir()
    sudo.write_text('#!/bin/sh\necho "$1 $2 $3 $4 $5" >>"$HOME/asked"; shift 5; exec "$@"\n')
    sudo.chmod(0o755)
    server.environment["PATH"] = f"{sudo.parent}:/usr/bin:/bin"
    assert connection.run("echo hi", user="al ice").stdout == "hi\n"
    assert connection.run("echo hi", user="worker").stdout == "hi\n"
    assert (server.home / "asked").read_text() == "-n -H -u al ice --\n"


def test_refused_sudo_is_told(server: Server, connection: ssh.Connection) -> None:
    sudo = server.home / "bin" / "sudo"
    sudo.parent.mkdir()
    sudo.write_text('#!/bin/sh\necho "sudo: a password is required" >&2\nexit 1\n')
    sudo.chmod(0o755)
    server.environment["PATH"] = f"{sudo.parent}:/usr/bin:/bin"
    with pytest.raises(RemoteCommandFailed, match="a password is required") as caught:
        connection.run("echo hi", user="alice")
    assert "sudo" in caught.value.hint


def test_nul_byte_in_a_script_is_refused(connection: ssh.Connection) -> None:
    with pytest.raises(ValueError, match="NUL"):
        connection.run("echo a\0b")


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


@_ONE_SERVER
@given(words=st.lists(_TEXT, min_size=1, max_size=4))
def test_quoted_words_arrive_as_they_are(connection: ssh.Connection, words: list[str]) -> None:
    script = "printf '%s\\0' " + " ".join(map(shlex.quote, words))
    assert connection.run(script).stdout.split("\0")[:-1] == words


def _path_without_timeout(server: Server) -> None:
    """Give the server a PATH as macOS has it: without `timeout`."""
    folder = server.home / "programs"
    folder.mkdir()
    for name in ("env", "sh", "bash", "rm", "cat", "sleep", "seq"):
        (folder / name).symlink_to(_which(name))
    server.environment["PATH"] = str(folder)


def _ends(pid: int) -> bool:
    """Return whether a process ends soon; one that nobody buries (in a container) has ended."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def _which(name: str) -> str:
    found = shutil.which(name)
    assert found
    return found
