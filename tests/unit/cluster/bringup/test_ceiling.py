"""How long a cluster may run until its ceiling."""

from __future__ import annotations

import subprocess

import pytest

from spotcluster import ssh
from spotcluster.cluster.bringup import ceiling, userdata
from spotcluster.cluster.bringup.ceiling import Spending, seconds_left
from spotcluster.config import Template
from spotcluster.errors import UsageError
from spotcluster.local.host import userdata as host


def template(**settings: float) -> Template:
    given = {"name": "t", "keyname": "k", "node_instance_type": "c5.large", **settings}
    return Template.model_validate(given)


def test_without_a_ceiling_there_is_none() -> None:
    assert seconds_left(template(), Spending(100.0, 1e6, 50.0)) is None


def test_budget_is_what_is_left_of_it_at_the_highest_price() -> None:
    assert seconds_left(template(budget=20), Spending(rate=0.5)) == 40 * 3600
    assert seconds_left(template(budget=20), Spending(spent=5.0, rate=0.5)) == 30 * 3600


def test_hours_count_from_the_oldest_node_and_the_lower_ceiling_holds() -> None:
    assert seconds_left(template(max_hours=3), Spending(age=3600.0)) == 2 * 3600
    both = template(budget=20, max_hours=3)
    assert seconds_left(both, Spending(age=3600.0, rate=0.5)) == 2 * 3600
    assert seconds_left(both, Spending(age=3600.0, rate=20.0)) == 3600


@pytest.mark.parametrize(
    ("settings", "now", "said"),
    [
        (
            {"budget": 1},
            Spending(0.5, 0.0, 5.0),
            r"BUDGET = 1: \$0.50 are spent.*leaves 0.10 hours",
        ),
        ({"budget": 1}, Spending(2.0, 0.0, 5.0), "leaves 0.00 hours"),
        ({"max_hours": 2}, Spending(age=7000.0), "MAX_HOURS = 2: that leaves 0.06 hours"),
    ],
)
def test_ceiling_that_leaves_next_to_nothing_is_refused_with_the_hours_that_are_left(
    settings: dict[str, float], now: Spending, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        seconds_left(template(**settings), now)


def test_timer_is_set_at_every_boot_beside_the_users_own_scripts() -> None:
    part = ceiling.boot_script(7200.4)
    assert b"--on-active=7200 " in part
    subprocess.run(["sh", "-n"], input=part, check=True)
    key = ssh.keys.generate()
    raw = userdata.build(key, [("mine", b"#!/bin/sh\ntrue\n"), ("spotcluster-ceiling", part)])
    read = host.parse(raw)
    assert read.host_key.strip() == key.private.strip()
    assert read.ignored == ("#!/bin/sh", "#cloud-boothook")
