"""One open page: what it shows, and what it asks for."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from importlib import resources
from typing import Any

from bokeh.core.properties import String
from bokeh.document import Document
from bokeh.model import DataModel

from spotcluster.dashboard import actions, figures
from spotcluster.dashboard.figures import ScoreFigures, WorkFigure
from spotcluster.dashboard.look import Source
from spotcluster.dashboard.scores import Scores
from spotcluster.dashboard.snapshot import SearchRow, Snapshot
from spotcluster.dashboard.tables import Wish
from spotcluster.dashboard.views import engines, nodes, record, searches, summary

log = logging.getLogger("spotcluster.dashboard")

_OFTEN = 500  # milliseconds between two looks at the snapshot
_SILENT = 2.0  # seconds after which a page hears that nothing is new
_LONGEST = 100_000  # characters of what a page may ask; a thousand nodes have 10,000


class Bridge(DataModel):
    """What goes to the page, and what comes from it, as JSON; all else goes to the plots."""

    said: Any = String(default="")
    asked: Any = String(default="")


class Page:
    """A page; all of it runs in the server's loop.

    Parameters
    ----------
    number : str
        What tells it from others.
    """

    def __init__(self, number: str, source: Source) -> None:
        self._number, self._source = number, source
        self._wishes: dict[str, Wish] = {"nodes": Wish(sort="node"), "engines": Wish(sort="node")}
        self._search: str | None = None
        self._job: int | None = None
        self._parameter = ""
        self._answer: dict[str, Any] | None = None
        self._shown: Snapshot | None = None
        self._drawn: tuple[Any, ...] = ()
        self._said: dict[str, str] = {}
        self._spoke = 0.0
        self.work, self.scores = WorkFigure(), ScoreFigures()
        self.bridge = Bridge(name="bridge")
        self.work.plot.tags = [self.bridge]
        self._captions: dict[str, str] = {}
        self._paint(dark=False)
        self.bridge.on_change("asked", lambda _attribute, _old, new: self._asked(new))

    # --- showing ----------------------------------------------------------------------------------

    def first(self) -> dict[str, Any]:
        """Return everything that the page shows, for its first paint."""
        parts = self._parts(self._source.snapshot)
        self._said = {name: _json(part) for name, part in parts.items()}
        return parts

    def update(self) -> None:
        """Show what is new, if anything is."""
        seen = self._source.snapshot
        if seen is not self._shown:
            self._show(seen)
        elif time.monotonic() - self._spoke > _SILENT:
            self._say("")

    def _show(self, seen: Snapshot) -> None:
        said = {name: _json(part) for name, part in self._parts(seen).items()}
        news = {name: text for name, text in said.items() if self._said.get(name) != text}
        self._said = said
        if news:
            self._say(",".join(f"{json.dumps(name)}:{text}" for name, text in news.items()))

    def _say(self, parts: str) -> None:
        """Say something, or only that the connection is there."""
        self._spoke = time.monotonic()
        self.bridge.said = f'{{"at":{time.time()},"parts":{{{parts}}}}}'

    def _parts(self, seen: Snapshot) -> dict[str, Any]:
        self._shown = seen
        one = searches.chosen(seen, self._search)
        self._source.want(self._number, search=one.id if one else None, job=self._job)
        scores = seen.scores.get(one.id) if one else None
        parameters = list(scores.spreads) if scores else []
        if self._parameter not in parameters:
            self._parameter = parameters[0] if parameters else ""
        self._draw(seen, one, scores)
        found = {
            "head": summary.head(seen),
            "figures": summary.figures(seen),
            "questions": summary.questions(seen),
            "searches": searches.choices(seen, one),
            "search": searches.detail(seen, one),
            "parameters": {"all": parameters, "chosen": self._parameter},
            "captions": self._captions,
            "failures": searches.failures(scores, self._wish("failures")),
            "nodes": nodes.TABLE.part(seen.nodes, self._wish("nodes")),
            "workers": [node.alias for node in seen.nodes if not node.is_master],
            "engines": engines.TABLE.part(seen.engines, self._wish("engines")),
            "jobs": record.JOBS.part(seen.jobs, self._wish("jobs")),
            "events": record.EVENTS.part(
                [(happening, seen.taken_at) for happening in seen.events], self._wish("events")
            ),
            "doings": record.doings(seen.doings, seen.taken_at),
            "log": self._log(),
        }
        return found if self._answer is None else {**found, "answer": self._answer}

    def _wish(self, table: str) -> Wish:
        return self._wishes.get(table, Wish())

    def _log(self) -> dict[str, Any] | None:
        if self._job is None:
            return None
        text = self._source.printed(self._job)
        return {"job": self._job, "text": "Being fetched …" if text is None else text}

    def _draw(self, seen: Snapshot, one: SearchRow | None, scores: Scores | None) -> None:
        self._captions = {**self._captions, "work": self.work.show(seen)}
        drawn = (one.id if one else "", scores, self._parameter)
        if drawn != self._drawn:
            self._drawn = drawn
            self._captions |= self.scores.show(one, scores, self._parameter)

    def _paint(self, *, dark: bool) -> None:
        colours = figures.paint([self.work.plot, *self.scores.plots], dark=dark)
        self.work.paint(colours)

    # --- being asked ------------------------------------------------------------------------------

    def _asked(self, text: str) -> None:
        """Do what the page asks for; it may be anything."""
        try:
            given = json.loads(text[:_LONGEST])
            do = str(given["do"])
        except (ValueError, KeyError, TypeError):
            log.warning("a page asks for what is no request")
            return
        change = self._changes.get(do)
        if change is not None:
            change(self, given)
        else:
            self._act(given)
        self._show(self._source.snapshot)

    def _act(self, given: dict[str, Any]) -> None:
        number = given.get("n")
        try:
            wanted = actions.asked(given, self._source.snapshot)
            self._source.carry_out(wanted)
        except actions.Refused as refused:
            self._answer = {"n": number, "error": str(refused)}
        except OSError as error:
            self._answer = {"n": number, "error": f"It did not start: {error.strerror}."}
        else:
            self._answer = {"n": number, "started": wanted.title}

    def _table(self, given: dict[str, Any]) -> None:
        name = str(given.get("table"))
        if name in ("nodes", "engines", "jobs", "events", "failures"):
            self._wishes[name] = Wish.of(given)

    def _choose(self, given: dict[str, Any]) -> None:
        self._search = str(given.get("search"))

    def _by(self, given: dict[str, Any]) -> None:
        self._parameter = str(given.get("parameter"))

    def _open(self, given: dict[str, Any]) -> None:
        job = given.get("job")
        self._job = job if isinstance(job, int) else None

    def _scheme(self, given: dict[str, Any]) -> None:
        self._paint(dark=bool(given.get("dark")))
        # It says so when it has connected; what was said before, nobody may have heard.
        self._said = {}

    _changes: dict[str, Callable[[Page, dict[str, Any]], None]] = {  # noqa: RUF012 - of the class
        "table": _table,
        "search": _choose,
        "parameter": _by,
        "job": _open,
        "scheme": _scheme,
    }


def open_page(document: Document, source: Source) -> None:
    """Make a page of a document that a browser asks for."""
    number = document.session_context.id if document.session_context else "page"
    page = Page(number, source)
    first = page.first()
    for plot in (page.work.plot, *page.scores.plots):
        document.add_root(plot)
    document.title = f"{source.snapshot.name} – spotcluster"  # noqa: RUF001
    document.template = _static("page.html")  # type: ignore[assignment] # a text is one, too
    document.template_variables.update(
        style=_static("page.css"),
        program=_static("page.js"),
        # What closes a script, in whatever it says, closes nothing.
        # And half a character, which any parameter may be, cannot be sent but as an escape.
        first=json.dumps(first, separators=(",", ":")).replace("<", "\\u003c"),
        cluster=source.snapshot.name,
    )
    document.add_periodic_callback(page.update, _OFTEN)
    document.on_session_destroyed(lambda _context: source.leave(number))


def _static(name: str) -> str:
    return resources.files("spotcluster.dashboard").joinpath("static", name).read_text("utf-8")


def _json(part: Any) -> str:
    return json.dumps(part, ensure_ascii=False, separators=(",", ":"))
