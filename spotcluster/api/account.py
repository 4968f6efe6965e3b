"""What belongs to no cluster, or to several: lists, costs, keys, volumes, prices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Any

from spotcluster.api import costs, keys
from spotcluster.api.costs import Costs
from spotcluster.api.scope import Scope
from spotcluster.aws import inventory, keypairs, policy, prices, volumes
from spotcluster.aws.prices import ZoneHistory
from spotcluster.aws.volumes import Volume
from spotcluster.cluster import lookup
from spotcluster.cluster.lifecycle import bake
from spotcluster.cluster.reporter import Quiet
from spotcluster.cluster.status import consoles, events, listing
from spotcluster.cluster.status.listing import Listed
from spotcluster.cluster.volumes import catalogue
from spotcluster.errors import ClusterError


class Account:
    """What the credentials lead to, in one region or in all that the config speaks of.

    Parameters
    ----------
    region : str, optional
        The region, as ``-r`` of the commands; ``"local"`` is the local cloud.
    config : path, optional
        The config file, as ``-c`` of the commands.

    Examples
    --------
    >>> account = spotcluster.Account("us-east-1")  # doctest: +SKIP
    >>> [one.name for one in account.clusters()]  # doctest: +SKIP
    ['mycluster']
    """

    def __init__(
        self, region: str | None = None, *, config: str | PathLike[str] | None = None
    ) -> None:
        self._scope = Scope(Path(config) if config else None, region)

    # --- clusters ---------------------------------------------------------------------------------

    def clusters(self) -> list[Listed]:
        """Return what `listclusters` shows.

        Raises
        ------
        CloudError
            A region could not be looked in.
        """
        sessions = self._scope.sessions()
        found, refused = listing.everywhere(sessions)
        for error in refused.values():
            raise error
        events.tell_all(sessions, found, self._scope.hook)
        return found

    def costs(self, name: str | None = None, *, days: float = 30) -> Costs:
        """Return what clusters cost, as `costs` shows it: ``running`` ones, and ``ended`` ones.

        Parameters
        ----------
        name : str, optional
            Of the clusters of this name only.
        days : float
            How far back those that have ended are looked for.
        """
        sessions = self._scope.sessions(*([name] if name else []))
        found = costs.of(sessions, name, timedelta(days=days))
        events.tell_all(sessions, found.running, self._scope.hook)
        return found

    def console(self, name: str, alias: str | None = None) -> str:
        """Return what a node, or an instance by its id, has written to its console."""
        return consoles.read(self._scope.sessions(name), name, alias).text

    # --- the region -------------------------------------------------------------------------------

    def regions(self) -> list[str]:
        """Return the regions that this account may use, and the local cloud."""
        return inventory.regions(self._scope.session())

    def zones(self) -> Sequence[inventory.Zone]:
        """Return the availability zones."""
        return inventory.zones(self._scope.session())

    def images(self) -> Sequence[inventory.OwnImage]:
        """Return the images of this account."""
        return inventory.own_images(self._scope.session())

    def remove_image(self, image: str) -> list[str]:
        """Remove an image with its snapshots; return the ids of what was removed.

        Parameters
        ----------
        image : str
            As ``tools:3`` or ``tools:latest``; ``tools`` is all of that name.
        """
        session = self._scope.session()
        found, rest = bake.find(session, image)
        bake.remove(session, found, rest)
        return [*(one.id for one in found), *rest]

    def instances(self) -> Sequence[Any]:
        """Return all instances, those that we did not start too."""
        return inventory.instances(self._scope.session())

    def spot_requests(self) -> Sequence[Any]:
        """Return the spot requests."""
        return inventory.spot_requests(self._scope.session())

    def spot_history(
        self, *types: str, days: float = 30.0, zone: str | None = None
    ) -> dict[str, list[ZoneHistory]]:
        """Return the spot prices of instance types, by type: one history for each zone."""
        session = self._scope.session()
        return {
            name: list(prices.spot_history(session, name, days=days, zone=zone)) for name in types
        }

    def policy(self, **given: Any) -> dict[str, Any]:
        """Return the least IAM policy that commands need; takes what `aws.policy.document` does."""
        region = self._scope.region or lookup.default_region(self._scope.config())
        found: dict[str, Any] = policy.document(partition=policy.partition_of(region), **given)
        return found

    # --- keys -------------------------------------------------------------------------------------

    def key_pairs(self) -> Sequence[Any]:
        """Return the key pairs."""
        return keypairs.list_all(self._scope.session())

    def create_key(self, name: str, path: str | PathLike[str] | None = None) -> Path:
        """Make a key pair; return where the private key is, which never leaves this computer.

        Parameters
        ----------
        path : path, optional
            Where to write it; ``~/.spotcluster/keys/NAME.pem`` by default.
        """
        where = keys.place(name, path)
        keys.create(self._scope.session(), name, where)
        return where

    def remove_key(self, name: str) -> None:
        """Remove a key pair from EC2; the private key's file stays."""
        session = self._scope.session()
        keys.check_there(session, name)
        keypairs.delete(session, name)

    # --- volumes ----------------------------------------------------------------------------------

    def volumes(self) -> list[catalogue.Listed]:
        """Return the volumes, and who has them."""
        return catalogue.listed(self._scope.session())

    def create_volume(
        self,
        size: int | None = None,
        *,
        name: str = "",
        zone: str | None = None,
        snapshot: str | None = None,
        type: str = "gp3",  # noqa: A002 - as a user calls it
        kms_key: str | None = None,
    ) -> Volume:
        """Make a volume of `size` GiB, or of a snapshot; see the command `createvolume`."""
        return catalogue.create(
            *(self._scope.session(), name),
            size=size,
            zone=zone,
            snapshot=snapshot,
            kind=type,
            config=self._scope.config(),
            key=kms_key,
        )

    def resize_volume(self, volume: str, size: int) -> None:
        """Make a volume larger, and its file system too where it is mounted.

        Raises
        ------
        ClusterError
            Its file system has not grown; repeat it.
        """
        session = self._scope.session()
        region = session.region
        *_, trouble = catalogue.resize(
            *(session, volume, size, lambda name: self._scope.cluster(name, region=region)),
            Quiet(),
        )
        if trouble:
            raise ClusterError(trouble, "Repeat it; nothing on the volume is lost.")

    def remove_volume(self, volume: str) -> None:
        """Delete a volume, with all that is on it; one that is attached is refused."""
        session = self._scope.session()
        found = volumes.find(session, volume)
        catalogue.check_removable(found)
        volumes.delete(session, found.id)
