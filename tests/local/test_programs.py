"""Programs that tests fork end as those that Python starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import programs
import pytest

ENDS = {
    "text": "print('said', end='')",
    "status": "import sys; sys.exit(3)",
    "large status": "import sys; sys.exit(259)",
    "no status": "import sys; sys.exit(None)",
    "reason": "import sys; sys.exit('a reason')",
    "error": "raise ValueError('wrong')",
    "interrupt": "raise KeyboardInterrupt",
    "signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "hook": "import atexit; atexit.register(print, 'the end'); print('first')",
    "thread": "import threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()\nprint('first')",
    "closed": "import sys; print('said'); sys.stdout.close()",
    "unsaid": "import os; os.close(1); print('said')",
}


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
def test_end_is_that_of_a_process_of_pythons(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    file = tmp_path / "program.py"
    file.write_text(code)
    command = [sys.executable, str(file)]
    theirs = subprocess.run(command, capture_output=True, text=True, timeout=60)
    ours = programs.run(command)
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
    assert [*ours.stderr.splitlines()[-1:]] == [*theirs.stderr.splitlines()[-1:]]
