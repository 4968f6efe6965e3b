"""The shapes of single values: what an instance type, an image or a user looks like.

A validator says what is wrong with the value in words that follow it: "'c5large' is not ...".
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from spotcluster.config import disks, durations
from spotcluster.config.names import bounds, split
from spotcluster.plugins.base import CommaList


def _shape(pattern: str, what: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"is not {what}")
        return value

    return AfterValidator(check)


def _check_instance_type(value: str) -> str:
    if re.search(r"[,:\s]", value):
        raise ValueError("is more than one instance type: name one, as in c5.xlarge")
    if not re.fullmatch(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", value):
        raise ValueError("is not an instance type, as in c5.xlarge")
    return value


def _check_range(value: str) -> str:
    bounds(value)
    return value


def _check_fallback(value: Any) -> Any:
    text = str(value).strip().lower()
    if text == "all" or value is None:
        return value and text
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ValueError("is neither a number of workers nor 'all'")
    return int(text)


def instance_types(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list in which one is no instance type."""
    for value in values:
        try:
            _check_instance_type(value)
        except ValueError as error:
            raise ValueError(f"'{value}' {error}") from None
    return values


def _check_user(value: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", value):
        raise ValueError("is not a valid Unix user: lower-case letters, digits, '_' and '-'")
    return value


def _check_not_root(value: str) -> str:
    if value == "root":
        raise ValueError("must not be the user of a cluster; choose an ordinary one")
    return value


def _check_cidr(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError("is not a CIDR block, as in 192.0.2.0/24") from None


# What a machine, or our own set-up of it, needs to find where it was.
_SYSTEM_TREES = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "root", "run"}
    | {"sbin", "snap", "sys", "usr"}
)
_SYSTEM = frozenset(
    {"/home", "/tmp", "/var", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool"}  # noqa: S108 - none is written to
    | {"/var/tmp", "/var/lib/cloud"}  # noqa: S108
)


def _check_mount_path(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or re.search(r"\s", value):
        raise ValueError("is not an absolute path without '..' and blanks, as in /data")
    plain = "/" + str(path).lstrip("/")
    if plain == "/":
        raise ValueError("must not be the root of the file system")
    if plain in _SYSTEM or PurePosixPath(plain).parts[1] in _SYSTEM_TREES:
        raise ValueError("is a folder of the system, which the volume would hide; say, /data")
    return plain


def expand(value: str) -> str:
    """Return a path with ``~`` and ``$VARIABLES`` replaced.

    Raises
    ------
    ValueError
        There is no such user, or no such variable.
    """
    expanded = os.path.expanduser(os.path.expandvars(value))  # noqa: PTH111 - never raises
    if expanded.startswith("~"):
        raise ValueError("begins with the home of a user who does not exist here")
    unknown = re.search(r"\$(\w+|\{[^}]*\})", expanded)
    if unknown:
        raise ValueError(f"uses the variable {unknown[0]}, which is not set")
    return expanded


def _expand(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    expanded = expand(value)
    if not Path(expanded).is_absolute():
        raise ValueError("is a relative path; begin it with / or ~")
    return expanded


def _check_not_off(text: str) -> str:
    if text == durations.OFF:
        raise ValueError("is no time in which anything could be done; write one, as 15m")
    return text


def _check_cidrs(values: tuple[str, ...]) -> tuple[str, ...]:
    checked = []
    for value in values:
        try:
            checked.append(_check_cidr(value))
        except ValueError as error:
            raise ValueError(f"'{value}' {error}") from None
    return tuple(checked)


def _split(value: Any) -> Any:
    return split(value) if isinstance(value, str) else value


def unique(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list that names something twice."""
    for index, item in enumerate(items):
        if item in items[:index]:
            raise ValueError(f"'{getattr(item, 'name', item)}' is named twice")
    return items


_HOP = re.compile(
    r"([^\s@:-][^\s@:]*@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]*)"
    r"(?::(?P<port>\d{1,5}))?"
)


def _check_jump(value: str) -> str:
    hops = [one.strip() for one in value.split(",")]
    if hops in (["none"], [""]):  # as ssh has it, for a template that extends another one
        return ""
    found = [_HOP.fullmatch(one) for one in hops]
    if not all(one and 0 < int(one["port"] or 22) < 65536 for one in found):
        raise ValueError(
            "is not a host to go through, as in ubuntu@bastion.example or 192.0.2.9:22"
        )
    return ",".join(hops)


_TAG = re.compile(r"[\w .:/=+@-]+")  # what EC2 takes in keys and values
_MOST_TAGS = 15  # EC2 takes 50, and the record of a cluster is in tags too


def _check_tags(values: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for one in values:
        key, colon, value = (part.strip() for part in one.partition(":"))
        if not colon or not key or not value:
            raise ValueError(f"'{one}' is not a tag, as in project:digits")
        if not (_TAG.fullmatch(key) and _TAG.fullmatch(value)):
            raise ValueError(
                f"'{one}' has other than letters, digits, blanks and _ . / = + - @ in it"
            )
        if len(key) > 128 or len(value) > 256:
            raise ValueError(
                f"'{one}' is longer than EC2 takes: 128 characters, and 256 after the ':'"
            )
        if key.casefold() in ("name", "aws", "spotcluster"):
            raise ValueError(f"'{one}' is a tag that EC2 or spotcluster gives itself")
        if key in found:
            raise ValueError(f"'{key}' is named twice")
        found[key] = value
    if len(found) > _MOST_TAGS:
        raise ValueError(f"{len(found)} tags are more than {_MOST_TAGS}")
    return tuple(f"{key}:{value}" for key, value in found.items())


_MOST_GROUPS = 15  # EC2 takes 16 for an interface at most, and the cluster's own is one of them


def _check_groups(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not re.fullmatch(r"sg-[0-9a-f]{8,17}", value):
            raise ValueError(f"'{value}' is not the id of a security group, as in sg-0123abcd")
    if len(values) > _MOST_GROUPS:
        raise ValueError(f"{len(values)} security groups are more than {_MOST_GROUPS}")
    return unique(values)


def _check_disk_type(value: Any) -> Any:
    if why := disks.wrong_type(str(value)):
        raise ValueError(why)
    return value


_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"

ImageId = Annotated[
    str,
    _shape(
        r"ami-[0-9a-f]{8,17}|(?!ami-)[a-z0-9][a-z0-9._-]{0,63}:(latest|[1-9][0-9]{0,8})",
        "the id of an image, as in ami-0123456789abcdef0, or the name and version of one of"
        " yours, as in tools:latest or tools:3",
    ),
]
SubnetId = Annotated[
    str, _shape(r"subnet-[0-9a-f]{8,17}", "the id of a subnet, as in subnet-0123abcd")
]
VolumeId = Annotated[
    str,
    _shape(
        rf"vol-[0-9a-f]{{8,17}}|(?!vol-){_NAME}",
        "the id of a volume, as in vol-0123abcd, or the name that it was made with",
    ),
]
Region = Annotated[
    str,
    _shape(r"local|[a-z]{2}(-[a-z]+)+-\d+", "a region, as in us-east-1; or 'local', this computer"),
]
Bucket = Annotated[
    str,
    _shape(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of an S3 bucket, as in my-bucket"),
]
Zone = Annotated[str, _shape(r"[a-z]+(-[a-z0-9]+)*", "an availability zone, as in us-east-1a")]
Device = Annotated[str, _shape(r"/dev/(sd|xvd)[a-z]{1,2}[0-9]{0,2}", "a device, as in /dev/sdf")]
KeyName = Annotated[
    str,
    _shape(
        r"[A-Za-z0-9_][A-Za-z0-9_.@ +-]{0,254}",
        "the name of a key: letters, digits, '_', '-', '.', '@', '+', not first '-' or '.'",
    ),
]
Profile = Annotated[
    str,
    _shape(r"[A-Za-z0-9_+=,.@-]{1,128}", "the name of an IAM instance profile, as in my-profile"),
]
KmsKey = Annotated[
    str,
    _shape(
        r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:)?(alias/[A-Za-z0-9/_-]{1,250}|key/[A-Za-z0-9-]{1,64})"
        r"|mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "a key of KMS: its ARN, its id, or its alias as in alias/my-key",
    ),
]
PlacementGroup = Annotated[
    str,
    _shape(
        r"[A-Za-z0-9_][A-Za-z0-9_.@ +-]{0,254}",
        "'cluster', for one of the cluster's own, or the name of a placement group that is there",
    ),
]
Reservation = Annotated[
    str, _shape(r"cr-[0-9a-f]{8,17}", "the id of a capacity reservation, as in cr-0123abcd")
]
SectionName = Annotated[str, _shape(_NAME, "a name: up to 64 letters, digits, '_', '-' and '.'")]
Fallback = Annotated[int | Literal["all"], BeforeValidator(_check_fallback)]
Range = Annotated[str, AfterValidator(_check_range)]
InstanceType = Annotated[str, AfterValidator(_check_instance_type)]
Jump = Annotated[str, AfterValidator(_check_jump)]
User = Annotated[str, AfterValidator(_check_user)]
ClusterUser = Annotated[str, AfterValidator(_check_user), AfterValidator(_check_not_root)]
Cidr = Annotated[str, AfterValidator(_check_cidr)]
SecurityGroups = Annotated[CommaList, AfterValidator(_check_groups)]
DiskType = Annotated[Literal["gp3", "gp2", "io1", "io2"], BeforeValidator(_check_disk_type)]
Tags = Annotated[CommaList, AfterValidator(_check_tags)]
Cidrs = Annotated[CommaList, AfterValidator(_check_cidrs)]
MountPath = Annotated[str, AfterValidator(_check_mount_path)]
LocalPath = Annotated[Path, BeforeValidator(_expand)]
LocalPaths = Annotated[tuple[LocalPath, ...], BeforeValidator(_split)]

Shell = Literal["bash", "zsh", "csh", "ksh", "tcsh"]
Price = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Duration = Annotated[str, AfterValidator(durations.canonical)]
Target = Annotated[Duration, AfterValidator(_check_not_off)]
Port = Annotated[int, Field(ge=-1, le=65535)]
Seconds = Annotated[int, Field(ge=1, le=86_400)]
