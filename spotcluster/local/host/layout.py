"""Where things are in a host's folder, and the two files through which the daemon and it talk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from spotcluster import files

MARK = "SPOTCLUSTER_HOST_ID"
"""Environment variable that every process of a host carries: how we find those that left its
process tree (after its server was killed, or where the system has no subreaper)."""


@dataclass(frozen=True)
class Settings:
    """What the daemon tells a host (``etc/settings.json``).

    Attributes
    ----------
    instance_id : str
        The instance that this host is.
    address : str
        The loopback address to listen on.
    port : int
        The first port to try; 0 takes any.
    authorized_keys : tuple of str
        Public keys that may log in, beside those in ``~/.ssh/authorized_keys``.
    cache : str
        Folder of the package cache that the hosts of this local cloud share.
    aws : mapping of str to str
        The variables by which programs find AWS, where the instance has a role there.
    """

    instance_id: str
    address: str
    port: int
    authorized_keys: tuple[str, ...]
    cache: str
    aws: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """What a running host says of itself (``etc/running.json``).

    `created` is what `starts.start_of` says of the process: with it a process id is never mistaken
    for that of another process which got the same number later.
    """

    pid: int
    created: str | float
    address: str
    port: int


class Layout:
    """The folder of one host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.tmp = folder / "tmp"
        self.bin = folder / "bin"
        self.etc = folder / "etc"
        self.console = folder / "console.log"
        self.settings_file = self.etc / "settings.json"
        self.running_file = self.etc / "running.json"
        self.user_data = self.etc / "user-data"
        self.host_key = self.etc / "ssh_host_ed25519_key"
        self.authorized_keys = self.etc / "authorized_keys"
        self.ssh_config = self.etc / "ssh_config"
        self.ingress = self.etc / "ingress"
        self.hostname = self.etc / "hostname"
        self.shut_down = self.etc / "shut-down"  # there from when the host has shut itself down
        self.metadata = self.etc / "metadata"
        self.python_site = self.etc / "python"

    @property
    def instance_id(self) -> str:
        """The host's folder has its instance's name."""
        return self.folder.name

    @property
    def name(self) -> str:
        """What the host is called now: until it has a name, its instance's id."""
        try:
            return self.hostname.read_text().strip() or self.instance_id
        except OSError:
            return self.instance_id

    def call(self, name: str) -> None:
        """Give the host a name, which all that starts on it from now on has."""
        if self.name != name and self.etc.is_dir():
            files.write_private(self.hostname, f"{name}\n")

    def make(self) -> None:
        """Make the folders that are missing, for the owner only."""
        for path in (self.folder, self.home, self.tmp, self.bin, self.etc):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write_settings(self, settings: Settings) -> None:
        """Write what the host is to be."""
        files.write_private(self.settings_file, json.dumps(asdict(settings), indent=1))

    def settings(self) -> Settings:
        """Read what the host is to be."""
        data = json.loads(self.settings_file.read_text())
        data["authorized_keys"] = tuple(data["authorized_keys"])
        return Settings(**data)

    def write_running(self, running: Running) -> None:
        """Write where the host listens."""
        files.write_private(self.running_file, json.dumps(asdict(running), indent=1))

    def running(self) -> Running | None:
        """Read where the host listens, None when it has said nothing since its last boot."""
        try:
            return Running(**json.loads(self.running_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def console_tail(self, size: int = 64 * 1024) -> str:
        """Return the last `size` bytes of the console, as GetConsoleOutput gives them."""
        try:
            with self.console.open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - size))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
