"""ipyparallel's engine, whose nanny is forked of it.

An engine has a nanny: a process that tells the controller at once when the engine has died, and
hands signals on. ipyparallel starts a Python for it, which imports again what the engine has
imported, while the engine waits: a third of what an engine takes of a processor until it is there.
Here it is forked before the engine has begun, and takes what ipyparallel gives it when that is so.
"""

import os
import sys
from types import SimpleNamespace

if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as of `python -m ipyparallel.engine`

from ipyparallel.engine import app, nanny


def fork_nanny() -> None:
    """Make the process for which ipyparallel would start a Python, and have it take this one."""
    (told, telling), (heard, saying) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for number, (stream, other) in enumerate(((told, telling), (saying, heard))):
                os.close(other)
                os.dup2(stream, number)
                os.close(stream)
            sys.stdin = open(0, closefd=False)  # noqa: SIM115
            sys.stdout = open(1, "w", 1, closefd=False)  # noqa: SIM115
            nanny.main()
        finally:
            os._exit(0)  # what follows here is the engine's
    os.close(told)
    os.close(saying)
    made = SimpleNamespace(
        stdin=os.fdopen(telling, "wb"),
        stdout=os.fdopen(heard, "rb"),
        terminate=lambda: os.kill(pid, 15),
    )
    nanny.Popen = lambda *_, **__: made


if __name__ == "__main__":
    if sys.platform == "linux":  # elsewhere a process that is only forked may not do everything
        fork_nanny()
    app.main()
