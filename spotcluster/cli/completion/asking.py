"""Names that only EC2 or a master knows: asked by a process aside, and kept for some seconds.

The shell stands still while Tab is answered, so the process that answers waits for a moment only.
The one that asks goes on without it, and what it has learnt is there at the next Tab.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spotcluster import files
from spotcluster.config import environment

if TYPE_CHECKING:
    from spotcluster.aws.session import Session
    from spotcluster.cli.context import Context

FRESH = 10.0
"""Seconds for which names are offered without asking again."""

_PATIENCE = 1.5  # seconds that whoever pressed Tab waits
_LIMIT = 30  # seconds after which the process that asks ends, whatever it waits for
_LOOK = 0.02


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes
    ----------
    config_path, region : str or None
        What the global options say.
    jobs_of : str or None
        The cluster whose jobs are asked for; without one, the clusters and their nodes are.
    """

    config_path: str | None
    region: str | None
    jobs_of: str | None = None

    @property
    def answer_file(self) -> Path:
        """Where the last answer is kept: one for each account, as the environment may name it."""
        account = [os.environ.get(name) for name in (*environment.PROFILE, "AWS_ACCESS_KEY_ID")]
        asked = json.dumps([asdict(self), account, str(files.config_file())])
        digest = hashlib.sha256(asked.encode()).hexdigest()[:16]
        return files.private_dir("completion") / f"{digest}.json"


def answer(question: Question) -> Any:
    """Return what is known, asked again where that is older than some seconds; None for nothing."""
    path = question.answer_file
    if time.time() - _written(path) > FRESH:
        _ask_aside(question, path)
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))
    return None


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _ask_aside(question: Question, path: Path) -> None:
    """Have a process ask, and wait a moment for it."""
    before, end = _written(path), time.monotonic() + _PATIENCE
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, json.dumps(asdict(question))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # no terminal, on which something might ask for a password
    )
    while process.poll() is None and _written(path) == before and time.monotonic() < end:
        time.sleep(_LOOK)


def main() -> None:
    """Ask what the command line says, and write the answer down."""
    import fcntl

    signal.alarm(_LIMIT)
    question = Question(**json.loads(sys.argv[1]))
    path = question.answer_file
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # somebody is asking
            return
        try:
            found: object = ask(question)
        except Exception:  # noqa: BLE001 - nobody reads it; what was known is as good as there is
            try:
                found = json.loads(path.read_bytes())
            except (OSError, ValueError):
                found = None
        files.write_private(path, json.dumps(found))


def ask(question: Question) -> Any:
    """Ask EC2, and for jobs the master.

    Returns
    -------
    dict or None
        Of jobs, their commands by number. Otherwise the regions that were looked in, and in each
        the clusters with the types of their nodes by alias.
    """
    from spotcluster.cli.context import Context

    path = Path(question.config_path) if question.config_path else None
    context = Context(path, question.region, debug=False)
    if question.jobs_of is None:
        return _clusters(context)
    return _jobs(context, question.jobs_of)


def _sessions(context: Context, *names: str) -> list[Session]:
    """Return sessions for the regions to look in; the local cloud is not started to be asked."""
    from spotcluster import local
    from spotcluster.cluster import lookup

    config = context.config()
    places = lookup.regions(config, context.region, *names)
    return [
        lookup.open_session(config, one)
        for one in places
        if one != "local" or local.status().running
    ]


def _clusters(context: Context) -> dict[str, dict[str, dict[str, str]]]:
    from spotcluster.aws import instances, regions

    sessions = _sessions(context, *(name for _, name in files.reached()))
    told, refused = regions.each(sessions, instances.describe)
    found: dict[str, dict[str, dict[str, str]]] = {}
    for session, there in told:
        by_name = found.setdefault(session.region, {})
        for one in instances.present(there):
            by_name.setdefault(one.cluster, {})[one.alias] = one.type
    if refused and not told:
        raise next(iter(refused.values()))
    return found


def _jobs(context: Context, name: str) -> dict[str, str] | None:
    """Ask the master as it is reached already: no door is opened because somebody pressed Tab."""
    from spotcluster import templates
    from spotcluster.aws import instances, regions
    from spotcluster.cluster import lookup, records
    from spotcluster.cluster.cluster import Cluster, nodes_of

    found = regions.first(_sessions(context, name), lambda one: records.find(one, name))
    if found is None:
        return None
    session, record = found
    key_path = lookup.keys_of(context.config()).get(record.template.keyname)
    key_path = key_path or files.key_file(record.template.keyname)
    nodes = nodes_of(instances.describe(session, name), key_path)
    with contextlib.closing(Cluster(session, record, key_path, nodes)) as cluster:
        script = templates.read("job_names.sh")
        said = cluster.master.account.run(script, what="listing jobs", timeout=_LIMIT)
    rows = [line.partition("\t") for line in said.splitlines() if "\t" in line]
    return {number: " ".join(json.loads(spec)["command"]) for number, _, spec in rows}


if __name__ == "__main__":
    main()
