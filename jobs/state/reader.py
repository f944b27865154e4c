"""From evidence to state: the one place that decides what state a stage is in (docs/jobs.md).

The app and every command read this. Evidence in order: the scheduler, then `exit.json` and `result.json`,
then the record of this machine (process, ticket). Where it is missing or contradictory the state is `unknown`.
"""

import os
import time
from collections.abc import Iterable
from typing import Final

from jobs.attempts.clock import clock_skew_s
from jobs.attempts.processes import is_alive
from jobs.attempts.records import JOB, RESULT, WorkerRun, workspace_mark
from jobs.attempts.tickets import SLURM_MARK, LocalQueue, Ticket, queue_folder
from jobs.slurm.types import SlurmAnswer
from jobs.state.files import AttemptFiles, FileReader, StageFiles
from jobs.state.local import FileAges, StateDecision, decide_local
from jobs.state.shards import count_done_shards, decide_shards
from jobs.state.slurm import decide_slurm
from jobs.state.types import (
    ACTIVE,
    CONTINUABLE,
    RETRYABLE,
    STATES,
    AttemptState,
    Evidence,
    RunRecord,
    StageState,
    StateName,
    blocking_reason,
)
from jobs.workspace import Workspace
from pipelines.folder import Progress

__all__ = [
    "ACTIVE",
    "CONTINUABLE",
    "RETRYABLE",
    "STATES",
    "AttemptState",
    "Evidence",
    "RunRecord",
    "StageState",
    "StateName",
    "StateReader",
    "stage_states",
]

_FROM_OUTSIDE: Final[frozenset[Evidence]] = frozenset({"scheduler", "process", "queue", "heartbeat"})
"""Evidence of an end that the job did not write itself."""
SCHEDULER_EVERY_S: Final = 5.0
"""How often a watching app asks Slurm at most; its answer's age is shown."""


def stage_states(workspace: Workspace, keys: Iterable[str] | None = None) -> dict[str, StageState]:
    """The state of these stages (all of the workspace by default), by key, in the order asked for.

    Never raises for a damaged folder: what cannot be read makes its stage `unknown`, with the reason.
    A key without a folder is left out. Asks Slurm once where that matters; see `StateReader` for watching.
    """
    return StateReader(workspace).read(keys)


class StateReader:
    """Reads states again and again: files only when they changed, Slurm only every few seconds.

    Not for several threads at once. `read` may block for as long as Slurm's commands do (10 s each at
    most), so an app calls it from a worker thread.
    """

    def __init__(self, workspace: Workspace, *, scheduler_every_s: float = SCHEDULER_EVERY_S) -> None:
        self.workspace = workspace
        self._stages = str(workspace.stages)
        self._every_s = scheduler_every_s
        self._files = FileReader()
        self._answer = SlurmAnswer()
        self._asked = float("-inf")
        self._asked_for: frozenset[str] = frozenset()

    def read(self, keys: Iterable[str] | None = None, *, ask_slurm: bool = False) -> dict[str, StageState]:
        """The states now.

        Args:
            keys: stages to look at; all of the workspace by default.
            ask_slurm: ask the scheduler now, and also about jobs whose own record says that they ended: before
                something is started or cancelled on the strength of the answer.
        """
        wanted = self._keys() if keys is None else list(keys)
        look = _StateSnapshot(self, FileAges(lambda: clock_skew_s(self.workspace.path)))
        for key in wanted:
            look.gather_with_inputs(key)
        look.answer = self._ask(look.slurm_ids(ask_slurm), ask_slurm)
        return {key: state for key in wanted if (state := look.state(key)) is not None}

    @property
    def uses_slurm(self) -> bool:
        """Whether anything of this workspace was ever submitted to Slurm."""
        return (queue_folder(self.workspace) / SLURM_MARK).exists()

    def files(self, key: str) -> StageFiles | None:
        """What a stage's folder says, or None where there is no such stage."""
        return self._files.stage(f"{self._stages}/{key}")

    def _keys(self) -> list[str]:
        try:
            return sorted(os.listdir(self._stages))  # noqa: PTH208
        except OSError:
            return []

    def _ask(self, job_ids: "frozenset[str] | None", now: bool) -> SlurmAnswer:
        if job_ids is None:
            return SlurmAnswer()  # an old answer would contradict what the jobs wrote since
        due = time.monotonic() - self._asked >= self._every_s
        if now or due or not job_ids <= self._asked_for:
            from jobs.slurm import client as slurm

            self._answer = slurm.query_jobs(job_ids)
            self._asked, self._asked_for = time.monotonic(), job_ids
        return self._answer


class _StateSnapshot:
    """One reading of the states: everything is looked at once."""

    def __init__(self, reader: StateReader, times: FileAges) -> None:
        self._reader = reader
        self._times = times
        self._stages: dict[str, StageFiles | None] = {}
        self._states: dict[str, StageState | None] = {}
        self._tickets: dict[tuple[str, int], Ticket] | None = None
        self._place = workspace_mark(reader.workspace.path)
        self.answer = SlurmAnswer()

    def gather(self, key: str) -> StageFiles | None:
        if key not in self._stages:
            self._stages[key] = self._reader.files(key)
        return self._stages[key]

    def gather_with_inputs(self, key: str) -> None:
        """Also the inputs of a Slurm job that is not over: whether it can still start depends on them."""
        if key in self._stages:
            return
        stage = self.gather(key)
        if stage is None or stage.done or not stage.attempts:
            return
        job = stage.attempts[-1].job
        if job is not None and job.cluster == "slurm":
            for upstream in job.inputs:
                self.gather_with_inputs(upstream)

    def slurm_ids(self, always: bool) -> "frozenset[str] | None":
        """Ids of the Slurm jobs that only the scheduler can tell about; None when it need not be asked."""
        found: set[str] = set()
        ask = bare = False
        for stage in list(self._stages.values()):
            if stage is None or stage.done:
                continue
            if not stage.attempts:
                bare = True
                continue
            last = stage.attempts[-1]
            if last.job is None or last.job.cluster != "slurm":
                continue
            if last.exit is not None and not last.exit.requeued and not always:
                continue
            ask = True
            found.update(job_id for job_id in (last.job.job_id, last.job.shards_job_id) if job_id)
        if bare and not ask:
            ask = self._reader.uses_slurm  # of a stage without attempts the folder may have been deleted
        return frozenset(found) if ask else None

    def state(self, key: str) -> StageState | None:
        if key not in self._states:
            self._states[key] = None  # a cycle, which no plan makes, ends here
            self._states[key] = self._decide(key)
        return self._states[key]

    def _decide(self, key: str) -> StageState | None:
        files = self.gather(key)
        if files is None:
            return None
        attempts = [self._attempt(files, attempt) for attempt in files.attempts]
        decision = self._decide_stage(files, attempts)
        if not decision.active and decision.evidence in _FROM_OUTSIDE:
            # it may have written its own end after its files were read and before it was looked for
            files = self._stages[key] = self._reader.files(key) or files
            attempts = [self._attempt(files, attempt) for attempt in files.attempts]
            decision = self._decide_stage(files, attempts)
        info = files.info
        return StageState(
            key=key,
            kind=info.kind if info else key.rpartition("-")[0],
            name=info.name if info else "",
            labels=info.labels if info else {},
            state=decision.state,
            evidence=decision.evidence,
            age_s=decision.age_s,
            reason=decision.reason,
            remedy=decision.remedy,
            progress=_progress(files),
            attempts=tuple(state for state, _ in attempts),
            active=decision.active,
            stalled=decision.stalled,
        )

    def _decide_stage(self, files: StageFiles, attempts: list[tuple[AttemptState, StateDecision]]) -> StateDecision:
        times = self._times
        if files.done:
            return StateDecision("done", "result.json", times.age_s(files.written.get(RESULT)))
        if files.problems:
            return StateDecision(
                "unknown", "none", None, files.problems[0], "Restore the file, or delete the stage's folder."
            )
        if attempts:
            return attempts[-1][1]
        stray = self._stray(files.key)
        if stray:
            reason = f"its attempt folder was deleted, but {stray}"
            return StateDecision("unknown", "process", 0.0, reason, "cogtui cancel ends it.", active=True)
        return StateDecision("planned", "stage.json", times.age_s(files.written.get("stage.json")))

    def _attempt(self, stage: StageFiles, files: AttemptFiles) -> tuple[AttemptState, StateDecision]:
        decision = self._decide_attempt(stage, files)
        job, started, ended = files.job, files.started, files.exit
        runs: tuple[RunRecord, ...] = ()
        if started is not None:
            current = started.run
            if ended is not None:
                update = {"ended": ended.time, "code": ended.code, "signal": ended.signal, "why": ended.why}
                current = current.model_copy(update=update)
            runs = tuple(_run_record(run) for run in (*started.earlier, current))
        state = AttemptState(
            number=files.number,
            path=files.base,
            cluster=job.cluster if job else "",
            state=decision.state,
            evidence=decision.evidence,
            job_id=(job.job_id if job else None) or (started.job_id if started else None),
            submitted=job.submitted if job else 0.0,
            host=started.worker.host if started else None,
            pid=started.worker.pid if started else None,
            code=ended.code if ended else None,
            signal=ended.signal if ended else None,
            reason=decision.reason,
            remedy=decision.remedy,
            runs=runs,
            resources=job.resources if job else {},
            shards=job.shards if job else 0,
            shards_done=count_done_shards(files),
            shards_job_id=job.shards_job_id if job else None,
        )
        return state, decision

    def _decide_attempt(self, stage: StageFiles, files: AttemptFiles) -> StateDecision:
        if files.job is None or files.problems:
            reason = files.problems[0] if files.problems else f"{JOB} is missing"
            remedy = "If nothing of it runs any more, delete the attempt's folder and run the recipe again."
            return StateDecision("unknown", "none", None, f"{files.number:03d}/{reason}", remedy)
        if stage.done and files is stage.attempts[-1] and files.exit is None and files.cancel is None:
            return StateDecision("done", "result.json", self._times.age_s(stage.written.get(RESULT)))
        if files.exit is not None and files.exit.why == "done" and (stage.done or files is not stage.attempts[-1]):
            return StateDecision("done", "exit.json", self._times.age_s(files.written.get("exit.json")))
        progress = stage.written.get("progress.json")
        if files.job.cluster == "local":
            return decide_local(files, self._tickets_by_attempt().get((stage.key, files.number)), progress, self._times)
        failed_input = self._failed_input(files)
        if files.job.shards:
            of_array = decide_shards(files, self.answer, failed_input, self._times)
            if of_array is not None:
                return of_array
        return decide_slurm(files, self.answer, failed_input, progress, self._times)

    def _failed_input(self, files: AttemptFiles) -> str:
        """The input that will not come, in words, or empty."""
        assert files.job is not None
        for key in files.job.inputs:
            state = self.state(key)
            if state is not None and (cause := blocking_reason(state)):
                return cause
        return ""

    def _tickets_by_attempt(self) -> dict[tuple[str, int], Ticket]:
        if self._tickets is None:
            queue = LocalQueue(self._reader.workspace)
            self._tickets = {(found.ticket.key, found.ticket.number): found.ticket for found in queue.tickets()}
        return self._tickets

    def _stray(self, key: str) -> str:
        """What still runs of a stage that has no attempt folder, in words; empty when nothing does."""
        for (owner, _), ticket in self._tickets_by_attempt().items():
            if owner == key and ticket.placed is not None and is_alive(ticket.placed.worker) is not False:
                return f"process {ticket.placed.worker.pid} runs"
        job = self.answer.under_way(key, self._place) if self.answer.names else None
        return f"Slurm job {job.job_id} is {job.state.lower()}" if job is not None else ""


def _progress(files: StageFiles) -> Progress | None:
    """Of a stage that shards work on, how many are done: they would overwrite each other's progress."""
    last = files.attempts[-1] if files.attempts else None
    if last is None or not last.shards or last.started is not None:
        return files.progress
    return Progress(done=count_done_shards(last), total=len(last.shards), unit="shards", time=time.time())


def _run_record(run: WorkerRun) -> RunRecord:
    return RunRecord(
        number=run.number,
        host=run.host,
        started=run.started,
        ended=run.ended,
        code=run.code,
        signal=run.signal,
        why=run.why,
        resumed_step=run.resumed_step,
    )
