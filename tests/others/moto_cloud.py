"""An HTTP server for moto's own tests: ``python moto_cloud.py ours|plain``; it prints its URL.

``ours`` is the local cloud's application without hosts: states change as soon as a call has ended,
any key is let in, moto's old images are there as well, and ``/moto-api`` starts anew. ``plain`` is
moto itself.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict
from moto.ec2.models.amis import Ami, AmiBackend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from spotcluster.local import images
from spotcluster.local.access.callers import Caller, Credentials
from spotcluster.local.application import Application
from spotcluster.local.cloud import Cloud

OURS = images.make_images


class Unwritten(Cloud):
    """A cloud that writes no state: nobody reads it."""

    def save(self) -> None:
        pass


class Resettable:
    """The local cloud as moto's tests want it."""

    def __init__(self) -> None:
        images.make_images = with_motos
        Caller.is_owner = lambda *_: True  # type: ignore[method-assign]
        self.cloud = Unwritten(Path(tempfile.mkdtemp(prefix="sc-")))
        self.application = Application(self.cloud, Credentials("any", "any"), changed=self.settle)

    def settle(self) -> None:
        """Let instances be what they are to be."""
        for one in self.cloud.instances():
            if one.state == "pending":
                one.has_booted(22)
            elif one.state == "shutting-down":
                one.has_ended()
            elif one.state == "stopping":
                one.has_stopped()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/moto-api/reset":
            with self.cloud.lock:
                BackendDict.reset()
            return Response('{"status": "ok"}')(environ, start_response)
        return self.application(environ, start_response)


def with_motos(backend: Any) -> dict[str, Ami]:
    """Return our images and those that moto's tests name."""
    AmiBackend._load_amis(backend)
    return {**backend.amis, **OURS(backend)}


def main(which: str) -> None:
    """Serve until standard input ends: when whoever started this is no more."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    application = (
        DomainDispatcherApplication(create_backend_app) if which == "plain" else Resettable()
    )
    server = make_server(
        "127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
