"""Eventual consistency on demand: what was made a moment ago is not found for some calls.

For the length of one call a thing is taken out of moto's books, and then put back. That happens for
calls that look for things of its kind only: EC2 refuses to delete the group of an instance that it
does not list yet, and does not give its address to another one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_TAGGING = ("CreateTags", "DeleteTags", "DescribeTags")
_LOOKING = {
    "i-": (
        *("DescribeInstances", "DescribeInstanceStatus", "TerminateInstances", "StopInstances"),
        *("StartInstances", "RebootInstances", "GetConsoleOutput", *_TAGGING),
    ),
    "sg-": (
        *("DescribeSecurityGroups", "AuthorizeSecurityGroupIngress", "RunInstances"),
        *("RevokeSecurityGroupIngress", "DeleteSecurityGroup", *_TAGGING),
    ),
    "vol-": ("DescribeVolumes", "DeleteVolume", *_TAGGING),
    "sir-": ("DescribeSpotInstanceRequests", "CancelSpotInstanceRequests", *_TAGGING),
}


@dataclass
class _Lag:
    """A thing that some calls do not know of yet, or whose tags they do not see."""

    id: str
    calls: int
    tags_only: bool

    def concerns(self, action: str) -> bool:
        kind = self.id.partition("-")[0] + "-"
        return self.calls > 0 and action in _LOOKING.get(kind, ())


class Lags:
    """The things of one region that are not known everywhere yet; used under the cloud's lock."""

    def __init__(self) -> None:
        self._lags: list[_Lag] = []

    @contextlib.contextmanager
    def noting(self, backend: Any, *, things: int, tags: int) -> Iterator[None]:
        """Let what is made meanwhile not be known for so many calls, its tags for so many."""
        before = _ids(backend)
        yield
        for one in _ids(backend) - before:
            for calls, tags_only in ((things, False), (tags, True)):
                if calls:
                    self._lags.append(_Lag(one, calls, tags_only))

    @contextlib.contextmanager
    def hiding(self, backend: Any, action: str) -> Iterator[None]:
        """Take out what a call does not know of yet, and put it back after the call."""
        concerned = [lag for lag in self._lags if lag.concerns(action)]
        put_back: list[Callable[[], object]] = []
        for lag in concerned:
            lag.calls -= 1
            hide = _hide_tags if lag.tags_only else _hide
            put_back.append(hide(backend, lag.id))
        self._lags = [lag for lag in self._lags if lag.calls > 0]
        try:
            yield
        finally:
            for undo in reversed(put_back):
                undo()


def _ids(backend: Any) -> set[str]:
    groups = {name for groups in backend.groups.values() for name in groups}
    return {
        *(instance.id for instance in backend.instances()),
        *groups,
        *backend.volumes,
        *backend.spot_instance_requests,
    }


def _hide(backend: Any, wanted: str) -> Callable[[], object]:
    """Take a thing out of the book that it is in; return what puts it back."""
    if wanted.startswith("i-"):
        for reservation in backend.reservations.values():
            whole = list(reservation.instances)
            rest = [one for one in whole if one.id != wanted]
            if len(rest) < len(whole):
                reservation.instances = rest

                def undo(reservation: Any = reservation, whole: Any = whole) -> None:
                    reservation.instances = whole

                return undo
        return lambda: None
    books = [backend.volumes, backend.spot_instance_requests, *backend.groups.values()]
    for book in books:
        if wanted in book:
            thing = book.pop(wanted)
            return lambda: book.__setitem__(wanted, thing)
    return lambda: None


def _hide_tags(backend: Any, wanted: str) -> Callable[[], object]:
    hidden = backend.tags.pop(wanted, {})

    def undo() -> None:
        backend.tags[wanted] = {**hidden, **backend.tags.get(wanted, {})}

    return undo
