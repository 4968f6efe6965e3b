"""The log file of a run: everything, also what the terminal does not show."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TextIO

from spotcluster import files
from spotcluster.wording import plain

_KEEP = 50
_path: Path | None = None


class _ToFile(logging.StreamHandler[TextIO]):
    lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, and count it."""
        self.lines += 1
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say nothing: a disk that is full must not cover the terminal with tracebacks."""


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return the line without orders to the terminal: much of it comes from nodes."""
        return plain(super().format(record))


def set_up(command: str, *, to_terminal: bool) -> str:
    """Log to a file of this run's own, and to standard error with ``-d``.

    Returns
    -------
    str
        Why there is no file, where this computer's disk is full or may not be written to: no
        command has to fail for that, and `terminate` must not.
    """
    global _path
    logger = logging.getLogger("spotcluster")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    for handler in logger.handlers:
        handler.close()
    problem = ""
    try:
        logger.handlers = [_file(command)]
    except OSError as error:
        _path = None
        logger.handlers = [logging.NullHandler()]
        problem = f"{error.strerror}: {error.filename}"
    if to_terminal:
        on_screen = logging.StreamHandler()
        on_screen.setFormatter(_Plain("%(threadName)s: %(message)s"))
        logger.addHandler(on_screen)
    return problem


def _file(command: str) -> logging.Handler:
    global _path
    folder = files.private_dir("logs")
    for old in sorted(folder.glob("*.log"))[:-_KEEP]:
        old.unlink(missing_ok=True)
    _path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{command}-{os.getpid()}.log"
    handle = os.open(_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    to_file = _ToFile(os.fdopen(handle, "a", encoding="utf-8"))
    to_file.setFormatter(logging.Formatter("%(asctime)s %(threadName)s %(levelname)s %(message)s"))
    return to_file


def path() -> Path | None:
    """Return the log file of this run."""
    return _path


def story(error: BaseException) -> Path | None:
    """Write an error with its traceback; return the file, where that says more than the error.

    That is what was done before, or what the error came from.
    """
    handlers = logging.getLogger("spotcluster").handlers
    before = any(one.lines for one in handlers if isinstance(one, _ToFile))
    exception(error)
    return _path if before or error.__cause__ else None


def exception(error: BaseException) -> None:
    """Write an error with its traceback."""
    logging.getLogger("spotcluster").error("%s", error, exc_info=error)
