"""The tags that say what belongs to a cluster; state lives in them and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

CLUSTER = "spotcluster:cluster"
ALIAS = "spotcluster:alias"
ROLE = "spotcluster:role"
HOST_KEY = "spotcluster:host-key"
"""The public host key of a node, so that any laptop can pin it."""
NEXT_HOST_KEY = "spotcluster:next-host-key"
"""The key that a node has made itself and changes to; equal to `HOST_KEY` once it has."""
LOGIN = "spotcluster:login"
"""The user that the node's image lets in."""
STATE = "spotcluster:state"
"""``ready`` once the node has been set up; missing before; `RETURNING` from when it is to
stop or to reboot until it has been brought back."""
RETURNING = "returning"
SSH_PORT = "spotcluster:ssh-port"
"""The port of the node's SSH server, where it is not 22."""
JUMP = "spotcluster:proxy-jump"
"""The hosts through which SSH reaches the node by its private address; missing where none are."""
ID = "spotcluster:id"
"""A cluster's own random name, so that two of the same name in turn are told apart."""
SIZE = "spotcluster:size"
"""How many nodes the cluster should have, the master included."""
CREATED = "spotcluster:created"
BY = "spotcluster:by"
"""The `addnode` that made a node."""
ADDING = "spotcluster:adding:"
"""Before the name of an `addnode` that has not ended: who runs it, and how many nodes it adds."""
BLOCK = "spotcluster:block"
"""On a node of several that were launched together: the names that the launch claimed."""
OWNER = "spotcluster:owner"
"""On a launch template: the process that launches by it."""
FLEET = "aws:ec2:fleet-id"
"""The fleet that launched a node; EC2's own tag."""
ROLL = "spotcluster:roll:"
"""Before the key of a tag that many nodes have with different values; see `blocks.pack`."""
LEAVING = "spotcluster:leaving"
"""On a node from when `removenode` begins to take it out: it does not count any more."""
STOPPED = "spotcluster:stopped"
"""When `stop` began: the cluster is to be stopped until `start` takes this away."""
STOPS = "spotcluster:stops"
"""How often the cluster has been stopped."""
BID = "spotcluster:bid"
"""The highest price of a spot node in USD per hour; of a cluster, what those had that ended with a
`stop`, for those that `start` makes in their place."""
DISK = "spotcluster:disk"
"""The size of a node's own disk in GiB; EC2 does not say it of an instance."""
PRICED_DISK = "spotcluster:disk-as-gp3"
"""How many GiB of gp3 cost what a node's disk of another kind costs; none of a disk of gp3."""
KEEP = "spotcluster:keep"
"""How the master keeps the cluster's size, where it has a role: JSON, or `OFF`."""
OFF = "off"
ENDING = "spotcluster:ending"
"""When `terminate` began: nothing may be made for the cluster any more."""
SPENT = "spotcluster:spent"
"""What the cluster's ended instances have cost, see `spotcluster.cluster.status.costs`."""
BEGUN = "spotcluster:begun"
"""When a cluster of which nothing ran was started again."""
SETTLED = "spotcluster:settled"
"""When all that had run of a cluster had ended, and was in `SPENT`."""
AT_MOST = "spotcluster:at-most"
"""Why `SPENT` may be more than what was really spent."""
TOLD = "spotcluster:told"
"""What the hook has been told of, see `spotcluster.cluster.reporter`."""

VOLUME = "spotcluster:volume"
"""The name of a volume that `createvolume` made; it belongs to no cluster, so no cluster's tag."""
CONTENT = "spotcluster:content"
"""What is on such a volume: `EMPTY` until it has a file system, then that one's type."""
EMPTY = "none"

IMAGE = "spotcluster:image"
"""The name of an image that `ebsimage` makes, on all that is made for it."""
VERSION = "spotcluster:version"
"""Which image of its name it is, from 1; what has none is no image that anything may boot from."""
BAKE = "spotcluster:bake"
"""The run of `ebsimage` that a thing is of; its image has it too."""
BASE = "spotcluster:base"
"""The image that the node had of which an image was made."""
PYTHON = "spotcluster:python"
TOOK = "spotcluster:took"
"""Seconds that the packages of an image took to install."""
PACKAGES = "spotcluster:packages:"
"""Before the numbers of the tags that say which packages an image has."""

KEY = "spotcluster:key"
"""The name of a key pair that `createkey` made."""

TEXT_SIZE = 250
"""How many characters of a long text are in one tag; EC2 takes 256 in a value."""
_TEXT = "spotcluster:template:"
INSTALLED = "spotcluster:installed:"
"""Before the numbers of the tags that say what was installed on the master with pip."""


OWN = "spotcluster:"
"""What the keys of our tags begin with, but for `NAME`."""
NAME = "Name"
"""The name that EC2's console shows."""


def is_users(key: str) -> bool:
    """Return whether a tag is one of a template's `TAGS`, and neither ours nor EC2's own."""
    return key != NAME and not key.startswith((OWN, "aws:"))


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as EC2 takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def specifications(tags: Mapping[str, str], *kinds: str) -> list[dict[str, Any]]:
    """Return the TagSpecifications that put `tags` on each kind of resource a call makes."""
    return [{"ResourceType": kind, "Tags": pairs(tags)} for kind in kinds]


def mapping(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Return EC2's list of tags as a dict."""
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def filters(**values: str | list[str]) -> list[dict[str, Any]]:
    """Return Filters: ``filters(cluster="demo", instance_state_name=[...])``."""
    names = {"cluster": f"tag:{CLUSTER}", "alias": f"tag:{ALIAS}"}
    return [
        {
            "Name": names.get(key, key.replace("_", "-")),
            "Values": [value] if isinstance(value, str) else value,
        }
        for key, value in values.items()
    ]


def split_text(text: str, before: str = _TEXT) -> dict[str, str]:
    """Return a long text as tags that `join_text` puts together again."""
    return {
        f"{before}{number:02d}": text[start : start + TEXT_SIZE]
        for number, start in enumerate(range(0, len(text), TEXT_SIZE))
    }


def join_text(tags: Mapping[str, str], before: str = _TEXT) -> str:
    """Return the text that `split_text` made tags of; empty when there is none."""
    return "".join(tags[key] for key in of_text(tags, before))


def of_text(tags: Iterable[str], before: str = _TEXT) -> list[str]:
    """Return the keys of those that `split_text` made, in order."""
    return sorted(key for key in tags if key.startswith(before))
