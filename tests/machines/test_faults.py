"""What can be done to machines: each fault by one call, and what it looks like from outside."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from .bed.lab import Lab
from .bed.machine import LabError, Machine, wait_until
from .test_boot import metadata

PING = "ping -q -i 0.05 -c 20 -W 1 {} | awk -F '[/ ]' '/^rtt/ {{print $7}}'"
"""Prints the shortest of some round trips, in milliseconds: a busy computer adds to the others."""


@pytest.fixture(scope="module")
def pair(lab: Lab) -> tuple[Machine, Machine]:
    found = lab.launch("one"), lab.launch("two")
    with ThreadPoolExecutor() as pool:
        list(pool.map(Machine.wait_up, found))
    return found


def reaches(one: Machine, other: Machine) -> bool:
    return one.ssh(f"ping -c 1 -W 1 {other.address}").returncode == 0


def seconds(machine: Machine, command: str) -> float:
    """Return how long a command takes on a machine, by the machine's clock."""
    done = machine.ssh(f"s=$(date +%s%N); {command} >&2; echo $(($(date +%s%N) - s))")
    assert done.returncode == 0, done.stderr
    return int(done.stdout) / 1e9


def test_power_loss_is_silence_and_then_seen_in_the_api(lab: Lab, machine: Machine) -> None:
    with ThreadPoolExecutor() as pool:
        open_connection = pool.submit(machine.ssh, "sleep 1000", timeout=120, patience=6)
        wait_until("sleep to run", lambda: "sleep 1000" in machine.inside("ps ax"))
        begin = time.monotonic()
        machine.power_loss()
        said = open_connection.result()
    # Nobody said good-bye: it was given up by who waited.
    assert time.monotonic() - begin > 3
    assert said.returncode == 255
    machine.wait("stopped")
    assert machine.described["StateReason"]["Code"].startswith("Server.")
    lab.ec2.start_instances(InstanceIds=[machine.id])
    machine.wait("running").wait_up()


def test_power_loss_that_ec2_does_not_notice(lab: Lab, machine: Machine) -> None:
    machine.power_loss(noticed=False)
    time.sleep(1.5)  # longer than the API's machines are looked at
    assert machine.state == "running"
    assert "timed out" in machine.ssh("true", patience=3).stderr
    lab.ec2.stop_instances(InstanceIds=[machine.id])
    machine.wait("stopped")
    lab.ec2.start_instances(InstanceIds=[machine.id])
    machine.wait("running").wait_ssh()


def test_frozen_machine_answers_with_nothing_and_goes_on_when_thawed(
    pair: tuple[Machine, Machine],
) -> None:
    one, two = pair
    before = one.ssh("cat /proc/sys/kernel/random/boot_id; pgrep -o sshd").stdout
    one.freeze()
    assert reaches(two, one), "the kernel still answers"
    assert one.ssh("true", patience=3).returncode == 255
    one.thaw()
    assert one.wait_ssh().ssh("cat /proc/sys/kernel/random/boot_id; pgrep -o sshd").stdout == before


def test_unplugged_machine_is_back_when_plugged_in(pair: tuple[Machine, Machine]) -> None:
    one, two = pair
    one.unplug()
    assert not reaches(two, one)
    one.plug()
    wait_until("the network", lambda: reaches(two, one))


def test_partition_cuts_a_pair_and_nothing_else(lab: Lab, pair: tuple[Machine, Machine]) -> None:
    one, two = pair
    lab.partition(one, two)
    assert not reaches(one, two)
    assert not reaches(two, one)
    assert one.ssh("true").returncode == two.ssh("true").returncode == 0
    lab.heal(one, two)
    assert reaches(one, two)
    lab.partition(one, "laptop")
    assert one.ssh("true", patience=3).returncode == 255
    assert reaches(two, one)
    lab.heal(one, "laptop")
    assert one.ssh("true").returncode == 0


def test_loss_takes_a_share_of_the_packets(pair: tuple[Machine, Machine]) -> None:
    one, two = pair
    one.loss(0.2)
    said = two.ssh(f"ping -q -i 0.01 -c 300 -W 1 {one.address}").stdout
    lost = float(said.split("% packet loss")[0].split()[-1])
    one.loss()
    assert 20 < lost < 52  # of 300 pings 36% each, as both ways lose
    assert " 0% packet loss" in two.ssh(f"ping -q -i 0.01 -c 50 {one.address}").stdout


def test_delay_makes_a_round_trip_of_50_ms(pair: tuple[Machine, Machine]) -> None:
    one, two = pair
    ping = PING.format(one.address)
    assert float(two.ssh(ping).stdout) < 40
    one.delay(0.050)
    # The relay may have to wait for a core, once each way; a delay too many would be 50 more.
    assert 50 <= float(two.ssh(ping).stdout) < 90
    assert one.ssh("head -c 3000000 /dev/zero | tail -c 1 | wc -c").stdout == "1\n"
    assert len(one.ssh("head -c 3000000 /dev/zero").stdout) == 3000000
    one.delay()
    wait_until("the delay to end", lambda: float(two.ssh(ping).stdout or 99) < 40)


def test_slow_link_lets_through_so_much(pair: tuple[Machine, Machine]) -> None:
    one, _ = pair

    def took() -> float:
        begin = time.monotonic()
        assert len(one.ssh("head -c 2000000 /dev/zero").stdout) == 2000000
        return time.monotonic() - begin

    one.slow_link(8)
    slow = took()
    one.slow_link()
    assert 1.5 < slow < 15  # 2 MB at 1 MB/s; at a tenth of that it would be 20
    # Never so fast on a slow link, and not always on a fast one of a busy computer.
    wait_until("a fast link", lambda: took() < 1.5)


def test_slow_cpu_takes_as_much_longer(pair: tuple[Machine, Machine]) -> None:
    one, _ = pair
    work = "python3 -c 'from time import process_time as t\nwhile t() < 0.3: pass'"
    one.slow_cpu(0.1)
    slow = seconds(one, work)
    one.slow_cpu()
    assert slow > 2
    # Never with so little of a core; but others may keep a machine from having a whole one.
    wait_until("a fast core", lambda: seconds(one, work) < 2)


def test_little_memory_kills_who_asks_for_more(pair: tuple[Machine, Machine]) -> None:
    one, _ = pair
    hungry = "python3 -c 'x = bytearray(400 << 20)'; echo $?"
    assert one.ssh(hungry).stdout == "0\n"
    one.little_memory(200)
    assert one.ssh(hungry).stdout == "137\n"
    one.little_memory()
    assert one.ssh(hungry).stdout == "0\n"


def test_full_disk_refuses_to_write(pair: tuple[Machine, Machine]) -> None:
    one, _ = pair
    one.full_disk()
    said = one.ssh("head -c 100000 /dev/zero >~/file")
    assert "No space left on device" in said.stderr
    one.free_disk()
    assert one.ssh("head -c 100000 /dev/zero >~/file").returncode == 0


def test_spot_notice_is_in_the_metadata_and_then_the_instance_is_taken(lab: Lab) -> None:
    machine = lab.launch("spot", InstanceMarketOptions={"MarketType": "spot"}).wait_ssh()
    ask = metadata("meta-data/spot/instance-action")
    assert machine.ssh(ask).returncode == 22, "there is none yet"
    machine.spot_notice(then=False)
    notice = json.loads(machine.ssh(ask).stdout)
    assert notice["action"] == "terminate"
    assert notice["time"].endswith("Z")
    machine.spot_notice(seconds=1)
    machine.wait("terminated")
    assert machine.described["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_call_that_the_lab_cannot_do_says_why(lab: Lab) -> None:
    with pytest.raises(LabError, match="i-0 has not been switched on"):
        lab.fault("freeze", "i-0", on=True)
