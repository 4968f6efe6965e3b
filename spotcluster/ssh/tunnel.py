"""Local ports that lead to ports behind a machine, through one SSH connection."""

from __future__ import annotations

import contextlib
import errno
import logging
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import paramiko

from spotcluster.errors import SpotclusterError, UsageError
from spotcluster.ssh.attempt import connect
from spotcluster.ssh.connection import Connection
from spotcluster.ssh.target import Target

log = logging.getLogger("spotcluster.ssh")

_CHUNK = 32 * 1024
_BACKLOG = 32
_CONNECT_TIMEOUT = 20.0
_LOOK = 0.5
"""How often a half-closed link looks whether its other half has gone without a word."""
_JOIN = 5.0
_FAILURE_HOLDS = 1.0
_FULL_PAUSE = 0.1


class Tunnel:
    """A forwarder of our own: listens on 127.0.0.1 and passes connections on through SSH.

    Parameters
    ----------
    through : Target or Connection
        The machine. Given a `Target`, the tunnel makes and closes its own connection, and makes it
        again for the next local connection when it was lost. A `Connection` stays its caller's.
    ports : mapping of int to (str, int), or iterable of (str, int)
        Where local ports lead, as the machine names it. A mapping gives the local ports too (0:
        any); otherwise every port is one that was free.
    refused : callable, optional
        Is told which port could not be reached for a local connection, and why.

    Notes
    -----
    Two threads carry a link, one for each direction, and block where the other end is slow, which
    is all the flow control that is needed; they end with the link.

    Examples
    --------
    >>> with Tunnel(target, [("127.0.0.1", 8888)]) as tunnel:  # doctest: +SKIP
    ...     print(tunnel.local_port(8888))
    """

    def __init__(
        self,
        through: Target | Connection,
        ports: Mapping[int, tuple[str, int]] | Iterable[tuple[str, int]],
        refused: Callable[[int, str], object] = lambda _port, _why: None,
    ) -> None:
        self.refused = refused
        self._target = through if isinstance(through, Target) else through.target
        self._own = isinstance(through, Target)
        self._connection = None if isinstance(through, Target) else through
        if isinstance(ports, Mapping):
            self._wanted = list(ports.items())
        else:
            self._wanted = [(0, remote) for remote in ports]
        self._listeners: dict[socket.socket, tuple[str, int]] = {}
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._acceptor: threading.Thread | None = None
        self._wake: socket.socket | None = None
        self._failure: SpotclusterError | None = None
        self._failed_at = 0.0
        self._closed = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether it listens and its SSH connection holds, as far as this side knows."""
        connection = self._connection
        return bool(self._acceptor and not self._closed and connection and connection.alive)

    def start(self) -> None:
        """Connect and listen.

        Raises
        ------
        ConnectionFailed, HostKeyMismatch
            As `spotcluster.ssh.connect`.
        UsageError
            A local port that was asked for is taken.
        """
        if self._closed or self._acceptor:
            raise RuntimeError("a tunnel starts once")
        try:
            self._connect()
            for local, remote in self._wanted:
                self._listeners[_listen(local)] = remote
        except BaseException:
            self.close()
            raise
        woken, self._wake = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept, args=(woken,), name=f"tunnel-{self._target.alias}", daemon=True
        )
        self._acceptor.start()

    def local_port(self, remote_port: int) -> int:
        """Return the local port that leads to `remote_port`.

        Raises
        ------
        KeyError
            None does, or the tunnel does not listen.
        """
        for listener, (_, port) in list(self._listeners.items()):
            if port == remote_port:
                return int(listener.getsockname()[1])
        raise KeyError(remote_port)

    def close(self) -> None:
        """Stop listening, close every link, and the connection if it is the tunnel's own."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            links = list(self._links)
            connection = self._connection if self._own else None
        if self._wake:
            self._wake.close()
        else:
            self._close_listeners()
        for link in links:
            link.abort()
        if connection:
            connection.close()
        for thread in (self._acceptor, *(thread for link in links for thread in link.threads)):
            if thread and thread is not threading.current_thread() and thread.ident:
                thread.join(_JOIN)

    def _connect(self) -> Connection:
        """Return a connection that is alive, made again if it is ours to make."""
        with self._connecting:
            if self._connection is None or (self._own and not self._connection.alive):
                # One answer serves all links that wait for it, or each would wait in turn.
                if self._failure and time.monotonic() - self._failed_at < _FAILURE_HOLDS:
                    raise self._failure
                try:
                    made = connect(self._target, timeout=_CONNECT_TIMEOUT)
                except SpotclusterError as error:
                    self._failure, self._failed_at = error, time.monotonic()
                    raise
                with self._lock:
                    old, self._connection = self._connection, made
                    closed = self._closed
                if old:
                    old.close()
                if closed:
                    made.close()
            return self._connection

    def _accept(self, woken: socket.socket) -> None:
        with woken, selectors.DefaultSelector() as selector:
            selector.register(woken, selectors.EVENT_READ)
            for listener in self._listeners:
                selector.register(listener, selectors.EVENT_READ)
            while not self._closed:
                for key, _ in selector.select():
                    if key.fileobj in self._listeners and not self._closed:
                        self._welcome(key.fileobj)
        self._close_listeners()

    def _welcome(self, listener: socket.socket) -> None:
        try:
            sock, origin = listener.accept()
        except OSError as error:
            log.debug("tunnel to %s: %s", self._target.alias, error)
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(_FULL_PAUSE)  # it waits in the queue, and would be offered at once
            return
        # accept() hands down "non-blocking" on some systems; a ZeroMQ message must not wait.
        sock.setblocking(True)  # noqa: FBT003 - socket's own signature
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link(self, sock, self._listeners[listener], origin)
        with self._lock:
            closed = self._closed
            if not closed:
                self._links.add(link)
        if closed:
            link.abort()
        else:
            link.start()

    def _close_listeners(self) -> None:
        for listener in list(self._listeners):
            listener.close()
        self._listeners.clear()

    def open(self, remote: tuple[str, int], origin: tuple[str, int]) -> Any:
        """Return a channel to `remote`."""
        if self._closed:
            raise OSError("the tunnel is closed")
        return self._connect().open_forward(*remote, origin)

    def forget(self, link: _Link) -> None:
        """Take a link that has ended off the list."""
        with self._lock:
            self._links.discard(link)

    @property
    def alias(self) -> str:
        """The machine's name."""
        return self._target.alias


class _Link:
    """One local connection and its channel."""

    def __init__(
        self, tunnel: Tunnel, sock: socket.socket, remote: tuple[str, int], origin: tuple[str, int]
    ) -> None:
        self._tunnel = tunnel
        self._sock = sock
        self._remote = remote
        self._origin = origin
        self._channel: Any = None
        self._lock = threading.Lock()
        self._aborted = False
        self._sent_all = threading.Event()
        name = f"tunnel-{tunnel.alias}-{remote[1]}"
        self._up = threading.Thread(target=self._run, name=f"{name}-up", daemon=True)
        self._down = threading.Thread(target=self._receive, name=f"{name}-down", daemon=True)

    @property
    def threads(self) -> tuple[threading.Thread, threading.Thread]:
        """The threads that carry it."""
        return self._up, self._down

    def start(self) -> None:
        """Carry it, in threads of its own."""
        self._up.start()

    def abort(self) -> None:
        """End it at once, whatever its threads wait for."""
        with self._lock:
            self._aborted = True
            channel = self._channel
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        if channel:
            _close_channel(channel)
        if not self._up.ident:  # nobody will close it
            self._sock.close()

    def _run(self) -> None:
        try:
            if self._open():
                self._down.start()
                self._send()
                self._down.join()
        finally:
            self._sent_all.set()
            if self._channel:
                _close_channel(self._channel)
            self._sock.close()
            self._tunnel.forget(self)

    def _open(self) -> bool:
        try:
            channel = self._tunnel.open(self._remote, self._origin)
        except (SpotclusterError, paramiko.SSHException, EOFError, OSError) as error:
            log.debug("tunnel to %s: %s:%s: %s", self._tunnel.alias, *self._remote, error)
            self._tunnel.refused(self._remote[1], str(error))
            # As a port that nobody listens on: reset, so that the client knows to try again.
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        with self._lock:
            self._channel = channel
            return not self._aborted

    def _send(self) -> None:
        """Pass on what the local side sends, and its end."""
        try:
            while data := self._sock.recv(_CHUNK):
                _send_all(self._channel, data)
            self._channel.shutdown_write()
        except (paramiko.SSHException, EOFError, OSError):
            self.abort()
        finally:
            self._sent_all.set()

    def _receive(self) -> None:
        """Pass on what the far side sends, and its end."""
        try:
            while data := self._channel.recv(_CHUNK):
                self._sock.sendall(data)
            self._sock.shutdown(socket.SHUT_WR)
        except (paramiko.SSHException, EOFError, OSError):
            self.abort()
            return
        # The far side may still listen. When it has closed altogether, or SSH is lost, nothing
        # that the local side sends can arrive.
        while not self._sent_all.wait(_LOOK if not self._channel.closed else 0):
            if self._channel.closed:
                self.abort()
                return


def _listen(port: int) -> socket.socket:
    try:
        listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(
            f"Port {port} on this computer cannot be used: {error.strerror or error}.",
            "Close what uses it, or take another port.",
        ) from error
    listener.setblocking(False)  # noqa: FBT003 - socket's own signature
    return listener


def _send_all(channel: Any, data: bytes) -> None:
    """Send `data`; paramiko's own sendall never ends when the channel takes no more."""
    rest = memoryview(data)
    while rest:
        sent = channel.send(bytes(rest))
        if not sent:
            raise OSError("the channel takes no more")
        rest = rest[sent:]


def _close_channel(channel: Any) -> None:
    with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
        channel.close()
