"""From the host key that came in a node's user data to one that the node has made itself.

User data cannot be changed while an instance runs, and everything on the node can read it, so the
key in it is good for the first contact only. A process may be killed between any two lines here,
and the next one must be able to connect, to the right machine and no other. So:

1.  The node makes a key, puts it aside, and tells its public half, over a connection that is
    pinned to the first key. Asked again, it tells the same one.
2.  The instance's tag `tags.NEXT_HOST_KEY` gets it. From here on a connection may prove either
    key: we cannot know on which side of step 3 the machine is.
3.  The node changes to its own key by one rename, and forgets the first one.
4.  The machine looks at what its sshd shows now, to whoever connects: its own key, and no other.
    Where it has nothing to look with, we connect anew, pinned to that key alone. The connection
    that there is stays good: it was made with a machine that had the first key, and told its own.
5.  The tag `tags.HOST_KEY` gets it too. Equal tags mean that the node has one key, its own.

Killed before 2, nothing has changed; between 2 and 5, either key opens the connection over which
the next run does 1 to 5 again, each of which finds done what is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spotcluster import ssh, templates
from spotcluster.aws import tags
from spotcluster.cluster.bringup.together.tagging import Tagger
from spotcluster.cluster.node import Node
from spotcluster.errors import NodeError
from spotcluster.steps import Step

_RELOAD_LIMIT = 30.0
_LOOKING = "looking at the host key that its sshd shows"


def is_own(node: Node) -> bool:
    """Return whether the node has a key that it made itself, and no other."""
    given = node.instance.tags
    return bool(given.get(tags.HOST_KEY)) and given.get(tags.HOST_KEY) == given.get(
        tags.NEXT_HOST_KEY
    )


def making(node: Node) -> list[Step]:
    """Return the step that makes the key and tells it, for a node that has none of its own yet.

    It is left out on machines where we cannot tell sshd to change.
    """
    if is_own(node):
        return []
    script = templates.script("host_key.sh", step="make")
    when = "sudo -n true && test -d /run/systemd/system"
    return [Step(script, "making its host key", user="root", when=when)]


def announce(tagger: Tagger, node: Node, said: str) -> list[Step]:
    """Write down which key a node changes to, by what it has said; return the steps of the change.

    Raises
    ------
    NodeError
        What the node calls its key is none.
    """
    own = ssh.keys.bare(said)
    kind, _ = ssh.keys.parse_public(own)
    if kind != "ssh-ed25519":
        raise NodeError(node.alias, f"it made a host key of the kind {kind}, not ssh-ed25519.")
    tagger.put(node, {tags.NEXT_HOST_KEY: own})
    return [
        Step(templates.script("host_key.sh", step="change"), "changing its host key", user="root"),
        Step(templates.script("host_key_shown.sh", own=own), _LOOKING),
    ]


def conclude(tagger: Tagger, node: Node, said: Mapping[str, str]) -> None:
    """Write down that a node has the key that was announced, when its steps are done.

    Parameters
    ----------
    said : mapping of str to str
        What its steps have printed, by what they were for.
    """
    if _LOOKING not in said:
        return
    own = node.instance.tags[tags.NEXT_HOST_KEY]
    if said[_LOOKING].strip():
        pinned = replace(node.target, host_key=own, next_host_key="")
        node.reconnect(pinned, timeout=_RELOAD_LIMIT)
    tagger.put(node, {tags.HOST_KEY: own})
