"""What runs inside the daemon: the cloud, its hosts, and the HTTP server before them."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from . import record
from .access.roles import Roles
from .application import Application
from .cloud import Cloud
from .host.children import become_subreaper
from .hosts import Hosts
from .instances import LocalInstance
from .reconciler import Reconciler

log = logging.getLogger(__name__)

_ADDRESS = "127.0.0.1"
_POLL = 0.05


class Service:
    """The local cloud of one folder, from `start` to `stop`."""

    def __init__(self, folder: Path) -> None:
        # What a killed host leaves behind comes to us, and can be told from everything else.
        subreaper = become_subreaper()
        self._folder = folder
        self._cloud = Cloud(folder)
        self._hosts = Hosts(folder, subreaper=subreaper)
        self._reconciler = Reconciler(self._cloud, self._hosts)
        self._server: BaseWSGIServer | None = None

    def start(self) -> str:
        """Take up the state, listen and begin; return the URL."""
        self._cloud.load()
        self._cloud.console = self._console
        self._cloud.keep, self._cloud.drop = self._hosts.keep, self._hosts.drop
        settings = record.settings(self._folder)
        application = Application(
            self._cloud,
            settings.credentials,
            changed=self._reconciler.wake,
            renewed=lambda: record.settings(self._folder).credentials,
            status=self._status,
        )
        self._server = _listen(settings.port, application)
        url = f"http://{_ADDRESS}:{self._server.server_port}"
        roles = Roles(self._cloud, settings.credentials)
        self._cloud.variables = lambda instance: roles.variables(instance, url)
        record.keep_port(self._folder, self._server.server_port)
        self._reconciler.start()
        threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="http", daemon=True
        ).start()
        record.write(self._folder, url)
        log.info("the local cloud is up at %s", url)
        return url

    def stop(self) -> None:
        """End everything; what the instances are is kept."""
        log.info("stopping")
        assert self._server is not None
        self._server.shutdown()
        record.keep_port(self._folder, self._server.server_port)  # where that file was lost
        self._cloud.save()
        self._reconciler.stop()
        self._hosts.close()
        record.remove(self._folder)
        log.info("stopped")

    def _console(self, instance: LocalInstance) -> str:
        return instance.last_console or self._hosts.console(instance.id)

    def _status(self) -> dict[str, Any]:
        with self._cloud.lock:
            found = [
                {
                    "id": instance.id,
                    "name": _name(instance),
                    "state": instance.state,
                    "instance_type": instance.instance_type,
                    "lifecycle": instance.lifecycle or "on-demand",
                    "region": instance.ec2_backend.region_name,
                    "address": instance.address,
                    "port": instance.ssh_port,
                    "folder": str(self._hosts.layout(instance.id).folder),
                }
                for instance in self._cloud.instances()
                if instance.is_live
            ]
        counts = self._hosts.counts()
        for one in found:
            one["processes"] = counts.get(str(one["id"]), 0)
        return {"hosts": found}


def _name(instance: LocalInstance) -> str:
    tags = instance.ec2_backend.tags.get(instance.id, {})
    return instance.alias or str(tags.get("Name") or "")


def _listen(port: int, application: Application) -> BaseWSGIServer:
    """Listen on the port of last time, so that clients that know it go on; else on any."""
    for candidate in dict.fromkeys((port, 0)):
        try:
            return make_server(
                _ADDRESS,
                candidate,
                application,
                threaded=True,
                request_handler=MotoRequestHandler,
            )
        except (OSError, SystemExit):
            # werkzeug exits where another would raise.
            log.info("port %d is taken", candidate)
    raise OSError("no port is free")
