"""Hears what worker processes of this computer tell before they answer."""

from __future__ import annotations

import contextlib
import pickle
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOOK = 0.5  # seconds between two looks at whether to end
ALL = 5.0  # seconds that somebody may take to tell something


class Notes(threading.Thread):
    """Calls `heard` with the number of a message, and each note about it.

    They come through a socket in a folder that is this user's alone.

    Attributes
    ----------
    address : str
        Of the socket, see `engine.place.tell`.
    """

    def __init__(self, heard: Callable[[int, dict[str, Any]], None]) -> None:
        super().__init__(name="spotcluster notes", daemon=True)
        self._heard = heard
        self._over = threading.Event()
        self._folder = Path(tempfile.mkdtemp(prefix="spotcluster-"))
        self.address = str(self._folder / "notes")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.settimeout(LOOK)
        self._server.bind(self.address)
        self._server.listen(64)

    def run(self) -> None:
        with self._server:
            while not self._over.is_set():
                with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
                    line, _ = self._server.accept()
                    with line, line.makefile("rb") as file:
                        line.settimeout(ALL)
                        number, note = pickle.load(file)  # noqa: S301 - nobody else may write there
                    self._heard(number, note)
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Hear nothing any more."""
        self._over.set()
