"""The log of the keeper on the master stays small, however long it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from spotcluster.cluster.lifecycle.keeping import service

PROGRAM = """
import sys
from pathlib import Path
from spotcluster.cluster.lifecycle.keeping import service

for number in range(300):
    print(f"line {number} ".ljust(10_000, "."), flush=True)
    print(f"error {number}", file=sys.stderr, flush=True)
    service.turn(Path("log"))
"""


def test_log_is_begun_anew_and_the_last_one_kept(tmp_path: Path) -> None:
    with (tmp_path / "log").open("a") as log:
        subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=tmp_path, stdout=log, stderr=log, check=True
        )
    assert sorted(one.name for one in tmp_path.iterdir()) == ["log", "log.1"]
    texts = [(tmp_path / name).read_text() for name in ("log.1", "log")]
    assert all(len(one) < service.LONGEST + 20_000 for one in texts)
    numbers = [int(line.split()[1]) for text in texts for line in text.splitlines()]
    assert numbers == [number for number in range(numbers[0], 300) for _ in range(2)]
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0
