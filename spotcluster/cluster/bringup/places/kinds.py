"""Of which type and from which image a node is, by its alias alone: so it is when repeated, too."""

from __future__ import annotations

from spotcluster.config import NodeGroup, Template

MASTER = "master"


def is_spot(template: Template, alias: str) -> bool:
    """Return whether a node is a spot instance."""
    return template.spot_bid is not None and (alias != MASTER or template.force_spot_master)


def types_of(template: Template, alias: str) -> tuple[str, ...]:
    """Return the types that a node may be of, that of `of` first."""
    kind = of(template, alias).type
    if alias == MASTER or kind != template.node_instance_type.rest.type:
        return (kind,)
    if template.node_instance_type.of(alias) != template.node_instance_type.rest:
        return (kind,)
    return template.node_instance_types or (kind,)


def of(template: Template, alias: str) -> NodeGroup:
    """Return the type and the image of a node, by its alias alone: they stay on a repeated start.

    The master is what the nodes are that no group names, unless the template says more of it.
    """
    if alias == MASTER:
        rest = template.node_instance_type.rest
        image = template.master_image_id or template.node_image_id
        return NodeGroup(template.master_instance_type or rest.type, image)
    group = template.node_instance_type.of(alias)
    return NodeGroup(group.type, group.image or template.node_image_id)
