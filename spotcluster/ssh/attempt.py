"""One attempt to connect: TCP, SSH's handshake, the host key, the login."""

from __future__ import annotations

import errno
import logging
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

import paramiko

from spotcluster.errors import HostKeyMismatch
from spotcluster.ssh import jump, keys
from spotcluster.ssh.connection import Connection
from spotcluster.ssh.failures import CannotConnect, Reason
from spotcluster.ssh.target import Target

_KEEPALIVE = 15
"""Seconds of silence after which we speak, so that no router forgets the connection."""
_UNANSWERED_MS = 45_000
"""How long data that we sent may go unanswered before the kernel gives the connection up."""
_TCP_RXT_CONNDROPTIME = 0x80  # macOS's <netinet/tcp.h>; Python does not name it; in seconds

_ROUTE_ERRORS = {
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.ENETDOWN,
    errno.EADDRNOTAVAIL,
}
_LOG = "spotcluster.ssh.paramiko"


def _quiet(record: logging.LogRecord) -> bool:
    """Let what paramiko complains of into the log as a detail: what matters, we raise."""
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return True


for _name in (_LOG, f"{_LOG}.sftp"):
    logging.getLogger(_name).setLevel(logging.WARNING)
    logging.getLogger(_name).addFilter(_quiet)


def connect(target: Target, *, timeout: float) -> Connection:
    """Connect to a machine and log in, in one attempt.

    Parameters
    ----------
    target : Target
        The machine.
    timeout : float
        Seconds for the whole attempt.

    Returns
    -------
    Connection
        Close it when done; it is a context manager.

    Raises
    ------
    ConnectionFailed
        It cannot be reached, does not speak SSH, or does not let us in.
    HostKeyMismatch
        The machine that answered has another host key.
    UsageError
        The private key cannot be used.
    """
    return dial(target, keys.load_private(target.key_path), timeout=timeout, tcp_timeout=timeout)


def dial(target: Target, key: Any, *, timeout: float, tcp_timeout: float) -> Connection:
    """Connect with a key that is loaded already; `tcp_timeout` limits the first step alone."""
    deadline = time.monotonic() + timeout
    wanted = [keys.parse_public(line) for line in target.host_keys]
    if target.proxy_jump:
        way = jump.Way(target)
        try:
            transport = _shake_hands(way.socket, target, wanted[0][0], deadline)
        except CannotConnect as error:
            if failure := way.failure():
                raise CannotConnect(target, Reason.NO_JUMP, failure.rstrip(".")) from error
            raise
    else:
        sock = _reach(target, min(timeout, tcp_timeout))
        transport = _shake_hands(sock, target, wanted[0][0], deadline)
    try:
        _check_host_key(transport, target, wanted)
        _log_in(transport, target, key, deadline)
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(_KEEPALIVE)
    return Connection(target, transport)


def _reach(target: Target, timeout: float) -> socket.socket:
    try:
        sock = socket.create_connection((target.host, target.port), timeout=timeout)
    except TimeoutError as error:
        raise CannotConnect(target, Reason.TIMED_OUT, f"within {timeout:.3g} s") from error
    except ConnectionRefusedError as error:
        raise CannotConnect(target, Reason.REFUSED) from error
    except (socket.gaierror, UnicodeError) as error:
        raise CannotConnect(target, Reason.NO_ADDRESS) from error
    except OSError as error:
        reason = Reason.NO_ROUTE if error.errno in _ROUTE_ERRORS else Reason.CLOSED_EARLY
        raise CannotConnect(target, reason, error.strerror or str(error)) from error
    # Small messages go at once (an engine's answer must not wait for an acknowledgement), and a
    # machine that has vanished is noticed in the time of a few keepalives, not in 15 minutes.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_MS)
    elif sys.platform == "darwin":
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_RXT_CONNDROPTIME, _UNANSWERED_MS // 1000)
    return sock


def _shake_hands(sock: socket.socket, target: Target, kind: str, deadline: float) -> Any:
    """Return the encrypted transport, whose other end is not known yet."""
    try:
        transport = paramiko.Transport(sock)
    except BaseException:
        sock.close()
        raise
    try:
        transport.set_log_channel(_LOG)
        # A server with several host keys shall prove the one that we know.
        options = transport.get_security_options()
        family = ("ssh-rsa", "rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)
        options.key_types = sorted(options.key_types, key=lambda name: name not in family)
        _negotiate(transport, _left(deadline))
    except BaseException as error:
        transport.close()
        if isinstance(error, (paramiko.SSHException, EOFError, OSError)):
            raise _handshake_failure(target, error, deadline) from error
        raise
    return transport


def _negotiate(transport: Any, timeout: float) -> None:
    transport.banner_timeout = transport.handshake_timeout = timeout
    transport.start_client(timeout=timeout)
    if not transport.initial_kex_done:  # it returns when the time is over, without a word
        raise TimeoutError


def _handshake_failure(target: Target, error: Exception, deadline: float) -> CannotConnect:
    """Say why the handshake failed.

    paramiko's word for it is mostly the same; the exception it was handling is not.
    """
    cause = error.__context__ if isinstance(error, paramiko.SSHException) else error
    said = str(error)
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return CannotConnect(target, Reason.NO_COMMON_METHOD, said)
    if "protocol version" in said or "Invalid SSH banner" in said:
        return CannotConnect(target, Reason.NOT_SSH)
    if isinstance(cause, TimeoutError) or time.monotonic() >= deadline:
        return CannotConnect(target, Reason.TIMED_OUT, "connected, but SSH's handshake did not end")
    if isinstance(cause, (EOFError, OSError)) or "banner" in said or "Negotiation failed" in said:
        return CannotConnect(target, Reason.CLOSED_EARLY)
    return CannotConnect(target, Reason.NOT_SSH, said)


def _check_host_key(transport: Any, target: Target, wanted: Sequence[tuple[str, bytes]]) -> None:
    offered = transport.get_remote_server_key()
    if (offered.get_name(), offered.asbytes()) in wanted:
        return
    own = target.host_keys[-1]  # of a node that changes its key, the one that it will keep
    shown = keys.fingerprint(f"{offered.get_name()} {offered.get_base64()}")
    raise HostKeyMismatch(
        target.alias,
        f"the machine at {target.where} has the host key {shown} ({offered.get_name()}), not the"
        f" node's {keys.fingerprint(own)} ({wanted[-1][0]}); it may be another machine on the same"
        " address.",
        "Nothing was sent to it. If it lasts, remove the node and add a new one.",
    )


def _log_in(transport: Any, target: Target, key: Any, deadline: float) -> None:
    transport.auth_timeout = _left(deadline)
    try:
        more = transport.auth_publickey(target.user, key)
    except (paramiko.SSHException, EOFError, OSError) as error:
        said = str(error)
        if "timeout" in said.lower() or time.monotonic() >= deadline:
            detail = "connected, but the login did not end"
            raise CannotConnect(target, Reason.TIMED_OUT, detail) from error
        if not transport.is_active() and "saw EOF" in said:
            raise CannotConnect(target, Reason.CLOSED_EARLY, "during the login") from error
        if isinstance(error, paramiko.AuthenticationException):
            raise CannotConnect(target, Reason.KEY_REFUSED) from error
        raise CannotConnect(target, Reason.CLOSED_EARLY, said) from error
    if more:
        detail = f"the key is right, but it asks for {' or '.join(more)} too"
        raise CannotConnect(target, Reason.KEY_REFUSED, detail)


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
