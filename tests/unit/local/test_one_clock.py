"""Nothing in local/ reads the computer's clock but one module, which tests hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import spotcluster.local

ROOM = Path(spotcluster.local.__file__).parent
READS = {
    *(f"time.{name}" for name in ("time", "time_ns", "localtime", "gmtime", "ctime", "strftime")),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    "datetime.date.today",
    *(f"moto.core.utils.{name}" for name in ("utcnow", "unix_time", "unix_time_millis")),
}


def reads_of_the_clock(code: str) -> Iterator[str]:
    """Yield what in a module's code reads the computer's clock, under its full name."""
    tree = ast.parse(code)
    names: dict[str, str] = {}
    for one in ast.walk(tree):
        if isinstance(one, ast.Import):
            names |= {a.asname or a.name: a.name for a in one.names}
        elif isinstance(one, ast.ImportFrom) and not one.level:
            names |= {a.asname or a.name: f"{one.module}.{a.name}" for a in one.names}
    for one in ast.walk(tree):
        if isinstance(one, ast.Name | ast.Attribute):
            first, _, rest = ast.unparse(one).partition(".")
            full = ".".join(filter(None, (names.get(first, first), rest)))
            if full in READS:
                yield full


@pytest.mark.parametrize(
    "code",
    [
        "import time\nx = time.time()",
        "import time as t\nx = t.time_ns()",
        "from time import time\nx = time()",
        "import datetime\nx = datetime.datetime.now()",
        "import datetime as dt\nx = dt.datetime.now(dt.UTC)",
        "from datetime import datetime as d\nx = d.utcnow()",
        "from datetime import date\nx = date.today()",
        "import time\ndef read(source=time.time): ...",
        "from moto.core.utils import utcnow\nx = utcnow()",
    ],
)
def test_what_reads_the_clock_is_seen(code: str) -> None:
    assert list(reads_of_the_clock(code))


def test_nothing_else_in_the_room_reads_the_computers_clock() -> None:
    found = {
        str(path.relative_to(ROOM)): set(reads_of_the_clock(path.read_text()))
        for path in ROOM.rglob("*.py")
    }
    assert {name: reads for name, reads in found.items() if reads} == {"clock.py": {"time.time"}}
