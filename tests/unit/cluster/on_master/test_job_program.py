"""The program that runs jobs on the master, as a real process in a home of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import wait_until
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import runs

from spotcluster import templates

LIMIT = 120


class Master:
    """A home with jobs in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = home / "job.py"
        self.program.write_text(templates.read("job.py"))
        self.started: list[subprocess.Popen[bytes]] = []

    def words(self, *words: str) -> list[str]:
        return [sys.executable, str(self.program), *words]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.home)}

    def call(self, *words: str, given: str = "") -> str:
        done = subprocess.run(
            self.words(*words),
            input=given.encode(),
            capture_output=True,
            env=self.environment,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def new(self, *command: str) -> int:
        return int(self.call("new", given=json.dumps({"command": command, "cluster": "c"})))

    def start(self, number: int) -> subprocess.Popen[bytes]:
        made = subprocess.Popen(
            self.words("run", str(number)), env=self.environment, start_new_session=True
        )
        self.started.append(made)
        return made

    def run(self, *command: str) -> dict[str, Any]:
        number = self.new(*command)
        assert self.start(number).wait(LIMIT) == 0
        return self.job(number)

    def begin(self, *command: str) -> tuple[int, subprocess.Popen[bytes]]:
        """Start a job that prints something, and wait until it has."""
        number = self.new(*command)
        made = self.start(number)
        wait_until("its output", lambda: self.output(number))
        return number, made

    def job(self, number: int) -> dict[str, Any]:
        (found,) = json.loads(self.call("list", str(number)))
        return dict(found)

    def output(self, number: int) -> bytes:
        path = self.home / ".spotcluster" / "jobs" / str(number) / "output"
        return path.read_bytes() if path.exists() else b""

    def cancel(self, number: int, limit: float = LIMIT) -> dict[str, Any]:
        return dict(json.loads(self.call("cancel", str(number), str(limit))))


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    made = Master(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.terminate()
            process.wait(LIMIT)


def test_job_runs_in_its_own_folder_with_both_streams_in_one_output(master: Master) -> None:
    job = master.run("python", "-c", "import os,sys; print(os.getcwd()); sys.stderr.write('e')")
    assert (job["state"], job["status"], job["id"]) == ("done", 0, 1)
    assert job["started"] <= job["ended"]
    assert master.output(1).decode() == f"{master.home}/jobs/1\ne"


@pytest.mark.parametrize(
    ("command", "state", "status"),
    [
        (["sh", "-c", "exit 3"], "failed", 3),
        (["sh", "-c", "kill -9 $$"], "failed", 137),
        (["no-such-program"], "failed", 127),
        (["./no-such-file"], "failed", 127),
    ],
)
def test_exit_status(master: Master, command: list[str], state: str, status: int) -> None:
    job = master.run(*command)
    assert (job["state"], job["status"]) == (state, status)


def test_program_that_cannot_be_run_is_said_in_the_output(master: Master) -> None:
    master.run("no-such-program")
    assert b"cannot run no-such-program" in master.output(1)


def test_every_job_has_a_number_of_its_own_though_many_are_made_at_once(master: Master) -> None:
    given = json.dumps({"command": ["true"], "cluster": "c"}).encode()
    making = [
        subprocess.Popen(
            master.words("new"),
            env=master.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(6)
    ]
    numbers = [int(one.communicate(given, LIMIT)[0]) for one in making]
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]


WORDS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)


@settings(max_examples=15)
@given(words=st.lists(WORDS, max_size=4))
def test_arguments_arrive_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    master = Master(tmp_path_factory.mktemp("home"))
    show = "import json,sys; print(json.dumps(sys.argv[1:]))"
    master.run(sys.executable, "-c", show, *words)
    assert json.loads(master.output(1)) == words


def test_cancel_ends_all_that_a_job_has_started_and_waits_for_a_clean_end(master: Master) -> None:
    script = (
        "trap 'echo clean; exit 5' TERM; (setsid sh -c 'echo $$; exec sleep 1000' &);"
        " while :; do sleep 0.05; done"
    )
    number, made = master.begin("sh", "-c", script)
    stray = int(master.output(number).split()[0])
    job = master.cancel(number)
    assert (job["state"], job["status"]) == ("cancelled", 5)
    assert master.output(number).endswith(b"clean\n")
    made.wait(LIMIT)
    assert not runs(stray)


def test_job_that_ignores_term_is_killed_at_the_limit(master: Master) -> None:
    number, _ = master.begin("sh", "-c", "trap '' TERM; echo on; while :; do sleep 0.05; done")
    job = master.cancel(number, limit=0.2)
    assert (job["state"], job["status"]) == ("cancelled", 137)


def test_what_a_job_leaves_in_the_background_ends_with_it(master: Master) -> None:
    job = master.run("sh", "-c", "sleep 1000 & echo $!")
    assert job["state"] == "done"
    assert not runs(int(master.output(1)))


def test_job_whose_runner_was_killed_is_lost_and_nothing_of_it_runs_on(master: Master) -> None:
    number, made = master.begin("sh", "-c", "echo $$; exec sleep 1000")
    made.kill()
    made.wait(LIMIT)
    job = master.job(number)
    assert (job["state"], job["status"]) == ("lost", None)
    assert "killed" in job["reason"]
    wait_until("the job's end", lambda: not runs(int(master.output(number))))
    assert master.job(number)["ended"] == job["ended"]


def test_job_of_a_machine_that_went_down_is_lost(master: Master) -> None:
    number = master.new("true")
    folder = master.home / ".spotcluster" / "jobs" / str(number)
    begun = {"pid": os.getpid(), "started": time.time(), "boot": "another"}
    (folder / "begun.json").write_text(json.dumps(begun))
    job = master.job(number)
    assert job["state"] == "lost"
    assert "machine went down" in job["reason"]


def test_job_that_is_shut_down_with_its_machine_is_lost_not_failed(master: Master) -> None:
    number, made = master.begin("sh", "-c", "echo on; exec sleep 1000")
    made.send_signal(signal.SIGTERM)  # what systemd sends when the machine goes down
    made.wait(LIMIT)
    assert master.job(number)["state"] == "lost"


def test_job_that_was_given_up_before_it_began_does_not_run(master: Master) -> None:
    number = master.new("sh", "-c", "echo ran")
    assert master.job(number)["state"] == "new"
    assert master.cancel(number)["state"] == "cancelled"
    master.start(number).wait(LIMIT)
    assert master.output(number) == b""


def follow(master: Master, number: int, start: int, on: str = "on") -> list[bytes]:
    """Return the place, the output and the job, as `follow` prints them."""
    said = subprocess.run(
        master.words("follow", str(number), str(start), "MARK", on),
        env=master.environment,
        stdout=subprocess.PIPE,
        timeout=LIMIT,
        check=True,
    ).stdout
    assert said.startswith(b"MARK\n@")
    place, _, rest = said[6:].partition(b"\n")
    text = b""
    while not rest.startswith(b"="):
        size, _, rest = rest.partition(b"\n")
        text += rest[: int(size)]
        rest = rest[int(size) :]
    return [place, text, rest[1:]]


def test_following_ends_with_the_job_and_has_all_of_it(master: Master) -> None:
    number = master.new("sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done; exit 4")
    master.start(number)
    wait_until("it to begin", lambda: master.job(number)["state"] != "new")
    place, text, job = follow(master, number, 0)
    assert (place, text) == (b"0", b"1\n2\n3\n")
    assert json.loads(job)["status"] == 4


@pytest.mark.parametrize(
    ("start", "place", "text"),
    [(2, b"2", b"2\n3"), (-1, b"4", b"3"), (-2, b"2", b"2\n3"), (-9, b"0", b"1\n2\n3")],
)
def test_following_begins_at_a_byte_or_a_line_from_the_end(
    master: Master, start: int, place: bytes, text: bytes
) -> None:
    master.run("printf", "1\n2\n3")
    assert follow(master, 1, start, "off")[:2] == [place, text]


def test_last_lines_of_a_long_output_are_found(master: Master) -> None:
    master.run("sh", "-c", "seq 200000")
    assert follow(master, 1, -70000, "off")[1].splitlines()[0] == b"130001"
