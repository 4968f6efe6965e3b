"""A local host has a name of its own, for Python on it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from spotcluster.local.host import image
from spotcluster.local.host.environment import session_environment
from spotcluster.local.host.layout import Layout, Settings

ASK = """
import _socket, json, os, platform, socket
here = socket.getaddrinfo(socket.gethostname(), 22, socket.AF_INET)
print(json.dumps({
    "gethostname": socket.gethostname(), "sent": _socket.gethostname(),
    "uname": os.uname().nodename, "node": platform.node(),
    "address": socket.gethostbyname(socket.gethostname()), "found": here[0][4][0],
    "local": socket.gethostbyname("127.0.0.1"), "kernel": os.uname().sysname,
}))
"""


def host(folder: Path, name: str, address: str) -> tuple[Layout, dict[str, str]]:
    layout = Layout(folder / "i-0123")
    layout.make()
    settings = Settings("i-0123", address, 2222, (), str(folder / "cache"))
    image.make_image(layout)
    layout.call(name)
    return layout, session_environment(layout, settings, {}, "root")


def test_each_host_says_its_own_name_and_finds_itself_by_it(tmp_path: Path) -> None:
    for name, address in (("master", "127.77.1.1"), ("node001", "127.77.1.2")):
        _, environment = host(tmp_path / name, name, address)
        ran = subprocess.run(
            [sys.executable, "-c", ASK], env=environment, capture_output=True, check=True
        )
        said = json.loads(ran.stdout)
        assert said.pop("kernel") == sys.platform.capitalize()
        assert said == {
            **dict.fromkeys(("gethostname", "sent", "uname", "node"), name),
            **dict.fromkeys(("address", "found"), address),
            "local": "127.0.0.1",
        }
        shell = "hostname; echo $HOSTNAME"
        ran = subprocess.run(
            ["bash", "-c", shell], env=environment, capture_output=True, check=True
        )
        assert ran.stdout.decode().split() == [name, name]


def test_a_name_that_comes_after_the_boot_is_had_by_what_starts_then(tmp_path: Path) -> None:
    """Nodes that were launched together said the name that they share until they are tagged."""
    settings = Settings("i-0123", "127.77.1.1", 2222, (), str(tmp_path))
    layout, before = host(tmp_path, "node001-node002", settings.address)
    layout.call("node002")
    after = session_environment(layout, settings, {}, "root")
    assert (before["HOSTNAME"], after["HOSTNAME"]) == ("node001-node002", "node002")
    assert subprocess.check_output(["hostname"], env=before, text=True) == "node002\n"


def test_pip_on_a_host_installs_below_its_home(tmp_path: Path) -> None:
    layout, environment = host(tmp_path, "master", "127.77.1.1")
    ran = subprocess.run(
        ["pip", "config", "debug"], env=environment, capture_output=True, check=True, text=True
    )
    assert "PIP_USER='1'" in ran.stdout
    asked = "import site; print(site.getuserbase())"
    ran = subprocess.run(
        ["python3", "-c", asked], env=environment, capture_output=True, check=True, text=True
    )
    assert Path(ran.stdout.strip()) == layout.home / ".local"
    assert f"{layout.home}/.local/bin" in environment["PATH"].split(":")
