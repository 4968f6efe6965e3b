"""The verbs that follow a search, and the pictures of it: what is known by the time of the call."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any, Self

from spotcluster import notebooks
from spotcluster.errors import SearchError
from spotcluster.search.contract import SearchEstimator
from spotcluster.search.data.evaluations import Evaluation, Retry
from spotcluster.search.results.display import watch
from spotcluster.search.results.page import Showing, page
from spotcluster.search.results.results import Best, Results, report
from spotcluster.search.results.state import State
from spotcluster.search.results.subject import Subject, name_of_model, name_of_score
from spotcluster.search.runs import NOT_LAUNCHED


class FollowedSearch(SearchEstimator):
    """A search with the verbs that follow it, in mid-flight too."""

    @property
    def _changed(self) -> threading.Condition:
        """What guards the results, and is notified when there are more."""
        return self._run.changed

    @property
    def _results(self) -> Results:
        return self._run.results

    # --- following --------------------------------------------------------------------------------

    def completed(self) -> int:
        """Return how many evaluations are finished."""
        return self._run.completed()

    def total(self) -> int:
        """Return how many evaluations the search has."""
        return self._results.total

    def progress(self) -> float:
        """Return the finished fraction of the search, from 0 to 1."""
        return self.completed() / self.total() if self.total() else 0.0

    def running(self) -> bool:
        """Return whether the search is under way."""
        return self._run.running

    @property
    def retried(self) -> list[Retry]:
        """What was sent again, and why."""
        return self._run.retried

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the search is finished or aborted; warn of what engines have warned of.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        bool
            Whether the search has ended; False when the time was up.

        Raises
        ------
        SearchError
            If the search cannot go on.
        """
        run = self._run
        ended = run.wait(timeout)
        if ended:
            self._warn(run)
        return ended

    def as_completed(self, timeout: float | None = None) -> Iterator[Evaluation]:
        """Yield each evaluation when it is finished, those finished already first.

        Raises
        ------
        SearchError
            If none is finished for `timeout` seconds, or the search cannot go on.
        """
        yield from self._run.as_completed(timeout)

    def abort(self) -> Self:
        """Stop the search; its results stay, and it can be resumed from its ledger.

        Evaluations that are running end on their engines, and count no more.
        """
        self._run.abort()
        return self

    def reset(self) -> Self:
        """Abort the search and forget its results; the ledger stays where it is."""
        self.abort()
        self._run, self._outcome = NOT_LAUNCHED, None
        return self

    # --- results ----------------------------------------------------------------------------------

    def find_bests(self, n_top: int = 5) -> list[Best]:
        """Return the best candidates so far, best first.

        Returns
        -------
        list of Best
            Pairs ``(mean validation score, params)``, with more in their attributes: over how many
            splits, and what the training scores are. Equal scores stand in the grid's order. None
            while there is nothing but failures.
        """
        with self._changed:
            return self._results.bests(n_top)

    def report(self, n_top: int = 5) -> str:
        """Return progress and the best candidates so far as text."""
        with self._changed:
            return report(self._results, n_top, self._remarks())

    def state(self, n_top: int = 5) -> State:
        """Return what is shown of the search."""
        subject = self._subject
        return State(
            subject.kind,
            self.completed(),
            self.total(),
            dict(self._run.engines()),
            self.find_bests(n_top),
            self._remarks(),
            running=self.running(),
            about=subject.about,
            score=subject.score,
            per_node=self.evaluations_per_node(),
        )

    def watch(self, n_top: int = 5, timeout: float | None = None) -> None:
        """Show the search live, in a terminal or a notebook, until it has ended.

        An interrupt ends the showing and not the search.

        Parameters
        ----------
        n_top : int
            How many of the best candidates to show.
        timeout : float, optional
            Seconds to show it at most.
        """
        watch(self, n_top=n_top, timeout=timeout)

    def __str__(self) -> str:
        return self.report() if self._run.launched else super().__repr__()

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:  # noqa: N803 - scikit-learn's
        if self._run.launched and self._outcome is None:
            return self.report()
        return str(super().__repr__(N_CHAR_MAX))

    def _repr_html_(self) -> str:
        """Return how far it is, and of one that is fitted scikit-learn's diagram too."""
        known = page(self.state()) if self._run.launched else ""
        return known if known and self._outcome is None else known + str(self._html_repr())

    def _ipython_display_(self) -> None:
        """Show it in a notebook's cell, and keep that up to date as long as the search runs."""
        if not (self._run.running and notebooks.is_here()):
            raise NotImplementedError  # which tells IPython to show it as anything else
        run = self._run
        if run.showing is None:
            run.showing = Showing(uuid.uuid4().hex, self.state, self.report, self._repr_html_)
        run.showing.show()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def evaluations(self) -> list[Evaluation]:
        """Return the finished evaluations, in the order in which they were finished."""
        return self._run.evaluations()

    def failed(self) -> list[Evaluation]:
        """Return the evaluations that raised or were given up, with the reason in `error`."""
        return self._run.having("error")

    def delivered(self) -> dict[str, tuple[int, int]]:
        """Return the bytes of split files that came to each host.

        Returns
        -------
        dict
            By host: how many came from this computer, and how many from other hosts or the bucket.
            Hosts that see the files where they are get none.
        """
        return self._run.delivered()

    def evaluations_per_node(self) -> dict[str, int]:
        """Return how many evaluations each host did."""
        with self._changed:
            return self._results.finished.per_node()

    def to_frame(self, *, by: str = "candidate") -> Any:
        """Return the results so far as a pandas data frame.

        Parameters
        ----------
        by : {"candidate", "evaluation"}
            What has a row: each candidate with a finished split, the best first, or each finished
            evaluation, in the order in which they were finished.

        Raises
        ------
        SearchError
            If pandas is not installed here.
        """
        from spotcluster.search.results.frames import candidates_frame, evaluations_frame

        with self._changed:
            results = self._results
            if by == "candidate":
                return candidates_frame(results)
            if by == "evaluation":
                return evaluations_frame(results)
        raise SearchError(f"by is {by!r}.", 'Give "candidate" or "evaluation".')

    def boxplot_parameters(self, display_train: bool = False) -> Any:  # noqa: FBT001, FBT002 - the seed's
        """Plot the validation scores for each value of each parameter; return matplotlib's figure.

        Parameters
        ----------
        display_train : bool
            Whether to plot the training scores too.
        """
        from spotcluster.search.results.plots import boxplot_parameters

        return boxplot_parameters(
            *(self._results.candidates, self.evaluations()),
            display_train=display_train,
            subject=self._subject,
            grid=self._run.space,
        )

    def validation_curve(self, parameter: str, *, display_train: bool = True) -> Any:
        """Plot the scores so far against one parameter; return matplotlib's figure.

        Parameters
        ----------
        parameter : str
        display_train : bool
            Whether to plot the training scores too.
        """
        from spotcluster.search.results.plots import validation_curve

        return validation_curve(
            *(self._results.candidates, self.evaluations(), parameter),
            display_train=display_train,
            subject=self._subject,
            grid=self._run.space,
        )

    def score_over_time(self) -> Any:
        """Plot each candidate when it was finished, and the best so far; return the figure."""
        from spotcluster.search.results.plots import score_over_time

        results = self._results
        return score_over_time(
            *(results.candidates, self.evaluations(), results.n_splits), self._subject
        )

    def work_per_engine(self) -> Any:
        """Plot what each engine did when, and how nodes came and went; return the figure."""
        from spotcluster.search.results.work import work_per_engine

        return work_per_engine(self.evaluations(), self._run.presence(), subject=self._subject)

    @property
    def _subject(self) -> Subject:
        """What it is of, for titles."""
        run = self._run
        if not run.launched:
            return Subject(type(self).__name__)
        model = run.plan.model
        with self._changed:
            several = self._results.metrics()
        return Subject(
            type(self).__name__,
            name_of_model(model),
            name_of_score(self.scoring, model, several, self.refit),
            run.cluster,
        )

    def _remarks(self) -> list[str]:
        return self._run.remarks()
