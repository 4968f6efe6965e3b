"""Several scripts in one round trip, against a real server: each is as if it had gone alone."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from spotcluster import ssh
from spotcluster.errors import ConnectionFailed, RemoteCommandFailed
from spotcluster.ssh.series import Series
from spotcluster.steps import Step, writing

from .conftest import Server


def test_each_step_has_its_own_output_shell_and_folder(
    connection: ssh.Connection, server: Server
) -> None:
    server.prints_before = b"Welcome to Ubuntu\nno newline"
    said = connection.run_each(
        [
            Step("cd /; x=1; echo one; printf 'no newline'", "one"),
            Step("echo ${x-unset}; pwd; cat; echo err >&2", "two"),
            Step("echo never", "three", when="false"),
            Step("echo four", "four", when="true && echo said"),
        ],
        timeout=60,
    )
    assert said == ["one\nno newline", f"unset\n{server.home}\n", "", "four\n"]


@pytest.mark.parametrize(
    ("script", "command", "status", "output"),
    [
        ("echo a\nls /nope\necho b", "ls /nope", 2, "a\n"),
        ("true | false | cat", "true | false | cat", 1, ""),
        ("exit 7", "exit 7", 7, ""),
        ("echo $NOT_SET", "echo $NOT_SET", 1, ""),
        ("kill -9 $BASHPID", "kill -9 $BASHPID", 137, ""),
        ("if true; then", "if true; then", 2, ""),
    ],
)
def test_failure_is_of_the_step_that_failed_and_ends_the_series(
    connection: ssh.Connection,
    server: Server,
    script: str,
    command: str,
    status: int,
    output: str,
) -> None:
    steps = [
        Step("echo first; echo first >&2", "the first"),
        Step(script, "the second"),
        Step("touch third", "the third"),
    ]
    with pytest.raises(RemoteCommandFailed) as caught:
        connection.run_each(steps, timeout=60)
    error = caught.value
    assert (error.what, error.command, error.status) == ("the second", command, status)
    assert str(error).startswith(f"node001: the second failed: `{command}` ended with")
    # What bash itself says of a bad line is output too, and so is what a command says of its
    # failure, which may arrive before what was printed earlier: each has a stream of its own.
    assert output in error.output
    assert "first" not in error.output
    assert not (server.home / "third").exists()


def test_step_that_hangs_is_stopped_at_its_own_limit(connection: ssh.Connection) -> None:
    steps = [Step("true", "one"), Step("echo begun; sleep 250", "two", timeout=1.0)]
    with pytest.raises(RemoteCommandFailed) as caught:
        connection.run_each(steps, timeout=60)
    assert caught.value.what == "two, stopped at its limit of 1 s,"
    assert caught.value.command == "sleep 250"
    assert caught.value.output.startswith("begun\n")


def test_all_steps_together_have_a_limit(connection: ssh.Connection) -> None:
    steps = [Step("sleep 1.2", "one"), Step("sleep 250", "two", timeout=200)]
    with pytest.raises(RemoteCommandFailed, match=r"two, stopped at its limit of [0-3] s"):
        connection.run_each(steps, timeout=3)


def test_of_a_step_that_was_killed_bash_showed_the_words_of_our_own_script(
    connection: ssh.Connection,
) -> None:
    """As by a system that is out of memory."""
    killed = Step("echo before; echo said >&2; kill -9 $$", "two")
    with pytest.raises(RemoteCommandFailed) as caught:
        connection.run_each([Step("true", "one"), killed], timeout=60)
    assert caught.value.status == 137
    assert sorted(caught.value.output.split("\n")) == ["", "before", "said"]


def test_step_that_had_no_time_left_to_begin_was_taken_for_the_one_before() -> None:
    series = Series.of([Step("true", "one"), Step("true", "two", timeout=200)], "worker", 3)
    first, second = (script.mark for script in series.scripts)
    said = f"{series.whole.mark}\n{first}\n{first}{second} failed 124 0 0\n"
    failure = series.failure(124, b"", said.encode())
    assert (failure.step.what, failure.status) == ("two", 124)
    assert failure.ending.timed_out


def test_status_of_a_limit_within_a_step_is_no_limit_of_ours(connection: ssh.Connection) -> None:
    with pytest.raises(RemoteCommandFailed, match=r"two failed: `exit 124`"):
        connection.run_each([Step("true", "one"), Step("exit 124", "two")], timeout=60)


def test_user_who_cannot_be_become_is_told_with_what_sudo_says(
    connection: ssh.Connection,
) -> None:
    steps = [Step("echo one; echo one >&2", "one"), Step("id", "two", user="no-such-user")]
    with pytest.raises(RemoteCommandFailed) as caught:
        connection.run_each(steps, timeout=60)
    assert caught.value.what == "two"
    assert caught.value.command == "sudo -n -u no-such-user bash"
    assert "sudo" in caught.value.output
    assert "one" not in caught.value.output
    assert "The script did not start" in caught.value.hint


def test_lost_connection_names_the_step_that_was_under_way(
    connection: ssh.Connection, server: Server
) -> None:
    steps = [Step("true", "one"), Step("touch here; sleep 60", "two")]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connection.run_each, steps, timeout=90)
        while not (server.home / "here").exists() and not running.done():
            time.sleep(0.01)
        server.drop_connections()
        with pytest.raises(ConnectionFailed, match=r"was lost during (one|two)"):
            running.result(120)


def test_step_that_was_under_way_is_told_by_what_has_arrived() -> None:
    series = Series.of([Step("true", "one"), Step("true", "two"), Step("true", "three")], "me", 9)
    marks = [script.mark.encode() for script in (series.whole, *series.scripts)]
    assert series.at(b"") == series.at(marks[0] + b"\n") == "one"
    assert series.at(b"\n".join([*marks[:2], marks[1] + marks[2], b"said\n"])) == "two"


def test_secrets_of_steps_are_in_no_command_line(connection: ssh.Connection) -> None:
    secret = "s3cr3t-" + os.urandom(8).hex()
    said = connection.run_each(
        [
            writing("~/kept/file", secret + "\n", user=None),
            Step("cat ~/kept/file; stat -c %a ~/kept ~/kept/file", "reading"),
            Step(
                f"tr '\\0' ' ' </proc/$PPID/cmdline; for one in /proc/[0-9]*/cmdline; do"
                f" tr '\\0' ' ' <$one; done 2>/dev/null || true; : {secret}",
                "looking",
            ),
        ],
        timeout=60,
    )
    assert said[1] == f"{secret}\n700\n600\n"
    assert secret not in said[2]
    assert "sc_mark" in said[2]


def test_big_steps_go_over_whole(connection: ssh.Connection) -> None:
    text = "x" * 300_000 + "'\"$(id)\n"
    step = writing("big", text, user=None)
    connection.run_each([step, step], timeout=60)
    assert connection.run("wc -c <big; tail -c 8 big").stdout.split("\n")[0] == str(len(text))
