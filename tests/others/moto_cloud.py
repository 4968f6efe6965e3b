"""An HTTP server for moto's own tests: ``python moto_cloud.py ours|plain``; it prints its URL.

``ours`` is the local cloud's application without hosts: states change as soon as a call has ended,
any key is let in, moto's old images are there as well, and ``/moto-api`` starts anew. ``plain`` is
moto itself.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.ec2.models import ec2_backends
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
from spotcluster.local.ec2 import LocalEC2Backend

OURS = images.make_images


class Unwritten(Cloud):
    """A cloud that writes no state, as nobody reads it, and begins anew without making all again.

    A region with moto's images, each with a volume and a snapshot of its own, takes longer to make
    than most tests: what each was when it was new is kept.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._new: dict[tuple[str, str], bytes] = {}

    def save(self) -> None:
        pass

    def backend(self, account: str, region: str) -> LocalEC2Backend:
        key, regions = (account, region), self._backends[account]
        if region not in regions.keys():  # noqa: SIM118 - it also has those that are not made yet
            if key in self._new:
                self.take_up({"ec2": {key: pickle.loads(self._new[key])}})
            else:
                self._new[key] = pickle.dumps(regions[region])
        return super().backend(account, region)

    def forget(self) -> None:
        """Have no region: moto would make each anew, and then forget them."""
        for regions in self._backends.values():
            regions.clear()
        reset_model_data()  # nor what was in them, which moto keeps by its class


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
                self.cloud.forget()
                for regions in ec2_backends.values():
                    regions.clear()  # nobody asks them, and a reset would first make each anew
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
    gc.set_threshold(500_000)  # a region has 15,000 things, and each test makes one
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
