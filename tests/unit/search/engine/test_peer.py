"""For how long a host serves split files; who is served is tested in tests/engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spotcluster.search.engine import peer


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """`peer.offer`, on this machine alone, for searches that are over after 0.2 s."""
    monkeypatch.setattr(peer, "_address", lambda: "127.0.0.1")
    monkeypatch.setattr(peer, "_server", None)
    monkeypatch.setattr(peer, "_worked", {})
    monkeypatch.setattr(peer, "IDLE", 0.2)
    monkeypatch.setattr(peer, "LOOK", 10)
    yield peer.offer
    if peer._server is not None:
        peer._server.searches.clear()
        peer._server.join(60)


def server() -> peer.Server:
    assert peer._server is not None
    return peer._server


def test_server_ends_when_its_client_was_killed(offer: Callable[..., Any]) -> None:
    offer("search", "bundle", [])
    server().join(60)
    assert not server().is_alive()


def test_server_goes_on_while_an_evaluation_runs_and_ends_after_the_last(
    offer: Callable[..., Any],
) -> None:
    with peer.working("bundle"):
        offer("search", "bundle", [])
        server().join(3 * peer.IDLE)
        assert server().is_alive()
    server().join(60)
    assert not server().is_alive()


def test_evaluations_of_another_search_do_not_keep_a_server(offer: Callable[..., Any]) -> None:
    with peer.working("another bundle"):
        offer("search", "bundle", [])
        server().join(60)
        assert not server().is_alive()


def test_server_goes_on_for_the_search_that_is_left(
    offer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "IDLE", 60.0)
    first = offer("one", "bundle", [])
    assert offer("two", "bundle", [])["address"] == first["address"]
    peer.withdraw("one")
    server().join(10 * peer.LOOK / 1000)
    assert server().is_alive()
    peer.withdraw("two")
    server().join(peer.IDLE / 2)
    assert not server().is_alive()
    assert offer("three", "bundle", [])["key"] != first["key"]
