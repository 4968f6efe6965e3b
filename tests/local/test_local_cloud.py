"""The local cloud from outside: a real daemon, and hosts that come and go with their instances."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError
from commands import wait_until
from hosts import LEAVE_BEHIND, LIMIT, Machine, client_of, connect, new_key, tree

from spotcluster import files, local
from spotcluster.errors import LocalCloudError
from spotcluster.local import processes, record
from spotcluster.local.host.layout import MARK

pytestmark = [
    pytest.mark.skipif(shutil.which("ssh") is None, reason="needs the ssh command"),
    pytest.mark.usefixtures("in_module_cloud"),
]


# Life and death of hosts.


def test_terminating_ends_every_process_of_that_host_only(ec2: Any, launch: Any) -> None:
    first, second = launch(), launch()
    trees = []
    for machine in (first.wait("running"), second.wait("running")):
        assert machine.ssh(LEAVE_BEHIND).stdout == "done\n"
        wait_until("the programs", lambda m=machine: len(tree(m)) >= 7)
        trees.append(tree(machine))
    folder = Path(os.environ["SPOTCLUSTER_HOME"]) / "local" / "hosts" / first.id
    ec2.terminate_instances(InstanceIds=[first.id])
    first.wait("terminated")
    assert not [process for process in trees[0] if processes.is_alive(process)]
    assert not folder.exists()
    # the loop of the last program is between two sleeps now and then, the others all are there
    alive = [process for process in trees[1] if processes.is_alive(process)]
    assert len(alive) >= len(trees[1]) - 1
    assert second.ssh("echo alive").stdout == "alive\n"
    ec2.terminate_instances(InstanceIds=[second.id])
    second.wait("terminated")


def test_stopping_keeps_files_and_starting_brings_them_back(ec2: Any, launch: Any) -> None:
    machine: Machine = launch().wait("running")
    address = machine.address
    machine.ssh("echo kept > file; setsid sleep 1111 > /dev/null 2>&1 < /dev/null &")
    before = tree(machine)
    ec2.stop_instances(InstanceIds=[machine.id])
    machine.wait("stopped")
    assert not [process for process in before if processes.is_alive(process)]
    assert connect(*address) is None
    ec2.start_instances(InstanceIds=[machine.id])
    machine.wait("running")
    assert machine.address == address
    assert machine.ssh("cat file").stdout == "kept\n"


def test_a_reboot_keeps_files_and_no_process(ec2: Any, launch: Any) -> None:
    machine: Machine = launch().wait("running")
    machine.ssh("echo kept > file; setsid sleep 1111 > /dev/null 2>&1 < /dev/null &")
    before = tree(machine)
    ec2.reboot_instances(InstanceIds=[machine.id])
    wait_until("the end", lambda: not [p for p in before if processes.is_alive(p)])
    wait_until("the boot", lambda: machine.ssh("cat file").stdout == "kept\n")
    assert machine.state == "running"


def test_a_host_whose_power_is_cut_is_a_failed_machine(launch: Any) -> None:
    machine: Machine = launch().wait("running")
    assert machine.ssh(LEAVE_BEHIND).stdout == "done\n"
    wait_until("the programs", lambda: len(tree(machine)) >= 7)
    before = tree(machine)
    before[0].kill()
    machine.wait("stopped")
    assert machine.describe()["StateReason"]["Code"] == "Server.ScheduledStop"
    assert not [process for process in before if processes.is_alive(process)]


@pytest.mark.skipif(sys.platform != "linux", reason="hosts are forked on Linux only")
def test_a_host_that_was_forked_is_a_process_of_its_own(launch: Any) -> None:
    machines = [launch().wait("running") for _ in range(2)]
    servers = [tree(machine)[0] for machine in machines]
    hosts = record.folder() / "hosts"
    for machine, server in zip(machines, servers, strict=True):
        assert server.ppid() == local.status().pid
        assert os.getsid(server.pid) == server.pid
        assert server.cmdline()[-1] == str(hosts / machine.id)
        assert server.cwd() == str(hosts / machine.id / "home")
        assert server.environ()[MARK] == machine.id
        assert server in processes.marks()[machine.id]
        held = [Path(one).readlink() for one in Path(f"/proc/{server.pid}/fd").iterdir()]
        console = hosts / machine.id / "console.log"
        assert sorted(str(one) for one in held if one.is_absolute()) == [
            *("/dev/null", str(console), str(console))
        ]
    servers[0].kill()
    machines[0].wait("stopped")
    assert machines[1].ssh("echo alive").stdout == "alive\n"


def test_an_unknown_key_pair_leaves_no_host(ec2: Any, launch: Any) -> None:
    before = {path.name for path in (record.folder() / "hosts").glob("*")}
    with pytest.raises(ClientError, match=r"InvalidKeyPair\.NotFound"):
        launch(KeyName="nobody")
    assert {path.name for path in (record.folder() / "hosts").glob("*")} == before


# The daemon.


@pytest.fixture
def own_cloud(spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a test a folder in which no local cloud runs yet, and stop the one that it starts."""
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(spotcluster_home))
    yield spotcluster_home
    local.stop()


def test_processes_that_start_it_at_once_share_one(own_cloud: Path) -> None:
    script = "from spotcluster import local; print(local.endpoint().url, local.status().pid)"
    with ThreadPoolExecutor(4) as pool:
        found = set(
            pool.map(
                lambda _: (
                    subprocess.run(
                        [sys.executable, "-c", script],
                        capture_output=True,
                        text=True,
                        check=True,
                        timeout=LIMIT,
                    ).stdout
                ),
                range(4),
            )
        )
    assert len(found) == 1


DAMAGES: tuple[bytes | None, ...] = (
    *(None, b"", b"{", b"[]", b"\xff\xfe"),
    b'{"pid": 4194305, "created": 1.0, "url": "http://127.0.0.1:1"}',
)


def test_a_daemon_whose_files_are_lost_or_damaged_is_reached_named_and_stopped(
    own_cloud: Path,
) -> None:
    endpoint = local.endpoint()
    pid = local.status().pid
    place = record.folder()
    for name in ("daemon.json", "settings.json"):
        for damage in DAMAGES:
            (place / name).unlink(missing_ok=True)
            if damage is not None:
                files.write_private(place / name, damage)
            found = local.endpoint()
            assert (found.url, local.status().pid, local.status().running) == (
                *(endpoint.url, pid),
                True,
            )
            assert client_of(found).describe_instances()["Reservations"] == []
    (place / "daemon.json").unlink(missing_ok=True)
    daemon = psutil.Process(pid)
    local.stop()
    assert not processes.is_alive(daemon)
    assert not local.status().running
    assert local.start().url == endpoint.url


def test_local_cloud_whose_folder_was_deleted_ran_on_and_nobody_could_find_it(
    own_cloud: Path,
) -> None:
    ec2 = client_of(local.start())
    answer = ec2.run_instances(ImageId="ami-5b3fb632", MinCount=1, MaxCount=1)
    machine = Machine(ec2, answer["Instances"][0]["InstanceId"], own_cloud).wait("running")
    daemon = psutil.Process(local.status().pid)
    everything = [daemon, *daemon.children(), *tree(machine)]
    (own_cloud / "local").rename(own_cloud / "deleted")  # which ends nothing by itself
    shutil.rmtree(own_cloud / "deleted", ignore_errors=True)
    wait_until("the end", lambda: not any(processes.is_alive(one) for one in everything))


def test_a_crash_is_said_and_start_recovers_from_it(own_cloud: Path) -> None:
    endpoint = local.endpoint()
    ec2 = client_of(endpoint)
    ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    answer = ec2.run_instances(
        ImageId="ami-5b3fb632", InstanceType="c1.xlarge", MinCount=1, MaxCount=2, KeyName="k"
    )
    machines = [Machine(ec2, i["InstanceId"], own_cloud) for i in answer["Instances"]]
    servers = [tree(machine.wait("running"))[0] for machine in machines]
    pid = local.status().pid
    beside = [one for one in psutil.Process(pid).children() if one not in servers]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until("the end", lambda: not record.read(record.folder()).is_alive())
    wait_until("what forks hosts", lambda: not any(processes.is_alive(one) for one in beside))
    assert local.status().crashed
    with pytest.raises(LocalCloudError, match="`spotcluster local start`"):
        local.endpoint()
    servers[1].kill()  # and one host does not outlive it
    again = local.start()
    assert again == endpoint
    assert client_of(again).describe_key_pairs()["KeyPairs"][0]["KeyName"] == "k"
    for machine in machines:
        machine.wait("running")
    assert tree(machines[0])[0] == servers[0], "a host that lived on was restarted"
    assert tree(machines[1])[0] != servers[1]


@pytest.mark.skipif(sys.platform != "linux", reason="hosts are forked on Linux only")
def test_hosts_boot_where_what_forks_them_was_killed(own_cloud: Path) -> None:
    ec2 = client_of(local.start())
    daemon = psutil.Process(local.status().pid)

    def launch() -> psutil.Process:
        answer = ec2.run_instances(ImageId="ami-5b3fb632", MinCount=1, MaxCount=1)
        return tree(Machine(ec2, answer["Instances"][0]["InstanceId"], own_cloud).wait("running"))[
            0
        ]

    first = launch()
    (forker,) = set(daemon.children()) - {first}
    forker.kill()
    second = launch()
    wait_until("the forker to be reaped", lambda: set(daemon.children()) == {first, second})
    assert first.is_running()


def test_stop_leaves_no_process_and_start_boots_the_hosts_again(own_cloud: Path) -> None:
    endpoint = local.start()
    ec2 = client_of(endpoint)
    public = new_key(own_cloud / "key")
    ec2.import_key_pair(KeyName="k", PublicKeyMaterial=public.encode())
    answer = ec2.run_instances(
        ImageId="ami-5b3fb632",
        InstanceType="c1.xlarge",
        MinCount=1,
        MaxCount=1,
        KeyName="k",
        UserData=base64.b64encode(b"").decode(),
    )
    (group,) = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    ec2.authorize_security_group_ingress(
        GroupId=group["GroupId"], CidrIp="0.0.0.0/0", IpProtocol="-1"
    )
    machine = Machine(ec2, answer["Instances"][0]["InstanceId"], own_cloud).wait("running")
    assert machine.ssh(f"echo kept > file; {LEAVE_BEHIND}").stdout == "done\n"
    wait_until("the programs", lambda: len(tree(machine)) >= 7)
    daemon = psutil.Process(local.status().pid)
    everything = [daemon, *tree(machine)]
    local.stop()
    assert not [process for process in everything if processes.is_alive(process)]
    assert not local.status().running
    assert not local.status().crashed
    assert local.endpoint() == endpoint
    machine.wait("running")
    assert machine.ssh("cat file").stdout == "kept\n"


def test_stop_after_a_crash_ends_the_hosts(own_cloud: Path) -> None:
    ec2 = client_of(local.start())
    answer = ec2.run_instances(ImageId="ami-5b3fb632", MinCount=1, MaxCount=1)
    machine = Machine(ec2, answer["Instances"][0]["InstanceId"], own_cloud).wait("running")
    hosts = tree(machine)
    os.kill(local.status().pid or 0, signal.SIGKILL)
    local.stop()
    assert not [process for process in hosts if processes.is_alive(process)]
    assert not local.status().crashed


def test_a_term_signal_is_a_clean_stop(own_cloud: Path) -> None:
    local.start()
    daemon = record.read(record.folder())
    assert daemon is not None
    os.kill(daemon.pid, signal.SIGTERM)
    wait_until("the end", lambda: not daemon.is_alive())
    assert not local.status().crashed


TELLS_WHAT_IT_OPENS = """
import sys
from pathlib import Path

def tell(event, given):
    if event == "open" and "/instance_type_offerings/" in str(given[0]):
        with open(FILE, "a") as opened:
            print(Path(given[0]).name, file=opened)

sys.addaudithook(tell)
"""


def test_the_daemon_reads_what_a_region_offers_when_it_is_asked_for(
    own_cloud: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = tmp_path / "opened"
    text = TELLS_WHAT_IT_OPENS.replace("FILE", repr(str(opened)))
    (tmp_path / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ec2 = client_of(local.start())
    assert not opened.exists()
    assert ec2.describe_instance_type_offerings(MaxResults=5)["InstanceTypeOfferings"]
    assert set(opened.read_text().split()) == {f"{ec2.meta.region_name}.json.gz"}


def test_the_daemon_leaves_the_process_that_starts_it(own_cloud: Path) -> None:
    script = "from spotcluster import local; local.endpoint(); print(local.status().pid)"
    # Output to a pipe: were it inherited, this would wait until the daemon ends.
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    daemon = psutil.Process(int(done.stdout))
    assert daemon.is_running()
    assert os.getsid(daemon.pid) == daemon.pid


def test_unreadable_state_is_said_and_nothing_started(own_cloud: Path) -> None:
    folder = record.folder()
    files.write_private(folder / "state.pickle", b"nonsense")
    with pytest.raises(LocalCloudError, match=r"state\.pickle cannot be read") as error:
        local.start()
    assert "remove" in str(error.value)
    assert not local.status().running


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_can_run_it(own_cloud: Path) -> None:
    nobody = 65534
    as_nobody: dict[str, Any] = {"user": nobody, "group": nobody, "extra_groups": []}
    environment = {"HOME": str(own_cloud), "PATH": os.environ["PATH"]}
    # The environment of the tests may be root's alone, and the system's Python do as well.
    places = [str(Path.cwd()), *(path for path in sys.path if path.endswith("-packages"))]
    environment |= {"SPOTCLUSTER_HOME": str(own_cloud / "n"), "PYTHONPATH": ":".join(places)}
    os.chown(own_cloud, nobody, nobody)
    python = next(
        (
            program
            for program in (sys.executable, "/usr/bin/python3")
            if can_run(program, env=environment, cwd="/", **as_nobody)
        ),
        None,
    )
    if python is None:
        pytest.skip("no Python with these packages can be read by other users")
    script = f"""
import boto3, time
from botocore.config import Config
from spotcluster import local
e = local.endpoint()
c = boto3.client("ec2", endpoint_url=e.url, region_name=e.region, config=Config(proxies={{}}),
    aws_access_key_id=e.access_key, aws_secret_access_key=e.secret_key)
c.run_instances(ImageId="ami-5b3fb632", MinCount=1, MaxCount=1)
deadline = time.monotonic() + {LIMIT}
while [h.state for h in local.status().hosts] != ["running"]:
    assert time.monotonic() < deadline, local.status()
    time.sleep(0.05)
local.stop()
print("works")
"""
    try:
        done = subprocess.run(
            [python, "-c", script],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=2 * LIMIT,
            **as_nobody,
        )
    finally:
        os.chown(own_cloud, 0, 0)  # or it is not ours to clean up
    assert done.stdout == "works\n", done.stderr


def can_run(program: str, **who: Any) -> bool:
    """Return whether somebody can run `program` with what the local cloud needs."""
    needs = "import spotcluster.local, moto.ec2, asyncssh, cryptography.hazmat.bindings._rust"
    try:
        subprocess.run([program, "-c", needs], check=True, capture_output=True, **who)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True
