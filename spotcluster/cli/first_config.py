"""What a first config file has to say: asked once, checked as it is said, and written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from spotcluster import files, wording
from spotcluster.cli import output
from spotcluster.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from spotcluster.aws.instance_types import InstanceType
    from spotcluster.aws.session import Session

_Answer = TypeVar("_Answer")

_TYPE, _KEY, _SIZE = "c5.2xlarge", "mykey", "3"
_TEXT = """\
# Written by `spotcluster config init`. All that there is to say: `spotcluster help config`.

[key {key}]
KEY_LOCATION = {location}

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn, psutil

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster

[cluster iptemplate]
KEYNAME = {key}
REGION = {region}
NODE_INSTANCE_TYPE = {type}
CLUSTER_SIZE = {size}
PLUGINS = pypackages, ipcluster
"""


@dataclass(frozen=True)
class Given:
    """What is said by flags; None for what is asked, or taken as usual where nobody can answer."""

    region: str | None
    type: str | None
    key: str | None
    location: str | None
    size: str | None


@dataclass(frozen=True)
class Written:
    """What was written, and where."""

    path: Path
    session: Session
    type: InstanceType
    key: str
    location: Path
    size: int


def write(path: Path, given: Given) -> Written:
    """Ask for what is not given, check all of it, and write the config file.

    Raises
    ------
    UsageError
        There is a config file already, or what is given is wrong.
    """
    from spotcluster import config as configs
    from spotcluster.aws import instance_types, session
    from spotcluster.cluster import lookup

    if path.exists():
        raise UsageError(
            f"The config file {path} is there already, and stays as it is.",
            "`spotcluster config edit` changes it; -c FILE writes another one.",
        )
    usual = lookup.default_region(configs.load_if_there())
    there = _asked("Region", given.region, usual, session.Session)
    kind = _asked(
        "Instance type",
        given.type,
        _TYPE,
        lambda said: instance_types.describe(there, [said])[said],
    )
    key = _asked("Key pair", given.key, _KEY, _key)
    size = _asked("Nodes, the master included", given.size, _SIZE, _number)
    location = _location(given.location or str(files.key_file(key)))
    text = _TEXT.format(key=key, location=location, region=there.region, type=kind.name, size=size)
    problems, _ = configs.examine_bytes(text.encode(), path)
    if problems:
        raise ConfigError([str(one) for one in problems], "Say it otherwise.")
    files.write_private(path, text)
    return Written(path, there, kind, key, files.expand(Path(location)), size)


def show(written: Written) -> None:
    """Print what was written, what it costs, and what comes next."""
    region, size = written.session.region, written.size
    output.out.print(f"{written.path} is written: nothing is wrong in it.")
    output.out.print(f"{size} x {written.type.name} in {region}: {_cost(written)}.")
    option = f"-c {_word(written.path)} " if written.path != files.config_file() else ""
    rows = [
        (f"spotcluster {option}start --dry-run mycluster", "look before you pay"),
        (f"spotcluster {option}start -b BID mycluster", "workers at BID USD an hour at most"),
        (f"spotcluster {option}terminate mycluster", "end the bill"),
    ]
    if not written.location.exists():
        making = f"spotcluster -r {region} createkey {_word(written.key)}"
        if written.location != files.key_file(written.key):
            making += f" -o {_word(written.location)}"
        rows.insert(0, (making, "make the key pair"))
    for line in wording.columns(rows):
        output.out.print(f"  {line}")


def _cost(written: Written) -> str:
    from spotcluster.aws import prices

    session, name = written.session, written.type.name
    on_demand = prices.on_demand(session, name)
    spot = prices.spot_pools(session, [name])
    if on_demand is None:
        return "AWS does not tell these credentials what it costs"
    whole = f"{output.dollars(on_demand * written.size)} on demand"
    if not spot or written.size == 1:
        return whole
    (_, zone), least = min(spot.items(), key=lambda one: one[1])
    mixed = on_demand + least * (written.size - 1)
    return f"{whole}, {output.dollars(mixed)} with spot workers ({output.dollars(least)} in {zone})"


def _asked(
    what: str, given: str | None, usual: str, understood: Callable[[str], _Answer]
) -> _Answer:
    """Return what is given, or answered; who answers something wrong is told and asked again."""
    if given is not None or not output.can_ask():
        return understood(usual if given is None else given)
    while True:
        try:
            return understood(str(click.prompt(what, default=usual, err=True)).strip())
        except UsageError as error:
            output.failure(error, None, debug=False)


def _key(said: str) -> str:
    if not said.isprintable() or set(said) & set("[]#;/ "):
        raise UsageError(f"'{said}' is not a name for a key pair.", "Take letters and digits.")
    return said


def _location(said: str) -> str:
    if not said.isprintable() or said != said.strip() or re.search(r"(^|\s)[#;]", said):
        raise UsageError(
            f"The config cannot hold '{wording.visible(said)}' as a file: what follows a blank and"
            " '#' or ';' is a comment there.",
            "Take another name or folder.",
        )
    return said


def _word(said: str | Path) -> str:
    """Return it as a shell reads it as one word."""
    return shlex.quote(str(said))


def _number(said: str) -> int:
    if not said.isascii() or not said.isdigit() or int(said) < 1:
        raise UsageError(f"'{said}' is not a number of nodes.", "Say 1 or more, as in 3.")
    return int(said)
