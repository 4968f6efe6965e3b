"""What the keeper costs the master while nothing happens: processor time and memory.

Of memory that several processes have mapped each has a share in the second of the figures.

    python benchmarks/keeper_cost.py PID [MINUTES]

PID is the keeper's on a master: `pgrep -f keeping.service` there, or on this computer where the
cluster is the local cloud's (`INSTANCE_PROFILE` in its template, see docs/howto/keep.md).
"""

from __future__ import annotations

import sys
import time

import psutil


def main() -> None:
    """Watch it, and print what it took."""
    process = psutil.Process(int(sys.argv[1]))
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0

    def used() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    begin, before, most, shared, own = time.monotonic(), used(), 0, 0, 0
    while time.monotonic() - begin < minutes * 60:
        memory = process.memory_full_info()
        most, own = max(most, memory.rss), max(own, memory.uss)
        shared = max(shared, getattr(memory, "pss", 0))  # which Linux tells
        time.sleep(5)  # between two looks, which cost the computer something too
    passed = time.monotonic() - begin
    share = (used() - before) / passed
    print(
        f"{share:.2%} of a core over {passed / 60:.1f} minutes; at most {most / 1e6:.1f} MB are"
        f" resident (RSS), {shared / 1e6:.1f} with shares of what is shared (PSS), {own / 1e6:.1f}"
        " are shared with nobody (USS)"
    )


if __name__ == "__main__":
    main()
