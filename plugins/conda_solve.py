"""Solve what `conda.lock` asks, in a process of its own: JSON comes in, JSON goes out."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from rattler import (
    Channel,
    Client,
    Gateway,
    GenericVirtualPackage,
    LockChannel,
    LockFile,
    LockPlatform,
    MatchSpec,
    PackageName,
    RepoDataRecord,
    SourceConfig,
    Version,
    solve,
)
from rattler.exceptions import GatewayError, InvalidMatchSpecError, SolverError
from rattler.networking import AddHeadersMiddleware, RetryMiddleware
from rattler.package import BuildString

_DEFAULT = "default"  # the environment of a lock that is there without more
_NOT_MODIFIED = "304 Not Modified"
_Answer = dict[str, str]


@dataclass(frozen=True)
class _Question:
    channels: list[Channel]
    specs: list[MatchSpec]
    liked: Mapping[str, str]
    gateway: Gateway

    async def answer(self, platform: Mapping[str, Any]) -> list[RepoDataRecord]:
        """Return what a platform gets."""
        found = await self._solve(platform)
        for versions in (liked := await self._liked(platform, found)), self._named(liked):
            if versions:
                try:
                    return await self._solve(platform, versions)
                except SolverError:  # it does not go with the rest
                    continue
        return found

    async def _solve(
        self, platform: Mapping[str, Any], versions: Mapping[str, str] | None = None
    ) -> list[RepoDataRecord]:
        has = [
            GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
            for name, version, build in platform["has"]
        ]
        return await solve(
            self.channels,
            self.specs,
            self.gateway,
            [platform["name"], "noarch"],
            virtual_packages=has,
            constraints=[f"{name} =={version}" for name, version in (versions or {}).items()],
        )

    async def _liked(
        self, platform: Mapping[str, Any], found: Sequence[RepoDataRecord]
    ) -> dict[str, str]:
        """Return the versions that are liked better than those found, and that channels have."""
        bound = {_name(one) for one in self.specs if one.version or one.build}
        other = {
            one.name.normalized: self.liked[canonicalize_name(one.name.normalized)]
            for one in found
            if self.liked.get(canonicalize_name(one.name.normalized), str(one.version))
            != str(one.version)
        }
        names = sorted(other.keys() - bound)
        if not names:
            return {}
        there = await self.gateway.query(
            self.channels, [platform["name"], "noarch"], names, recursive=False
        )
        offered = {(one.name.normalized, str(one.version)) for some in there for one in some}
        return {name: other[name] for name in names if (name, other[name]) in offered}

    def _named(self, versions: Mapping[str, str]) -> dict[str, str]:
        """Return those of them which the user has named."""
        names = {_name(one) for one in self.specs}
        return {name: version for name, version in versions.items() if name in names}


def _name(spec: MatchSpec) -> str:
    return str(spec.name.normalized)


def _client(logins: Mapping[str, Sequence[str]]) -> Client:
    def headers(host: str, _: str) -> dict[str, str] | None:
        if host not in logins:
            return None
        token = base64.b64encode(":".join(logins[host]).encode()).decode()
        return {"Authorization": f"Basic {token}"}

    # None of the logins that rattler's own programs have here: nodes would not have them.
    return Client([RetryMiddleware(), AddHeadersMiddleware(headers)])


async def _lock(given: Mapping[str, Any]) -> _Answer:
    specs = []
    for one in [*given["specs"], f"python {given['python']}.*"]:
        try:
            specs.append(MatchSpec(one))
        except InvalidMatchSpecError as error:
            return {"kind": "spec", "spec": one, "text": str(error)}
    channels = [Channel(one) for one in given["channels"]]
    known = {one.base_url for one in channels}
    # conda, too, looks into a channel that only a package names, after all others.
    channels += [one.channel for one in specs if one.channel and one.channel.base_url not in known]
    client = _client(given["logins"])
    answer = await _answer(
        given, _Question(channels, specs, given["liked"], Gateway(client=client))
    )
    if _NOT_MODIFIED in answer.get("text", ""):
        # What is in the cache is as it was, but the server does not say of which file it says so,
        # and rattler does not believe it: all is asked for anew.
        anew = Gateway(client=client, default_config=SourceConfig(cache_action="no-cache"))
        answer = await _answer(given, _Question(channels, specs, given["liked"], anew))
    return answer


async def _answer(given: Mapping[str, Any], question: _Question) -> _Answer:
    answers: dict[str, list[RepoDataRecord]] = {}
    for platform in given["platforms"]:
        try:
            answers[platform["name"]] = await question.answer(platform)
        except GatewayError as error:
            return {"kind": "channel", "text": str(error)}
        except SolverError as error:
            if platform["needed"]:
                return {"kind": "solver", "platform": platform["name"], "text": str(error)}
    return {"lock": _text(question.channels, answers)}


def _text(channels: Sequence[Channel], answers: Mapping[str, Sequence[RepoDataRecord]]) -> str:
    platforms = {name: LockPlatform(name) for name in answers}
    made = LockFile(list(platforms.values()))
    made.set_channels(_DEFAULT, [LockChannel(one.base_url) for one in channels])
    for name, records in answers.items():
        for record in records:
            made.add_conda_package(_DEFAULT, platforms[name], record)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lock"
        made.to_path(path)
        return path.read_text(encoding="utf-8")


def _end_with(asker: int) -> None:
    """End when the process does that has asked, also one that was killed."""
    while os.getppid() == asker:
        time.sleep(0.5)
    os._exit(1)


def main() -> None:
    """Answer one question."""
    given = json.load(sys.stdin)
    threading.Thread(target=_end_with, args=(given["asker"],), daemon=True).start()
    answer = asyncio.run(_lock(given))
    json.dump(answer, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # threads of the library may run still, which Python's own end does not bear


if __name__ == "__main__":
    main()
