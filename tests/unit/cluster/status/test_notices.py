"""What the watcher of a node writes down, and how `status` tells it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from commands import wait_until

from spotcluster import templates
from spotcluster.aws.instances import Instance
from spotcluster.cluster.status import notices
from spotcluster.cluster.status.vitals import Notice, Vitals
from spotcluster.node_layout import DONE

Say = Callable[[str, str], None]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Have the metadata of a machine say something."""

    def said(name: str, text: str) -> None:
        path = tmp_path / "metadata" / "latest" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    said("api/token", "a token")
    return said


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    running = []
    # What it sleeps is not what is tested.
    program = templates.read("notices.sh").replace("sleep 4\n", "sleep 0.05\n")
    assert "sleep 0.05" in program

    def start() -> subprocess.Popen[bytes]:
        running.append(
            subprocess.Popen(
                ["bash", "-c", program],
                env={
                    "HOME": str(tmp_path),
                    "PATH": os.environ["PATH"],
                    "SPOTCLUSTER_METADATA": (tmp_path / "metadata").as_uri(),
                },
                start_new_session=True,
            )
        )
        return running[-1]

    yield start
    for one in running:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)
        one.wait(10)


def test_notice_drains_the_node_and_is_written_down_once(
    tmp_path: Path, say: Say, watcher: Callable[[], subprocess.Popen[bytes]]
) -> None:
    ours = tmp_path / ".spotcluster"
    say("meta-data/instance-life-cycle", "spot")
    say("meta-data/events/recommendations/rebalance", '{"noticeTime": "2026-11-29T12:20:00Z"}')
    watcher()
    wait_until("the recommendation", lambda: (ours / "notices").exists())
    assert not (ours / "drain").exists()  # nothing is lost yet
    said = json.dumps({"action": "terminate", "time": "2026-11-29T12:33:00Z"})
    say("meta-data/spot/instance-action", said)
    wait_until("the drain", lambda: (ours / "drain").exists())
    (ours / "drain").unlink()  # as when engines are started again
    wait_until("the drain again", lambda: (ours / "drain").exists())
    lines = [line.split() for line in (ours / "notices").read_text().splitlines()]
    assert [(kind, when) for kind, _, when in lines] == [
        ("rebalance", "2026-11-29T12:20:00Z"),
        ("interruption", "2026-11-29T12:33:00Z"),
    ]
    assert all(abs(float(seen) - time.time()) < 60 for _, seen, _ in lines)


def test_machine_that_is_not_spot_is_not_watched(
    say: Say, watcher: Callable[[], subprocess.Popen[bytes]]
) -> None:
    say("meta-data/instance-life-cycle", "on-demand")
    assert watcher().wait(20) == DONE


def test_watcher_gave_up_when_the_metadata_did_not_answer_once(
    tmp_path: Path, say: Say, watcher: Callable[[], subprocess.Popen[bytes]]
) -> None:
    one = watcher()
    with pytest.raises(subprocess.TimeoutExpired):
        one.wait(0.5)
    say("meta-data/instance-life-cycle", "spot")
    say("meta-data/spot/instance-action", '{"action": "stop", "time": "2026-11-29T12:33:00Z"}')
    wait_until("the notice", lambda: (tmp_path / ".spotcluster/notices").exists())
    assert one.poll() is None


def test_notice_of_an_earlier_start_of_the_machine_is_forgotten(
    tmp_path: Path, say: Say, watcher: Callable[[], subprocess.Popen[bytes]]
) -> None:
    old = tmp_path / ".spotcluster/notices"
    old.parent.mkdir()
    old.write_text("interruption 1 2020-01-01T00:00:00Z\n")
    say("meta-data/instance-life-cycle", "spot")
    watcher()
    wait_until("it to be forgotten", lambda: not old.exists())


def instance(alias: str, **more: Any) -> Instance:
    values: dict[str, Any] = {"state": "running", "reason": "", "spot": True, "ended": None}
    return Instance(
        id="i-1",
        type="c5.large",
        zone="us-east-1a",
        private_ip="10.0.0.1",
        public_ip="",
        spot_request="sir-1",
        launched=datetime.now(UTC),
        tags={"spotcluster:alias": alias},
        **{**values, **more},
    )


def local(hour: int, minute: int) -> datetime:
    return datetime(2026, 11, 29, hour, minute).astimezone()


def vitals(*said: Notice, ahead: float = 0.0) -> Vitals:
    return Vitals(2, (0.0,), 100, 50, draining=True, clock_ahead=ahead, notices=said)


def test_status_says_in_words_what_ec2_has_said() -> None:
    gone = (instance("node001", state="terminated", ended=local(12, 1)),)
    said = {
        "node002": vitals(Notice("rebalance", local(12, 20).timestamp(), local(12, 19))),
        "node003": vitals(
            Notice("rebalance", local(13, 20).timestamp(), local(12, 19)),
            Notice("interruption", local(13, 31).timestamp(), local(12, 33)),
            ahead=3600.0,  # its clock
        ),
        "node004": vitals(),
        "node005": None,
    }
    assert notices.sentences(gone, said) == [
        "node001 was taken back at 12:01.",
        "node002 may be taken back soon, as EC2 has said since 12:19.",
        "node003 is taken back at 12:33, as EC2 said at 12:31; nothing new begins there.",
    ]
    assert notices.as_json(said["node003"])[1] == {
        "kind": "interruption",
        "seen": local(12, 31).astimezone(UTC).isoformat(),
        "time": local(12, 33).isoformat(),
    }


def test_only_what_ec2_ended_was_taken_back() -> None:
    ours = instance("node001", state="terminated", reason="Client.UserInitiatedShutdown: User")
    theirs = instance(
        "node002",
        state="shutting-down",
        reason="Server.SpotInstanceTermination: Spot instance termination",
    )
    assert notices.taken([ours, theirs, instance("node003")]) == (theirs,)


@pytest.mark.parametrize("line", ["", "interruption", "interruption soon", "storm 5 x"])
def test_notice_that_cannot_be_read_is_left_out(line: str) -> None:
    said = "cores=1\nload=0\nmemory_total_kb=1\nmemory_free_kb=\ndraining=0\nclock=0\n"
    assert Vitals.parse(f"{said}notice={line}\n", 0.0).notices == ()


def test_notice_without_a_time_is_a_notice() -> None:
    said = "cores=1\nload=0\nmemory_total_kb=1\nmemory_free_kb=\ndraining=1\nclock=0\n"
    seen = Vitals.parse(f"{said}notice=interruption 12 \n", 0.0)
    assert seen.notices == (Notice("interruption", 12.0, None),)
