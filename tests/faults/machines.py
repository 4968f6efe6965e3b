"""The nodes' machines behind SSH that is a stub: what their disks hold, and what they answer."""

from __future__ import annotations

import base64
import re
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from spotcluster import ssh

VITALS = """\
cores=4
load=1.50 1.00 0.50
memory_total_kb=8388608
memory_free_kb=6291456
clock={clock}
draining={draining}
"""


@dataclass
class Machines:
    """What the stubs of the nodes' machines keep and answer; `disks` is what is on volumes."""

    files: dict[str, dict[str, str]] = field(default_factory=dict)
    steps: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Callable[[dict[str, Any]], dict[str, Any] | None]] = field(default_factory=list)
    disks: dict[str, str] = field(default_factory=dict)

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer one round trip: what `run`, `run_each` or `put` is to return or raise."""
        if asked["kind"] == "series":
            outs = []
            for step in asked["steps"]:
                said = self._step({**step, "alias": asked["alias"], "id": asked["id"]})
                if "out" not in said or said.get("status"):
                    return {**said, "what": step["what"]}
                outs.append(said["out"])
            return {"outs": outs}
        return self._step(asked)

    def _step(self, asked: dict[str, Any]) -> dict[str, Any]:
        for fault in self.faults:
            if (said := fault(asked)) is not None:
                return said
        self.steps.append((asked["alias"], asked["what"]))
        disk = self.files.setdefault(asked["id"], {})
        if asked["kind"] == "put":
            disk[asked["path"]] = asked["data"]
            return {}
        what = asked["what"]
        if what.startswith("writing "):
            disk[what.removeprefix("writing ")] = asked.get("input") or asked["script"]
            return {"out": ""}
        if what.startswith("reading "):
            content = disk.get(what.removeprefix("reading "), "{}")
            return {"out": base64.b64encode(content.encode()).decode()}
        if what == "making its host key":
            if "host_key.pub" not in disk:
                disk["host_key.pub"] = ssh.keys.generate().public
            return {"out": disk["host_key.pub"]}
        if what == "making it a node":
            disk["account"] = "ipuser"
            return {"out": ""}
        if what == "asking what the machine has":
            key = disk.get("~/.ssh/id_ed25519.pub", "").strip()
            account = disk.get("account", "")
            facts = {
                "cores": 2,
                "memory_mb": 4000,
                "sudo": 1,
                "systemd": 1,
                "tmux": 1,
                "package_manager": "apt-get",
                "python": "3.11.7",
                "home": "/home/ubuntu",
                "cluster_key": key,
                "account": account,
                "account_home": f"/home/{account}" if account else "",
                "account_key": f"{key} of {account}" if account else "",
            }
            return {"out": "".join(f"{name}={value}\n" for name, value in facts.items())}
        return {"out": "".join(self._printed(asked.get("script", ""), what, disk))}

    def _printed(self, script: str, what: str, disk: dict[str, str]) -> Iterator[str]:
        """Do what the scripts for volumes do, with `disks` for what is on the volumes."""
        if what == "asking how the machine does":
            yield VITALS.format(clock=int(time.time()), draining=0)
        if what == "cleaning the copy":
            yield "clean\n"
        if what == "unmounting the volumes":
            yield from (f"{path}\n" for path in _items(script, "paths"))
        if what != "mounting the volumes":
            return
        for volume, path in zip(_items(script, "ids"), _items(script, "paths"), strict=True):
            outcome = "there" if path in disk else "mounted"
            if volume not in self.disks:
                if not script.startswith("format=1\n"):
                    yield f"{path}\tnew\tit has no file system yet\n"
                    continue
                self.disks[volume] = "ext4"
                outcome = "formatted"
            disk[path] = volume
            yield f"{path}\t{outcome}\text4 1000000000\n"


def _items(script: str, name: str) -> list[str]:
    found = re.search(rf"^{name}=\((.*)\)$", script, re.MULTILINE)
    assert found, name
    return shlex.split(found[1])
