"""How far something is that takes minutes, in a notebook; elsewhere it is quiet."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from spotcluster import notebooks
from spotcluster.cluster.reporter import Quiet, Reporter
from spotcluster.notebooks import AMBER, RED, WORD, escaped

_OFTEN = 0.2  # seconds between two pictures, where something has happened
_TICK = 1.0  # and where nothing has
_NOTES = 8
_NODES = 20  # that have a line each; of more, those that are not ready


class Shown(Quiet):
    """Shows in a cell which stage each node is in; logs it, too.

    Parameters
    ----------
    what : str
        What is done.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = time.monotonic()
        self._stages: dict[str, tuple[str, str]] = {}
        self._notes: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._changed = False
        self._over = threading.Event()
        self._handle: Any = None
        self._drawing = threading.Thread(target=self._draw, name=f"shown: {what}", daemon=True)

    def stage(self, alias: str, stage: str) -> None:
        """Show it."""
        super().stage(alias, stage)
        with self._lock:
            self._stages[alias] = (stage, "")
            self._changed = True

    def failed(self, alias: str, message: str) -> None:
        """Show it."""
        super().failed(alias, message)
        with self._lock:
            self._stages[alias] = ("failed", RED)
            self._notes.append((f"{alias} failed: {message}", RED))
            self._changed = True

    def note(self, message: str) -> None:
        """Show it."""
        super().note(message)
        with self._lock:
            self._notes.append((message, AMBER))
            self._changed = True

    def begin(self) -> None:
        """Show it in this cell, and keep that up to date."""
        from IPython.display import HTML, display

        page = HTML(self.page(0.0))  # type: ignore[no-untyped-call]
        self._handle = display(page, display_id=True)  # type: ignore[no-untyped-call]
        self._drawing.start()

    def end(self, *, failed: bool) -> None:
        """Show the last of it."""
        self._over.set()
        self._drawing.join()
        self._update("stopped" if failed else "done")

    def _draw(self) -> None:
        drawn = time.monotonic()
        while not self._over.wait(_OFTEN):
            with self._lock:
                changed, self._changed = self._changed, False
            if changed or time.monotonic() > drawn + _TICK:
                drawn = time.monotonic()
                self._update()

    def _update(self, ending: str = "") -> None:
        from IPython.display import HTML

        with self._lock:
            page = self.page(time.monotonic() - self._begun, ending)
        self._handle.update(HTML(page))  # type: ignore[no-untyped-call]

    def page(self, seconds: float, ending: str = "") -> str:
        """Return it as HTML."""
        stages = list(self._stages.items())
        if len(stages) > _NODES:
            stages = [one for one in stages if one[1][0] != "ready"][:_NODES]
        rows = [
            (
                escaped(alias),
                f'<span style="font-weight:{600 if colour else 400}">{escaped(stage)}</span>',
            )
            for alias, (stage, colour) in stages
        ]
        ready = sum(stage == "ready" for stage, _ in self._stages.values())
        count = f", {ready} of {len(self._stages)} ready" if ready else ""
        return notebooks.block(
            f"<div><b>{escaped(self._what)}</b> "
            f'<span style="opacity:0.75">{ending or "…"} {seconds:.0f} s{count}</span></div>',
            notebooks.table((("node", WORD), ("", WORD)), rows) if rows else "",
            *(notebooks.line(text, colour) for text, colour in self._notes[-_NOTES:]),
        )


@contextlib.contextmanager
def progress(what: str, *, quiet: bool) -> Iterator[Reporter]:
    """Give a reporter that shows what is done, where there is a notebook to show it in."""
    if quiet or not notebooks.is_here():
        yield Quiet()
        return
    shown = Shown(what)
    shown.begin()
    try:
        yield shown
    except BaseException:
        shown.end(failed=True)
        raise
    shown.end(failed=False)
