"""What passes between us and a controller's hub, and what does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session

from spotcluster.cluster.status.hub import Hub

Answers = Callable[[Session, Any, list[bytes], dict[str, Any]], None]
KEY = b"0f1e"


@contextmanager
def a_hub(answers: Answers, curve: tuple[bytes, bytes] | None = None) -> Iterator[dict[str, Any]]:
    """Run what answers by ipyparallel's own messages; give its connection info."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    if curve:
        router.curve_server = True
        router.curve_publickey, router.curve_secretkey = curve
    port = router.bind_to_random_port("tcp://127.0.0.1")
    theirs = Session(key=b"" if curve else KEY)

    def serve() -> None:
        while router.poll(10_000):
            identity, rest = theirs.feed_identities(router.recv_multipart())
            asked = theirs.deserialize(rest)
            if asked["header"]["msg_type"] == "end":
                return
            answers(theirs, router, identity, asked)

    thread = threading.Thread(target=serve)
    thread.start()
    key = {"curve_serverkey": curve[0].decode(), "key": ""} if curve else {"key": KEY.decode()}
    info = {"interface": "tcp://127.0.0.1", "registration": port, **key}
    try:
        yield info
    finally:
        last = Hub(info)
        with pytest.raises(TimeoutError):
            last.ask("end", 0.05)
        thread.join(10)
        last.close()
        context.destroy(linger=0)


def echo(theirs: Session, router: Any, identity: list[bytes], asked: dict[str, Any]) -> None:
    content = {"status": "ok", "said": asked["content"]}
    theirs.send(router, "reply", content, parent=asked, ident=identity)


@pytest.mark.parametrize("curve", [None, zmq.curve_keypair()])
def test_questions_and_answers_are_those_of_ipyparallels_sessions(curve: Any) -> None:
    with a_hub(echo, curve) as info, closing(Hub(info)) as hub:
        for number in (1, 2):
            assert hub.ask("queue_request", 10.0, targets=None, number=number)["said"] == {
                "targets": None,
                "number": number,
            }


def test_answer_that_comes_too_late_is_not_taken_for_that_to_the_next_question() -> None:
    held: list[Any] = []

    def late(theirs: Session, router: Any, identity: list[bytes], asked: dict[str, Any]) -> None:
        held.append(asked)
        if len(held) == 2:
            for one in held:
                echo(theirs, router, identity, one)

    with a_hub(late) as info, closing(Hub(info)) as hub:
        with pytest.raises(TimeoutError):
            hub.ask("first", 0.05)
        assert hub.ask("second", 10.0, number=2)["said"] == {"number": 2}


def test_answer_that_is_not_signed_with_the_key_is_refused() -> None:
    def forge(theirs: Session, router: Any, identity: list[bytes], asked: dict[str, Any]) -> None:
        echo(Session(key=b"another"), router, identity, asked)

    with (
        a_hub(forge) as info,
        closing(Hub(info)) as hub,
        pytest.raises(OSError, match="not the controller's"),
    ):
        hub.ask("queue_request", 10.0)


@pytest.mark.parametrize("frames", [[b"hello"], [b"<IDS|MSG>", b"", b"{}"]])
def test_answer_of_another_program_is_refused(frames: list[bytes]) -> None:
    def answer(_: Session, router: Any, identity: list[bytes], asked: dict[str, Any]) -> None:
        router.send_multipart([*identity, *frames])

    with (
        a_hub(answer) as info,
        closing(Hub(info)) as hub,
        pytest.raises(OSError, match="not the controller's"),
    ):
        hub.ask("queue_request", 10.0)


def test_refusal_says_why() -> None:
    def refuse(theirs: Session, router: Any, identity: list[bytes], asked: dict[str, Any]) -> None:
        content = {"status": "error", "ename": "IndexError", "evalue": "no such target"}
        theirs.send(router, "hub_error", content, parent=asked, ident=identity)

    with (
        a_hub(refuse) as info,
        closing(Hub(info)) as hub,
        pytest.raises(OSError, match="IndexError: no such target"),
    ):
        hub.ask("queue_request", 10.0)


def test_moments_are_written_as_the_hub_reads_them() -> None:
    from datetime import UTC, datetime

    with a_hub(echo) as info, closing(Hub(info)) as hub:
        when = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
        said = hub.ask("db_request", 10.0, query={"completed": {"$gte": when}})["said"]
        assert json.loads(json.dumps(said)) == {
            "query": {"completed": {"$gte": "2026-11-28T08:00:00+00:00"}}
        }
