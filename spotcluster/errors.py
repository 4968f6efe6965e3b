"""The errors a user can meet, each with its message, its hint and its exit status.

::

    SpotclusterError                 it failed (exit status 1)
    ├── UsageError                   the command was wrong (exit status 2)
    │   └── ConfigError              the config file was wrong; carries every problem in it
    ├── CloudError                   EC2 refused, or could not be reached
    │   ├── CredentialsError         no credentials, or EC2 does not accept them
    │   └── CapacityError            no capacity, a quota, or a bid below the market
    ├── ClusterError                 the cluster is not in the state the command needs
    ├── NodeError                    one node, by its alias, went wrong
    │   ├── ConnectionFailed         it cannot be reached, or its SSH refuses us
    │   ├── HostKeyMismatch          it is not the machine that we started
    │   └── RemoteCommandFailed      a script on it failed; carries status and last output
    ├── LocalCloudError              the local cloud is not running, or has crashed
    └── SearchError                  the search cannot go on

A message is one sentence that says what is wrong and where, by the name the user gave it; the hint
is one sentence that says what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spotcluster import wording


class SpotclusterError(Exception):
    """Something that the user should read, not a bug.

    Parameters
    ----------
    message : str
        What is wrong and where, in one sentence.
    hint : str, optional
        What to do next, in one sentence; a command where there is one.
    """

    exit_status = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(SpotclusterError):
    """The command, or what it was given, was wrong; nothing has been made."""

    exit_status = 2


class ConfigError(UsageError):
    """The config file is wrong; `problems` holds every problem found in it, one line each."""

    def __init__(self, problems: Sequence[str], hint: str = "") -> None:
        super().__init__("\n".join(problems), hint)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([*self.problems, *([self.hint] if self.hint else [])])


class CloudError(SpotclusterError):
    """EC2 refused a call or could not be reached.

    Parameters
    ----------
    code : str
        EC2's own error code (``"InvalidAMIID.NotFound"``), empty when there was no answer.

    Attributes
    ----------
    passing : bool
        Whether the same call may succeed a moment later: no answer came, or an internal error.
    """

    passing = False

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class CredentialsError(CloudError):
    """There are no AWS credentials, or EC2 does not accept them."""


class CapacityError(CloudError):
    """EC2 has no capacity, a quota is used up, or the bid is below the market price."""


class ClusterError(SpotclusterError):
    """The cluster is not in the state that the command needs."""


class NoSuchCluster(ClusterError):
    """There is none of a name that was given.

    Parameters
    ----------
    names : iterable of str
    places : iterable of str
        The regions that were looked in.
    known : iterable of str
        Clusters that there are, as far as anybody knows, one of which may have been meant.
    """

    exit_status = UsageError.exit_status

    def __init__(
        self, names: Iterable[str], places: Iterable[str], known: Iterable[str] = ()
    ) -> None:
        wanted = list(names)
        others = [one for one in known if one not in wanted]
        meant = wording.hint(wanted[0], others) if len(wanted) == 1 else ""
        listed = ", ".join(f"'{name}'" for name in wanted)
        super().__init__(
            f"There is no cluster {listed} in {', '.join(places)}.{meant}",
            "`spotcluster listclusters` shows those there are; -r looks in another region.",
        )


class NodeError(SpotclusterError):
    """One node went wrong; `alias` is its name."""

    def __init__(self, alias: str, message: str, hint: str = "") -> None:
        super().__init__(f"{alias}: {message}", hint)
        self.alias = alias


class ConnectionFailed(NodeError):
    """The node cannot be reached by SSH, or refuses our key."""


class HostKeyMismatch(NodeError):
    """The machine that answered does not have the host key that we gave the node."""


class RemoteCommandFailed(NodeError):
    """A script on a node ended with a status other than 0.

    Parameters
    ----------
    alias : str
        The node.
    what : str
        What the script was for, as the user would call it (``"plugin pypackages"``).
    command : str
        The command that failed.
    status : int
        Its exit status; -1 when it was killed or timed out.
    output : str
        The last lines of what it printed.
    """

    def __init__(self, alias: str, what: str, command: str, status: int, output: str) -> None:
        tail = "\n".join(output.strip().splitlines()[-12:])
        super().__init__(
            alias,
            f"{what} failed: `{command}` ended with status {status}"
            + (f"; it printed last:\n{tail}" if tail else " and printed nothing"),
        )
        self.what = what
        self.command = command
        self.status = status
        self.output = output


class LocalCloudError(SpotclusterError):
    """The local cloud is not running, cannot start, or has crashed."""


class SearchError(SpotclusterError):
    """The search cannot go on, or was asked for something it cannot give."""
