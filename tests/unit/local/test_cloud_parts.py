"""Addresses, callers, rules and processes: the parts that need no cloud around them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotcluster.local import processes
from spotcluster.local.access.callers import Caller, Credentials
from spotcluster.local.addresses import Addresses
from spotcluster.local.faults import Faults
from spotcluster.local.host.layout import MARK, Running


def test_every_live_instance_has_an_address_of_its_own(tmp_path: Path) -> None:
    addresses = Addresses(tmp_path, many=True)
    taken: set[str] = set()
    for _ in range(1000):
        address = addresses.allocate(taken)
        assert address not in taken
        parts = [int(part) for part in address.split(".")]
        assert parts[:2] == [127, 77]
        assert all(1 <= part <= 254 for part in parts[2:])
        taken.add(address)


def test_an_address_is_not_given_again_at_once(tmp_path: Path) -> None:
    addresses = Addresses(tmp_path, many=True)
    assert len({addresses.allocate(()) for _ in range(500)}) == 500


def test_elsewhere_than_on_linux_hosts_differ_by_port(tmp_path: Path) -> None:
    addresses = Addresses(tmp_path, many=False)
    assert addresses.allocate({"127.0.0.1"}) == "127.0.0.1"
    assert addresses.first_port == 0


@pytest.mark.parametrize(
    "environ",
    [
        {
            "HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=AKIAX/20261121/us-east-1/ec2/"
            "aws4_request, SignedHeaders=host, Signature=abc"
        },
        {"QUERY_STRING": "X-Amz-Credential=AKIAX%2F20261121%2Fus-east-1%2Fec2%2Faws4_request"},
    ],
)
def test_a_caller_is_read_from_header_or_query(environ: dict[str, object]) -> None:
    caller = Caller.of(environ)
    assert caller == Caller("AKIAX", "us-east-1", "ec2")
    assert caller.is_owner(Credentials("AKIAX", "secret"))
    assert not caller.is_owner(Credentials("AKIAY", "secret"))


@given(st.text(), st.text())
def test_whatever_is_sent_is_not_the_owner(header: str, query: str) -> None:
    caller = Caller.of({"HTTP_AUTHORIZATION": header, "QUERY_STRING": query})
    assert not caller.is_owner(Credentials.random())


def test_the_first_rule_that_applies_decides_until_it_is_used_up() -> None:
    faults = Faults()
    faults.replace([{"action": "Run*", "count": 1, "code": "A"}, {"action": "*", "code": "B"}])
    found = [faults.pick("RunInstances", {}) for _ in range(2)]
    assert [rule.code for rule in found if rule] == ["A", "B"]
    assert [rule["hits"] for rule in faults.listed()] == [1, 1]
    faults.replace([])
    assert faults.pick("RunInstances", {}) is None


def test_chance_can_be_repeated() -> None:
    def hits() -> list[bool]:
        faults = Faults(seed=3)
        faults.replace([{"probability": 0.5, "code": "A"}])
        return [faults.pick("X", {}) is not None for _ in range(50)]

    assert hits() == hits()
    assert 10 < sum(hits()) < 40


STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(100)"


@pytest.fixture
def marked() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes of one host, and one of another."""
    found = [
        subprocess.Popen(
            [sys.executable, "-c", STUBBORN],
            env={**os.environ, MARK: host},
            start_new_session=True,
        )
        for host in ("i-one", "i-one", "i-two")
    ]
    yield found
    for process in found:
        process.kill()
        process.wait()


@pytest.mark.parametrize("grace", [0.0, 0.05])
def test_all_processes_of_a_host_end_and_only_those(
    marked: list[subprocess.Popen[bytes]], grace: float
) -> None:
    processes.end_all("i-one", None, grace=grace, limit=60)
    assert [process.poll() is None for process in marked] == [False, False, True]
    assert set(processes.marks()) & {"i-one", "i-two"} == {"i-two"}


def test_a_process_id_that_was_given_again_is_not_the_host() -> None:
    me = psutil.Process()
    assert processes.server_of(Running(me.pid, me.create_time(), "", 0)) == me
    assert processes.server_of(Running(me.pid, me.create_time() - 100, "", 0)) is None


BURYING = """
import os, signal, sys
from pathlib import Path
from spotcluster.local.hosts import Hosts

hosts = Hosts(Path(sys.argv[1]), subreaper=True)
living, dead = os.fork() or signal.pause(), os.fork() or os._exit(0)
os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
hosts.bury()
left = [pid for pid in (living, dead) if Path(f"/proc/{pid}").exists()]
os.kill(living, signal.SIGKILL)
os.waitpid(living, 0)
hosts.bury()
print(left == [living])
"""


def test_what_dead_hosts_leave_is_reaped_when_it_ends(tmp_path: Path) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs Linux, whose processes can become the parents of orphans")
    done = subprocess.run(
        [sys.executable, "-c", BURYING, tmp_path], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
