"""What those who know StarCluster and its like type and does not exist here: what to do instead."""

from __future__ import annotations

import click

SHORT = {
    "an": "addnode",
    "bal": "keep",
    "ck": "createkey",
    "createimage": "ebsimage",
    "cv": "createvolume",
    "eimg": "ebsimage",
    "lc": "listclusters",
    "li": "listimages",
    "lk": "listkeypairs",
    "lr": "listregions",
    "ls": "listspots",
    "lsi": "listinstances",
    "loadbalance": "keep",
    "lv": "listvolumes",
    "lz": "listzones",
    "reboot": "restart",
    "res": "resizevolume",
    "ri": "removeimage",
    "rk": "removekey",
    "rn": "removenode",
    "rp": "runplugin",
    "rv": "removevolume",
    "sc": "showconsole",
    "sh": "shell",
    "shi": "spothistory",
    "sm": "sshmaster",
    "sn": "sshnode",
}
"""StarCluster's names of commands, which its users type."""

_ALL_STEPS = "`start` does all steps, and goes on with what is there; leave it out."
_NO_QUEUE = "There is no SGE here: an ipyparallel controller hands out the work; leave it out."
_SETTING = "It is a key of the [cluster] section: {}."

_NO_HOST = "Volumes are made without a host, and get a file system when a cluster mounts them."
_STORED_IMAGE = "There are no images in S3 any more; `spotcluster listimages` shows those of EC2."
_BUCKETS = "`aws s3 ls` does it; `put` and `get` copy between nodes and s3://BUCKET."

_FOLLOW = "`spotcluster status --watch NAME` shows how the cluster does; leave it out."

COMMANDS: dict[str, str] = {
    **dict.fromkeys(
        ("s3image", "simg"),
        "There are no images in S3 any more; `spotcluster ebsimage` makes one of EC2.",
    ),
    **dict.fromkeys(("showimage", "shimg", "downloadimage", "di"), _STORED_IMAGE),
    **dict.fromkeys(
        ("listpublic", "lp"), "`spotcluster listimages` shows images that nodes can be made of."
    ),
    **dict.fromkeys(
        ("sshinstance", "si"), "`spotcluster sshnode NAME ID` takes the id of an instance too."
    ),
    **dict.fromkeys(("listbuckets", "lb", "showbucket", "sb"), _BUCKETS),
}
"""What to do in place of StarCluster's commands that are not here, by their short names too."""

OTHERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ssh", "login", "connect"), ("sshmaster", "sshnode")),
    **dict.fromkeys(("up", "launch", "create", "resume"), ("start",)),
    **dict.fromkeys(("down", "destroy", "delete", "kill"), ("terminate",)),
    **dict.fromkeys(("list", "describe", "clusters"), ("listclusters",)),
    **dict.fromkeys(("add", "scale", "resize", "grow"), ("addnode", "keep")),
    **dict.fromkeys(("remove", "shrink"), ("removenode",)),
    **dict.fromkeys(("submit",), ("run",)),
    **dict.fromkeys(("cp", "scp", "rsync", "copy"), ("put", "get")),
    **dict.fromkeys(("prices", "cost"), ("spothistory", "costs")),
    **dict.fromkeys(("top", "watch"), ("status",)),
    **dict.fromkeys(("jupyter", "lab"), ("notebook",)),
}
"""Commands in place of those that other such programs have, where no spelling leads to them."""

GLOBAL: dict[str, str] = {
    **dict.fromkeys(("-r", "--region"), "-r REGION"),
    **dict.fromkeys(("-c", "--config"), "-c FILE"),
    **dict.fromkeys(("-d", "--debug"), "-d"),
}
"""The options of the program, as they are written before a command."""

OPTIONS: dict[str, dict[str, str]] = {
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
        **dict.fromkeys(("-S", "--cluster-shell"), _SETTING.format("CLUSTER_SHELL")),
        **dict.fromkeys(("-d", "--description"), "A cluster is known by its name; leave it out."),
        "--refresh-interval": "Nothing here polls at an interval; leave it out.",
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
            ("-i", "--image-id"),
            "Nodes have the image of the template that the cluster was started from.",
        ),
        **dict.fromkeys(("-x", "--no-create"), "`spotcluster start NAME` goes on with a node."),
    },
    "removenode": {
        **dict.fromkeys(("-a", "--alias"), "Name the nodes: `removenode NAME node001 node002`."),
        **dict.fromkeys(("-n", "--num-nodes"), "Name the nodes: `removenode NAME node001`."),
        **dict.fromkeys(("-f", "--force"), "A node that fails is removed anyway; leave it out."),
        **dict.fromkeys(
            ("-k", "--keep-instance"), "Instances of nodes that leave are always terminated."
        ),
    },
    "keep": {
        **dict.fromkeys(
            ("-d", "--dump-stats", "-D", "--dump-stats-file", "-p", "--plot-stats"), _FOLLOW
        ),
        **dict.fromkeys(("-P", "--plot-output-dir"), _FOLLOW),
        **dict.fromkeys(
            ("-w", "--wait_time"), "--target MINUTES says how soon what waits is to be done."
        ),
        **dict.fromkeys(("-i", "--interval"), "It looks all the time; leave it out."),
        **dict.fromkeys(
            ("-l", "--lookback_window"), "It measures by the last five minutes; leave it out."
        ),
        **dict.fromkeys(
            ("-K", "--kill-cluster"), "`spotcluster terminate NAME` ends a cluster; leave it out."
        ),
    },
    "createkey": dict.fromkeys(
        ("-i", "--import-key"),
        "`createkey` makes a new key. To use one that you have, `aws ec2 import-key-pair` gives EC2"
        " its public half, and KEY_LOCATION of a [key NAME] section names the private one.",
    ),
    "createvolume": {
        **dict.fromkeys(
            ("-H", "--host-instance", "-d", "--detach-volume", "-s", "--shutdown-volume-host"),
            _NO_HOST,
        ),
        **dict.fromkeys(
            ("-b", "--bid", "-k", "--keyname", "-i", "--image-id", "-I", "--instance-type"),
            _NO_HOST,
        ),
        **dict.fromkeys(("-m", "--mkfs-cmd"), "`spotcluster start --format` makes ext4 on it."),
    },
    "resizevolume": dict.fromkeys(
        ("-z", "-k", "-H", "-d", "-s", "-i", "-I", "-r"),
        "The volume itself is made larger where it is; leave it out.",
    ),
    "listvolumes": dict.fromkeys(
        ("-n", "-d", "-v", "-s", "-S", "-a", "-z", "-i", "-t"),
        "All are listed; `--json` gives what `jq` can choose from.",
    ),
    "listimages": dict.fromkeys(
        ("-x", "--executable-by-me"), "Those that you may use are listed; leave it out."
    ),
    "listclusters": dict.fromkeys(
        ("-s", "--show-ssh-status"), "`spotcluster status NAME` says which nodes answer."
    ),
    "listinstances": {"-t": "What has ended is listed too, as long as EC2 shows it."},
    "listspots": {"-c": "Requests that are closed are listed too, as long as EC2 shows them."},
    "spothistory": {
        **dict.fromkeys(("-s", "--start-time", "-e", "--end-time"), "`-d DAYS` says how far back."),
        **dict.fromkeys(("-v", "--vpc", "-c", "--classic"), "All of EC2 is VPC now; leave it out."),
    },
    "shell": dict.fromkeys(("-p", "--ipcluster"), "`spotcluster shell NAME` has a client in it."),
}
"""What to do in place of StarCluster's options that are not here, by command."""


def with_hint(error: click.ClickException) -> click.ClickException:
    """Return the error with what to do, where it is an option of StarCluster's that is not here."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error
    hint = OPTIONS.get(error.ctx.command.name or "", {}).get(error.option_name)
    if hint is None and error.option_name in GLOBAL:
        program, _, command = error.ctx.command_path.partition(" ")
        instead = f"{program} {GLOBAL[error.option_name]} {command} ..."
        hint = f"It stands before the command: `{instead}`."
    return click.UsageError(f"{error.format_message()} {hint}", error.ctx) if hint else error


def no_such_command(name: str, context: click.Context) -> click.UsageError | None:
    """Return the error for a command that others have, with what to do; None for any other."""
    instead = COMMANDS.get(name)
    if instead is None and name in OTHERS:
        instead = f"Did you mean {' or '.join(f'`{one}`' for one in OTHERS[name])}?"
    if instead is None:
        return None
    return click.UsageError(f"There is no command '{name}' here. {instead}", context)
