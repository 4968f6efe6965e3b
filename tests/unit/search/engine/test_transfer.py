"""Files from another host, which may go while they come; tests/engines has what becomes of it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from spotcluster.search.engine import here, transfer

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files come to; what does not answer is waited for."""
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(tmp_path))
    monkeypatch.setattr(transfer, "BLOCK", 1 << 16)
    monkeypatch.setattr(transfer, "MEETING", 30_000)
    monkeypatch.setattr(transfer, "ANSWER", 30_000)
    return tmp_path / "splits"


def serving(answers: int) -> tuple[dict[str, Any], threading.Thread]:
    """Start another host, which goes after so many answers."""
    context = zmq.Context()
    link = context.socket(zmq.ROUTER)
    public, link.curve_secretkey = zmq.curve_keypair()
    link.curve_server = True
    port = link.bind_to_random_port("tcp://127.0.0.1")

    def serve() -> None:
        try:
            for _ in range(answers):
                assert link.poll(60_000)
                who, question = link.recv_multipart()
                _, start, size = json.loads(question)
                data = CONTENT[start : start + size]
                link.send_multipart([who, str(start).encode(), str(size).encode(), data])
        finally:
            link.close(linger=60_000)
            context.term()

    thread = threading.Thread(target=serve)
    thread.start()
    return {"address": f"tcp://127.0.0.1:{port}", "key": public.decode()}, thread


def fetch(peer: dict[str, Any]) -> int:
    return transfer.fetch(peer, DIGEST, "upload", 0, len(CONTENT))


def test_a_file_comes_from_another_host(store: Path) -> None:
    peer, thread = serving(len(CONTENT) >> 16)
    assert fetch(peer) == len(CONTENT)
    transfer.complete(DIGEST, "upload", len(CONTENT))
    assert (store / f"{DIGEST}.pkl").read_bytes() == CONTENT
    thread.join(60)


@pytest.mark.parametrize("answers", [0, 3])
def test_a_host_that_has_gone_is_not_waited_for(answers: int) -> None:
    peer, thread = serving(answers)
    if not answers:
        thread.join(60)
    with pytest.raises(OSError, match="has gone"):
        fetch(peer)
    thread.join(60)


def test_a_host_that_is_there_and_silent_is_waited_for_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfer, "MEETING", 200)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as link:
        public, link.curve_secretkey = zmq.curve_keypair()
        link.curve_server = True
        port = link.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(OSError, match="does not answer"):
            fetch({"address": f"tcp://127.0.0.1:{port}", "key": public.decode()})


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Tells how many files were read for their digests."""
    own, read = here.file_digest, []

    def counted(path: str) -> str:
        read.append(path)
        return own(path)

    monkeypatch.setattr(here, "file_digest", counted)
    return lambda: len(read)


@pytest.mark.parametrize("changed", [False, True])
def test_a_file_that_has_come_is_read_for_its_digest_once_unless_it_has_changed(
    store: Path, reads: Callable[[], int], changed: bool
) -> None:
    file = {"path": "/nowhere", "size": len(CONTENT), "digest": DIGEST}
    transfer.receive(DIGEST, "upload", 0, CONTENT)
    transfer.complete(DIGEST, "upload", len(CONTENT))
    before = reads()
    if changed:
        (store / f"{DIGEST}.pkl").write_bytes(CONTENT[::-1])
        os.utime(store / f"{DIGEST}.pkl", (1, 1))  # two writes may have the same time
    assert here.locate("bundle", [file]) == ([DIGEST] if changed else [])
    assert reads() - before == changed
    assert here.locate("bundle", [file]) == ([DIGEST] if changed else [])
    assert reads() - before == 1 + changed  # later ones read it
