"""The lab's network: a bridge without a way out, a link per machine, and what goes wrong on it.

::

    the laptop 203.0.113.1 --+
    metadata 169.254.169.254 +-- br0 == v7 (=relay=) eth0 of a machine, 172.31.x.y
    packages 172.31.0.1    --+

The laptop's address is not one of the VPC's, so that a security group that lets in the caller's
address says something, as on EC2.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

LAPTOP = "203.0.113.1"
GATEWAY = "172.31.0.1"
METADATA = "169.254.169.254"
_BRIDGE = "br0"
_RELAY = Path(__file__).with_name("relay.py")
_FIRST = 10
_SIZE = 254 * 254


class Addresses:
    """Addresses of the default VPC, as `spotcluster.local.addresses` has loopback addresses."""

    first_port = 22

    def __init__(self) -> None:
        self._next = _FIRST

    def allocate(self, taken: Collection[str]) -> str:
        """Return an address that no live instance has; those that just ended come back last."""
        for _ in range(_SIZE):
            third, fourth = divmod(self._next, 254)
            self._next = _FIRST + (self._next + 1 - _FIRST) % (_SIZE - _FIRST)
            address = f"172.31.{third}.{fourth + 1}"
            if address not in taken:
                return address
        raise AssertionError("more instances than addresses")


@dataclass(frozen=True)
class Opening:
    """What a rule of a security group lets in: `protocol` -1 for any; ports as EC2 has them."""

    protocol: str
    first: int
    last: int
    source: str

    def as_match(self) -> str:
        """Return it in nft's language."""
        source = f"ip saddr {self.source}"
        if self.protocol in ("tcp", "udp"):
            return f"{source} {self.protocol} dport {self.first}-{self.last}"
        return source if self.protocol == "-1" else f"{source} ip protocol {self.protocol}"


@dataclass
class Link:
    """The cable of one machine."""

    number: int
    address: str
    openings: tuple[Opening, ...] | None = None
    loss: float = 0.0
    relay: subprocess.Popen[bytes] | None = None

    @property
    def outer(self) -> str:
        """The end in the lab."""
        return f"v{self.number}"

    @property
    def netns(self) -> str:
        """The machine's network namespace."""
        return f"m{self.number}"

    @property
    def netns_path(self) -> Path:
        """Where that can be entered."""
        return Path("/run/netns") / self.netns

    @property
    def mac(self) -> str:
        """The machine's hardware address, which its address determines."""
        parts = [int(part) for part in self.address.split(".")]
        return "02:00:" + ":".join(f"{part:02x}" for part in parts)


@dataclass
class Network:
    """All links.

    Parameters
    ----------
    image : Path
        An image that has nft; this computer need not have it.
    """

    image: Path
    links: dict[str, Link] = field(default_factory=dict)
    partitions: set[frozenset[str]] = field(default_factory=set)
    _number: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def make(self) -> None:
        """Make the bridge and its addresses, in the namespace that this process is in."""
        ip("link set lo up")
        ip(f"link add {_BRIDGE} type bridge forward_delay 0 stp_state 0")
        # A bridge whose address is not set takes that of a port, and drops what is under way when
        # that port goes.
        ip(f"link set {_BRIDGE} address 02:00:00:00:00:01 up")
        for address in (f"{LAPTOP}/32", f"{METADATA}/32"):
            ip(f"addr add {address} dev {_BRIDGE}")
        ip(f"addr add {GATEWAY}/16 dev {_BRIDGE} noprefixroute")
        ip(f"route add 172.31.0.0/16 dev {_BRIDGE} src {LAPTOP}")

    def add(self, machine: str, address: str) -> Link:
        """Give a machine its link, down until it boots."""
        with self._lock:
            if machine in self.links:
                return self.links[machine]
            self._number += 1
            link = Link(self._number, address)
            self._make(link)
            ip(f"link set {link.outer} master {_BRIDGE}")
            # Without an answer to ARP a caller would be told "no route" after a while. To EC2's
            # network an address is there, whether its machine is up or not: calls time out.
            ip(f"neigh replace {address} lladdr {link.mac} dev {_BRIDGE} nud permanent")
            self.links[machine] = link
            return link

    def remove(self, machine: str) -> None:
        """Take a machine's link away."""
        with self._lock:
            link = self.links.pop(machine, None)
            if link is None:
                return
            self._end_relay(link)
            # By name: with its namespace it would go too, but at a time of the kernel's choice.
            ip(f"link del {link.outer}")
            ip(f"neigh del {link.address} dev {_BRIDGE}")
            self._forget(link)
            self.partitions = {pair for pair in self.partitions if link.address not in pair}
            self._apply()

    def set_up(self, machine: str, *, up: bool) -> None:
        """Plug the cable in or out."""
        link = self.links[machine]
        ip(f"link set {link.outer} {'up' if up else 'down'}")

    def admit(self, machine: str, openings: Iterable[Opening]) -> None:
        """Let in to a machine what its security groups say, and nothing else."""
        wanted = tuple(sorted(set(openings), key=repr))
        with self._lock:
            link = self.links[machine]
            if link.openings != wanted:
                link.openings = wanted
                self._apply()

    def partition(self, one: str, other: str, *, on: bool) -> None:
        """Drop all packets between two addresses, or no more."""
        with self._lock:
            pair = frozenset((one, other))
            self.partitions = self.partitions | {pair} if on else self.partitions - {pair}
            self._apply()

    def lose(self, machine: str, share: float) -> None:
        """Drop a share of the packets to and from a machine, by chance."""
        with self._lock:
            self.links[machine].loss = share
            self._apply()

    def limit_rate(self, machine: str, bits_per_second: int | None) -> None:
        """Make a machine's link slow, both ways; None makes it as fast as it was."""
        link = self.links[machine]
        for where in (["-n", link.netns, "eth0"], [link.outer]):
            *options, device = where
            if bits_per_second is None:
                _run(["tc", *options, "qdisc", "del", "dev", device, "root"], check=False)
                continue
            rate = f"rate {bits_per_second}bit burst 64kb latency 400ms".split()
            _run(["tc", *options, "qdisc", "replace", "dev", device, "root", "tbf", *rate])

    def delay(self, machine: str, round_trip: float, jitter: float = 0.0) -> None:
        """Make a machine's packets take `round_trip` seconds longer, there and back."""
        with self._lock:
            link = self.links[machine]
            self._end_relay(link)
            if not round_trip:
                return
            inner = f"r{link.number}"
            ip(f"link add {inner} type veth peer name {inner}b")
            ip(f"link set {inner} up")
            ip(f"link set {link.outer} nomaster")
            ip(f"link set {inner}b master {_BRIDGE} up")
            link.relay = subprocess.Popen(
                [
                    *(sys.executable, str(_RELAY), link.outer, inner),
                    *(str(round_trip / 2), str(jitter / 2)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
            assert link.relay.stdout is not None
            if not link.relay.stdout.readline():
                raise OSError("the relay did not start; the lab's log says why")

    def _make(self, link: Link) -> None:
        """Make a link with the machine's end of it."""
        ip(f"netns add {link.netns}")
        ip(f"-n {link.netns} link set lo up")
        ip(f"link add {link.outer} type veth peer name eth0 netns {link.netns}")
        ip(f"-n {link.netns} link set eth0 address {link.mac} up")
        ip(f"-n {link.netns} addr add {link.address}/16 dev eth0")
        ip(f"-n {link.netns} route add default via {GATEWAY}")

    def _forget(self, link: Link) -> None:
        """Remove what is left of a link that has gone."""
        ip(f"netns del {link.netns}")

    def _end_relay(self, link: Link) -> None:
        if link.relay is None:
            return
        link.relay.kill()
        link.relay.wait()
        link.relay = None
        ip(f"link del r{link.number}")
        ip(f"link set {link.outer} master {_BRIDGE}")

    def _apply(self) -> None:
        """Replace all rules at once."""
        machines = "\n".join(_chain(link) for link in self.links.values())
        jumps = "\n".join(
            f"ip daddr {link.address} goto to_{link.number}"
            for link in self.links.values()
            if link.openings is not None
        )
        cuts = "\n".join(
            f"ip saddr {a} ip daddr {b} drop\nip saddr {b} ip daddr {a} drop"
            for a, b in (tuple(pair) for pair in self.partitions if len(pair) == 2)
        )
        losses = "\n".join(
            f"ip {way} {link.address} numgen random mod 10000 < {round(link.loss * 10000)} drop"
            for link in self.links.values()
            if link.loss
            for way in ("saddr", "daddr")
        )
        hooks = "\n".join(
            f"chain {hook} {{ type filter hook {hook} priority 0;\n"
            f"ether type ip6 drop\n{cuts}\n{losses}\n{jumps}\n}}"
            for hook in ("forward", "input", "output")
        )
        table = "table bridge lab"
        rules = f"{table}\ndelete {table}\n{table} {{\n{machines}\n{hooks}\n}}\n"
        _run(["chroot", str(self.image), "nft", "-f", "-"], given=rules)


def _chain(link: Link) -> str:
    # Without connection tracking, which bridges often lack: who may open a connection is what is
    # decided; what belongs to one that is open goes through.
    admitted = "\n".join(f"{opening.as_match()} accept" for opening in link.openings or ())
    closed = (
        f"ip saddr {METADATA} accept\n{admitted}\n"
        "tcp flags & (syn | ack) == syn drop\nmeta l4proto udp drop\nicmp type echo-request drop"
    )
    return f"chain to_{link.number} {{\n{closed}\n}}"


def ip(words: str) -> None:
    _run(["ip", *words.split()])


def _run(command: list[str], *, check: bool = True, given: str = "") -> str:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=120, check=False
    )
    if check and done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}\n{given}")
    return done.stdout
