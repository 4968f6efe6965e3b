"""A real SSH server (asyncssh) in a thread of the test process, with a home of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from spotcluster import ssh

USER = "worker"


class Loop:
    """An asyncio loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="server")
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)

    def close(self) -> None:
        self.do(_cancel_the_rest())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(60)
        self.loop.close()


async def _cancel_the_rest() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.wait_for(asyncio.gather(*rest, return_exceptions=True), 60)


@dataclass
class Server:
    """An SSH server, and what it is told to do by tests."""

    loop: Loop
    home: Path
    host_key: ssh.keys.KeyPair
    user_key: ssh.keys.KeyPair
    key_path: Path
    port: int = 0
    shell: tuple[str, ...] = ("bash", "-c")
    environment: dict[str, str] = field(default_factory=dict)
    prints_before: bytes = b""
    users: tuple[str, ...] = (USER,)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    sessions: int = 0
    commands: list[str] = field(default_factory=list)
    _children: list[asyncio.subprocess.Process] = field(default_factory=list)
    _acceptor: Any = None

    @property
    def target(self) -> ssh.Target:
        return ssh.Target(
            alias="node001",
            host="127.0.0.1",
            port=self.port,
            user=USER,
            key_path=self.key_path,
            host_key=self.host_key.public,
            host_key_alias="i-0123",
        )

    def start(self) -> None:
        self.loop.do(self._listen())

    def stop(self) -> None:
        self.loop.do(self._close())

    def end(self) -> None:
        """Stop, and end what was left running, as sshd leaves it: a test's `sleep 300`."""
        self.stop()
        self.loop.do(self._kill())

    def drop_connections(self) -> None:
        """Cut all connections, as a machine that dies does."""
        self.loop.do(self._drop())

    def reset_connections(self, meanwhile: Callable[[], object]) -> None:
        """Cut all connections with a reset, which answers what is sent `meanwhile`."""
        self.loop.do(self._deaf())
        meanwhile()
        self.drop_connections()

    async def _deaf(self) -> None:
        for connection in self.connections:
            sock = connection.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection._transport.pause_reading()

    async def _listen(self) -> None:
        home = str(self.home)
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: _Door(self),
            server_host_keys=[asyncssh.import_private_key(self.host_key.private)],
            process_factory=self._serve,
            sftp_factory=lambda channel: _Sftp(channel, home),
            encoding=None,
            password_auth=False,
            kbdint_auth=False,
            gss_host=None,
        )
        self.port = self._acceptor.get_port()

    async def _drop(self) -> None:
        for connection in self.connections:
            connection.abort()
        self.connections.clear()

    async def _close(self) -> None:
        if self._acceptor:
            self._acceptor.close()
            await self._acceptor.wait_closed()
            self._acceptor = None
        await self._drop()

    async def _kill(self) -> None:
        for child in self._children:
            if child.returncode is None:  # what has ended may have given its number away
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.commands.append(process.command or "")
        process.stdout.write(self.prints_before)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), **self.environment}
        child = await asyncio.create_subprocess_exec(
            *self.shell,
            process.command or "",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=self.home,
            start_new_session=True,
        )
        self._children.append(child)
        feeding = asyncio.ensure_future(_feed(process, child))
        assert child.stdout
        assert child.stderr
        pumping = asyncio.gather(
            _pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr)
        )
        gone = asyncio.ensure_future(process.wait_closed())
        try:
            # As sshd: over when the command has ended and nobody holds its output.
            await asyncio.wait([pumping, gone], return_when=asyncio.FIRST_COMPLETED)
            if pumping.done():
                status = await child.wait()
                if status < 0:
                    process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
                else:
                    process.exit(status)
        finally:
            for task in (feeding, pumping, gone):
                task.cancel()
            if child.stdin:  # as sshd: what still reads sees the end
                child.stdin.close()
            await asyncio.gather(feeding, pumping, gone, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: Any) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def _feed(process: Any, child: asyncio.subprocess.Process) -> None:
    assert child.stdin
    open_ = True
    while True:
        try:
            data = await process.stdin.read(65536)
        except asyncssh.SignalReceived as received:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, getattr(signal, f"SIG{received.signal}"))
            continue
        except (asyncssh.Error, OSError):
            return
        with contextlib.suppress(OSError):
            if data:
                child.stdin.write(data)
                await child.stdin.drain()
            elif open_:
                child.stdin.close()
                open_ = False
            else:
                return


class _Door(asyncssh.SSHServer):
    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        keys = self._server.user_key.public if username in self._server.users else ""
        with contextlib.suppress(ValueError):  # no keys
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys(keys))
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def connection_requested(self, *_: object) -> bool:
        return True


class _Sftp(asyncssh.SFTPServer):
    """Starts relative paths at the home, as sftp-server does."""

    def __init__(self, channel: Any, home: str) -> None:
        super().__init__(channel)
        self._home = home.encode()

    def map_path(self, path: bytes) -> bytes:
        return os.path.join(self._home, path)  # noqa: PTH118 - bytes


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def make_server(loop: Loop) -> Iterator[Callable[..., Server]]:
    """Make servers that are not listening yet."""
    made: list[Server] = []
    folders: list[str] = []

    def make() -> Server:
        # Not tmp_path: hypothesis needs one server for all its examples.
        folder = tempfile.mkdtemp(prefix="sc-host-")
        folders.append(folder)
        home = Path(folder) / "home"
        home.mkdir(mode=0o755)
        pair = ssh.keys.generate()
        key_path = Path(folder) / "key"
        key_path.touch(mode=0o600)
        key_path.write_text(pair.private)
        server = Server(loop, home, ssh.keys.generate(), pair, key_path)
        made.append(server)
        return server

    yield make
    for server in made:
        server.end()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    made = make_server()
    made.start()
    return made


@pytest.fixture
def connection(server: Server) -> Iterator[ssh.Connection]:
    with ssh.connect(server.target, timeout=120) as made:
        yield made


@pytest.fixture
def free_port() -> int:
    """Return a port that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def changed(server: Server, **values: Any) -> ssh.Target:
    return replace(server.target, **values)
