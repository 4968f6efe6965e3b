"""Which config and which regions are meant: for every command, and for Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spotcluster.aws.session import Session
    from spotcluster.cluster.cluster import Cluster
    from spotcluster.cluster.reporter import Reporter
    from spotcluster.config import Config


@dataclass
class Scope:
    """A config file and a region, and what is found with them.

    Attributes
    ----------
    config_path : Path or None
        The config file; None for the one that commands read.
    region : str or None
        The only region to look in; None for all that the config speaks of.
    """

    config_path: Path | None
    region: str | None

    def config(self, *, check_plugins: bool = False) -> Config:
        """Return the config; an empty one where the default file does not exist.

        Most of what is done has no use for the config's plugins, and is not to fail because of one.
        """
        from spotcluster import config

        return config.load_if_there(self.config_path, check_plugins=check_plugins)

    @property
    def hook(self) -> str | None:
        """What is to be told of what happens, see `spotcluster.notify`."""
        return self.config().global_settings.hook

    def sessions(self, *names: str) -> list[Session]:
        """Return a session for each region to look in, for the clusters `names` if given."""
        from spotcluster.cluster import lookup

        return lookup.sessions(self.config(), self.region, *names)

    def session(self) -> Session:
        """Return a session for the one region in which something without a cluster is done."""
        return self.sessions()[0]

    def cluster(
        self,
        name: str,
        reporter: Reporter | None = None,
        *,
        region: str | None = None,
    ) -> Cluster:
        """Return the cluster `name`, wherever it is, or in the region `region`."""
        from spotcluster.cluster import lookup

        return lookup.locate(self.config(), name, region or self.region, reporter)

    def only_cluster(self) -> str:
        """Return the name of the only cluster there is."""
        from spotcluster.cluster import lookup

        return lookup.only_name(self.config(), self.region)
