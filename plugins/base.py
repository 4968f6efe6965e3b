"""What a plugin is: a class whose settings are typed fields and whose hooks are per node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from spotcluster.steps import Step

R = TypeVar("R")


def as_list(value: Any) -> Any:
    """Return what a setting ``a, b, c`` lists; what is no text, as it is."""
    if isinstance(value, str):
        return [item.strip() for item in value.replace("\n", ",").split(",") if item.strip()]
    return value


CommaList = Annotated[tuple[str, ...], BeforeValidator(as_list)]
"""A setting written in the config as ``a, b, c``."""


class WrongSetting(ValueError):
    """A setting of a config file is wrong; the sentence is what is said of it.

    Attributes
    ----------
    key : str
        Which one.
    """

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


class Facts(Protocol):
    """What a node's machine has, asked once when the node has joined."""

    @property
    def cores(self) -> int: ...
    @property
    def memory_mb(self) -> int: ...
    @property
    def sudo(self) -> bool: ...  # without a password
    @property
    def systemd(self) -> bool: ...
    @property
    def package_manager(self) -> str: ...  # "apt-get", "dnf", "yum" or ""
    @property
    def python(self) -> str: ...  # "3.12.1", "" where there is none
    @property
    def has_units(self) -> bool: ...  # services can be units of systemd's
    @property
    def account(self) -> str: ...  # the cluster user; "" where that is the login


class Machine(Protocol):
    """A node's instance, as EC2 shows it."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def public_ip(self) -> str: ...  # "" where it has none
    @property
    def spot(self) -> bool: ...


class Volume(Protocol):
    """An EBS volume of the master's."""

    @property
    def name(self) -> str: ...
    @property
    def volume_id(self) -> str: ...
    @property
    def mount_path(self) -> str: ...
    @property
    def device(self) -> str | None: ...
    @property
    def partition(self) -> int | None: ...


class Account(Protocol):
    """A user of a node, who has a home and need not be able to become root."""

    @property
    def name(self) -> str: ...
    @property
    def home(self) -> str: ...

    def run(
        self,
        script: str,
        *,
        what: str = "",
        timeout: float = 600.0,
        input: bytes | None = None,  # noqa: A002 - the name that subprocess.run has for it
    ) -> str:
        """Run a bash script as this user, as `Node.run` does."""

    def put(self, data: bytes, target: str, *, mode: int = 0o600) -> None:
        """Write a file of this user's, aside and then renamed; `target` may start with ``~/``."""

    def get(self, source: str) -> bytes:
        """Return the content of a file of this user's; `source` may start with ``~/``."""


class Node(Protocol):
    """A node as a plugin sees it."""

    @property
    def alias(self) -> str: ...
    @property
    def is_master(self) -> bool: ...
    @property
    def private_ip(self) -> str: ...
    @property
    def instance(self) -> Machine: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def account(self) -> Account:
        """Who the cluster's work runs as: the cluster user (``CLUSTER_USER``), which cannot become
        root; the login itself on a machine where no user can be made."""

    def run(
        self,
        script: str,
        *,
        what: str = "",
        timeout: float = 600.0,
        user: str | None = None,
        input: bytes | None = None,  # noqa: A002 - the name that subprocess.run has for it
    ) -> str:
        """Run a bash script under ``set -euo pipefail`` in one round trip; return its output.

        It runs as the image's login, or by sudo as `user`, such as root; what its commands read is
        `input`.
        """

    def run_each(self, steps: Sequence[Step]) -> list[str]:
        """Run several scripts one after the other in one round trip; return what each printed.

        The first that fails ends it, and the error is that one's, as if it had been run alone.
        """

    def put(self, data: bytes | Path, target: str, *, mode: int = 0o600) -> None:
        """Write a file on the node, aside and then renamed; `target` may start with ``~/``."""

    def get(self, source: str) -> bytes:
        """Return the content of a file on the node; `source` may start with ``~/``."""


class Cluster(Protocol):
    """A cluster as a plugin sees it."""

    @property
    def name(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def master(self) -> Node: ...
    @property
    def nodes(self) -> Sequence[Node]: ...
    @property
    def ready_nodes(self) -> Sequence[Node]:
        """Those that had been set up before this command."""

    @property
    def volumes(self) -> Sequence[Volume]: ...
    @property
    def shell(self) -> str:
        """The cluster user's shell (``CLUSTER_SHELL``)."""

    @property
    def ending(self) -> bool:
        """Whether it is being terminated: its nodes do not come back, and their disks go."""

    @property
    def installed_later(self) -> Sequence[str]:
        """What somebody has installed on the master with pip, as requirements."""

    @property
    def drain_timeout(self) -> float:
        """Seconds that what runs on a node may still take when it leaves (``DRAIN_TIMEOUT``)."""

    def together(self, what: object, node: Node, do: Callable[[Sequence[Any]], R]) -> R:
        """Do something for a node at once with others that want the same at about this time.

        For what is done on the master, once for many nodes instead of once for each. `do` is
        called in one of their threads with all of them, and each gets what it returns or raises.
        It is for those of the same `what`; nobody waits long for others that are slow.
        """

    def meet(self, node: Node) -> None:
        """Go on as soon as the master has come to this point of its own `setup`, or to its end.

        For a plugin that is not `after_master`: what its workers can do before they need the
        master, they do before this; and the master calls it when they need not wait any longer.
        """

    def note(self, message: str) -> None:
        """Tell the user something, in one line."""


class Plugin(BaseModel):
    """Base of all plugins.

    A subclass declares its settings as fields; a ``[plugin NAME]`` section with its
    ``SETUP_CLASS`` gives their values. A hook that is not overridden does nothing. Hooks of
    different nodes run at the same time, so a plugin keeps no state of its own.

    Attributes
    ----------
    after_master : bool
        Whether `setup` on a worker waits until `setup` of the same plugin on the master is done.
    lasts : bool
        Whether nodes that join later need it too, where `runplugin` has run it on a cluster that
        was started without it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    after_master: ClassVar[bool] = True
    lasts: ClassVar[bool] = False

    @classmethod
    def settled(cls, settings: Mapping[str, str], folder: Path) -> dict[str, str]:  # noqa: ARG003 - what overrides it needs it
        """Return the settings of a config file as a cluster is to remember them.

        Other computers read them too, so what files of this one hold takes the place of their
        names, or is named by its digest.

        Parameters
        ----------
        folder : Path
            Where the config file is; relative paths begin there.

        Raises
        ------
        WrongSetting
            A file is not there, or is none of its kind.
        """
        return dict(settings)

    @classmethod
    def resolved(
        cls,
        settings: Mapping[str, str],
        former: Mapping[str, str],  # noqa: ARG003 - what overrides it needs it
        note: Callable[[str], None],  # noqa: ARG003
    ) -> dict[str, str]:
        """Return settled settings as a cluster is begun with them, or `runplugin` runs them.

        What others are asked for, which may take long, is asked here: only of the plugins that are
        used, and never where the config is only looked at.

        Parameters
        ----------
        former : mapping of str to str
            Those that the cluster has had until now; none of a new one.
        note : callable
            Tells the user something, in one line.

        Raises
        ------
        WrongSetting
            They have no answer.
        """
        return dict(settings)

    def check(self, user: str) -> None:
        """Refuse, before anything is made, what could not be set up from this computer.

        Parameters
        ----------
        user : str
            The cluster user.

        Raises
        ------
        UsageError
            It could not.
        """

    def setup(self, cluster: Cluster, node: Node) -> None:
        """Set the node up; called when it has joined, and again when `start` is repeated."""

    def assemble(self, cluster: Cluster, nodes: Sequence[Node]) -> None:
        """Set up all nodes that come together, at once; in the place of `setup` and `restart`.

        A plugin that overrides this holds up its nodes until all that come have come, so only what
        needs all of them has a reason to. Where an error names one of them, that one is replaced or
        dropped, and it is called again with the others.
        """

    def remove(self, cluster: Cluster, node: Node) -> None:
        """Prepare the node to leave; called before it is terminated."""

    def restart(self, cluster: Cluster, node: Node) -> None:
        """Bring the node back after a stop and start, or a reboot: its disk is as it was."""

    def reboot(self, cluster: Cluster) -> None:
        """Prepare the whole cluster to reboot."""

    def shutdown(self, cluster: Cluster) -> None:
        """Prepare the whole cluster to stop or terminate."""

    @property
    def assembles(self) -> bool:
        """Whether it sets up all nodes at once."""
        return type(self).assemble is not Plugin.assemble
