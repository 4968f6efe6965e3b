"""What the pipelines are told of their instances, by one look for all of them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spotcluster.aws import instances, tags
from spotcluster.aws.instances import Instance
from spotcluster.cluster.bringup import watcher as watchers
from spotcluster.cluster.bringup.watcher import Watcher
from spotcluster.errors import CloudError, CredentialsError, NodeError


def instance(number: int, **more: Any) -> Instance:
    """Return an instance called node001 that was launched in the second `number`."""
    given: dict[str, Any] = {
        "id": f"i-{number}",
        "state": "running",
        "type": "c5.large",
        "zone": "us-east-1a",
        "private_ip": "172.31.0.9",
        "public_ip": "",
        "spot_request": "",
        "spot": False,
        "launched": datetime(2024, 5, 1, 12, tzinfo=UTC) + timedelta(seconds=number),
        "reason": "",
        "tags": {tags.ALIAS: "node001"},
    }
    return Instance(**{**given, **more})


class Ec2:
    """What EC2 shows at one look after the other; the last answer stays."""

    def __init__(self) -> None:
        self.answers: list[list[Instance] | CloudError] = [[]]
        self.asked_for: list[Sequence[str]] = []

    def describe(self, *_: Any, states: Sequence[str] = ()) -> list[Instance]:
        self.asked_for.append(states)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, CloudError):
            raise answer
        return [one for one in answer if one.state in (states or [one.state])]


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Ec2:
    made = Ec2()
    monkeypatch.setattr(instances, "describe", made.describe)
    monkeypatch.setattr(watchers, "POLL", 0.02)
    return made


def knowing(*found: Instance) -> Watcher:
    """Return a watcher that has seen some instances and looks no more."""
    watcher = Watcher(None, "mycluster")  # type: ignore[arg-type]  # it asks nothing
    watcher._seen = {one.id: one for one in found}
    return watcher


def test_of_two_with_one_name_everybody_agrees_that_the_older_stays() -> None:
    older, younger = instance(1), instance(2)
    watcher = knowing(younger, older)
    assert watcher.rival(older) is None
    assert watcher.rival(younger) == older


def test_of_two_that_were_launched_in_one_second_one_stays() -> None:
    moment = datetime(2024, 5, 1, tzinfo=UTC)
    one, other = instance(1, launched=moment), instance(2, launched=moment)
    watcher = knowing(other, one)
    assert watcher.rival(one) is None
    assert watcher.rival(other) == one


def test_of_three_only_the_oldest_has_no_rival() -> None:
    found = [instance(number) for number in (3, 1, 2)]
    watcher = knowing(*found)
    assert [one.id for one in found if watcher.rival(one) is None] == ["i-1"]


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_one_that_has_ended_is_no_rival(state: str) -> None:
    younger = instance(2)
    assert knowing(instance(1, state=state), younger).rival(younger) is None


@pytest.mark.parametrize("state", ["pending", "running"])
def test_one_that_does_not_run_yet_is_a_rival(state: str) -> None:
    older, younger = instance(1, state=state), instance(2)
    assert knowing(older, younger).rival(younger) == older


def test_a_replacement_has_no_rival_in_the_one_that_it_replaces() -> None:
    """EC2 may show the one that we have ended as running for a while."""
    replaced, replacement = instance(1), instance(2)
    watcher = knowing(replaced, replacement)
    watcher.discard(replaced.id)
    assert watcher.rival(replacement) is None


def test_another_name_is_no_rival() -> None:
    younger = instance(2)
    assert knowing(instance(1, tags={tags.ALIAS: "node002"}), younger).rival(younger) is None


def test_waits_until_it_runs_and_has_an_address(ec2: Ec2) -> None:
    ec2.answers = [
        [],
        [instance(1, state="pending", private_ip="")],
        [instance(1, private_ip="")],
        [instance(1)],
    ]
    with Watcher(None, "mycluster") as watcher:  # type: ignore[arg-type]
        assert watcher.wait_running("node001", "i-1", timeout=20) == instance(1)


def test_one_that_ends_before_it_ran_says_why(ec2: Ec2) -> None:
    reason = "Server.SpotInstanceTermination"
    ec2.answers = [[], [instance(1, state="terminated", reason=reason)]]
    with (
        Watcher(None, "mycluster") as watcher,  # type: ignore[arg-type]
        pytest.raises(NodeError, match=rf"i-1 is terminated \({reason}\) before it ran"),
    ):
        watcher.wait_running("node001", "i-1", timeout=20)


def test_limit_says_what_ec2_showed_and_said_last(ec2: Ec2) -> None:
    ec2.answers = [[instance(1, state="pending")], CloudError("EC2 is away.")]
    with (
        Watcher(None, "mycluster") as watcher,  # type: ignore[arg-type]
        pytest.raises(NodeError, match=r"still pending after 3 s \(LAUNCH_TIMEOUT\).*EC2 is away"),
    ):
        watcher.wait_running("node001", "i-1", timeout=3)
    assert watcher.latest("i-1") == instance(1, state="pending")


def test_what_ec2_never_showed_is_said_to_be_so(ec2: Ec2) -> None:
    with (
        Watcher(None, "mycluster") as watcher,  # type: ignore[arg-type]
        pytest.raises(NodeError, match="not shown by EC2"),
    ):
        watcher.wait_running("node001", "i-1", timeout=0.1)


def test_credentials_that_are_no_good_any_more_end_the_waiting(ec2: Ec2) -> None:
    ec2.answers = [[], CredentialsError("expired")]
    with (
        Watcher(None, "mycluster") as watcher,  # type: ignore[arg-type]
        pytest.raises(CredentialsError, match="expired"),
    ):
        watcher.wait_running("node001", "i-1", timeout=60)


def test_interrupt_ends_the_waiting(ec2: Ec2) -> None:
    with (
        Watcher(None, "mycluster") as watcher,  # type: ignore[arg-type]
        pytest.raises(NodeError, match="given up"),
    ):
        watcher.wait_running("node001", "i-1", timeout=20, should_stop=lambda: "given up")


def test_tags_that_change_are_not_looked_at_where_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each change, which set-up makes many of, had it look again at all that there is at once."""
    monkeypatch.setattr(watchers, "POLL", 0.2)
    looks: list[float] = []
    enough = threading.Event()

    def describe(*_: object, states: object = ()) -> list[Instance]:
        looks.append(time.monotonic())
        if len(looks) == 5:
            enough.set()
        return [instance(1, tags={"changed": str(len(looks))})]

    monkeypatch.setattr(watchers.instances, "describe", describe)
    with Watcher(None, "mycluster") as watcher:  # type: ignore[arg-type]
        watcher.wait_running("node001", "i-1", timeout=60)
        assert enough.wait(120)
    assert looks[4] - looks[3] > 0.9


@pytest.mark.parametrize(("number", "pause"), [(10, 0.5), (200, 1.0), (1000, 5.0), (1900, 5.0)])
def test_many_that_come_one_after_another_are_looked_at_no_more_often_than_a_few_that_rest(
    monkeypatch: pytest.MonkeyPatch, number: int, pause: float
) -> None:
    """Something happens to one of a thousand at any time: all were described twice a second."""
    pauses: list[float] = []
    looks = itertools.count()

    def describe(*_: object, states: object = ()) -> list[Instance]:
        now = {"changed": str(next(looks))}
        return [instance(1, tags=now), *(instance(one) for one in range(2, number + 1))]

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            watcher._stop.set()

    monkeypatch.setattr(watchers.instances, "describe", describe)
    watcher = Watcher(None, "mycluster")  # type: ignore[arg-type]
    watcher._waiting = 1
    watcher._look.wait = wait  # type: ignore[method-assign, assignment]
    watcher._watch()
    assert pauses == [pause] * 3


def test_only_those_that_do_not_run_are_asked_for_where_nobody_waits(ec2: Ec2) -> None:
    """A look at a thousand that are well took EC2 4 s, in which it tagged none of them."""
    well, ours = instance(1), instance(2, tags={tags.ALIAS: "node002"})
    # Seen without its mates, an instance of a block takes itself for the first of it.
    lost = instance(2, state="shutting-down", tags={tags.ALIAS: "node001"})
    ec2.answers = [[well, ours], [well, ours]]
    with Watcher(None, "mycluster") as watcher:  # type: ignore[arg-type]
        watcher.wait_running("node002", "i-2", timeout=20)
        ec2.answers = [[well, lost]]
        waited = time.monotonic() + 20
        while not watcher.lost("i-2"):
            assert time.monotonic() < waited
            time.sleep(0.01)
        seen = watcher.latest("i-2")
        assert seen
        assert (seen.state, seen.alias) == ("shutting-down", "node002")
        assert watcher.latest("i-1") == well
    assert "running" not in ec2.asked_for[-1]
    assert "stopped" in ec2.asked_for[-1]
