"""Where a cluster is: the regions to look in, and the key that opens its nodes."""

from __future__ import annotations

import os
from pathlib import Path

from spotcluster import files
from spotcluster.aws import regions as in_regions
from spotcluster.aws.calls import Patience
from spotcluster.aws.session import Credentials, Session, configured_region
from spotcluster.cluster import cluster as clusters
from spotcluster.cluster import records
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.reporter import Reporter
from spotcluster.config import Config
from spotcluster.errors import ClusterError, NoSuchCluster, UsageError

FALLBACK = "us-east-1"
"""The region where nothing names one, as for StarCluster."""


def regions(config: Config, region: str | None, *names: str) -> list[str]:
    """Return the regions to look in: the one asked for, or all that the config speaks of.

    Parameters
    ----------
    *names : str
        The clusters that are looked for. Regions in which this computer has reached one of such a
        name are looked in too, as it may have been started with ``-r``.
    """
    if region:
        return [region]
    named = [config.aws.region, *(config.template(one).region for one in config.clusters)]
    own = [one for one in named if one]
    if not own or None in named[1:]:  # where `start` puts what names no region
        own.append(default_region(config))
    there = [place for place, name in files.reached() if name in names]
    return list(dict.fromkeys([*own, *there]))


def default_region(config: Config) -> str:
    """Return the region for what names none itself."""
    given = (
        config.aws.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    )
    return given or profile_region(config) or FALLBACK


def profile_region(config: Config) -> str | None:
    """Return the region that the AWS config files name for the profile in use, if they do."""
    return configured_region(config.aws.profile)


def open_session(config: Config, region: str) -> Session:
    """Return a session for `region` with the config's credentials, if it has any."""
    aws = config.aws
    own = None
    if aws.access_key_id and aws.secret_access_key:
        own = Credentials(
            aws.access_key_id.get_secret_value(),
            aws.secret_access_key.get_secret_value(),
            aws.session_token.get_secret_value() if aws.session_token else None,
        )
    patience = Patience(aws.throttle_timeout, aws.answer_timeout, aws.settle_timeout)
    return Session(region, credentials=own, profile=aws.profile, patience=patience)


def sessions(config: Config, region: str | None, *names: str) -> list[Session]:
    """Return a session for each region to look in, for the clusters `names` if any are given."""
    return [open_session(config, one) for one in regions(config, region, *names)]


def locate(
    config: Config, name: str, region: str | None, reporter: Reporter | None = None
) -> Cluster:
    """Return the cluster `name`.

    Raises
    ------
    NoSuchCluster
        No region that was looked in has it.
    """
    places = regions(config, region, name)
    found = in_regions.first(
        (open_session(config, place) for place in places),
        lambda session: clusters.find(session, name, keys_of(config), reporter, config.plugins),
    )
    if found:
        return found[1]
    raise NoSuchCluster([name], places, (one for _, one in files.reached()))


def only_name(config: Config, region: str | None) -> str:
    """Return the name of the only cluster there is.

    Raises
    ------
    ClusterError
        There is none.
    UsageError
        There are several.
    """
    places = sessions(config, region)
    found, refused = in_regions.each(places, records.find_all)
    names = {record.name for _, there in found for record in there}
    if len(names) > 1:
        raise UsageError(
            f"There are {len(names)} clusters: {', '.join(sorted(names))}.",
            "Name the one that is meant.",
        )
    if names:
        return names.pop()
    if refused:
        raise list(refused.values())[-1]
    raise ClusterError(
        f"There is no cluster in {', '.join(one.region for one in places)}.",
        "`spotcluster start NAME` starts one; -r REGION looks in another region.",
    )


def keys_of(config: Config) -> dict[str, Path]:
    """Return where this computer has private keys, by the names of their pairs."""
    return {key: value.key_location for key, value in config.keys.items()}
