"""The demo, when somebody presses Ctrl-C."""

from __future__ import annotations

import signal
from pathlib import Path

import programs
import pytest
from clouds import nothing_is_left
from commands import PROGRAM


@pytest.mark.parametrize("moment", ["master: set-up", "node003: launch", "node001: draining"])
def test_interrupted_demo_cleans_up(spotcluster_home: Path, tmp_path: Path, moment: str) -> None:
    with (
        (tmp_path / "out").open("w") as out,
        programs.spoken([*PROGRAM, "demo"], stdout=out) as (program, lines),
    ):
        for line in lines:
            if moment in line:
                program.send_signal(signal.SIGINT)
                break
        err = "".join(lines)
        assert program.wait(240) == 130, err
    assert "Traceback" not in err
    assert "EC2 says that of 'demo' there is nothing left." in (tmp_path / "out").read_text()
    nothing_is_left(spotcluster_home)
