"""A line to a controller's hub: questions as ipyparallel's clients ask them, and its answers.

A client of ipyparallel's own asks the same, but it keeps up with every engine, in threads of its
own, and imports IPython: three times the memory of all this, for whoever only looks. The session of
jupyter_client, which it writes with, brings tornado and asyncio: more than all the rest of this.

The messages are those of https://ipyparallel.readthedocs.io/en/latest/reference/messages.html, each
a frame of JSON, signed as https://jupyter-client.readthedocs.io/en/stable/messaging.html says.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import zmq

_MARK = b"<IDS|MSG>"


class Hub:
    """A connection to a hub; of use to one thread.

    Parameters
    ----------
    info : mapping
        Connection info, see `connect.tunnel`.
    """

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._key = str(info.get("key") or "").encode()
        self._session = uuid.uuid4().hex
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        if server := info.get("curve_serverkey"):
            public, secret = zmq.curve_keypair()
            self._socket.curve_serverkey = str(server).encode()
            self._socket.curve_publickey = public
            self._socket.curve_secretkey = secret
        self._socket.connect(f"{info['interface']}:{info['registration']}")

    def ask(self, kind: str, timeout: float, **content: Any) -> dict[str, Any]:
        """Return what the hub answers.

        Raises
        ------
        TimeoutError
            It has not answered within `timeout` seconds.
        OSError
            It refuses.
        """
        end = time.monotonic() + timeout
        asked = uuid.uuid4().hex
        header = {
            "msg_id": asked,
            "msg_type": kind,
            "session": self._session,
            "username": "",
            "date": datetime.now(UTC).isoformat(),
            "version": "5.3",
        }
        parts = [
            json.dumps(one, default=datetime.isoformat).encode()
            for one in (header, {}, {}, content)
        ]
        self._socket.send_multipart([_MARK, self._signature(parts), *parts], zmq.DONTWAIT)
        while self._socket.poll(int(max(0.0, end - time.monotonic()) * 1000)):
            answer = self._read(self._socket.recv_multipart(zmq.DONTWAIT), asked)
            if answer is None:  # to what was given up before
                continue
            if answer.get("status") != "ok":
                raise OSError(f"{answer.get('ename')}: {answer.get('evalue')}")
            return answer
        raise TimeoutError

    def engines(self, timeout: float) -> dict[int, str]:
        """Return the uuids of the engines that it knows of, by their numbers."""
        found = self.ask("connection_request", timeout)["engines"]
        return {int(number): str(engine) for number, engine in found.items()}

    def close(self) -> None:
        """Leave it."""
        self._context.destroy(linger=0)

    def _read(self, frames: list[bytes], asked: str) -> dict[str, Any] | None:
        signature, *parts = frames[frames.index(_MARK) + 1 :][:5] if _MARK in frames else [b""]
        if len(parts) != 4 or not hmac.compare_digest(signature, self._signature(parts)):
            raise OSError("an answer that is not the controller's")
        _, parent, _, content = (json.loads(one) for one in parts)
        return dict(content) if parent.get("msg_id") == asked else None

    def _signature(self, parts: list[bytes]) -> bytes:
        """Return none where there is no key: then CurveZMQ encrypts, which does more."""
        if not self._key:
            return b""
        return hmac.new(self._key, b"".join(parts), hashlib.sha256).hexdigest().encode()
