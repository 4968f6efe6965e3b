"""Makes hosts what their instances say, and tells the instances when that is done.

Level-triggered: it looks at the states that are, not at what changed, so that it goes on after a
crash at any point where it stands. One action per instance at a time; those of different instances
run side by side.
"""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from moto.ec2.models.instances import StateReason

from spotcluster.errors import LocalCloudError

from . import clock
from .cloud import Cloud
from .instances import LocalInstance
from .kind import HostKind

log = logging.getLogger(__name__)

_LOOK_EVERY = 0.5
_FORGET_EVERY = 60.0
_SIDE_BY_SIDE = 8

_CANNOT_BOOT = StateReason("Server.InternalError: Internal error on launch", "Server.InternalError")


class Reconciler:
    """The loop between instances and hosts; `start` it once."""

    def __init__(self, cloud: Cloud, hosts: HostKind) -> None:
        self._cloud = cloud
        self._hosts = hosts
        self._wake = threading.Event()
        self._stopping = False
        self._busy: set[str] = set()
        self._idle = threading.Condition()
        self._pool = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="host")
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)
        self._forgot = time.monotonic()

    def start(self) -> None:
        """Take up the hosts that outlived an earlier daemon, then keep hosts as they should be."""
        self._adopt()
        self._thread.start()

    def wake(self) -> None:
        """Look at once: something may have changed."""
        self._wake.set()

    def stop(self) -> None:
        """Stop looking and end all hosts; instances keep their states, so they boot again later."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(wait=True)
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            for result in [
                pool.submit(self._hosts.end, host, politely=True) for host in self._hosts.known()
            ]:
                try:
                    result.result()
                except LocalCloudError:
                    log.exception("a host did not end")

    def _adopt(self) -> None:
        with self._cloud.lock:
            instances = {instance.id: instance for instance in self._cloud.instances()}
            for host in self._hosts.known():
                instance = instances.get(host)
                if instance is None or not instance.is_live:
                    # Launched by a call whose state was never written: nobody knows of it.
                    self._hosts.end(host, politely=False)
                    self._hosts.remove(host)
                    continue
            for instance in instances.values():
                if instance.state == "running":
                    running = self._hosts.find(instance.id)
                    if running is None and self._hosts.has_shut_down(instance.id):
                        continue  # while no daemon ran: the first look sees to it
                    if running is None:
                        instance.set_state("pending")
                    elif running.port != instance.ssh_port:
                        instance.has_booted(running.port)
            self._cloud.save()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(_LOOK_EVERY)
            self._wake.clear()
            try:
                self._look()
            except Exception:
                log.exception("the reconciler failed; it goes on")

    def _look(self) -> None:
        self._hosts.bury()
        with self._cloud.lock:
            if time.monotonic() - self._forgot > _FORGET_EVERY:
                self._forgot = time.monotonic()
                old = [backend for backend in self._cloud.backends() if backend.forget_old()]
                if old:
                    self._cloud.save()
            if sum(backend.keep_fleets() for backend in self._cloud.backends()):
                self._cloud.save()
            for instance in self._cloud.instances():
                if instance.id in self._busy or self._stopping:
                    continue
                action = self._action(instance)
                if action is not None:
                    self._busy.add(instance.id)
                    self._pool.submit(self._act, action, instance)

    def _action(self, instance: LocalInstance) -> Callable[[LocalInstance], None] | None:
        if instance.state == "running":
            self._hosts.follow(instance)
            if instance.taken and instance.taken <= clock.seconds():
                return self._take
            if instance.reboot_wanted:
                return self._reboot
            return self._lose if self._hosts.find(instance.id) is None else None
        actions = {"pending": self._boot, "stopping": self._stop, "shutting-down": self._end}
        return actions.get(instance.state)

    def _act(self, action: Callable[[LocalInstance], None], instance: LocalInstance) -> None:
        try:
            action(instance)
        except Exception:
            log.exception("%s: %s failed", instance.id, action.__name__)
            with self._cloud.lock:
                if instance.state == "pending":
                    instance.terminate(_CANNOT_BOOT)
        finally:
            with self._cloud.lock:
                self._busy.discard(instance.id)
                if not self._stopping:
                    self._cloud.save()
            self._wake.set()

    def _boot(self, instance: LocalInstance) -> None:
        with self._cloud.lock:
            port = instance.ssh_port or self._cloud.addresses.first_port
            data = _user_data(instance)
            aws = self._cloud.variables(instance)
        # What an earlier daemon began and did not finish.
        self._hosts.end(instance.id, politely=False)
        self._hosts.prepare(
            instance.id,
            address=instance.address,
            port=port,
            authorized_keys=instance.authorized_keys,
            user_data=data,
            aws=aws,
            snapshot=instance.snapshot,
        )
        with self._cloud.lock:
            self._hosts.follow(instance)
        running = self._hosts.boot(instance.id)
        with self._cloud.lock:
            log.info("%s is up at %s port %d", instance.id, running.address, running.port)
            if instance.state == "pending":
                instance.has_booted(running.port)

    def _reboot(self, instance: LocalInstance) -> None:
        self._hosts.end(instance.id, politely=True)
        running = self._hosts.boot(instance.id)
        with self._cloud.lock:
            if instance.state == "running":
                instance.has_booted(running.port)

    def _stop(self, instance: LocalInstance) -> None:
        self._hosts.end(instance.id, politely=True)
        with self._cloud.lock:
            log.info("%s has stopped", instance.id)
            if instance.state == "stopping":
                instance.has_stopped()

    def _end(self, instance: LocalInstance) -> None:
        self._hosts.end(instance.id, politely=True)
        console = self._hosts.console(instance.id)
        self._hosts.remove(instance.id)
        with self._cloud.lock:
            log.info("%s has ended", instance.id)
            instance.has_ended(console)

    def _take(self, instance: LocalInstance) -> None:
        log.warning("%s is taken back", instance.id)
        with self._cloud.lock:
            if instance.state == "running":
                instance.ec2_backend.host_died(instance)

    def _lose(self, instance: LocalInstance) -> None:
        shut_down = self._hosts.has_shut_down(instance.id)
        how = "shut down from inside" if shut_down else "killed from outside"
        log.warning("the host of %s was %s", instance.id, how)
        self._hosts.end(instance.id, politely=shut_down)
        with self._cloud.lock:
            if instance.state != "running":
                return
            if shut_down:
                instance.ec2_backend.host_shut_down(instance)
            else:
                instance.ec2_backend.host_died(instance)


def _user_data(instance: LocalInstance) -> bytes:
    data = instance.user_data
    return base64.b64decode(str(data)) if data else b""
