"""What a person at a terminal is asked."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from spotcluster import config
from spotcluster.wording import plain

CTRL_C = "\x03"


def at_a_terminal(
    words: Sequence[str],
    answers: Sequence[tuple[str, str]],
    program: Sequence[str] = ("-m", "spotcluster"),
) -> tuple[int, str]:
    """Run the program at a terminal; type each answer when its question has been shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, *program, *words])
    shown = ""
    waiting = list(answers)
    end = time.monotonic() + 240
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            if answers and not waiting and answers[-1][1] == CTRL_C:
                # A signal between printing a prompt and readline's waiting for keys is seen by
                # Python at the next key only; a person presses it again too.
                os.write(terminal, CTRL_C.encode())
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data.decode(errors="replace")
        if waiting and waiting[0][0] in shown:
            os.write(terminal, waiting.pop(0)[1].encode())
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert not waiting, f"never asked {waiting[0][0]!r}:\n{shown}"
    return os.waitstatus_to_exitcode(status), shown


def test_without_a_config_the_template_is_written_when_asked_for(spotcluster_home: Path) -> None:
    status, shown = at_a_terminal(["help"], [("Please enter your selection", "2\n")])
    path = spotcluster_home / "config"
    assert status == 0
    assert "[1] Show" in shown
    assert path.stat().st_mode & 0o777 == 0o600
    assert config.load(path).clusters


def test_without_a_config_the_template_is_shown_when_asked_for(spotcluster_home: Path) -> None:
    status, shown = at_a_terminal([], [("Please enter your selection", "1\n")])
    assert status == 0
    assert "SETUP_CLASS" in shown
    assert not (spotcluster_home / "config").exists()


def test_leaving_the_menu_writes_nothing(spotcluster_home: Path) -> None:
    status, _ = at_a_terminal(["help"], [("Please enter your selection", "q\n")])
    assert status == 0
    assert not (spotcluster_home / "config").exists()


def test_ctrl_c_at_a_question_is_130(spotcluster_home: Path) -> None:
    status, shown = at_a_terminal(["help"], [("Please enter your selection", CTRL_C)])
    assert status == 130
    assert "Interrupted" in shown
    assert "Traceback" not in shown


def test_no_was_called_an_interrupt() -> None:
    code = "from spotcluster.cli import output\nimport sys\n"
    code += (
        "try: output.confirm('Sure?', yes=False)\nexcept Exception as end: sys.exit(end.exit_code)"
    )
    status, shown = at_a_terminal(["-c", code], [("Sure?", "n\n")], program=())
    assert status == 1
    assert "Interrupted" not in shown


def test_cell_of_a_notebook_gets_lines_and_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jupyter gives `!command` a terminal and FORCE_COLOR, but can neither draw over nor answer."""
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    code = (
        "from spotcluster.cli import output\n"
        "output.error('wrong')\n"
        "output.table('', ['name'], [['mycluster']])\n"
        "with output.progress() as reporter: reporter.stage('node001', 'ready')\n"
        "try: output.confirm('Sure?', yes=False)\n"
        "except Exception as error: print(error)\n"
    )
    status, shown = at_a_terminal(["-c", code], [], program=())
    assert status == 0
    assert "\x1b" not in shown
    assert "s] node001: ready" in shown
    assert "Sure? Nobody can answer here: say --yes." in shown


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "/a/file/that/is/nowhere", "start", "mycluster"],
        ["start", "-r", "local", "a-cluster-of-a-name-that-is-long"],
        ["-r", "us-esat-1", "listclusters"],
    ],
)
def test_words_of_errors_were_cut_in_two_at_the_edge_of_a_terminal(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    status, shown = at_a_terminal(words, [])
    lines = [line for line in plain(shown).splitlines() if line]
    assert status == 2
    assert len(lines) > 1
    assert all(len(line) <= 50 for line in lines), lines
    assert shown.count("`") % 2 == 0
    for line in lines:
        assert line.count("`") % 2 == 0, line


def test_what_is_in_brackets_was_taken_for_a_style_and_left_out() -> None:
    code = "from spotcluster.cli import output; output.out.print('pip install spotcluster[plot]')"
    _, shown = at_a_terminal(["-c", code], [], program=())
    assert "spotcluster[plot]" in shown
