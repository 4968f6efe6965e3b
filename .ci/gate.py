"""The gate, in parts that have names.

Three parts run side by side, on machines that have two cores: each waits now and then, for a boot
or an engine, and no core is idle meanwhile. What a part prints is shown whole when it has ended. A
part that fails does not end the others: whoever waits for the gate is to learn everything from it
at once.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

from part import FOLDER, Part, about, end

ROOT = Path(__file__).resolve().parent.parent
# In this order: what is soon said begins. Then come the two that are longest and wait most, with
# what is short or does one thing at a time beside them, one after the other; what keeps all cores
# busy comes last.
DAILY = ["install", "lint", "deps", "types", "machines", "local", "ipyparallel", "dashboard"]
DAILY += ["moto", "sklearn", "docs", "sweep", "quick"]
AT_ONCE = 3
CLOSING = re.compile(r"^(?:FAILED|ERROR) .*|^=+ .* in [0-9.]+s.*", re.MULTILINE)


def readme_command() -> tuple[str, str]:
    """Return the README's command for the tests, in two: what it promises is what is done here."""
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"<!-- tests -->\n```sh\n(.+) && (.*\bpytest\b.*)\n```", readme)
    if not found:
        sys.exit("README.md has no command for the tests that ends with `&& pytest ...`")
    return found[1], found[2]


def explain() -> str:
    """Return the parts and what they are for."""
    others = sorted(path.name for path in FOLDER.iterdir() if path.name not in DAILY)
    lines = [
        f"{title}\n" + "".join(f"  {name:12}{about(name)}\n" for name in names)
        for title, names in (("Every change must pass:", DAILY), ("By name only:", others))
    ]
    return "Usage: .ci/run [PART...]\n\n" + "\n".join(lines)


def run(names: list[str], environment: dict[str, str]) -> list[Part]:
    """Run the parts, some at once, and return them as they ended; Ctrl-C ends them all."""
    waiting, running, done = list(names), dict[int, Part](), list[Part]()
    try:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                part = Part.start(waiting.pop(0), environment, alone=len(names) == 1)
                running[part.process.pid] = part
            pid, status, used = os.wait4(-1, 0)
            if pid in running:
                done.append(running.pop(pid))
                done[-1].ended(status, used.ru_utime + used.ru_stime)
    except KeyboardInterrupt:
        end([*running.values()])
        raise
    return done


def table(parts: list[Part]) -> str:
    """Return what each part took, after the lines that pytest closed with."""
    closing = [line for part in parts for line in CLOSING.findall(part.printed())]
    rows = [f"{one.name:12}{one.result:8}{one.wall:10.0f}{one.cpu:10.0f}" for one in parts]
    header = f"{'part':12}{'':8}{'seconds':>10}{'of CPU':>10}"
    return "\n".join(["", *closing, "", header, *rows])


def main(names: list[str]) -> int:
    """Run the gate, or the parts that are named."""
    if {"-h", "--help"} & set(names):
        print(explain())
        return 0
    known = {path.name for path in FOLDER.iterdir()}
    if unknown := [name for name in names if name not in known]:
        print(f"No such part: {', '.join(unknown)}\n\n{explain()}")
        return 2

    os.chdir(ROOT)
    install, tests = readme_command()
    environment = {**os.environ, "INSTALL": install, "TESTS": tests}
    done = run(["install"], environment)
    if done[0].result == "passed":
        done += run([name for name in names or DAILY if name != "install"], environment)
    print(table(done), flush=True)
    return int(any(part.result != "passed" for part in done))


def interrupt(*_: object) -> None:
    """End as Ctrl-C does, whatever was sent."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Also where whoever started this ignores Ctrl-C: the tests press it, and would inherit that.
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
