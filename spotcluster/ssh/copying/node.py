"""The node's end of a copy."""

from __future__ import annotations

import os
import sys
import threading
import time

from . import wire
from .receiver import Receiver
from .relay import Relay
from .sender import Sender
from .wire import Pipe, RefusedError, Watch, from_wire, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(mark: str) -> None:
    """Do what the request says, over standard input and output."""
    raw = os.dup(1)
    os.dup2(2, 1)  # what prints by mistake must not be taken for a frame
    source: Any = sys.stdin.buffer

    def write(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(raw, rest) :]

    write(mark.encode() + b"\n")
    pipe = Pipe(source.read1, write)
    threading.Thread(target=_end_when_silent, args=(pipe,), daemon=True).start()
    try:
        _serve(pipe)
    except RefusedError as error:
        pipe.tell(wire.FATAL, [error.code, error.text])
    except EOFError:
        os._exit(1)
    except BrokenPipeError:
        os._exit(1)
    except OSError as error:
        pipe.tell(wire.FATAL, ["failed", reason(error)])
    pipe.flush()


def _serve(pipe: Pipe) -> None:
    home = os.path.expanduser("~")
    os.chdir(home)
    _, payload = pipe.expect()
    asked = wire.parsed(payload)
    if asked["what"] == "take":
        receiver = Receiver(pipe, _at_home(asked["dest"]), Watch())
        receiver.run()
        pipe.tell(wire.RESULT, receiver.failed)
        return
    if asked["what"] == "pass":
        asked["names"] = _names(pipe)
        Relay(pipe, asked, _at_home(asked["base"])).run()
        return
    sources = [_at_home(one) for one in asked["sources"]]
    sender = Sender(pipe, sources, Watch(), follow=asked["follow"])
    if asked["what"] == "give":
        sender.run()
    else:
        sender.announce()
        sender.serve()


def _names(pipe: Pipe) -> list[Any]:
    found: list[Any] = []
    while True:
        kind, payload = pipe.expect()
        if kind == wire.END:
            return found
        found += wire.parsed(payload)


def _at_home(name: str) -> bytes:
    raw = from_wire(name)
    if raw == b"~" or raw.startswith(b"~/"):
        raw = os.fsencode(os.path.expanduser("~")) + raw[1:]
    return raw


def _end_when_silent(pipe: Pipe) -> None:
    """End when the other end says nothing any more: it is gone, and what we hold is to be free."""
    while True:
        time.sleep(1.0)
        if time.monotonic() - pipe.last > wire.SILENCE:
            os._exit(75)
