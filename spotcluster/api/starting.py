"""Starting a cluster, and what becomes of what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from spotcluster import notify
from spotcluster.api.scope import Scope
from spotcluster.cluster.bringup import plans
from spotcluster.cluster.bringup.bringup import Result
from spotcluster.cluster.bringup.failures import OnFailure
from spotcluster.cluster.bringup.plans import Plan
from spotcluster.cluster.lifecycle import request
from spotcluster.cluster.lifecycle import start as lifecycle
from spotcluster.cluster.lifecycle.request import Wanted
from spotcluster.cluster.reporter import Quiet, Reporter
from spotcluster.config import Config
from spotcluster.config.template import Overrides


def planned(
    scope: Scope,
    name: str,
    template: str | None,
    *,
    size: int | None,
    bid: float | None,
    format_new: bool,
    overrides: Overrides,
) -> Plan:
    """Return what `begun` would launch; makes nothing."""
    config, what = _wanted(scope, name, Quiet(), template, size, bid, overrides)
    return lifecycle.plan(
        *(what.session, name, what.template, what.seen),
        size=size,
        bid=bid,
        format_new=format_new,
        plugins=config.plugins,
    )


def begun(
    scope: Scope,
    name: str,
    reporter: Reporter,
    template: str | None,
    *,
    size: int | None,
    bid: float | None,
    on_failure: str,
    allow: Sequence[str],
    format_new: bool,
    overrides: Overrides,
) -> Result:
    """Start a cluster as the command `start` does; return what came of it."""
    blocks = plans.check_blocks(allow)
    config, what = _wanted(scope, name, reporter, template, size, bid, overrides)
    return lifecycle.start(
        *(what.session, name, what.template, reporter),
        seen=what.seen,
        on_failure=OnFailure(on_failure),
        allow=blocks,
        size=size,
        bid=bid,
        plugins=config.plugins,
        format_new=format_new,
    )


def checked(overrides: dict[str, Any]) -> Overrides:
    """Return what is said in place of a template.

    Raises
    ------
    TypeError
        Nothing is called so, in the words that Python has for it.
    """
    for name in overrides:
        if name not in Overrides.__annotations__:
            raise TypeError(f"start() got an unexpected keyword argument {name!r}")
    return cast("Overrides", overrides)


def _wanted(
    scope: Scope,
    name: str,
    reporter: Reporter,
    template: str | None,
    size: int | None,
    bid: float | None,
    overrides: Overrides,
) -> tuple[Config, Wanted]:
    plans.check_name(name)
    config = scope.config(check_plugins=True)
    what = request.choose(
        *(config, name, scope.region),
        template=template,
        size=size,
        bid=bid,
        overrides=overrides,
        note=reporter.note,
    )
    return config, what


def concluded(result: Result, hook: str | None) -> Result:
    """Tell the user's hook that nodes are ready, and write down that all of it is done."""
    try:
        if result.nodes and not result.failed:
            name, nodes = result.cluster.name, len(result.cluster.nodes)
            notify.tell(
                hook, "ready", name, f"'{name}' is ready with {nodes} node(s).", nodes=nodes
            )
    finally:
        result.conclude()
    return result


def check_master(result: Result) -> None:
    """Raise what is wrong with a cluster that has no master: nothing can be done with it."""
    if result.problem and any(one.is_master for one in result.failed):
        raise result.problem
