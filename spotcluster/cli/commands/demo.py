"""demo: the whole story on this computer."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from spotcluster import files, wording
from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.errors import ClusterError, SearchError, SpotclusterError, UsageError

if TYPE_CHECKING:
    from spotcluster.aws.session import Session
    from spotcluster.cluster.cluster import Cluster
    from spotcluster.cluster.reporter import Reporter
    from spotcluster.search import RandomizedSearch

NAME = "demo"
EXPECTED = (
    (0.99022, {"C": 1.0, "gamma": 0.001}),
    (0.98889, {"C": 10.0, "gamma": 0.001}),
    (0.98889, {"C": 100.0, "gamma": 0.001}),
    (0.98756, {"C": 10.0, "gamma": 0.0001}),
    (0.98711, {"C": 100.0, "gamma": 0.0001}),
)
"""What the search found in the lecture notes it is taken from, to compare with."""

_AFTERWARDS = (
    ("spotcluster demo --keep", "the same, and the cluster is left for you to try"),
    ("spotcluster config init", "a first config for EC2; with -r local for this computer"),
)
_LIMIT = 300.0  # seconds for the search, and for each change of the cluster


@click.command(epilog="Example: spotcluster demo --keep")
@click.option("--keep", is_flag=True, help="Leave the cluster running at the end.")
@pass_context
def demo(context: Context, *, keep: bool) -> int:
    """See it work on this computer: no AWS account, no root, no Docker.

    Starts a master and two spot workers on the local cloud, runs a grid search of 100 evaluations
    there, adds a node and removes another while it runs, and ends everything.
    """
    from spotcluster import config, local, templates
    from spotcluster.cluster import lookup

    was_running = local.status().running
    settings = config.load_text(templates.read("demo.ini"), "demo.ini")
    template = settings.with_key(settings.template(NAME))
    session = lookup.open_session(settings, context.region or template.region or "local")
    _refuse_if_there(session)
    _make_key(session, template.keyname)
    try:
        with output.progress() as reporter:
            told = _Story(session, reporter).run(template)
        # Not before the table of nodes has ended: what is printed below it is wiped by its next
        # refresh.
        right = _report(told)
        _draw(told.search)
    except BaseException:
        _clean_up(session, stop_local=not was_running)
        raise
    if keep:
        _say_what_next(session)
    else:
        _clean_up(session, stop_local=not was_running)
        output.out.print("\nNext:")
        for line in wording.columns(_AFTERWARDS):
            output.out.print(f"  {line}")
    return 0 if right else 1


@dataclass(frozen=True)
class _Told:
    """What came of it.

    Attributes
    ----------
    newcomer, leaving : str
        The nodes that have joined and left while the search ran.
    """

    search: RandomizedSearch
    newcomer: str
    leaving: str


class _Story:
    """The demo as one pass: start, search, grow, shrink."""

    def __init__(self, session: Session, reporter: Reporter) -> None:
        self.session = session
        self.reporter = reporter

    def run(self, template: Any) -> _Told:
        """Run it, to the end of the search."""
        from spotcluster.cluster.lifecycle import start as starting

        self.reporter.note("Starting a master (on demand) and two workers (spot) ...")
        result = starting.start(self.session, NAME, template, self.reporter)
        if result.failed:
            raise ClusterError(
                f"The demo's cluster did not start: {result.failed[0].error}",
                "It is being removed; `spotcluster -d demo` shows every step.",
            )
        self.reporter.note(
            f"{len(result.cluster.nodes)} nodes with {result.engines} engines are up after"
            f" {result.elapsed:.1f} s; the search starts."
        )
        slowest = max(sum(member.stages.values()) for member in result.members)
        try:
            return self._search(result.cluster, result.engines, join_time=slowest)
        finally:
            result.cluster.close()

    def _search(self, cluster: Cluster, engines: int, *, join_time: float) -> _Told:
        from spotcluster.cluster.connect import connect
        from spotcluster.cluster.lifecycle import add, remove
        from spotcluster.search import RandomizedSearch

        # The search takes seconds; a node needs a few to join. So that there is something to
        # see, each evaluation is given a least duration: two joins for the whole.
        pace = min(2.0 * join_time, 45.0) * engines / 100
        self.reporter.note(
            f"(Each evaluation is made to last at least {pace:.1f} s here: this search is so short"
            " that it would be over before a node could join.)"
        )
        with contextlib.ExitStack() as stack:
            client = connect(NAME, region=self.session.region)
            stack.callback(client.close)
            model, grid, splits = _digits(files.private_dir("demo"))
            # Scores on training data are not shown, and would take as long as all else.
            search = RandomizedSearch(
                client.load_balanced_view(), random_state=42, return_train_score=False
            )
            stack.callback(_abort, search)
            search.launch_for_splits(model, grid, splits, pace=pace)
            with _shown(self.reporter, search, client):
                self._forget_nodes()
                self.reporter.note("While it runs: spotcluster addnode -s 1 demo")
                added = _aside(lambda: add.add_nodes(cluster, 1, bid=None, reporter=self.reporter))
                newcomer = self._wait_added(added, search)
                leaving = next(n.alias for n in cluster.nodes if not n.is_master)
                self.reporter.note(f"While it runs: spotcluster removenode demo {leaving}")
                removed = _aside(lambda: remove.remove_nodes(cluster, [leaving]))
                if not search.wait(timeout=_LIMIT):
                    raise SearchError(
                        f"The search had not ended after {_LIMIT:.0f} s.",
                        "`spotcluster -d demo` shows every step.",
                    )
                removed()
            return _Told(search, newcomer, leaving)

    def _wait_added(self, added: Callable[[], Any], search: RandomizedSearch) -> str:
        """Wait until the new node is ready and has done an evaluation; return its name."""
        result = added()
        result.conclude()
        failed = result.failed
        if failed:
            raise ClusterError(
                f"The demo's new node did not get ready: {failed[0].error}",
                "`spotcluster -d demo` shows every step.",
            )
        newcomer = str(added().members[0].alias)
        end = time.monotonic() + _LIMIT
        while newcomer not in search.evaluations_per_node():
            if search.completed() == search.total():
                raise SearchError(
                    f"The search was over before {newcomer} could take an evaluation.",
                    "Nothing is lost, but this computer was too busy to show it; try again.",
                )
            if time.monotonic() > end:
                raise SearchError(
                    f"{newcomer} took no evaluation within {_LIMIT:.0f} s.",
                    "`spotcluster -d demo` shows every step.",
                )
            time.sleep(0.1)  # between two looks
        return newcomer

    def _forget_nodes(self) -> None:
        if isinstance(self.reporter, output.LiveReporter):
            self.reporter.forget()


def _report(told: _Told) -> bool:
    """Say what the search has found and who has done it; return whether that is right."""
    search = told.search
    bests = [(round(float(score), 5), params) for score, params in search.find_bests(5)]
    counts = search.evaluations_per_node()
    output.out.print(f"\nThe five best of {search.completed()} evaluations:")
    for rank, (score, params) in enumerate(bests, 1):
        output.out.print(f"  {rank}. {score:.5f}  {{{_params(params)}}}")
    output.out.print("\nEvaluations by node:")
    notes = {told.newcomer: "  joined while it ran", told.leaving: "  left while it ran"}
    for node, number in sorted(counts.items()):
        output.out.print(f"  {node:8} {number:4d}{notes.get(node, '')}")
    again = sum(retry.lost for retry in search.retried)
    lost = search.total() - search.completed()
    output.out.print(f"Lost: {lost or 'none'}; run again elsewhere: {again or 'none'}.")
    if not lost and all(
        score == expected and params == wanted
        for (score, params), (expected, wanted) in zip(bests, EXPECTED, strict=True)
    ):
        return True
    output.error("This is not what the search should have found:")
    for score, params in EXPECTED:
        output.err.print(f"  {score:.5f}  {params}")
    return False


def _draw(search: RandomizedSearch) -> None:
    """Draw who has done what, and when, into a file, where matplotlib is installed."""
    from spotcluster.cli import pictures

    path = pictures.own_file(NAME)
    try:
        pictures.check_picture(path)
    except UsageError as missing:
        output.out.print(f"\nNo picture of the work of each engine: {missing}")
        return
    search.work_per_engine().savefig(path)
    output.out.print("\nThe work of each engine over time:", str(path), soft_wrap=True)


def _abort(search: RandomizedSearch) -> None:
    with contextlib.suppress(SearchError):
        search.abort()


def _digits(folder: Any) -> tuple[Any, dict[str, Any], list[str]]:
    """Return model, grid and split files of the search in the lecture notes."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.svm import SVC

    from spotcluster.search import persist_cv_splits

    digits = load_digits()
    splits = persist_cv_splits(
        digits.data, digits.target, name=str(folder / "digits"), test_size=0.25, random_state=42
    )
    grid = {"C": np.logspace(-1, 2, 4), "gamma": np.logspace(-4, 0, 5)}
    return SVC(), grid, splits


def _aside(work: Callable[[], Any]) -> Callable[[], Any]:
    """Do `work` in a thread; the returned function waits for it and gives its result."""
    from spotcluster import threads

    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            outcome["error"] = error

    thread = threads.begin(run)

    def wait() -> Any:
        if not threads.wait_for(thread, _LIMIT):
            raise ClusterError(
                f"The demo's cluster had not changed after {_LIMIT:.0f} s.",
                "`spotcluster -d demo` shows every step.",
            )
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]

    return wait


@contextlib.contextmanager
def _shown(reporter: Reporter, search: RandomizedSearch, client: Any) -> Iterator[None]:
    """Show the search below the nodes on a terminal; elsewhere say a line now and then."""
    stop = threading.Event()

    def plain() -> None:
        said = -1
        while not stop.wait(0.5):
            done = search.completed()
            if done // 20 > said:
                said = done // 20
                best = search.find_bests(1)
                top = f"; best so far {best[0][0]:.5f}" if best else ""
                reporter.note(
                    f"{done} of {search.total()} evaluations done, {len(client.ids)} engines{top}"
                )

    if isinstance(reporter, output.LiveReporter):
        reporter.below = _Board(search, client)
        yield
        return
    thread = threading.Thread(target=plain, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


class _Board:
    """The search as it stands now, drawn anew at each refresh."""

    def __init__(self, search: RandomizedSearch, client: Any) -> None:
        self.search = search
        self.client = client

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        from spotcluster.cli.output import Text

        done, total = self.search.completed(), self.search.total()
        counts = self.search.evaluations_per_node()
        board = Table.grid(padding=(0, 2))
        for rank, (score, params) in enumerate(self.search.find_bests(5), 1):
            board.add_row(f"{rank}.", f"{score:.5f}", _params(params))
        nodes = "   ".join(f"{node} {number}" for node, number in sorted(counts.items()))
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=total, completed=done, width=40),
            f"{done}/{total} evaluations on {len(self.client.ids)} engines",
        )
        return Group(Text(), bar, Text(f"by node: {nodes}"), Text("best so far:"), board)


def _refuse_if_there(session: Session) -> None:
    from spotcluster.cluster.lifecycle import terminate

    if left := terminate.remains(session, NAME):
        raise ClusterError(
            f"There is a cluster '{NAME}' already: {left}.",
            f"End it first: spotcluster -r {session.region} terminate {NAME}",
        )


def _make_key(session: Session, name: str) -> None:
    """Make the demo's key pair, or give EC2 the one that is here."""
    from spotcluster import ssh
    from spotcluster.aws import keypairs

    path = files.key_file(name)
    if not path.exists():
        files.write_private(path, ssh.keys.generate().private)
    public = ssh.keys.public_of(path)
    pair = keypairs.find(session, name)
    if pair and ssh.keys.bare(pair.public) != ssh.keys.bare(public):
        keypairs.delete(session, name)
        pair = None
    if pair is None:
        keypairs.upload(session, name, public)


def _clean_up(session: Session, *, stop_local: bool) -> None:
    """End everything and look whether it is gone; not to be interrupted again."""
    from spotcluster import local
    from spotcluster.cluster.lifecycle import terminate

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        output.err.print("Terminating the demo's cluster ...")
        if terminate.remains(session, NAME):
            with output.progress() as reporter:
                terminate.terminate(session, NAME, reporter, timeout=60)
        left = terminate.remains(session, NAME)
        output.out.print(f"EC2 says that of '{NAME}' there is {left or 'nothing left'}.")
        if stop_local:
            local.stop()
    except SpotclusterError as error:
        output.failure(error, None, debug=False)
        output.err.print(f"Repeat: spotcluster -r {session.region} terminate {NAME}")
    finally:
        signal.signal(signal.SIGINT, before)
        sys.stdout.flush()


def _say_what_next(session: Session) -> None:
    region = f"-r {session.region}"
    output.out.print(
        f"\nThe cluster is kept. Next:\n"
        f"  spotcluster {region} listclusters\n"
        f"  spotcluster {region} sshmaster {NAME}\n"
        f"  spotcluster {region} addnode -s 1 {NAME}\n"
        f'  python -c \'import spotcluster; print(spotcluster.connect("{NAME}",'
        f' region="{session.region}").ids)\'\n'
        f"  spotcluster {region} terminate {NAME}\n"
        "  spotcluster local stop",
    )


def _params(params: Mapping[str, float]) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in sorted(params.items()))
