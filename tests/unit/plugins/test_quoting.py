"""What users write comes to a node's shell as it is, whatever is in it, and is never run there."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

from spotcluster import templates
from spotcluster.cluster.node import forget, introduce, let_in
from spotcluster.plugins import environment
from spotcluster.steps import Step, writing

HOSTILE = [
    "$(touch pwned)",
    "`id`",
    "a b",
    "'",
    '"',
    "\\",
    "\n",
    ";id",
    "&&id",
    "-rf",
    "*",
    "~",
    "#",
    "!",
]
# No NUL, which no argument of a process can hold, and no half of a surrogate pair.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)
strings = st.one_of(st.sampled_from(HOSTILE), texts)


class Recorder:
    """A node that keeps the scripts that it is given."""

    def __init__(self, **known: Any) -> None:
        self.scripts: list[str] = []
        self.account = self
        self.name = ""
        self.facts = SimpleNamespace(sudo=False, account="", account_key="", cluster_key="")
        self.__dict__.update(known)

    def run(self, script: str, **_: Any) -> str:
        self.scripts.append(script)
        return ""

    def run_each(self, steps: Sequence[Step]) -> list[str]:
        return [self.run(step.script) for step in steps]


def said(script: str) -> list[str]:
    """Run a script that prints strings, each with a NUL behind it."""
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail\n" + script], capture_output=True, check=True, cwd="/"
    )
    assert not done.stderr
    return done.stdout.decode().split("\0")[:-1]


@given(packages=st.lists(strings, min_size=1, max_size=3, unique=True), index=strings)
@example(packages=["scikit-learn; touch pwned"], index="https://x/$(id)")
def test_packages_and_index_reach_the_installer_as_they_are(
    packages: list[str], index: str
) -> None:
    node = Recorder()
    show = """printf '%s\\0' "$index" "${packages[@]}" """
    # Which of them are requirements is another matter, and checked before.
    with (
        patch.object(templates, "read", lambda _: show),
        patch.object(environment, "versioned", lambda _: []),
        patch.object(environment, "constraints", lambda _: ""),
    ):
        where: Any = SimpleNamespace(url=index, extra=(), trusted=(), private=lambda: "")
        environment.install(node, packages, index=where)  # type: ignore[arg-type]
    wanted = dict.fromkeys([*environment.BASE, *packages])
    assert said(node.scripts[0]) == [index, *wanted]


@given(alias=strings, user=strings, address=strings, key=strings)
def test_names_reach_the_master_as_they_are(alias: str, user: str, address: str, key: str) -> None:
    target = SimpleNamespace(port=22, user=user, host_key_alias="i-1", host_key="ssh-ed25519 AAAA")
    worker = Recorder(alias=alias, private_ip=address, target=target)
    master = Recorder(target=target)
    master.facts.cluster_key = key
    shows = {
        "authorize.sh": """printf '%s\\0' "$key" """,
        "alias.sh": """printf '%s\\0' "${aliases[@]}" "${addresses[@]}" "${users[@]}" """,
    }
    with patch.object(templates, "read", shows.__getitem__):
        let_in(master, worker)  # type: ignore[arg-type]
        introduce(master, [worker, worker])  # type: ignore[list-item,arg-type]
    assert said(worker.scripts[0]) == [key]
    assert said(master.scripts[0]) == [alias, alias, address, address, user, user]


@given(alias=st.sampled_from(HOSTILE))
def test_a_name_that_is_forgotten_reaches_the_master_as_it_is(alias: str) -> None:
    master = Recorder()
    show = """printf '%s\\0' "${aliases[@]}" """
    with patch.object(templates, "read", lambda _: show):
        forget(master, alias)  # type: ignore[arg-type]
    assert said(master.scripts[0]) == [alias]


@given(content=strings)
def test_what_a_step_writes_is_written_as_it_is(content: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some folder" / "it's"
        subprocess.run(["bash", "-c", writing(str(path), content, user=None).script], check=True)
        assert path.read_bytes() == content.encode()
