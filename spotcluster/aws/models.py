"""``python -m ... FOLDER``: botocore's models of AWS, cut to the calls that spotcluster makes.

botocore holds the whole model of a service for as long as there is a client of it, and of EC2's 750
operations we call fifty. Who runs for long where memory is scarce, the keeper on the master, names
the folder in `AWS_DATA_PATH`, where botocore looks first. A folder in it, `LOOKING`, has what is
called by who only looks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

from spotcluster.aws import policy
from spotcluster.aws.session import LOOKING

_SERVICES = {"ec2": "ec2", "pricing": "pricing", "servicequotas": "service-quotas", "ssm": "ssm"}
"""Those whose actions are called what their operations are, by their names in IAM."""
_LOOKS = {"ec2": {"DescribeInstances", "DescribeSecurityGroups"}}


def write(folder: Path) -> None:
    """Write the models of those services, and where their endpoints are."""
    _write_of(folder, _called())
    _write_of(folder / LOOKING, _LOOKS)


def _write_of(folder: Path, called: Mapping[str, Collection[str]]) -> None:
    loader = Loader()
    prefixes = set()
    for service, operations in called.items():
        version = loader.determine_latest_version(service, "service-2")
        model = cut(loader.load_service_model(service, "service-2", version), operations)
        prefixes.add(model["metadata"]["endpointPrefix"])
        _write(folder / service / version / "service-2.json", model)
    endpoints = loader.load_data("endpoints")
    for partition in endpoints["partitions"]:
        there = partition["services"]
        partition["services"] = {name: there[name] for name in prefixes & there.keys()}
    _write(folder / "endpoints.json", endpoints)


def cut(model: Mapping[str, Any], operations: Collection[str]) -> dict[str, Any]:
    """Return a service's model with some of its operations, and no documentation."""
    kept = {name: model["operations"][name] for name in sorted(operations)}
    shapes: dict[str, Any] = {}
    waiting = [*_shapes(kept)]
    while waiting:
        name = waiting.pop()
        if name not in shapes:
            shapes[name] = model["shapes"][name]
            waiting += _shapes(shapes[name])
    return {**model, "operations": _undocumented(kept), "shapes": _undocumented(shapes)}


def _called() -> dict[str, set[str]]:
    """Return the operations that the policy speaks of, by the service as botocore calls it."""
    found: dict[str, set[str]] = {service: set() for service in _SERVICES.values()}
    for statement in policy.document()["Statement"]:
        for action in statement["Action"]:
            service, operation = action.split(":")
            if service in _SERVICES:
                found[_SERVICES[service]].add(operation)
    return found


def _shapes(value: Any) -> Iterator[str]:
    """Yield the names of the shapes that a part of a model refers to."""
    if isinstance(value, list):
        for one in value:
            yield from _shapes(one)
    elif isinstance(value, dict):
        if isinstance(value.get("shape"), str):
            yield value["shape"]
        for one in value.values():
            yield from _shapes(one)


def _undocumented(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    # A member may be called so too; what it is, is no text.
    return {
        key: _undocumented(value)
        for key, value in part.items()
        if not (key == "documentation" and isinstance(value, str))
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
