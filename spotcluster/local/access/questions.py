"""What a call is about, for IAM to decide: each thing that it makes, changes or uses."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends

from spotcluster.local.capacity import places

from .policies import Question

_KINDS = {
    "i": "instance",
    "vol": "volume",
    "sg": "security-group",
    "lt": "launch-template",
    "sir": "spot-instances-request",
    "fleet": "fleet",
    "ami": "image",
    "subnet": "subnet",
    "eni": "network-interface",
    "snap": "snapshot",
    "vpc": "vpc",
    "cr": "capacity-reservation",
}
_ID = re.compile(rf"({'|'.join(_KINDS)})-[0-9a-f-]{{8,36}}")
_NOBODYS = ("image", "snapshot")  # whose ARNs name no account
_MADE = {
    "RunInstances": ("instance", "volume", "network-interface"),
    "CreateFleet": ("fleet", "instance", "volume"),
    "CreateImage": ("image", "snapshot"),
    "CreateLaunchTemplate": ("launch-template",),
    "CreatePlacementGroup": ("placement-group",),
    "CreateSecurityGroup": ("security-group",),
    "CreateVolume": ("volume",),
    "ImportKeyPair": ("key-pair",),
}
_OBJECTS = {
    "GET": "GetObject",
    "HEAD": "GetObject",
    "PUT": "PutObject",
    "POST": "PutObject",
    "DELETE": "DeleteObject",
}
_NOT_NAMING = ("Filter.", "LaunchTemplateData.", "ClientToken", "UserData")
_TAGGED = re.compile(r"TagSpecification\.(\d+)\.")

Tags = Mapping[str, str]


def of_ec2(backend: Any, action: str, params: Mapping[str, str]) -> Iterator[Question]:
    """Yield what a call of EC2's is about; `backend` is EC2 in the region that is asked.

    Parameters
    ----------
    params : mapping of str to str
        As they are sent: ``InstanceId.1``.
    """
    if action.startswith("Describe"):
        yield Question(f"ec2:{action}")
        return
    given = {key: value for key, value in params.items() if not key.startswith(_NOT_NAMING)}
    template = _template(backend, given)
    made = _tags_of_what_is_made(given)
    kinds = [*_MADE.get(action, ())]
    is_spot = bool(template and template[1]) or any("MarketType" in key for key in given)
    if action == "RunInstances" and is_spot:
        kinds.append("spot-instances-request")
    named = _named(backend, given)
    asked: list[tuple[str, str, Tags, Tags]] = [
        *((kind, "*", {}, made.get(kind, {})) for kind in kinds),
        *((kind, name, tags, {}) for kind, name, tags in named),
    ]
    if action in ("CreateTags", "DeleteTags"):
        own = {value: "" for key, value in given.items() if re.fullmatch(r"Tag\.\d+\.Key", key)}
        asked = [(kind, name, tags, own) for kind, name, tags in named]
    if not asked:
        yield Question(f"ec2:{action}")
        return
    for kind, name, tags, request in asked:
        yield Question(f"ec2:{action}", _arn(backend, kind, name), _context(tags, request))
    if profile := given.get("IamInstanceProfile.Name"):
        yield from _passed(profile)
    for kind, request in made.items():
        context = {**_context({}, request), "ec2:CreateAction": [action]}
        yield Question("ec2:CreateTags", _arn(backend, kind), context)
    if action == "CreateFleet":
        # What a fleet launches, its caller launches; template and fleet say it together.
        yield from _launched(backend, made, template or ({}, False), given)


def of_s3(method: str, path: str) -> Question:
    """Return what a call of S3's is about, by its path: the bucket's name comes first."""
    bucket, _, key = path.strip("/").partition("/")
    if key:
        return Question(f"s3:{_OBJECTS.get(method, method)}", f"arn:aws:s3:::{bucket}/{key}")
    action = "ListBucket" if method in ("GET", "HEAD") else f"{method.title()}Bucket"
    return Question(f"s3:{action}", f"arn:aws:s3:::{bucket}")


def of_ssm(region: str, action: str, params: Mapping[str, str]) -> Question:
    """Return what a call of SSM's parameter store is about."""
    name = (params.get("Name") or params.get("Path") or "").strip("/")
    account = "" if name.startswith("aws/") else DEFAULT_ACCOUNT_ID
    return Question(f"ssm:{action}", f"arn:aws:ssm:{region}:{account}:parameter/{name}")


def _launched(
    backend: Any,
    made: Mapping[str, Tags],
    template: tuple[Mapping[str, Any], bool],
    given: Mapping[str, str],
) -> Iterator[Question]:
    data, _ = template
    theirs = {
        one["ResourceType"]: {each["Key"]: each["Value"] for each in one.get("Tags", ())}
        for one in data.get("TagSpecifications", ())
    }
    is_spot = given.get("TargetCapacitySpecification.DefaultTargetCapacityType") == "spot"
    kinds = [*_MADE["RunInstances"], *(["spot-instances-request"] if is_spot else [])]
    for kind in kinds:
        own = {**theirs.get(kind, {}), **made.get(kind, {})}
        yield Question("ec2:RunInstances", _arn(backend, kind), _context({}, own))
    if profile := data.get("IamInstanceProfile", {}).get("Name"):
        yield from _passed(profile)
    if name := data.get("Placement", {}).get("GroupName"):
        own = backend.tags.get(backend.placement_groups.get(name, {}).get("GroupId"), {})
        arn = _arn(backend, "placement-group", name)
        yield Question("ec2:RunInstances", arn, _context(own, {}))
    if wanted := places.target(dict(data)):
        yield Question("ec2:RunInstances", _arn(backend, "capacity-reservation", wanted))
    for interface in data.get("NetworkInterfaces", ()):
        for group in interface.get("Groups", ()):
            tags = backend.tags.get(group, {})
            arn = _arn(backend, "security-group", group)
            yield Question("ec2:RunInstances", arn, _context(tags, {}))
    if data.get("ImageId"):
        yield Question("ec2:RunInstances", _arn(backend, "image", str(data["ImageId"])))


def _passed(profile: str) -> Iterator[Question]:
    """Yield that a caller gives instances the roles of a profile."""
    context = {"iam:PassedToService": ["ec2.amazonaws.com"]}
    with contextlib.suppress(NotFoundException):  # the launch says so itself
        found = iam_backends[DEFAULT_ACCOUNT_ID]["aws"].get_instance_profile(profile)
        for role in found.roles:
            yield Question("iam:PassRole", role.arn, context)


def _template(backend: Any, given: Mapping[str, str]) -> tuple[Mapping[str, Any], bool] | None:
    """Return what the launch template of a request says, and whether it is for the spot market."""
    for value in given.values():
        if value.startswith("lt-") and value in backend.launch_templates:
            found = backend.launch_templates[value]
            data = found.get_version(found.default_version_number).data
            return data, "InstanceMarketOptions" in data
    return None


def _named(backend: Any, given: Mapping[str, str]) -> list[tuple[str, str, Tags]]:
    """Return what a request names: its kind, its id, its tags."""
    found: list[tuple[str, str, Tags]] = []
    for key, value in given.items():
        if key == "KeyName":
            found.append(("key-pair", value, {}))
        elif key in ("Placement.GroupName", "GroupName") and value in backend.placement_groups:
            one = backend.placement_groups[value]["GroupId"]
            found.append(("placement-group", value, dict(backend.tags.get(one, {}))))
        elif (match := _ID.fullmatch(value)) and not key.startswith("Tag"):
            found.append((_KINDS[match[1]], value, dict(backend.tags.get(value, {}))))
    return list({one[:2]: one for one in found}.values())


def _tags_of_what_is_made(given: Mapping[str, str]) -> Mapping[str, Tags]:
    found: dict[str, dict[str, str]] = {}
    for key, kind in given.items():
        mark = _TAGGED.match(key)
        if mark and key == f"{mark[0]}ResourceType":
            own = found.setdefault(kind, {})
            for name, value in given.items():
                if re.fullmatch(rf"{re.escape(mark[0])}Tag\.\d+\.Key", name):
                    own[value] = given.get(f"{name.removesuffix('.Key')}.Value", "")
    return found


def _arn(backend: Any, kind: str, name: str = "*") -> str:
    account = "" if kind in _NOBODYS else DEFAULT_ACCOUNT_ID
    # Of a thing that is not there yet, its id is any: a policy that names some does not allow it.
    return f"arn:aws:ec2:{backend.region_name}:{account}:{kind}/{name}"


def _context(tags: Tags, request: Tags) -> dict[str, list[str]]:
    return {
        **{f"{who}:ResourceTag/{key}": [value] for key, value in tags.items() for who in _WHO},
        **{f"aws:RequestTag/{key}": [value] for key, value in request.items()},
        **({"aws:TagKeys": list(request)} if request else {}),
    }


_WHO = ("aws", "ec2")
