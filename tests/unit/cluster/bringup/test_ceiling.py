"""How long a cluster may run until its ceiling."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

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
    assert b"left=7200 " in part
    assert part.startswith(b"#cloud-boothook\n")
    subprocess.run(["sh", "-n"], input=part, check=True)
    key = ssh.keys.generate()
    raw = userdata.build(key, [("mine", b"#!/bin/sh\ntrue\n"), ("spotcluster-ceiling", part)])
    read = host.parse(raw)
    assert read.host_key.strip() == key.private.strip()
    assert read.ignored == ("#!/bin/sh", "#cloud-boothook")


FAKES = {
    "sleep": 'echo "$1" >>slept; [ ! -x during ] || ./during; [ "$1" != 300 ] || kill $PPID',
    "poweroff": "echo poweroff >>slept",
    "systemctl": "false",
    # A clock that nothing may go by: an hour off, and another hour off at each look.
    "date": "n=$(cat looks 2>/dev/null); echo $((n + 3600)) | tee looks",
}


def boot(folder: Path, seconds: float) -> list[str]:
    """Boot a machine that has no systemd; return how long it slept until it was switched off."""
    for name, body in FAKES.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    script = ceiling.boot_script(seconds).decode()
    script = script.replace("/var/lib/spotcluster", str(folder)).replace("/run/", f"{folder}/no/")
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    slept = folder / "slept"
    slept.unlink(missing_ok=True)
    # The last `&` is the timer, which is waited for here.
    subprocess.run(["sh", "-c", f"{script}\nwait"], cwd=folder, env=env, check=False, timeout=60)
    return slept.read_text().split()


def test_timer_counts_in_sleeps_and_switches_off(tmp_path: Path) -> None:
    assert boot(tmp_path, 70) == ["30", "30", "10", "poweroff", "300"]


def test_timer_is_moved_by_who_writes_another_time(tmp_path: Path) -> None:
    moves = "#!/bin/sh\n[ -e moved ] || echo 40 >ceiling.x && mv ceiling.x ceiling; touch moved\n"
    (tmp_path / "during").write_text(moves)
    (tmp_path / "during").chmod(0o755)
    assert boot(tmp_path, 7200) == ["30", "10", "poweroff", "300"]


@pytest.mark.parametrize(("left", "sleeps"), [("1000", 34), ("0", 30), ("no number", 60)])
def test_reboot_is_no_new_life_and_a_start_has_time_to_say_more(
    tmp_path: Path, left: str, sleeps: int
) -> None:
    (tmp_path / "ceiling").write_text(f"{left}\n")
    assert boot(tmp_path, 1800)[:-2] == (["30"] * sleeps)[: -1 if left == "1000" else None] + (
        ["10"] if left == "1000" else []
    )


def test_timer_counts_where_nothing_can_be_written(tmp_path: Path) -> None:
    fails = "#!/bin/sh\nrm -f ceiling.new; mkdir ceiling.new 2>/dev/null\nexit 0\n"
    (tmp_path / "during").write_text(fails)
    (tmp_path / "during").chmod(0o755)
    assert boot(tmp_path, 70) == ["30", "30", "10", "poweroff", "300"]
