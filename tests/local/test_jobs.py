"""Programs on the master, and JupyterLab there, on one cluster of one local host.

Each test leaves the cluster running for the next.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import programs
import psutil
import pytest
from commands import PROGRAM, cli, nodes, wait_until
from hosts import client_of
from tornado.websocket import websocket_connect

from spotcluster import local

CONFIG = """
[key mykey]

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 2

[cluster one]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c5.large
CLUSTER_SIZE = 1
PLUGINS = pypackages, ipcluster
"""
SEARCH = """
import ipyparallel, sys
import helper
import spotcluster
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from spotcluster.search import GridSearch, persist_cv_splits

client = spotcluster.connect(sys.argv[1])
assert client.ids == ipyparallel.Client().ids
digits = load_digits()
splits = persist_cv_splits(digits.data, digits.target, name="digits", random_state=42)
search = GridSearch(client.load_balanced_view())
search.launch_for_splits(SVC(), {"C": [1.0], "gamma": [0.001]}, splits)
assert search.wait(timeout=400)
print(helper.shown(search.best_score_))
sys.exit(7)
"""
COUNT = "import os, time\nfor i in range(10**6):\n    print(i)\n    time.sleep(0.05)\n"


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> str:
    (module_home / "config").write_text(CONFIG)
    cli("createkey", "mykey")
    cli("start", "-c", "one", "mycluster")
    return "mycluster"


@pytest.fixture(autouse=True)
def home(in_module_cloud: local.Endpoint, module_home: Path) -> Path:
    return module_home


@pytest.fixture
def master(home: Path, cluster: str) -> Path:
    """The home of the master's user."""
    return home / "local" / "hosts" / nodes(cluster)["master"]["id"] / "home"


class Following:
    """A command that follows a job, and what it has printed."""

    def __init__(self, *words: str, folder: Path) -> None:
        self.out, self.err = folder / "out", folder / "err"
        with (
            Path(os.devnull).open("rb") as nowhere,
            self.out.open("wb") as out,
            self.err.open("wb") as err,
        ):
            self.process = programs.Program(
                [*PROGRAM, *words],
                stdin=nowhere,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def wait_lines(self, number: int) -> None:
        def enough() -> bool:
            assert self.process.poll() is None, self.err.read_text()
            return self.out.read_bytes().count(b"\n") >= number

        wait_until(f"{number} lines", enough)

    def wait_said(self, text: str) -> None:
        wait_until(f"{text!r}", lambda: text in self.err.read_text())

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        return self.process.wait(240), self.err.read_text()


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., Following]]:
    """Give what starts a command that goes on; those of a test that failed end too."""
    started: list[Following] = []

    def start(*words: str) -> Following:
        started.append(Following(*words, folder=tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait(10)


def job(cluster: str, number: int) -> dict[str, Any]:
    found = json.loads(cli("jobs", "--json", cluster))
    return next(one for one in found if one["id"] == number)


def start(cluster: str, path: Path, text: str, *words: str) -> int:
    path.write_text(text)
    return int(cli("run", "-D", cluster, str(path), *words))


def test_folder_runs_on_the_master_as_it_would_on_the_laptop(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(SEARCH)
    (tmp_path / "helper.py").write_text("def shown(score):\n    return f'{score:.5f}'\n")
    said = cli("run", cluster, str(tmp_path), "main.py", cluster, status=7)
    assert "failed with status 7" in said
    assert f"get {cluster} jobs/1" in said
    assert cli("logs", cluster).splitlines()[-1] == "0.99022"
    cli("get", cluster, "jobs/1", str(tmp_path / "got"))
    assert (tmp_path / "got" / "main.py").read_text() == SEARCH


def test_output_and_exit_status_come_back_and_arguments_arrive_as_they_are(
    cluster: str, tmp_path: Path
) -> None:
    words = ["--", "-D", "a b", "$(x)", "'", '"', "new\nline", "ü", "*", ""]
    script = tmp_path / "my script.py"
    script.write_text(
        "import json, sys\nprint(json.dumps(sys.argv[1:]))\nsys.stderr.write('e')\nsys.exit(0)"
    )
    said = cli("run", cluster, "--", str(script), *words)
    line, _, rest = said.partition("\n")
    assert (json.loads(line), rest) == (words, "e")


def test_ctrl_c_leaves_it_running_and_attach_comes_back(
    cluster: str, tmp_path: Path, follow: Callable[..., Following]
) -> None:
    script = tmp_path / "count.py"
    script.write_text(COUNT)
    following = follow("run", cluster, str(script))
    following.wait_lines(5)
    status, said = following.end(signal.SIGINT)
    assert status == 130
    assert "goes on" in said
    number = int(said.split("Job ")[1].split()[0])
    seen = json.loads(cli("status", cluster, "--json"))["jobs"]
    assert [(one["id"], one["command"][0]) for one in seen] == [(number, "python")]
    assert f"attach {cluster} {number}" in said
    assert job(cluster, number)["state"] == "running"
    again = follow("attach", cluster)
    again.wait_lines(3)
    assert "cancelled with status 143" in cli("cancel", cluster, str(number))
    assert again.process.wait(240) == 143
    assert "had ended already" in cli("cancel", cluster, str(number))
    assert f"{number}    cancelled" in cli("jobs", cluster)
    lines = cli("logs", cluster, str(number)).splitlines()
    assert lines == [str(i) for i in range(len(lines))]
    assert cli("logs", "-n", "2", cluster, str(number)).splitlines() == lines[-2:]


def test_lost_connection_is_made_again_and_no_byte_is_lost_or_doubled(
    cluster: str, tmp_path: Path, master: Path, follow: Callable[..., Following]
) -> None:
    script = tmp_path / "count.py"
    script.write_text(COUNT + "    if os.path.exists('stop'):\n        break\n")
    following = follow("run", cluster, str(script))
    following.wait_lines(5)
    for connection in psutil.Process(following.process.pid).net_connections("tcp"):
        if connection.status == "ESTABLISHED":
            cut(following.process.pid, connection.fd)
    following.wait_said("connecting again")
    (master / "jobs" / following.err.read_text().split("Job ")[1].split()[0] / "stop").touch()
    assert following.process.wait(240) == 0
    lines = following.out.read_text().splitlines()
    assert lines == [str(i) for i in range(len(lines))]
    assert lines == cli("logs", cluster).splitlines()


def cut(pid: int, fd: int) -> None:
    """Shut a socket of another process, as a network that fails does to both of its ends."""
    import socket

    handle = os.pidfd_open(pid)
    try:
        with socket.socket(fileno=_steal(handle, fd)) as taken:
            taken.shutdown(socket.SHUT_RDWR)
    finally:
        os.close(handle)


def _steal(handle: int, fd: int) -> int:
    """Return a descriptor of another process's (pidfd_getfd, which Python has no name for)."""
    import ctypes

    got = int(ctypes.CDLL(None, use_errno=True).syscall(438, handle, fd, 0))
    if got < 0:
        pytest.skip(f"a socket of another process cannot be had: {os.strerror(ctypes.get_errno())}")
    return got


def test_large_output_is_not_held_in_memory(cluster: str, tmp_path: Path) -> None:
    script = tmp_path / "much.py"
    script.write_text(
        "import sys\nfor _ in range(200): sys.stdout.buffer.write(bytes(range(256)) * 4096)\n"
    )
    measure = (
        "import re, sys\nfrom pathlib import Path\nfrom spotcluster.cli.main import run\n"
        "status = run(sys.argv[1:])\n"
        # not ru_maxrss, which a process has from the one that it was forked from
        "peak = re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]\n"
        "sys.stderr.write(f'PEAK {peak}')\n"
        "sys.exit(status)\n"
    )
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", measure, "run", cluster, str(script)],
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=600,
            check=True,
        )
    assert (tmp_path / "out").stat().st_size == 200 << 20
    peak = int(done.stderr.split(b"PEAK ")[1])
    assert peak < 200_000  # KiB; importing the program takes 110,000


def test_job_is_lost_with_its_machine(cluster: str, tmp_path: Path) -> None:
    number = start(cluster, tmp_path / "count.py", COUNT)
    master_id = nodes(cluster)["master"]["id"]
    client_of(local.endpoint()).reboot_instances(InstanceIds=[master_id])

    def is_lost() -> bool:
        done = programs.run([*PROGRAM, "jobs", "--json", cluster], timeout=240)
        if done.returncode:  # it goes down, or comes up
            assert "Traceback" not in done.stderr
            return False
        return any((one["id"], one["state"]) == (number, "lost") for one in json.loads(done.stdout))

    wait_until("the job to be lost", is_lost)
    said = cli("attach", cluster, str(number), status=1)
    assert "lost" in said
    cli("runplugin", "ipcluster", cluster)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "mycluster"), "nothing to run"),
        (("run", "mycluster", "nowhere.py"), "no file or folder 'nowhere.py'"),
        (("logs", "mycluster", "999"), "has no job 999"),
        (("attach", "mycluster", "999"), "has no job 999"),
        (("cancel", "mycluster", "999"), "has no job 999"),
        (("cancel", "mycluster", "0"), "0"),
        (("sshmaster", "--tmux", "mycluster"), "needs a terminal"),
        (("sshmaster", "--tmux", "mycluster", "ls"), "no command"),
    ],
)
def test_wrong_word_is_one_sentence(cluster: str, words: tuple[str, ...], expected: str) -> None:
    assert expected in cli(*words, status=2)


def test_tmux_session_is_the_nodes_own_and_entered_again(cluster: str, master: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        words = ["spotcluster", "sshmaster", "--tmux", cluster]
        os.execv(sys.executable, [sys.executable, "-m", *words])
    os.write(terminal, b"touch entered-$((1 + 1)); tmux rename-session mine; exit\n")
    end = time.monotonic() + 240
    shown = b""
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:
                break
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    if b"no tmux" in shown:
        pytest.skip("this computer has no tmux")
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert (master / "entered-2").exists()


def test_browser_is_shown_a_private_page_and_ctrl_c_heard_as_long_as_it_runs(
    cluster: str,
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    follow: Callable[..., Following],
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >{tmp_path}/shown.new\nstat -c %a "${{1#file://}}" '
                       f">>{tmp_path}/shown.new\ncat \"${{1#file://}}\" >>{tmp_path}/shown.new\n"
                       f"mv {tmp_path}/shown.new {tmp_path}/shown\n"
                       f"while [ ! -e {tmp_path}/closed ]; do sleep 0.1; done\n")  # fmt: skip
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    opened = follow("notebook", cluster)
    wait_until("the browser", (tmp_path / "shown").exists)
    opened.wait_lines(1)
    address, mode, page = (tmp_path / "shown").read_text().split("\n", 2)
    assert address.startswith("file://")
    assert mode == "600"
    assert opened.out.read_text().strip() in page
    _, said = opened.end(signal.SIGINT)
    (tmp_path / "closed").touch()
    assert "JupyterLab goes on" in said
    assert not Path(urlsplit(address).path).exists()


class Jupyter:
    """A server, as a browser speaks to it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.base = f"http://{parts.netloc}"
        self.token = parse_qs(parts.query)["token"][0]

    def call(self, path: str, data: Any = None, *, token: str | None = None) -> Any:
        given = self.token if token is None else token
        request = urllib.request.Request(
            self.base + path,
            data=None if data is None else json.dumps(data).encode(),
            headers={"Authorization": f"token {given}"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=60) as answer:
            return json.load(answer)

    async def execute(self, kernel: str, code: str) -> str:
        """Run a cell; return all that it shows."""
        place = f"{self.base.replace('http', 'ws')}/api/kernels/{kernel}/channels"
        socket = await websocket_connect(f"{place}?token={self.token}")
        sent = uuid.uuid4().hex
        header = {"msg_id": sent, "msg_type": "execute_request", "username": "", "session": "s"}
        message = {
            "header": {**header, "version": "5.3", "date": ""},
            "parent_header": {},
            "metadata": {},
            "content": {"code": code, "silent": False},
            "channel": "shell",
            "buffers": [],
        }
        await socket.write_message(json.dumps(message))
        shown = ""
        waited_for = {"execute_reply", "idle"}  # of two channels: either may be ahead
        while waited_for:
            said = await asyncio.wait_for(socket.read_message(), 120)
            assert isinstance(said, str)
            got = json.loads(said)
            if got["parent_header"].get("msg_id") != sent:
                continue
            assert got["msg_type"] != "error", got["content"]
            content = got["content"]
            shown += content.get("text", "") + content.get("data", {}).get("text/plain", "")
            waited_for -= {got["msg_type"], content.get("execution_state")}
        socket.close()
        return shown


def test_notebook_opens_behind_a_tunnel_and_px_works_in_its_first_cell(
    cluster: str, home: Path, master: Path, follow: Callable[..., Following]
) -> None:
    opened = follow("notebook", "--no-browser", cluster)
    opened.wait_lines(1)
    url = opened.out.read_text().strip()
    server = Jupyter(url)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        server.call("/api/contents", token="wrong")
    first = server.call("/api/contents/start.ipynb")["content"]["cells"]
    cells = [cell["source"] for cell in first if cell["cell_type"] == "code"]
    assert cells[0].startswith("%px ")
    kernel = server.call("/api/kernels", {"name": "python3"})["id"]
    shown = [asyncio.run(server.execute(kernel, cell)) for cell in cells]
    assert shown[0].count("master") == 2
    assert len(json.loads(shown[1])) == 2  # their numbers are others after a reboot

    everywhere = [*home.glob("logs/*"), *(master / ".spotcluster" / "logs").glob("*")]
    assert [path for path in everywhere if server.token in path.read_text()] == []
    lines = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    assert [line for line in lines if server.token in line] == []

    status, said = opened.end(signal.SIGINT)
    assert status == 130
    assert f"notebook --stop {cluster}" in said
    again = follow("notebook", "--no-browser", cluster)
    again.wait_lines(1)
    there = Jupyter(again.out.read_text().strip())
    assert [one["id"] for one in there.call("/api/kernels")] == [kernel]
    again.end(signal.SIGINT)
    assert "has ended" in cli("notebook", "--stop", cluster)
    assert "No JupyterLab" in cli("notebook", "--stop", cluster)
