"""Decides the state of a stage from the evidence; nothing else does (docs/jobs.md).

The app and every command read this. Evidence in order: the scheduler, then `exit.json` and `result.json`,
then the record of this machine (process, ticket). If it is missing or contradictory the state is `unknown`.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from jobs.attempts.clock import clock_skew_s
from jobs.attempts.processes import is_alive
from jobs.attempts.records import EXIT, JOB, RESULT, WorkerRun, workspace_mark
from jobs.attempts.tickets import SLURM_MARK, LocalQueue, Ticket, queue_folder
from jobs.slurm.types import SlurmAnswer
from jobs.state.files import AttemptFiles, FileReader, StageFiles
from jobs.state.local import SETTLE_S, FileAges, StateDecision, decide_local
from jobs.state.scan_schedule import ScanSchedule
from jobs.state.scheduler import SchedulerPoll
from jobs.state.shards import count_done_shards, decide_shards
from jobs.state.slurm import decide_slurm, is_unconfirmed_end
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
"""Evidence that the job did not write itself."""
SCHEDULER_EVERY_S: Final = 5.0
"""Shortest interval between two queries of Slurm by a watching app."""


def stage_states(workspace: Workspace, keys: Iterable[str] | None = None) -> dict[str, StageState]:
    """Return the state of these stages (by default of all), by key, in the order given.

    Never raises for a damaged folder: a stage with unreadable files is `unknown`, with the reason.
    Keys without a folder are left out. Queries Slurm once if needed; see `StateReader` for watching.
    """
    return StateReader(workspace).read(keys)


class StateReader:
    """Reads states repeatedly: a file only when it changed, Slurm only every few seconds.

    Not thread-safe. `read` blocks as long as Slurm's commands do (10 s each at most), or at most for a given patience;
    then it returns what files and the previous answer say.

    Args:
        workspace: of the stages.
        scheduler_every_s: shortest interval between two queries of Slurm.
        scheduler_patience_s: longest wait for its answer; None waits until it comes.
        watching: look at quiet stages rarely, as `ScanSchedule` decides: for callers that read again and again. A stage
            whose state is the same as before is the same object; if no stage was due, so is the dictionary.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        scheduler_every_s: float = SCHEDULER_EVERY_S,
        scheduler_patience_s: float | None = None,
        watching: bool = False,
    ) -> None:
        self.workspace = workspace
        self._schedule = ScanSchedule(workspace) if watching else None
        self._last: dict[str, StageState] = {}
        self._complete: dict[str, StageState] | None = None
        self.may_have_changed = True
        """Whether the last `read` looked at anything; False only while watching, when all states are as before."""
        self._stages = str(workspace.stages)
        self._files = FileReader()
        self._scheduler = SchedulerPoll(scheduler_every_s, scheduler_patience_s)
        self._ends_asked: set[tuple[str, float]] = set()

    def read(self, keys: Iterable[str] | None = None, *, ask_slurm: bool = False) -> dict[str, StageState]:
        """Return the states now.

        Args:
            keys: stages to look at; all of the workspace by default.
            ask_slurm: query the scheduler now, also about jobs with an exit record: for callers that start or cancel
                stages depending on the answer.
        """
        schedule = None if ask_slurm else self._schedule
        if schedule is not None:
            changed = schedule.begin()
            self.may_have_changed = changed or not schedule.is_idle
            if keys is None and not self.may_have_changed and self._complete is not None:
                return self._complete
        wanted = self._keys() if keys is None else list(keys)
        due = wanted
        if schedule is not None:
            due = [key for key in wanted if key not in self._last or schedule.is_due(key)]
        look = _StateSnapshot(self, FileAges(lambda: clock_skew_s(self.workspace.path)))
        for key in due:
            look.gather_with_inputs(key)
        ids = look.slurm_ids(ask_slurm)
        new_ends = look.unconfirmed_ends - self._ends_asked  # an answer from before the end of a job says nothing of it
        self._ends_asked |= new_ends
        look.answer = self._ask(ids, ask_slurm or bool(new_ends))
        if self._schedule is None:
            return {key: state for key in wanted if (state := look.state(key)) is not None}
        for key in due:
            self._note(key, look.state(key), self._schedule)
        found = {key: self._last[key] for key in wanted if key in self._last}
        if keys is None:
            self._complete = found
            if schedule is not None:
                schedule.end(wanted)
        return found

    def _note(self, key: str, state: StageState | None, schedule: ScanSchedule) -> None:
        """Keep a state for the reads in which its stage is not due."""
        before = self._last.get(key)
        if state is None:
            self._last.pop(key, None)
            schedule.forget(key)
            return
        same = before is not None and replace(state, age_s=before.age_s) == before
        if not same:
            self._last[key] = state
        waits = state.state == "queued" and state.attempt is not None and state.attempt.cluster == "local"
        changed = (before is not None and not same) or state.state == "unknown" or (state.active and not waits)
        schedule.looked(key, changed=changed, age_s=state.age_s or 0.0)

    @property
    def uses_slurm(self) -> bool:
        """Whether any stage of this workspace was ever submitted to Slurm."""
        return (queue_folder(self.workspace) / SLURM_MARK).exists()

    def files(self, key: str) -> StageFiles | None:
        """Return the files of a stage, or None if there is no such stage."""
        return self._files.stage(f"{self._stages}/{key}")

    def _keys(self) -> list[str]:
        try:
            return sorted(os.listdir(self._stages))  # noqa: PTH208
        except OSError:
            return []

    def _ask(self, job_ids: "frozenset[str] | None", now: bool) -> SlurmAnswer:
        if job_ids is None:
            return SlurmAnswer()  # an old answer would contradict newer records of the jobs
        return self._scheduler.ask(job_ids, now=now)


class _StateSnapshot:
    """One reading of the states: each file is read once."""

    def __init__(self, reader: StateReader, times: FileAges) -> None:
        self._reader = reader
        self._times = times
        self._now = time.time()
        self._stages: dict[str, StageFiles | None] = {}
        self._states: dict[str, StageState | None] = {}
        self._tickets: dict[tuple[str, int], Ticket] | None = None
        self._place = workspace_mark(reader.workspace.path)
        self.answer = SlurmAnswer()
        self.unconfirmed_ends: set[tuple[str, float]] = set()
        """Folder and time of exit records that Slurm has not confirmed, as `slurm_ids` found them."""

    def gather(self, key: str) -> StageFiles | None:
        if key not in self._stages:
            self._stages[key] = self._reader.files(key)
        return self._stages[key]

    def gather_with_inputs(self, key: str) -> None:
        """Read a stage and, for a Slurm job that has not ended, its inputs: they decide whether it can start."""
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
        """Return the ids of the Slurm jobs to query; None if Slurm need not be queried."""
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
            if last.exit is not None and not last.exit.requeued and not always and not self._may_be_requeued(last):
                continue
            ask = True
            found.update(job_id for job_id in (last.job.job_id, last.job.shards_job_id) if job_id)
        if bare and not ask:
            ask = self._reader.uses_slurm  # the attempts of a stage without any may have been deleted
        return frozenset(found) if ask else None

    def _may_be_requeued(self, files: AttemptFiles) -> bool:
        """Whether Slurm may yet start an ended job again, as after the failure of its node."""
        written = files.written.get(EXIT)
        age = self._times.age_s(written)
        if written is None or age is None or age >= SETTLE_S or not is_unconfirmed_end(files):
            return False
        self.unconfirmed_ends.add((files.base, written))
        return True

    def state(self, key: str) -> StageState | None:
        if key not in self._states:
            self._states[key] = None  # stops at a cycle, which no plan contains
            self._states[key] = self._decide(key)
        return self._states[key]

    def _decide(self, key: str) -> StageState | None:
        files = self.gather(key)
        if files is None:
            return None
        attempts = [self._attempt(files, attempt) for attempt in files.attempts]
        decision = self._decide_stage(files, attempts)
        if not decision.active and decision.evidence in _FROM_OUTSIDE:
            # the job may have written its exit record after its files were read and before its process was looked for,
            # or have been started after its ticket was read
            if any((key, attempt.number) in (self._tickets or ()) for attempt in files.attempts):
                self._tickets = None
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
            read_at=self._now,
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
            if files.resumed is not None:
                current = current.model_copy(update={"resumed_step": files.resumed.step or None})
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
            settings=job.settings if job else {},
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
        """Return the failed input in words; empty if there is none."""
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
        """Return which process or job of a stage without attempt folder still runs, in words; empty if none."""
        for (owner, _), ticket in self._tickets_by_attempt().items():
            if owner == key and ticket.placed is not None and is_alive(ticket.placed.worker) is not False:
                return f"process {ticket.placed.worker.pid} runs"
        job = self.answer.under_way(key, self._place) if self.answer.names else None
        return f"Slurm job {job.job_id} is {job.state.lower()}" if job is not None else ""


def _progress(files: StageFiles) -> Progress | None:
    """Return the progress of a stage; of one with shards, the number of finished shards."""
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
