"""Hooks that are told what happens: they get it, and nobody waits for them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from commands import wait_until

from spotcluster import files, notify

SECRET = "T0/B1/secret"


@pytest.fixture
def server() -> Iterator[tuple[str, list[Any]]]:
    """Give a URL, and what is sent there."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(404 if "missing" in self.path else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}/{SECRET}", got
        made.shutdown()
        thread.join(10)


def log() -> str:
    path = files.home() / "notify.log"
    return path.read_text() if path.exists() else ""


def test_command_is_told_in_its_environment_and_on_standard_input(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = (
        f'{{ echo "$SPOTCLUSTER_EVENT $SPOTCLUSTER_CLUSTER $SPOTCLUSTER_TEXT"; cat; }} >{told}'
    )
    notify.tell(command, "ready", "mycluster", "It is ready; $(touch x)", nodes=3)
    wait_until("the hook", lambda: "told" in log(), 60)
    first, second = told.read_text().split("\n", 1)
    assert first == "ready mycluster It is ready; $(touch x)"
    said = json.loads(second)
    assert (said["event"], said["nodes"]) == ("ready", 3)
    assert abs(said["time"] - time.time()) < 60


def test_web_hook_is_told_and_its_url_is_in_no_log(server: tuple[str, list[Any]]) -> None:
    url, got = server
    notify.tell(url, "stopped", "mycluster", "It has stopped.")
    notify.tell(f"{url}/missing", "lost", "mycluster", "node001 is gone.")
    wait_until("both", lambda: "stopped: told" in log() and "did not take it" in log(), 60)
    assert sorted(one["text"] for one in got) == ["It has stopped.", "node001 is gone."]
    assert "the web hook did not take it: HTTPError 404" in log()
    assert SECRET not in log()


def test_hook_that_hangs_delays_nobody_and_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "LIMIT", 1.0)
    begin = time.monotonic()
    notify.tell(f"(sleep 5; touch {tmp_path}/late) & sleep 600", "ready", "mycluster", "")
    assert time.monotonic() - begin < 1.0
    wait_until("its end", lambda: "had not ended after 1 s" in log(), 60)
    time.sleep(5.0)
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize("hook", ["exit 3", "/nowhere/at/all", "http://127.0.0.1:1/x", "http://["])
def test_hook_that_fails_fails_nobody_and_says_so(hook: str) -> None:
    notify.tell(hook, "ready", "mycluster", "")
    wait_until("the log", lambda: "ready: " in log(), 60)
    assert "ready: told" not in log()
    assert "Traceback" not in log()


def test_without_a_hook_or_a_disk_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    notify.tell(None, "ready", "mycluster", "")
    notify.tell("", "ready", "mycluster", "")
    assert log() == ""

    def full() -> Any:
        raise OSError("no space left on device")

    monkeypatch.setattr(notify, "_log", full)
    notify.tell("true", "ready", "mycluster", "")


def test_searches_tell_the_hook_of_their_client(tmp_path: Path) -> None:
    class Client:
        pass

    mine, other = Client(), Client()
    notify.use(mine, f"cat >{tmp_path}/told", "mycluster")
    notify.tell_for(other, "search done", "no")
    notify.tell_for(mine, "search done", "yes")
    wait_until("the hook", lambda: "search done: told" in log(), 60)
    assert json.loads((tmp_path / "told").read_text())["text"] == "yes"


def test_node_that_a_search_sees_taken_is_told_as_the_clients_cluster_tells_it() -> None:
    class Client:
        pass

    told: list[str] = []
    mine, other, silent = Client(), Client(), Client()
    notify.use(mine, "true", "mycluster", told.append)
    notify.use(other, "true", "mycluster")
    notify.use(silent, None, "mycluster", told.append)
    for one in (other, silent, object(), mine):
        notify.node_lost(one, "node001")
    wait_until("it", lambda: told == ["node001"], 60)
