"""The lock: the versions that the gate installs, for Python 3.11 and later on Linux and macOS.

    .ci/lock             add what pyproject.toml wants and the lock lacks
    .ci/lock --upgrade   take the newest of everything
    .ci/lock --check     say whether the lock, pyproject.toml and .venv agree

It is a file of constraints for pip. There are two, as the AWS command line, which the tests use,
and Sphinx want different versions of docutils. They name no index, so that any mirror will do.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from uv import find_uv_bin

CI = Path(__file__).resolve().parent
LOCKS = {
    CI / "lock.txt": ["plot", "dashboard", "optuna", "mlflow", "tutorial", "test"],
    CI / "lock-docs.txt": ["docs"],
}
HEADER = "# Made by .ci/lock, for `pip install -c`\n"
PYTHONS = ["3.11", "3.12", "3.13"]
SYSTEMS = ["linux", "darwin"]
HERE = {name: str(value) for name, value in default_environment().items()}
Pins = dict[str, Requirement]


def renew(lock: Path, extras: list[str], *, upgrade: bool) -> None:
    """Write a lock anew, with the versions that it has where they still fit."""
    command = [find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += ["--universal", "--python-version", PYTHONS[0], *(["--upgrade"] * upgrade)]
    command += [f"--extra={extra}" for extra in extras]
    subprocess.run([*command, "pyproject.toml", "-o", lock], cwd=CI.parent, check=True)
    lock.write_text(HEADER + lock.read_text())


def pins(lock: Path, environment: dict[str, str]) -> Pins:
    """Return what a lock pins there, by name."""
    lines = [line for line in lock.read_text().splitlines() if line and line[0] != "#"]
    all_pins = [Requirement(line) for line in lines]
    return {
        canonicalize_name(pin.name): pin
        for pin in all_pins
        if not pin.marker or pin.marker.evaluate(environment)
    }


def disagreements(pinned: Pins, declared: list[Requirement], where: str) -> list[str]:
    """Return what is declared and not in the lock, or there with a version that is not allowed."""
    problems = []
    for wanted in declared:
        pin = pinned.get(canonicalize_name(wanted.name))
        if pin is None:
            problems.append(f"{wanted.name} is declared and not in {where}")
        elif not wanted.specifier.contains(version(pin), prereleases=True):
            problems.append(f"{wanted} is declared, {where} has {version(pin)}")
    return problems


def version(pin: Requirement) -> str:
    """Return the version that a pin asks for."""
    return next(iter(pin.specifier)).version


def strangers(pinned: Pins) -> list[str]:
    """Return what is in this environment with another version, or was brought without a pin."""
    problems = []
    for name, pin in pinned.items():
        try:
            there = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if there.version != version(pin):
            problems.append(f"{name} {there.version} is installed, the lock has {version(pin)}")
        for brought in map(Requirement, there.requires or []):
            needed = not brought.marker or brought.marker.evaluate({"extra": ""})
            if needed and canonicalize_name(brought.name) not in pinned:
                problems.append(f"{brought.name}, which {name} needs, is not in the lock")
    return problems


def check() -> list[str]:
    """Return where the locks, pyproject.toml and this environment disagree."""
    project = tomllib.loads((CI.parent / "pyproject.toml").read_text())["project"]
    problems = []
    for lock, extras in LOCKS.items():
        texts = [*project["dependencies"]]
        texts += [text for extra in extras for text in project["optional-dependencies"][extra]]
        declared = [Requirement(text) for text in texts]
        for python in PYTHONS:
            for system in SYSTEMS:
                there = {"python_version": python, "python_full_version": f"{python}.9"}
                environment = {**HERE, **there, "sys_platform": system}
                problems += disagreements(pins(lock, environment), declared, lock.name)
    return sorted({*problems, *strangers(pins(CI / "lock.txt", HERE))})


def main(arguments: list[str]) -> int:
    """Renew the locks, or check them."""
    if arguments == ["--check"]:
        problems = check()
        print("\n".join(problems) or "The lock, pyproject.toml and what is installed agree.")
        if problems:
            print("Renew it with .ci/lock, then install again.")
        return int(bool(problems))
    if arguments not in ([], ["--upgrade"]):
        print(__doc__)
        return 2
    for lock, extras in LOCKS.items():
        renew(lock, extras, upgrade=bool(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
