"""What those who know StarCluster type and does not exist here: what to do in its place."""

from __future__ import annotations

import click

_ALL_STEPS = "`start` does all steps, and goes on with what is there; leave it out."
_NO_QUEUE = "There is no SGE here: an ipyparallel controller hands out the work; leave it out."
_SETTING = "It is a key of the [cluster] section: {}."

_INSTEAD: dict[str, dict[str, str]] = {
    "start": {
        **dict.fromkeys(("-x", "--no-create", "-o", "--create-only"), _ALL_STEPS),
        **dict.fromkeys(
            ("-V", "--skip-validation"), "What is checked costs no more than a moment."
        ),
        **dict.fromkeys(("-l", "--login-master"), "`spotcluster sshmaster NAME` logs in."),
        **dict.fromkeys(("-q", "--disable-queue", "-Q", "--enable-queue"), _NO_QUEUE),
        **dict.fromkeys(("-m", "--master-image-id"), _SETTING.format("MASTER_IMAGE_ID")),
        **dict.fromkeys(("-u", "--cluster-user"), _SETTING.format("CLUSTER_USER")),
        **dict.fromkeys(("-K", "--key-location"), "It is KEY_LOCATION of the [key] section."),
        **dict.fromkeys(("-U", "--userdata-script"), _SETTING.format("USERDATA_SCRIPTS")),
        **dict.fromkeys(("-P", "-p", "--dns-prefix"), _SETTING.format("DNS_PREFIX")),
        "--no-dns-prefix": _SETTING.format("DNS_PREFIX"),
        **dict.fromkeys(("-N", "--subnet-id"), _SETTING.format("SUBNET_ID")),
        **dict.fromkeys(("--public-ips", "--no-public-ips"), _SETTING.format("PUBLIC_IPS")),
    },
    "stop": {
        **dict.fromkeys(("-t", "--terminate-unstoppable"), "Spot workers are terminated without."),
        **dict.fromkeys(("-f", "--force"), "Plugins and nodes that fail hold nothing up anyway."),
    },
    "terminate": dict.fromkeys(
        ("-f", "--force"), "Plugins and nodes that fail keep no cluster anyway; leave it out."
    ),
    "restart": dict.fromkeys(
        ("-o", "--reboot-only"), "`restart` reboots, and runs the plugins' restart hooks only."
    ),
    "addnode": {
        **dict.fromkeys(("-a", "--alias"), "Nodes get the next names by themselves."),
        **dict.fromkeys(
            ("-i", "-I", "-z", "--image-id", "--instance-type", "--availability-zone"),
            "Nodes are as the template has them that the cluster was started from.",
        ),
        **dict.fromkeys(("-x", "--no-create"), "`spotcluster start NAME` goes on with a node."),
    },
    "removenode": {
        **dict.fromkeys(("-a", "--alias"), "Name the nodes: `removenode NAME node001 node002`."),
        **dict.fromkeys(("-n", "--num-nodes"), "Name the nodes: `removenode NAME node001`."),
        **dict.fromkeys(("-f", "--force"), "A node that fails is removed anyway; leave it out."),
    },
    "listclusters": dict.fromkeys(
        ("-s", "--show-ssh-status"), "`spotcluster status NAME` says which nodes answer."
    ),
    "listinstances": {"-t": "What has ended is listed too, as long as EC2 shows it."},
    "listspots": {"-c": "Requests that are closed are listed too, as long as EC2 shows them."},
    "spothistory": dict.fromkeys(("-s", "-e"), "`-d DAYS` says how far back."),
    "shell": dict.fromkeys(("-p", "--ipcluster"), "`spotcluster shell NAME` has a client in it."),
}


def with_hint(error: click.ClickException) -> click.ClickException:
    """Return the error with what to do, where it is an option of StarCluster's that is not here."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error
    hint = _INSTEAD.get(error.ctx.command.name or "", {}).get(error.option_name)
    return click.UsageError(f"{error.format_message()} {hint}", error.ctx) if hint else error
