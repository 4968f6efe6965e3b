"""What `start` and its like would do, and what came of them."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from spotcluster import wording
from spotcluster.cli import output, timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spotcluster.aws.session import Session
    from spotcluster.cluster.bringup.bringup import Result
    from spotcluster.cluster.bringup.plans import Plan, PlannedNode
    from spotcluster.cluster.cluster import Cluster
    from spotcluster.cluster.status.receipts import Receipt

_POOLS = 12  # that are shown
_ALIKE = 8  # nodes that have a line each; more share one


def show_plan(session: Session, plan: Plan, *, as_json: bool) -> None:
    """Print what would be launched, and what else might be."""
    from spotcluster.cluster.bringup.places import pools

    if as_json:
        output.document(
            {
                "cluster": plan.cluster,
                "region": plan.region,
                "zone": plan.subnet.zone,
                "usd_per_hour": plan.price,
                "tags": plan.template.users_tags,
                **_around_as_json(plan),
                "volumes": [
                    {
                        "name": one.settings.name,
                        "id": one.found.id,
                        "size_gb": one.found.size,
                        "mount": one.settings.mount_path,
                    }
                    for one in plan.volumes
                ],
                "returning": [one.alias for one in plan.returning],
                "nodes": [
                    {
                        "alias": one.alias,
                        "type": one.type.name,
                        "vcpus": one.type.vcpus,
                        "memory_mb": one.type.memory_mb,
                        "image": one.image.id,
                        "image_name": one.image.baked or one.image.name,
                        "spot": one.spot,
                        "bid": one.bid,
                        "disk_gb": one.disk_gb,
                        "usd_per_hour": one.price,
                    }
                    for one in plan.nodes
                ],
                "pools": [
                    {
                        "type": one.offer.type.name,
                        "zone": one.offer.pool.zone,
                        "usd_per_hour": one.offer.price,
                        "usd_per_vcpu_hour": (
                            None if one.offer.price is None else one.offer.per_vcpu
                        ),
                        "on_demand_usd_per_hour": one.on_demand,
                        "saving": one.saving,
                        "chosen": one.offer.chosen,
                    }
                    for one in pools.ranked(session, plan.offers)
                ],
            }
        )
        return
    is_choice = len({one.per_vcpu for one in plan.offers}) > 1
    ranked = pools.ranked(session, plan.offers[:_POOLS]) if is_choice else []
    output.table(
        f"'{plan.cluster}' in {plan.region}, zone {plan.subnet.zone}; nothing has been made.",
        ("node", "type", "vCPUs", "memory", "market", "price now"),
        _nodes(plan.nodes),
    )
    if ranked:
        rest = len(plan.offers) - len(ranked)
        output.table(
            "Where workers may come from, by the price per vCPU (what a search pays for):",
            ("type", "zone", "price now", "per vCPU", "on demand", "saving", ""),
            [
                (
                    one.offer.type.name,
                    one.offer.pool.zone,
                    output.dollars(one.offer.price),
                    "" if one.offer.price is None else f"${one.offer.per_vcpu:.4f}",
                    "" if one.on_demand is None else f"${one.on_demand:.4f}",
                    output.percent(one.saving),
                    "chosen" if one.offer.chosen else "above the bid",
                )
                for one in ranked
            ],
            keys=2,
        )
        if rest:
            output.out.print(f"... and {rest} more; --json lists all.")
    if remark := pools.high_bid(session, plan.bids):
        output.out.print(output.Text(remark, style="yellow"))
    for image in dict.fromkeys(one.image for one in plan.nodes):
        own = f"{image.baked} ({image.id})" if image.baked else f"{image.id} {image.name}"
        has = f", with packages that took {image.took:.0f} s to install" if image.took else ""
        output.out.print(output.Text(f"Image: {own}, login {image.login}{has}"))
    output.out.print(
        f"Also: a security group spotcluster-{plan.cluster} that lets this computer reach SSH."
    )
    for line in _around(plan):
        output.out.print(output.Text(line))
    if plan.template.tags:
        output.out.print(output.Text(f"Tags of all of it: {wording.listed(plan.template.tags)}"))
    for volume in plan.volumes:
        new = ", new: say --format" if volume.found.known_empty else ""
        output.out.print(f"The volume {volume} on the master: {volume.settings.mount_path}{new}")
    for one in plan.returning:
        output.out.print(f"Comes back with its disk: {one.alias}, {one.type}, {one.id}")
    together = "Together, without what comes back" if plan.returning else "Together"
    output.out.print(f"{together}: {output.dollars(plan.price)}, disks included")


def _around_as_json(plan: Plan) -> dict[str, object]:
    """Return what nodes are launched with and into."""
    template, around = plan.template, plan.around
    return {
        "disk": {
            "type": plan.disk.kind,
            "iops": plan.disk.iops,
            "throughput_mib": plan.disk.throughput,
            "kms_key": plan.disk.kms_key,
        },
        "instance_profile": template.instance_profile,
        "node_instance_profile": template.node_instance_profile,
        "security_groups": list(template.security_groups),
        "placement_group": around.group.name if around.group else None,
        "capacity_reservation": around.reservation.id if around.reservation else None,
        "ipv6_only": plan.subnet.ipv6,
    }


def _around(plan: Plan) -> Iterator[str]:
    """Yield that in sentences, as far as it is not what is usual."""
    template, around = plan.template, plan.around
    if template.security_groups:
        yield f"Nodes are also in {wording.listed(template.security_groups)}, which stay."
    if around.group:
        how = "made for it" if around.group.own else f"there already, {around.group.strategy}"
        yield f"Placement group: {around.group.name}, {how}."
    if one := around.reservation:
        free = f"{one.free} free {one.type} in {one.zone}"
        yield f"Capacity {'block' if one.block else 'reservation'}: {one.id}, {free}."
    if str(plan.disk) != "gp3":
        yield f"Their own disks: {plan.disk}."
    if template.node_instance_profile:
        yield f"Role of the nodes: that of the instance profile {template.node_instance_profile}."
    if plan.subnet.ipv6:
        yield f"Nodes have IPv6 addresses only, as {plan.subnet.id} has."


def _nodes(nodes: Iterable[PlannedNode]) -> list[tuple[str, ...]]:
    """Return a row for each run of nodes that are alike."""
    rows: list[tuple[str, ...]] = []
    alike = itertools.groupby(nodes, lambda one: (one.type, one.market, one.price))
    for (kind, market, price), run in alike:
        aliases = [one.alias for one in run]
        many = len(aliases) > _ALIKE
        for alias in [f"{aliases[0]} to {aliases[-1]}"] if many else aliases:
            cost = output.dollars(price) + (" each" if many else "")
            memory = f"{kind.memory_mb / 1024:g} GiB"
            rows.append((alias, kind.name, str(kind.vcpus), memory, market, cost))
    return rows


def show_receipt(receipt: Receipt) -> None:
    """Print what a cluster that has ended has cost."""
    if receipt.usd is None:
        output.out.print(f"What '{receipt.name}' cost is not known: a price is missing.")
        return
    saved = "" if receipt.saving is None else f", {output.percent(receipt.saving)} saved"
    why = f"at most, as {receipt.at_most}; " if receipt.at_most else ""
    output.table(
        f"'{receipt.name}' cost ${receipt.usd:.2f} ({why}on demand ${receipt.on_demand:.2f}"
        f"{saved}), disks included.",
        ("nodes", "type", "market", "zone", "hours", "cost", "on demand"),
        [
            (
                str(one.nodes),
                one.type or "ended before",
                "spot" if one.spot else "on demand" if one.zone else "",
                one.zone,
                f"{one.hours:.2f}",
                f"${one.usd:.4f}",
                f"${one.on_demand:.4f}",
            )
            for one in receipt.lines
        ],
    )


def show_result(
    session: Session,
    result: Result,
    hook: str | None,
    *,
    as_json: bool,
    with_timeline: bool = False,
) -> int:
    """Print what came of start or addnode, tell it, and conclude it; return the exit status."""
    from spotcluster.api import starting

    try:
        return _show_result(session, result, as_json=as_json, with_timeline=with_timeline)
    finally:
        starting.concluded(result, hook)


def _show_result(session: Session, result: Result, *, as_json: bool, with_timeline: bool) -> int:
    from spotcluster.cluster.status import costs

    cluster = result.cluster
    region = f"-r {session.region} "
    price = costs.Tariff(session).rate_of_all(node.instance for node in cluster.nodes)
    if as_json:
        output.document(
            {
                "cluster": cluster.name,
                "region": session.region,
                "elapsed": round(result.elapsed, 2),
                "phases": {name: round(took, 2) for name, took in result.phases.items()},
                **({"timeline": timeline.plain(result)} if with_timeline else {}),
                "ready": [node.alias for node in result.nodes],
                "engines": result.engines,
                "usd_per_hour": price,
                "autostop_seconds": cluster.record.template.idle_limit or None,
                "nodes": [node.alias for node in cluster.nodes],
                "failed": {member.alias: str(member.error) for member in result.failed},
                "troubles": result.troubles,
                "log_files": {
                    one.alias: str(one.log_file)
                    for member in result.members
                    for one in member.failures
                    if one.log_file
                },
            }
        )
        return 1 if result.failed or result.troubles else 0
    for steps, nodes in result.left_out.items():
        output.out.print(f"Left out on {', '.join(nodes)}, where it cannot be done: {steps}.")
    phases = ", ".join(
        f"{name} {took:.1f} s" for name, took in result.phases.items() if took >= 0.05
    )
    if result.nodes:
        output.out.print(
            f"{len(result.nodes)} node(s) with {result.engines} engine(s) are ready after"
            f" {result.elapsed:.1f} s ({phases}).\n"
            f"'{cluster.name}' has {len(cluster.nodes)} node(s): {output.dollars(price)}."
        )
    for image, nodes, seconds in result.saved:
        output.out.print(
            output.Text(
                f"The packages of {wording.some(nodes)} were in the image {image.baked}:"
                f" {seconds:.1f} s, and {image.took:.1f} s to install them where it was made."
            )
        )
    if with_timeline:
        timeline.show(result)
    if problem := result.problem:
        raise problem
    output.out.print(_end_of(cluster))
    show_ceiling(cluster)
    name = cluster.name
    rows = (
        *(
            (
                (f'spotcluster.connect("{name}", region="{session.region}")', "in Python: engines"),
                (f"spotcluster {region}notebook {name}", "JupyterLab on the master"),
            )
            if result.engines
            else ()
        ),
        (f"spotcluster {region}dashboard {name}", "all of it as a page"),
        (f"spotcluster {region}status --watch {name}", "what it does"),
        (f"spotcluster {region}sshmaster {name}", "log in"),
        (f"spotcluster {region}addnode -s 1 {name}", "make it larger"),
        (f"spotcluster {region}terminate {name}", "end the bill"),
    )
    for line in wording.columns(rows):
        output.out.print(f"  {line}")
    return 0


def show_ceiling(cluster: Cluster) -> None:
    """Print how long a cluster may still run, where it has a ceiling."""
    if cluster.deadline is not None:
        left = wording.time_left(max(0.0, cluster.deadline - time.monotonic()))
        output.out.print(f"No node runs for longer than {left} from now, whatever fails.")


def _end_of(cluster: Cluster) -> str:
    """Return when a cluster ends by itself, and what is left of it then, in a line."""
    template = cluster.record.template
    limit = template.idle_limit
    if not limit:
        return "It does not end by itself, however long it is idle."
    after = f"After {wording.time_left(limit)} idle it ends by itself"
    if template.autostop_action == "terminate" or cluster.master.instance.spot:
        return f"{after}, with its disks."
    size = template.root_volume_size
    disk = f"the master's disk ({size} GB)" if size else "the master's disk"
    cost = f"${size * 0.08:.2f}" if size else "$0.08 per GB"
    return f"{after}; only {disk} is kept, which costs about {cost} a month."
