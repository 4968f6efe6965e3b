"""What goes wrong in a plugin's hook names the plugin, and the node where there is one."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any
from unittest.mock import Mock

import pytest

from spotcluster.cluster import hooks, limits
from spotcluster.errors import ClusterError, NodeError, RemoteCommandFailed, UsageError

CLUSTER: Any = Mock()
NODE: Any = Mock(alias="node001")


def raising(error: BaseException) -> Mock:
    return Mock(side_effect=error)


def test_hook_is_given_the_cluster_and_the_node() -> None:
    hook = Mock()
    hooks.call("mine", hook, CLUSTER, NODE)
    hook.assert_called_once_with(CLUSTER, NODE)


def test_failed_script_names_its_plugin() -> None:
    failed = RemoteCommandFailed("node001", "installing", "uv pip install x", 2, "a\nno x\n")
    failed.hint = "It failed on node002 too."
    with pytest.raises(RemoteCommandFailed) as caught:
        hooks.call("pypackages", raising(failed), CLUSTER, NODE)
    text = str(caught.value)
    parts = ("node001", "plugin pypackages", "uv pip install x", "status 2", "no x", failed.hint)
    for part in parts:
        assert part in text


def test_what_nobody_had_foreseen_names_plugin_and_node() -> None:
    with pytest.raises(NodeError, match=r"node001: plugin mine raised KeyError: 'x'"):
        hooks.call("mine", raising(KeyError("x")), CLUSTER, NODE)


@pytest.mark.parametrize(
    "error", [SystemExit(3), SystemExit("no licence"), GeneratorExit(), asyncio.CancelledError()]
)
def test_plugin_that_ends_its_thread_says_which(error: BaseException) -> None:
    """A thread that meets `sys.exit` ends without a word, and `start` did so with it."""
    said = f"node001: plugin mine raised {type(error).__name__}: {error}".strip()
    with pytest.raises(NodeError, match=re.escape(said)):
        hooks.call("mine", raising(error), CLUSTER, NODE)


def test_ctrl_c_in_a_hook_is_no_fault_of_its() -> None:
    with pytest.raises(KeyboardInterrupt):
        hooks.call("mine", raising(KeyboardInterrupt()), CLUSTER, NODE)


def test_what_nobody_had_foreseen_where_there_is_no_node_names_the_plugin() -> None:
    with pytest.raises(ClusterError, match=r"^plugin mine raised RuntimeError: it broke"):
        hooks.call("mine", raising(RuntimeError("it broke")), CLUSTER)


def test_what_a_plugin_says_itself_is_left_as_it_is() -> None:
    said = UsageError("no such package", "Choose another one.")
    with pytest.raises(UsageError) as caught:
        hooks.call("mine", raising(said), CLUSTER, NODE)
    assert caught.value is said


@pytest.mark.parametrize("error", [RuntimeError("it broke"), UsageError("it broke")])
def test_hook_that_must_hold_nothing_up_is_noted(error: Exception) -> None:
    cluster: Any = Mock()
    hooks.call_anyway("mine", raising(error), cluster, anyway="the nodes end all the same")
    ((said,), _) = cluster.note.call_args
    assert "it broke" in said
    assert said.endswith("; the nodes end all the same")


def test_node_that_was_lost_in_a_plugin_names_the_plugin_once() -> None:
    lost = NodeError("node001", "the SSH connection was lost.")
    with pytest.raises(NodeError) as caught:
        hooks.call("mine", raising(lost), CLUSTER, NODE)
    assert str(caught.value) == "node001: plugin mine: the SSH connection was lost."
    late = NodeError("node001", "the master had not finished plugin mine after 3 s.")
    with pytest.raises(NodeError, match=r"^node001: the master had not finished plugin mine"):
        hooks.call("mine", raising(late), CLUSTER, NODE)


def test_hook_that_hangs_is_left_behind_at_its_limit() -> None:
    let_go = threading.Event()

    def hang(_: object) -> None:
        let_go.wait(600)

    try:
        with pytest.raises(
            ClusterError, match=r"^plugin mine had not ended after 0 s \(SETUP_TIMEOUT\)\.$"
        ):
            hooks.call_within(0.1, "SETUP_TIMEOUT", "mine", hang, CLUSTER)
    finally:
        let_go.set()


def test_hook_within_a_limit_raises_what_went_wrong_in_it() -> None:
    failed = RemoteCommandFailed("node001", "its command", "false", 1, "")
    with pytest.raises(RemoteCommandFailed, match="plugin mine, its command failed"):
        hooks.call_within(60, "SETUP_TIMEOUT", "mine", raising(failed), CLUSTER)


def test_what_a_hook_does_on_nodes_is_under_its_limit() -> None:
    left: list[float] = []
    hooks.call_within(
        60, "SETUP_TIMEOUT", "mine", lambda _: left.append(limits.within(3600, "a", "b")), CLUSTER
    )
    assert 0 < left[0] <= 60
