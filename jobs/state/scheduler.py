"""Queries of Slurm beside the reading of files, so that a scheduler that hangs delays no screen."""

import threading
import time
from typing import Final

from jobs.slurm.types import SlurmAnswer

NOT_ANSWERED: Final = "Slurm has not answered yet"


class SchedulerQuery:
    """One query of Slurm about some jobs, in a thread of its own. A thread that hangs does not keep a program alive."""

    def __init__(self, job_ids: frozenset[str]) -> None:
        self.job_ids = job_ids
        self.began = time.monotonic()
        self._answer: SlurmAnswer | None = None
        self._thread = threading.Thread(target=self._run, name="cogtui-slurm", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        from jobs.slurm import client as slurm

        try:
            self._answer = slurm.query_jobs(self.job_ids)
        except Exception as error:  # else every later question would wait for this one
            self._answer = SlurmAnswer(problem=f"Slurm cannot be asked: {error}", asked=time.time())

    def answer(self, patience_s: float | None) -> SlurmAnswer | None:
        """Return the answer, waiting for it at most `patience_s` (None: as long as it takes); None without one."""
        self._thread.join(patience_s)
        return self._answer


class SchedulerPoll:
    """The latest answer of Slurm, asked again every few seconds.

    Args:
        every_s: shortest interval between two queries.
        patience_s: longest wait for an answer; None waits as long as Slurm's commands may take (10 s each).
    """

    def __init__(self, every_s: float, patience_s: float | None) -> None:
        self._every_s = every_s
        self._patience_s = patience_s
        self._query: SchedulerQuery | None = None
        self._answer = SlurmAnswer()
        self._asked = float("-inf")
        self._asked_for: frozenset[str] = frozenset()

    def ask(self, job_ids: frozenset[str], *, now: bool) -> SlurmAnswer:
        """Return an answer about these jobs.

        An answer that is due and does not come in time is replaced by the previous one if that is about all the jobs,
        else by one with the problem that there is none yet: no job is taken for forgotten because nobody answered.

        Args:
            job_ids: of the jobs.
            now: the previous answer is too old.
        """
        self._take(0.0)
        due = time.monotonic() - self._asked >= self._every_s
        known = job_ids <= self._asked_for
        if not (now or due) and known:
            return self._answer
        began = time.monotonic()
        self._take(self._patience_s)
        if self._query is None and (self._asked < began or not job_ids <= self._asked_for):
            self._query = SchedulerQuery(job_ids)
            left = None if self._patience_s is None else max(0.0, self._patience_s - (time.monotonic() - began))
            self._take(left)
        if job_ids <= self._asked_for:
            return self._answer
        return SlurmAnswer(problem=NOT_ANSWERED, asked=time.time())

    def _take(self, patience_s: float | None) -> None:
        """Take the answer of the query under way, if it comes in time."""
        if self._query is None:
            return
        answer = self._query.answer(patience_s)
        if answer is not None:
            self._answer, self._asked, self._asked_for = answer, self._query.began, self._query.job_ids
            self._query = None
