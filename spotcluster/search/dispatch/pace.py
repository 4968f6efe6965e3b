"""How long messages are: as few as keep every engine busy to the end.

A message costs the client and the controller some milliseconds, whatever is in it, so the more
engines there are the longer messages are: all together they stay a few a second on a small cluster,
and far below what ipyparallel's scheduler can do on a big one. Their lengths differ, so that
engines that have begun together do not all want something at once.

The first ones are sent before anything is known: see `Pace.untried`. Where evaluations differ much
messages are shorter, for what is in a message does not go to others.

Towards the end each message takes up most of the time that is left until all could be done
together, and what remains is spread by what is known then; the less that what evaluations take can
be told beforehand, the smaller that part is.
"""

from __future__ import annotations

from spotcluster.search.dispatch.durations import Durations
from spotcluster.search.dispatch.forecast import Forecast
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.engine import batch

FEW = 4.0  # messages a second of a small cluster, and
MANY = 50.0  # of a big one: half of what may be sent, for the end needs more
SHORT, LONG = 1.0, 6.5  # seconds of work in a message between the two
LEAST = 0.05  # seconds of work in a message near the end, and
BURST = 300.0  # messages a second then
HINTS = 8.0  # notes a second, of all engines, with results of messages that are not done
LEAD = 1.0  # seconds of work that wait in the controller, for engines that will be free then
SPARE = 1  # message that waits beside them
FEWEST = 8  # evaluations that must have been measured before messages are sized by them
FIRST = 32  # messages that wait while nothing is known of how long they take, at most
SHARE = 8  # of an engine's share of all evaluations, the part that it is given before that
MOST_OF_IT, THIRD = 0.9, 1 / 3  # of the time left, by how well durations are known
GOLDEN = 0.6180339887  # its multiples spread evenly, however many there are


class Pace:
    """Decides how many messages there are, and how long each is.

    Parameters
    ----------
    durations : Durations
    forecast : Forecast
    more : bool
        Whether results may bring more evaluations, which are not to wait for long messages.
    """

    def __init__(self, durations: Durations, forecast: Forecast, *, more: bool = False) -> None:
        self._most = THIRD if more else MOST_OF_IT
        self._durations = durations
        self._forecast = forecast
        self._turn = 0.0
        self._more = more
        self._waits = 0, 0.0  # how many evaluations, and the seconds that they take

    def messages(self, engines: int, new: int = 0, waiting: int = 0) -> int:
        """Return how many messages should be under way: running, or waiting for what ends soon.

        Where nothing is ever heard of engines each may be doing something, and end it at any time;
        but not those that are `new`. Where they are heard, one that is silent is about to begin
        what waits for it. While nothing is known it counts how many evaluations are `waiting`.
        """
        several = self._share(engines, waiting) >= 2
        if not self._durations.mean or (several and self._durations.measured < FEWEST):
            return engines + (0 if several else min(engines, FIRST)) + SPARE
        silent = 0 if self._forecast.heard else max(0, engines - new)
        return engines + min(engines, self._forecast.due(LEAD) + silent) + SPARE

    def wanted(self, engines: int, waiting: int) -> float:
        """Return the seconds of work that the next message should hold.

        Parameters
        ----------
        engines : int
            Those that may be given work.
        waiting : int
            How many evaluations are in no message.
        """
        if self._durations.measured < min(engines, FEWEST):  # a few that were quick say nothing
            return 0.0
        self._turn = (self._turn + GOLDEN) % 1.0
        sure = max(THIRD, self._most / (1 + 2 * self._durations.error))
        like = length(engines) * sure / (1 + self._durations.spread)
        usual = max(SHORT, engines / MANY, like) * (0.5 + self._turn)
        left = self.left(engines, waiting) - self._forecast.start(engines)
        part = sure * left
        if part >= usual:
            return usual
        least = max(LEAST, engines / BURST)
        return max(LEAST, part, min(left, least))

    def untried(self, engines: int, waiting: int, nth: int) -> int:
        """Return how many evaluations the next message should hold while nothing is known of them.

        Those of the first few engines are single ones, which tell of the others soon; so are those
        that wait for these engines. In between are some of all sizes, so that they end one by one;
        they come back after a while with what they have, if evaluations take long: see `guess`.

        Parameters
        ----------
        engines : int
        waiting : int
            As for `wanted`.
        nth : int
            How many messages are under way.
        """
        if not FEWEST <= nth < engines:
            return 1
        self._turn = (self._turn + GOLDEN) % 1.0
        return max(1, int(self._share(engines, waiting) * (0.5 + self._turn)))

    def _share(self, engines: int, waiting: int) -> float:
        """Return how many evaluations an engine is given before anything is known of them."""
        return 0.0 if self._more else waiting / engines / SHARE

    def waits(self, number: int, seconds: float) -> None:
        """Take note of what so many evaluations that wait may be expected to take, all that do."""
        self._waits = number, seconds

    def goes(self, message: Message) -> None:
        """Take note that a message has taken some of them."""
        number, seconds = self._waits
        if number > 0:
            self._waits = number - len(message.keys), seconds - message.work

    def left(self, engines: int, waiting: int) -> float:
        """Return in how many seconds all could be done.

        What takes longest goes first, so the average says little of what is left of them then.
        """
        number, seconds = self._waits
        others = self._durations.mean * (waiting - number)  # they have come since
        return (max(0.0, seconds + others) + self._forecast.work()) / engines


def length(engines: int) -> float:
    """Return the seconds of work that messages hold on average while there is plenty of it."""
    return max(min(LONG, engines / FEW), guess(engines))


def guess(engines: int) -> float:
    """Return for how many seconds an engine goes on with evaluations that nothing is known of."""
    return max(SHORT, engines / MANY)


def telling(engines: int) -> float:
    """Return after how many seconds an engine tells of what it has done of a message."""
    return max(batch.PUBLISH, engines / HINTS)
