"""From the host key that came in a node's user data to one that the node has made itself.

User data cannot be changed while an instance runs, and everything on the node can read it, so the
key in it is good for the first contact only. A process may be killed between any two lines here,
and the next one must be able to connect, to the right machine and no other. So:

1.  The node makes a key, puts it aside, and tells its public half, over a connection that is
    pinned to the first key. Asked again, it tells the same one.
2.  The instance's tag `tags.NEXT_HOST_KEY` gets it. From here on a connection may prove either
    key: we cannot know on which side of step 3 the machine is.
3.  The node changes to its own key by one rename, and forgets the first one.
4.  We connect anew, pinned to the node's own key alone. Only a machine that has it passes.
5.  The tag `tags.HOST_KEY` gets it too. Equal tags mean that the node has one key, its own.

Killed before 2, nothing has changed; between 2 and 5, either key opens the connection over which
the next run does 1 to 5 again, each of which finds done what is done.
"""

from __future__ import annotations

from dataclasses import replace

from spotcluster import ssh, templates
from spotcluster.aws import tags
from spotcluster.cluster.bringup.tagging import Tagger
from spotcluster.cluster.node import Node
from spotcluster.errors import NodeError

_RELOAD_LIMIT = 30.0


def is_own(node: Node) -> bool:
    """Return whether the node has a key that it made itself, and no other."""
    given = node.instance.tags
    return bool(given.get(tags.HOST_KEY)) and given.get(tags.HOST_KEY) == given.get(
        tags.NEXT_HOST_KEY
    )


def renew(tagger: Tagger, node: Node) -> None:
    """Let the node change to a host key of its own; does nothing where it has.

    Raises
    ------
    NodeError
        What the node calls its key is none.
    """
    if is_own(node):
        return
    make = templates.script("host_key.sh", step="make")
    said = node.run(make, what="making its host key", timeout=60, user="root")
    own = ssh.keys.bare(said)
    kind, _ = ssh.keys.parse_public(own)
    if kind != "ssh-ed25519":
        raise NodeError(node.alias, f"it made a host key of the kind {kind}, not ssh-ed25519.")
    tagger.put(node, {tags.NEXT_HOST_KEY: own})
    change = templates.script("host_key.sh", step="change")
    node.run(change, what="changing its host key", timeout=60, user="root")
    pinned = replace(node.target, host_key=own, next_host_key="")
    node.reconnect(pinned, timeout=_RELOAD_LIMIT)
    tagger.put(node, {tags.HOST_KEY: own})
