"""The modules `starcluster.*` that plugins import, made of what is here.

They are in no `sys.modules`: only a plugin's own imports find them, see `loading`.
"""

from __future__ import annotations

import functools
import re
import secrets
import string
import time
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from spotcluster import errors
from spotcluster.plugins.starcluster import nodes, pool, setups, telling

NAME = "starcluster"


class PluginError(errors.SpotclusterError):
    """What a plugin says is wrong with itself, or with its settings."""


class SCPException(errors.SpotclusterError):
    """A file could not be copied."""


def print_timing(msg: Any = None, debug: bool = False) -> Any:  # noqa: FBT001, FBT002 - as StarCluster's
    """Have a function tell how long it took, under its own name or another."""
    if callable(msg):
        return print_timing(msg.__name__)(msg)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.monotonic()
            result = function(*args, **kwargs)
            say = telling.log.debug if debug else telling.log.info
            say("%s took %.3f mins", msg or function.__name__, (time.monotonic() - begin) / 60)
            return result

        return timed

    return decorate


def chunk_list(ls: Iterable[Any], items: int = 8) -> Iterator[list[Any]]:
    """Yield a list in pieces of so many."""
    listed = list(ls)
    for begin in range(0, len(listed), items):
        yield listed[begin : begin + items]


def generate_passwd(length: int) -> str:
    """Return a random password."""
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(length))


def is_url(url: str) -> bool:
    """Return whether it is the address of something on the web."""
    return bool(re.match(r"https?://\S+$", url))


# Each module by its name, with what is in it. Of the errors, those that plugins catch or raise.
_CONTENT: dict[str, dict[str, Any]] = {
    "": {"__version__": "0.95.6"},
    "clustersetup": {
        "ClusterSetup": setups.ClusterSetup,
        "DefaultClusterSetup": setups.DefaultClusterSetup,
    },
    "exception": {
        "BaseException": errors.SpotclusterError,
        "SSHError": errors.NodeError,
        "SSHConnectionError": errors.ConnectionFailed,
        "RemoteCommandFailed": errors.RemoteCommandFailed,
        "RemoteCommandNotFound": errors.NodeError,
        "CommandNotFound": errors.NodeError,
        "SCPException": SCPException,
        "ThreadPoolException": errors.SpotclusterError,
        "PluginError": PluginError,
        "PluginLoadError": PluginError,
        "ValidationError": PluginError,
    },
    "logger": {"log": telling.log, "get_starcluster_logger": lambda: telling.log},
    "node": {"Node": nodes.Node},
    "static": {
        "VERSION": "0.95.6",
        "MASTER_ALIAS": "master",
        "STARCLUSTER_TMP": "/tmp",  # noqa: S108 - as StarCluster's
    },
    "threadpool": {
        "ThreadPool": pool.ThreadPool,
        "get_thread_pool": pool.get_thread_pool,
    },
    "utils": {
        "chunk_list": chunk_list,
        "generate_passwd": generate_passwd,
        "is_url": is_url,
        "log": telling.log,
        "print_timing": print_timing,
    },
}


def _made() -> dict[str, types.ModuleType]:
    made = {}
    for name, content in _CONTENT.items():
        whole = f"{NAME}.{name}".rstrip(".")
        made[whole] = module = types.ModuleType(whole, "What a plugin of StarCluster imports.")
        vars(module).update(content)
    for whole, module in made.items():
        if whole != NAME:
            setattr(made[NAME], whole.removeprefix(f"{NAME}."), module)
    made[NAME].__path__ = []
    return made


_MODULES = _made()


def find(name: str) -> types.ModuleType:
    """Return the module of a name.

    Raises
    ------
    ModuleNotFoundError
        There is none here.
    """
    if name not in _MODULES:
        raise ModuleNotFoundError(
            f"'{name}' is StarCluster's own and not one of what plugins get here:"
            f" {', '.join(sorted(_MODULES))}",
            name=name,
        )
    return _MODULES[name]
