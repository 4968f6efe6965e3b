"""The local cloud's state: moto's backends and what goes with them, under one lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.ssm.models import ssm_backends

from . import images, market, persistence
from .addresses import Addresses
from .capacity import Capacity, Quotas
from .ec2 import LocalEC2Backend
from .faults import Faults
from .instances import LocalInstance
from .launches import MOST_INSTANCES
from .limits import Limits
from .moto_private import parameters_of, stand_in

_IAM = ("roles", "instance_profiles")
"""What is kept of IAM: that by which instances may do something."""


def _iam() -> Any:
    return iam_backends[DEFAULT_ACCOUNT_ID]["aws"]


class Cloud:
    """All regions of the local cloud.

    moto is not made for several threads, so whoever reads or changes anything here holds `lock`.

    Parameters
    ----------
    folder : Path
        Where the state is kept.

    Attributes
    ----------
    lock : RLock
        Held by every request and by the reconciler while it looks or writes.
    console : callable
        Gives the console output of an instance.
    variables : callable
        Gives what programs on the machine of an instance find AWS by.
    keep, drop : callable
        Keep what is on the disk of an instance, under the id of a snapshot, and keep it no longer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.addresses = Addresses(folder)
        self.faults = Faults()
        self.capacity = Capacity()
        self.quotas = Quotas()
        market.told.clear()
        self.limits = Limits()
        self.most_instances = MOST_INSTANCES
        self.console: Callable[[LocalInstance], str] = lambda instance: instance.last_console
        self.variables: Callable[[LocalInstance], Mapping[str, str]] = lambda _: {}
        self.keep: Callable[[str, str], None] = lambda *_: None
        self.drop: Callable[[str], None] = lambda _: None
        self._backends = BackendDict(LocalEC2Backend, "ec2")

    def backend(self, account: str, region: str) -> LocalEC2Backend:
        """Return one region's EC2."""
        found = self._backends[account][region]
        found.cloud = self
        return found

    def standing_in(self) -> AbstractContextManager[None]:
        """Have moto's own modules work on these regions meanwhile."""
        return stand_in(self._backends)

    def backends(self) -> list[LocalEC2Backend]:
        """Return the regions that have been used."""
        return [backend for regions in self._backends.values() for backend in regions.values()]

    def instances(self) -> list[LocalInstance]:
        """Return the instances of all regions."""
        return [instance for backend in self.backends() for instance in backend.instances()]

    def publish_images(self, region: str) -> None:
        """See that SSM names the default image in a region."""
        regions = ssm_backends[DEFAULT_ACCOUNT_ID]
        if region in regions:
            images.publish(parameters_of(regions[region]), DEFAULT_ACCOUNT_ID)

    def state(self) -> dict[str, Any]:
        """Return all that is kept, as it is; whoever pickles it holds the lock meanwhile."""
        return {
            "prices": list(market.told),
            "ec2": {(b.account_id, b.region_name): b for b in self.backends()},
            # Not the backend: it holds functions, which cannot be pickled.
            "parameters": {
                (account, region): dict(parameters_of(backend))
                for account, regions in ssm_backends.items()
                for region, backend in regions.items()
            },
            "iam": {name: dict(getattr(_iam(), name)) for name in _IAM},
        }

    def take_up(self, state: dict[str, Any]) -> None:
        """Have the regions be what they are in a `state`."""
        market.told[:] = state.get("prices", [])
        for (account, region), backend in state.get("ec2", {}).items():
            self._backends[account][region] = backend
        for (account, region), parameters in state.get("parameters", {}).items():
            parameters_of(ssm_backends[account][region]).update(parameters)
        for name, things in state.get("iam", {}).items():
            getattr(_iam(), name).update(things)

    def save(self) -> None:
        """Write the state, whole or not at all."""
        with self.lock:
            persistence.save(self.folder, self.state())

    def load(self) -> None:
        """Take up the state that was written last, if there is one."""
        self.take_up(persistence.load(self.folder))
