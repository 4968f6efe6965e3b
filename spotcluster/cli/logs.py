"""The log file of a run: everything, also what the terminal does not show."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from spotcluster import files

_KEEP = 50
_path: Path | None = None


def set_up(command: str, *, to_terminal: bool) -> None:
    """Log to a file of this run's own, and to standard error with ``-d``."""
    global _path
    folder = files.private_dir("logs")
    for old in sorted(folder.glob("*.log"))[:-_KEEP]:
        old.unlink(missing_ok=True)
    _path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{command}-{os.getpid()}.log"
    handle = os.open(_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    to_file = logging.StreamHandler(os.fdopen(handle, "a", encoding="utf-8"))
    to_file.setFormatter(logging.Formatter("%(asctime)s %(threadName)s %(levelname)s %(message)s"))
    logger = logging.getLogger("spotcluster")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    for handler in logger.handlers:
        handler.close()
    logger.handlers = [to_file]
    if to_terminal:
        on_screen = logging.StreamHandler()
        on_screen.setFormatter(logging.Formatter("%(threadName)s: %(message)s"))
        logger.addHandler(on_screen)


def path() -> Path | None:
    """Return the log file of this run."""
    return _path


def exception(error: BaseException) -> None:
    """Write an error with its traceback."""
    logging.getLogger("spotcluster").error("%s", error, exc_info=error)
