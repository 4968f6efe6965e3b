"""EC2 of the tests, in a process of its own: runs a client before it, and passes on what it prints.

python _stub_cloud.py CHECKOUT WORKERS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path


def main() -> None:
    """Run it."""
    tree, workers = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    with tempfile.TemporaryDirectory(prefix="scb-") as name:
        folder, home = Path(name), Path(name) / "home"
        home.mkdir(mode=0o700)
        own = {
            "SPOTCLUSTER_HOME": str(home),
            "HOME": name,
            "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "NO_PROXY": "127.0.0.1",
        }
        os.environ.update(own)
        from faults.world import running

        with running(folder, home) as world:
            world.cloud.most_instances = 2000
            world.cloud.limits.on = bool(os.environ.get("BENCH_FAR"))
            program = Path(__file__).with_name("_stub_client.py")
            done = subprocess.run(
                [sys.executable, str(program), tree, workers],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode or json.loads(done.stdout)["status"]:
                sys.exit(f"the client failed: {done.stdout}\n{done.stderr[-2000:]}")
            calls = Counter(one for one in world.calls if ": " not in one)
    print(json.dumps({**json.loads(done.stdout), "calls": dict(calls)}))


if __name__ == "__main__":
    main()
