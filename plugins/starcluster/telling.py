"""What StarCluster's plugins log is told to who runs the command, by whichever hook is running."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from spotcluster import wording

log = logging.getLogger("spotcluster.starcluster")

_tell: ContextVar[Callable[[str], None] | None] = ContextVar("tell", default=None)


class _ToTheUser(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if tell := _tell.get():
            for line in wording.plain(record.getMessage()).splitlines():
                tell(line)


log.addHandler(_ToTheUser(logging.INFO))
log.setLevel(logging.DEBUG)


@contextlib.contextmanager
def to(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell what is logged in the block, in threads that it begins too, to `tell`, a line each."""
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)
