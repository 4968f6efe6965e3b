"""What starting a cluster takes: seconds by phase, and calls of EC2's API by name.

Usage: python benchmarks/start.py [NODES]

Runs on the local cloud in a folder of its own. The calls are exact; the seconds are this
computer's, which carries every node.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from typing import Any


def main() -> None:
    """Start a cluster, add one node, terminate; print what each took."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    home = tempfile.mkdtemp(prefix="sc-")
    os.environ["SPOTCLUSTER_HOME"] = home
    from spotcluster import local

    try:
        _measure(size)
    finally:
        local.stop()
        shutil.rmtree(home)


def _measure(size: int) -> None:
    from spotcluster import config, files, ssh, templates
    from spotcluster.aws import keypairs
    from spotcluster.aws.session import Session
    from spotcluster.cluster.lifecycle import add, start, terminate
    from spotcluster.cluster.reporter import Quiet

    calls: Counter[str] = Counter()

    def count(model: Any, **_: Any) -> None:
        calls[model.name] += 1

    session = Session("local")
    session.ec2.meta.events.register("before-call", count)
    settings = config.load_text(templates.read("demo.ini"), "demo.ini")
    template = settings.with_key(settings.template("demo")).with_overrides(size=size)
    pair = ssh.keys.generate()
    files.write_private(files.key_file("demo"), pair.private)
    keypairs.upload(session, "demo", pair.public)
    calls.clear()

    result = start.start(session, "bench", template, Quiet())
    _show(f"start of {size} nodes, {os.cpu_count()} cores", result, calls)
    added = add.add_nodes(result.cluster, 1, bid=None, reporter=Quiet())
    added.conclude()
    _show("one node more", added, calls)
    terminate.terminate(session, "bench", Quiet(), timeout=120)
    print(f"terminate: {_text(calls)}")


def _show(what: str, result: Any, calls: Counter[str]) -> None:
    phases = ", ".join(f"{name} {took:.1f}" for name, took in result.phases.items() if took)
    print(f"{what}: {result.elapsed:.1f} s ({phases}); {_text(calls)}")
    calls.clear()


def _text(calls: Counter[str]) -> str:
    named = ", ".join(f"{name} {number}" for name, number in sorted(calls.items()))
    return f"{calls.total()} API calls ({named})"


if __name__ == "__main__":
    main()
