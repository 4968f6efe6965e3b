"""The process in a lab's namespace: ``python -m machines.bed.inside``.

It is the local cloud with machines in the place of its hosts. It reads its settings and then calls
of `Faults` from its standard input, one JSON document a line, and answers each; when its input
ends, it ends, and with it the namespace and everything in it.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from spotcluster.local.daemon import share_descriptions

share_descriptions()  # before moto is imported

from spotcluster.local.moto_private import read_offerings_when_asked  # noqa: E402

read_offerings_when_asked()

from moto.moto_server.werkzeug_app import MotoRequestHandler  # noqa: E402

from spotcluster.local.access.callers import Credentials  # noqa: E402
from spotcluster.local.access.roles import Roles  # noqa: E402
from spotcluster.local.application import Application  # noqa: E402
from spotcluster.local.cloud import Cloud  # noqa: E402
from spotcluster.local.reconciler import Reconciler  # noqa: E402

from . import imds, index  # noqa: E402
from .cgroups import Cgroups  # noqa: E402
from .faults import Faults  # noqa: E402
from .machines import Machines  # noqa: E402
from .network import GATEWAY, Addresses, Network  # noqa: E402

log = logging.getLogger(__name__)

API_PORT = 5000


def main(network: type[Network] = Network, machines: type[Machines] = Machines) -> None:
    """Serve until the standard input ends, with machines of a kind."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what anything else prints belongs to the log
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        faults = _start(json.loads(sys.stdin.readline()), network, machines)
    except BaseException as error:
        logging.exception("the lab could not start")
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers)
        sys.exit(1)
    print(json.dumps({"result": "ready"}), file=answers)
    for line in sys.stdin:
        print(json.dumps(_answer(faults, json.loads(line))), file=answers)
    os._exit(0)


def _answer(faults: Faults, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": getattr(faults, asked["call"])(*asked["args"], **asked["named"])}
    except Exception as error:
        log.exception("%s failed", asked["call"])
        return {"error": f"{type(error).__name__}: {error}"}


def _start(settings: dict[str, Any], networks: type[Network], kind: type[Machines]) -> Faults:
    # Our own /run: network namespaces are named there, and machines have their folders there.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "lab", "/run"], check=True)
    folder = Path("/run/lab")
    for path in (folder / "cloud", folder / "machines", Path("/run/netns")):
        path.mkdir(parents=True)
    network = networks(Path(settings["image"]))
    network.make()
    cloud = Cloud(folder / "cloud")
    cloud.addresses = Addresses()
    credentials = Credentials(settings["access_key"], settings["secret_key"])
    machines = kind(
        cloud,
        network,
        Cgroups(settings["owner"]),
        Roles(cloud, credentials),
        api=f"http://{GATEWAY}:{API_PORT}",
        folder=folder / "machines",
        disks=Path(settings["disks"]),
        image=Path(settings["image"]),
        nspawn=Path(settings["nspawn"]),
        libraries=settings["libraries"],
    )
    cloud.console = lambda instance: instance.last_console or machines.console(instance.id)
    cloud.keep, cloud.drop = machines.keep, machines.drop
    reconciler = Reconciler(cloud, machines)
    application = Application(
        cloud,
        credentials,
        changed=reconciler.wake,
    )
    imds.serve(machines.answer)
    index.serve(Path(settings["wheels"]))
    # For the programs in the lab, for machines that have a role, and for tests, which have made
    # theirs outside.
    _serve(application)
    _serve(application, host=GATEWAY)
    _serve(application, settings["listening"])
    reconciler.start()
    return Faults(cloud, machines, network)


def _serve(application: Application, fd: int | None = None, *, host: str = "127.0.0.1") -> None:
    port = API_PORT if fd is None else socket.socket(fileno=os.dup(fd)).getsockname()[1]
    server = make_server(
        host, port, application, threaded=True, request_handler=MotoRequestHandler, fd=fd
    )
    threading.Thread(target=server.serve_forever, name="api", daemon=True).start()


if __name__ == "__main__":
    main()
