"""The SSH server of a local host: who may log in, and what they get."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import tempfile
from typing import Any, cast

import asyncssh

from . import environment, image, userdata
from .children import Children
from .layout import Layout, Settings
from .sessions import Session

log = logging.getLogger(__name__)

_PORTS_TRIED = 200
_LONGEST_SOCKET = 100
_KEEPALIVE = 30.0
_SFTP_VERSION = 3
_ACCEPTED_ENVIRONMENT = ("LANG", "LC_", "COLORTERM", "NO_COLOR")


class Host:
    """A local host: boots from its folder, then serves until it is killed."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.settings: Settings = layout.settings()
        self._laptop = dict(os.environ)
        self._keys = ""
        self._children: Children | None = None

    def set_up(self) -> asyncssh.SSHKey:
        """Do what cloud-init does at boot; return the host key."""
        image.make_image(self.layout)
        try:
            raw = self.layout.user_data.read_bytes()
        except FileNotFoundError:
            raw = b""
        data = userdata.parse(raw)
        for name in data.ignored:
            log.info("user data: %s is left out on a local host", name)
        self._keys = "\n".join([*self.settings.authorized_keys, *data.authorized_keys])
        return self._host_key(data.host_key)

    async def listen(self, key: asyncssh.SSHKey) -> int:
        """Listen on the host's address; return the port."""
        self._children = Children()
        first = self.settings.port
        candidates = range(first, first + _PORTS_TRIED) if first else [0]
        for port in candidates:
            try:
                acceptor = await self._listen_on(port, key)
            except OSError as error:
                if error.errno == errno.EADDRINUSE and port != candidates[-1]:
                    continue
                raise
            return int(acceptor.get_port())
        raise AssertionError("a range of ports is never empty")

    async def _listen_on(self, port: int, key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            self.settings.address,
            port,
            server_factory=lambda: _Door(self),
            server_host_keys=[key],
            encoding=None,
            # The terminal is a real one here, so its line editing is the shell's.
            line_editor=False,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            x11_forwarding=False,
            agent_forwarding=True,
            keepalive_interval=_KEEPALIVE,
        )

    def authorized_keys(self) -> asyncssh.SSHAuthorizedKeys:
        """Return the keys that may log in now."""
        own = ""
        with contextlib.suppress(OSError):
            own = (self.layout.home / ".ssh" / "authorized_keys").read_text(errors="replace")
        try:
            return asyncssh.import_authorized_keys(f"{self._keys}\n{own}")
        except ValueError:  # there is none
            return asyncssh.SSHAuthorizedKeys()

    def admits(self) -> bool:
        """Return whether a security group of the instance lets SSH in, as the daemon wrote."""
        try:
            return self.layout.ingress.read_text().strip() != "closed"
        except OSError:
            return True

    def session(self) -> asyncssh.SSHServerProcess[bytes]:
        """Return what a session of a client is given."""
        # The host's own scp command does it better; where there is none, asyncssh's must do.
        own_scp = (self.layout.bin / "scp").exists()
        return _Session(self._serve, cast(Any, _Files), _SFTP_VERSION, not own_scp)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        assert self._children is not None
        user = str(process.get_extra_info("username"))
        variables = environment.session_environment(self.layout, self.settings, self._laptop, user)
        for name, value in process.env.items():
            if name.startswith(_ACCEPTED_ENVIRONMENT):
                variables[name] = value
        peer, local = process.get_extra_info("peername"), process.get_extra_info("sockname")
        if peer and local:
            variables["SSH_CLIENT"] = f"{peer[0]} {peer[1]} {local[1]}"
            variables["SSH_CONNECTION"] = f"{peer[0]} {peer[1]} {local[0]} {local[1]}"
        agent = process.channel.get_agent_path()
        if agent:
            variables["SSH_AUTH_SOCK"] = agent
        await Session(process, self._children, variables, self.layout.home).run()

    def _host_key(self, given: str) -> asyncssh.SSHKey:
        path = self.layout.host_key
        if not path.exists():
            key = None
            if given:
                try:
                    key = asyncssh.import_private_key(given)
                except (asyncssh.KeyImportError, ValueError) as error:
                    log.warning("user data: ssh_keys: ed25519_private cannot be read: %s", error)
            if key is None:
                key = asyncssh.generate_private_key("ssh-ed25519")
                # cloud-init prints new keys like this, which is how a client may learn them.
                public = key.export_public_key().decode().strip()
                log.info("-----BEGIN SSH HOST KEY KEYS-----")
                log.info("%s", public)
                log.info("-----END SSH HOST KEY KEYS-----")
            path.touch(mode=0o600)
            path.write_bytes(key.export_private_key())
        return asyncssh.read_private_key(str(path))


class _Session(asyncssh.SSHServerProcess[bytes]):
    """A shell, a command or SFTP: asyncssh gives a shell to who asks for any other subsystem."""

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"


class _Files(asyncssh.SFTPServer):
    """SFTP that ends with a status, without which scp takes a finished copy for a failed one."""

    def exit(self) -> None:
        if not self.channel.is_closing():
            self.channel.exit(0)


class _Door(asyncssh.SSHServer):
    """Decides on one connection."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        if not self._host.admits():
            log.info("a connection was dropped: no security group opens port 22 to it")
            conn.abort()

    def begin_auth(self, username: str) -> bool:
        assert self._connection is not None
        self._connection.set_authorized_keys(self._host.authorized_keys())
        log.info("login attempt as %r", username[:64])
        return True

    def session_requested(self) -> asyncssh.SSHServerProcess[bytes]:
        return self._host.session()

    def auth_completed(self) -> None:
        log.info("login accepted")

    def public_key_auth_supported(self) -> bool:
        return True

    # Who is logged in runs programs as the owner of the local cloud anyway, so every kind of
    # forwarding is let through.

    def connection_requested(self, *_: object) -> bool:
        return True

    def server_requested(self, *_: object) -> bool:
        return True

    def unix_connection_requested(self, *_: object) -> bool:
        return True

    def unix_server_requested(self, *_: object) -> bool:
        return True


def use_own_tmp(layout: Layout) -> None:
    """Make agent sockets in the host's own tmp, unless its path is too long for a socket."""
    if len(str(layout.tmp / "asyncssh-12345678" / "agent")) < _LONGEST_SOCKET:
        tempfile.tempdir = str(layout.tmp)


async def serve_for_ever() -> None:
    """Wait until the process is killed: a host ends from outside only."""
    await asyncio.Event().wait()


def enter(layout: Layout) -> None:
    """Start relative paths at the host's home, as SFTP does."""
    os.chdir(layout.home)
    os.umask(0o022)
