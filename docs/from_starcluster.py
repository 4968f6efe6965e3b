"""What StarCluster had, command by command and key by key, beside what is here; for `generated`.

What is the same, and what options are refused with which words, is asked of the program; what is
better is said here.
"""

from __future__ import annotations

from pydantic import BaseModel

from spotcluster.cli import starcluster
from spotcluster.cli.main import cli
from spotcluster.config import settings, template

COMMANDS = {
    "start": "Each node at its own pace; one that fails is replaced. It goes on with a cluster"
    " that was cut off, or stopped; `--dry-run` shows what would be made, and its price.",
    "stop": "Spot workers end without being asked to, and come back anew with `start`.",
    "terminate": "Nothing that hangs holds it up; it looks until EC2 has nothing left, and says"
    " what the cluster has cost.",
    "restart": "Nodes come back under their addresses, with only what their disks had.",
    "listclusters": "With prices, and what mends one that is incomplete; `--json`.",
    "sshmaster": "As the image's login, or `-u USER`: nobody logs in as root.",
    "sshnode": "Also by the id of an instance.",
    "sshinstance": "",
    "put": "A copy that was cut off goes on where it stopped; also to and from s3://.",
    "get": "A copy that was cut off goes on where it stopped; also to and from s3://.",
    "addnode": "All at once, and no running node is touched.",
    "removenode": "What runs there ends first, and a search runs it elsewhere.",
    "loadbalance": "Also replaces what EC2 takes back; by what waits in the search, not in SGE.",
    "runplugin": "On all nodes at once; nodes that join later get one of the cluster's as it was"
    " run last.",
    "shell": "With a client of the cluster's engines.",
    "listinstances": "",
    "listspots": "",
    "spothistory": "Averages are by time.",
    "createkey": "The private key is made here, and nowhere else.",
    "removekey": "",
    "listkeypairs": "",
    "createvolume": "Encrypted, without a host; a cluster formats it, when told to.",
    "listvolumes": "",
    "resizevolume": "The volume itself grows, while it is in use.",
    "removevolume": "",
    "ebsimage": "",
    "s3image": "",
    "listimages": "",
    "listpublic": "",
    "showimage": "",
    "downloadimage": "",
    "removeimage": "",
    "showconsole": "By the name of a node.",
    "listregions": "",
    "listzones": "",
    "listbuckets": "",
    "showbucket": "",
    "help": "Also for topics: `help config`.",
}
"""StarCluster 0.95's commands, and what is better about those that are here."""

_MODELS: dict[str, type[BaseModel]] = {
    "global": settings.GlobalSettings,
    "aws info": settings.AwsSettings,
    "key": settings.KeySettings,
    "volume": settings.Volume,
    "permission": settings.Permission,
    "cluster": template.Template,
}
_BEFORE = {"global": {"include"}, "cluster": {"extends"}}  # acted on before there is a model
KEYS = {
    "global": {
        "default_template": "",
        "enable_experimental": "There is nothing that has to be enabled.",
        "refresh_interval": "Taken, and of no effect: nothing here polls at an interval.",
        "web_browser": "Pictures are files.",
        "include": "Files only; from one that is included further ones may be.",
    },
    "aws info": {
        "aws_access_key_id": "Not needed where boto3 finds credentials itself, which is better.",
        "aws_secret_access_key": "As above; the file must be readable by nobody else.",
        "aws_user_id": "It was for images in S3.",
        "ec2_cert": "It was for images in S3.",
        "ec2_private_key": "It was for images in S3.",
        "aws_region_name": "Needs no host beside it.",
        "aws_region_host": "The region's name says it.",
        "aws_port": "AWS_ENDPOINT_URL of the environment says all of it.",
        "aws_ec2_path": "See above.",
        "aws_s3_path": "See above.",
        "aws_s3_host": "See above.",
        "aws_is_secure": "Always.",
        "aws_validate_certs": "Always.",
        "aws_proxy": "HTTPS_PROXY of the environment says it.",
        "aws_proxy_port": "See above.",
        "aws_proxy_user": "See above.",
        "aws_proxy_pass": "See above.",
    },
    "key": {"key_location": "Without it, where `createkey` writes it."},
    "volume": {"volume_id": "Or its name.", "mount_path": "", "device": "", "partition": ""},
    "permission": {
        "ip_protocol": "",
        "from_port": "",
        "to_port": "",
        "cidr_ip": "Must be given: nothing is open to the world unless you say so.",
    },
    "cluster": {
        "keyname": "",
        "cluster_size": "The master is one of them, as it was.",
        "node_image_id": "Without it Ubuntu 24.04; no image needs to be prepared.",
        "node_instance_type": "Also several types, of which workers are whichever EC2 has:"
        " NODE_INSTANCE_TYPES.",
        "master_instance_type": "",
        "master_image_id": "",
        "cluster_user": "`ipuser` unless given, and not `sgeadmin`.",
        "cluster_shell": "",
        "availability_zone": "Without it the zone that has room at the lowest price.",
        "subnet_id": "Without it the default VPC's.",
        "public_ips": "",
        "volumes": "Mounted on the master.",
        "plugins": "",
        "permissions": "",
        "userdata_scripts": "",
        "spot_bid": "The highest price; what is paid is the market's.",
        "force_spot_master": "",
        "disable_queue": "Taken, and of no effect: there is no SGE.",
        "disable_cloudinit": "cloud-init is always used.",
        "dns_prefix": "",
        "extends": "Also several templates, the later one last.",
    },
}
"""StarCluster 0.95's keys, and what is different about them here."""


def commands() -> str:
    """Return a table of StarCluster's commands."""
    short = {name: alias for alias, name in starcluster.SHORT.items() if len(alias) < 4}
    rows = []
    for name, better in COMMANDS.items():
        here = name if name in cli.commands else starcluster.SHORT.get(name, "")
        if here:
            same = "same" if here == name else f"`{here}`"
            said = " ".join(filter(None, [better, _options(here)]))
        else:
            same, said = "no", starcluster.COMMANDS[name]
        alias = short.get(name)
        called = f"`{name}`" + (f" (`{alias}`)" if alias else "")
        rows.append(f"| {called} | {same} | {said} |")
    return "\n".join(["| StarCluster | here | |", "| --- | --- | --- |", *rows])


def _options(command: str) -> str:
    """Return what to do in place of options that a command does not take."""
    by_text: dict[str, list[str]] = {}
    for option, instead in starcluster.OPTIONS.get(command, {}).items():
        by_text.setdefault(instead, []).append(f"`{option}`")
    said = [f"{', '.join(options)}: {instead}" for instead, options in by_text.items()]
    return f"Not taken: {' '.join(said)}" if said else ""


def keys() -> str:
    """Return a table of StarCluster's keys, section by section."""
    rows = []
    for section, known in KEYS.items():
        fields = {
            (field.alias or name).lower() for name, field in _MODELS[section].model_fields.items()
        }
        taken = fields | _BEFORE.get(section, set())
        for key, said in known.items():
            if key in taken:
                what = "same"
            else:
                assert key in settings.IGNORED[section], (section, key)
                what = "passed over"
            rows.append(f"| `[{section}]` | `{key.upper()}` | {what} | {said} |")
    return "\n".join(["| section | key | here | |", "| --- | --- | --- | --- |", *rows])
