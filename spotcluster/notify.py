"""Tells somebody outside what has happened to a cluster: a command or a web hook of the user's.

What is told, and to whom, goes to a process of its own, which nobody waits for: a hook that fails,
or that hangs until its time is over, neither fails nor delays who tells it. What it said is in
``notify.log`` beside the config.

This belongs to no room: commands, searches and what keeps a cluster tell it all.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import weakref
from collections.abc import Callable
from typing import IO, Any

from spotcluster import files

EVENTS = ("ready", "lost", "replaced", "budget", "stopped", "search done")
LIMIT = 30.0
"""Seconds that a hook may take."""
_LOG = 1 << 20  # bytes after which the log begins anew
_SAID = 2000  # characters of what a command says that are kept
_hooks: weakref.WeakKeyDictionary[Any, tuple[str, str]] = weakref.WeakKeyDictionary()
_lost: weakref.WeakKeyDictionary[Any, Callable[[str], object]] = weakref.WeakKeyDictionary()


def tell(hook: str | None, event: str, cluster: str, message: str, **facts: Any) -> None:
    """Tell a hook, and wait for nothing.

    Parameters
    ----------
    hook : str or None
        ``NOTIFY`` of the config: a command for the shell, or a URL; None tells nobody.
    event : str
        One of `EVENTS`.
    message : str
        A sentence for a person.
    **facts
        More about it, as JSON knows it.
    """
    assert event in EVENTS
    if not hook:
        return
    told = {"event": event, "cluster": cluster, "text": message, "time": time.time(), **facts}
    # The hook itself may be a secret, as web hooks' URLs are: it is on no command line.
    given = json.dumps({"hook": hook, "limit": LIMIT, "told": told}).encode()
    # Whatever prevents it is no reason to fail: there may be no memory, or no disk.
    with contextlib.suppress(Exception), _log() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "spotcluster.notify"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is not for it
        )
        process.returncode = 0  # nobody waits for it, and that is not to be warned of
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(given)


def use(
    client: Any, hook: str | None, cluster: str, lost: Callable[[str], object] | None = None
) -> None:
    """Have the searches of an ipyparallel client tell a hook.

    Parameters
    ----------
    lost : callable, optional
        Called with a node that EC2 takes back, to tell that once, as others may see it too.
    """
    if hook:
        _hooks[client] = (hook, cluster)
    if hook and lost:
        _lost[client] = lost


def tell_for(client: Any, event: str, message: str, **facts: Any) -> None:
    """Tell the hook that was given for a client, if one was."""
    with contextlib.suppress(TypeError):  # what cannot be referred to weakly
        if client in _hooks:
            hook, cluster = _hooks[client]
            tell(hook, event, cluster, message, **facts)


def node_lost(client: Any, node: str) -> None:
    """Tell, for whoever uses a client, that EC2 takes a node back; wait for nothing."""
    with contextlib.suppress(TypeError):
        if lost := _lost.get(client):
            threading.Thread(target=lost, args=(node,), name=f"{node} is lost", daemon=True).start()


def is_url(hook: str) -> bool:
    """Return whether a hook is a URL, and not a command."""
    return hook.lower().startswith(("https://", "http://"))


def _log() -> IO[bytes]:
    path = files.private_dir() / "notify.log"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if os.fstat(handle).st_size > _LOG:
        os.ftruncate(handle, 0)
    return os.fdopen(handle, "ab")


def _run(command: str, told: dict[str, Any], limit: float) -> str:
    """Run a command; return how it failed, empty if it did not."""
    names = {"event": "EVENT", "cluster": "CLUSTER", "text": "TEXT"}
    own = {f"SPOTCLUSTER_{name}": str(told[key]) for key, name in names.items()}
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **own},
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(json.dumps(told).encode(), timeout=limit)
    except subprocess.TimeoutExpired:
        return f"the command had not ended after {limit:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has left, too
    if not process.returncode:
        return ""
    return f"the command ended with {process.returncode}: {said.decode(errors='replace')[:_SAID]}"


def _post(url: str, told: dict[str, Any], limit: float) -> str:
    """Send it to a web hook; return how that failed, empty if it did not."""
    try:
        request = urllib.request.Request(  # noqa: S310 - http or https, see `is_url`
            url, json.dumps(told).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=limit):  # noqa: S310
            return ""
    except (OSError, ValueError) as error:
        # Its words may have the URL in them, which is not for the log.
        code = getattr(error, "code", "")
        return f"the web hook did not take it: {type(error).__name__} {code}".rstrip()


def main() -> None:
    """Tell the hook of which standard input speaks."""
    given = json.loads(sys.stdin.buffer.read())
    hook, told, limit = given["hook"], given["told"], given["limit"]
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(limit) + 10)  # a name server that never answers has no limit of ours
    failed = (_post if is_url(hook) else _run)(hook, told, limit)
    outcome = failed.strip() or "told"
    when = time.strftime("%Y-%m-%d %H:%M:%S")
    sys.stdout.write(f"{when} {told['cluster']}: {told['event']}: {outcome}\n")


if __name__ == "__main__":
    main()
