"""Workspaces for the app's tests: real stage folders, written by the contract's own code."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.attempts.processes import process_id
from jobs.attempts.records import EXIT, JOB, STARTED, ExitRecord, JobRecord, StartRecord, WorkerRun, write_record
from jobs.planning.cell import Cell
from jobs.planning.experiments import Experiment
from jobs.recipe.labels import Label
from jobs.workspace import Workspace
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.files import write_json
from pipelines.folder import StageFolder, StageInfo
from pipelines.records import (
    Judgement,
    JudgeRun,
    LabelledSpan,
    Rollout,
    Span,
    countdown_fields,
    rollout_id,
    text_sha256,
)

MOMENT = 1_790_000_000.0
"""A fixed time, so that screens look the same on every day."""


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same environment for every test, whatever the terminal it runs in."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("NO_COLOR", "COLORFGBG", "COGTUI_THEME", "SSH_CONNECTION", "PAGER", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COGTUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pilot guesses from CPU time when an app is done; `driving.settle` knows, and need not wait."""

    async def go_on(*_: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr("textual.app.wait_for_idle", go_on)
    monkeypatch.setattr("textual.pilot.wait_for_idle", go_on)


class Builder:
    """Writes stages into a workspace as the real ones are written."""

    def __init__(self, path: Path) -> None:
        self.workspace = Workspace(path)
        self.workspace.create()

    def stage(
        self,
        kind: str,
        digits: str,
        labels: dict[str, Any] | None = None,
        *,
        inputs: Sequence[str] = (),
        name: str = "",
        config: dict[str, Any] | None = None,
    ) -> StageFolder:
        """A stage that nothing was started for."""
        key = f"{kind}-{digits:0>12}"
        folder = self.workspace.folder(key)
        folder.path.mkdir(parents=True)
        info = StageInfo(
            kind=kind, key=key, config=config or {}, inputs=tuple(inputs), labels=labels or {}, name=name or kind,
            created=MOMENT,
        )  # fmt: skip
        write_json(folder.path / "stage.json", info.model_dump(mode="json"))
        return folder

    def attempt(
        self, folder: StageFolder, number: int = 1, *, stdout: str = "", stderr: str = "", end: ExitRecord | None = None
    ) -> Path:
        """An attempt that runs in this very process, or ended as `end` says."""
        path = folder.path / "attempts" / f"{number:03d}"
        path.mkdir(parents=True)
        me = process_id(os.getpid())
        assert me is not None
        job = JobRecord(key=folder.key, number=number, cluster="local", name="job", submitted=MOMENT, submitter=me)
        write_record(path / JOB, job)
        run = WorkerRun(number=1, host=me.host, started=MOMENT + 5)
        write_record(path / STARTED, StartRecord(worker=me, child=me, run=run))
        (path / "stdout.log").write_text(stdout)
        (path / "stderr.log").write_text(stderr)
        if end is not None:
            write_record(path / EXIT, end)
        return path

    def failed(self, folder: StageFolder, *, stderr: str, reason: str, code: int = 1) -> None:
        """An attempt that ended with a failure."""
        end = ExitRecord(run=1, host="node1", time=MOMENT + 60, code=code, why="failed", reason=reason)
        self.attempt(folder, stderr=stderr, end=end)

    def done(self, folder: StageFolder) -> None:
        """An attempt that ended well."""
        self.attempt(
            folder, stdout="finished\n", end=ExitRecord(run=1, host="node1", time=MOMENT + 60, code=0, why="done")
        )
        folder.write_result({"ok": True})

    def experiment(self, name: str, cells: Sequence[Cell], moment: float = MOMENT) -> Experiment:
        """A snapshot of a start."""
        experiment = Experiment(name=name, time=moment, recipe_path="r.toml", recipe="", cells=tuple(cells))
        folder = self.workspace.experiments / name
        folder.mkdir(exist_ok=True)
        write_json(folder / f"{int(moment)}.json", experiment.model_dump(mode="json"))
        return experiment

    def rollouts(
        self,
        folder: StageFolder,
        completions: Sequence[str],
        *,
        step: int = 0,
        spans: Sequence[Sequence[LabelledSpan]] = (),
        judge: bool = True,
        stream: str = "train",
    ) -> list[Rollout]:
        """Rollouts of one step, one a problem, each second one correct, judged if spans are given or asked for."""
        made = []
        for place, completion in enumerate(completions):
            correct = place % 2 == 0
            made.append(
                Rollout(
                    id=rollout_id(folder.key, "train", step, f"p{place}", 0),
                    step=step,
                    split="train",
                    problem_id=f"p{place}",
                    sample=0,
                    **countdown_fields((3, 5, 4), 32),
                    prompt="Use the numbers 3, 5, 4 to make 32.\n",
                    completion=completion,
                    reward=1.0 if correct else 0.1,
                    correct=correct,
                    answer="(3 + 5) * 4" if correct else "3 * 5 + 4",
                    finish_reason="stop",
                    n_tokens=len(completion.split()),
                )
            )
        with folder.stream("rollouts", stream) as writer:
            writer.append(made)
        if judge:
            self.judge(folder, made, spans, stream)
        return made

    def judge(
        self, folder: StageFolder, rollouts: Sequence[Rollout], spans: Sequence[Sequence[LabelledSpan]], stream: str
    ) -> None:
        """Judgements by a judge named `rules`."""
        run = JudgeRun(id="rules-1", judge="rules", params={"version": "1"})
        write_json(folder.artifacts / "judge_run.json", run.model_dump(mode="json"))
        with folder.stream("judgements", stream) as writer:
            for place, rollout in enumerate(rollouts):
                mine = spans[place] if place < len(spans) else ()
                writer.append(
                    Judgement(
                        rollout_id=rollout.id,
                        judge_run=run.id,
                        behavior=behavior,
                        status="ok",
                        count=sum(span.behavior == behavior for span in mine),
                        spans=tuple(
                            Span(**span.model_dump(exclude={"behavior"})) for span in mine if span.behavior == behavior
                        ),
                        text_sha256=text_sha256(rollout.completion),
                    )
                    for behavior in BEHAVIORS
                )


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    """An empty workspace to build in."""
    return Builder(tmp_path / "work")


TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 3\nRuntimeError: out of memory [b]\n'


@pytest.fixture
def small(builder: Builder) -> Builder:
    """One experiment of two cells and three stages: done, running, failed, planned; a second, older one."""
    problems = builder.stage("problems", "a1")
    builder.done(problems)
    cells = []
    for seed, condition in ((1, "none"), (2, "all_strategies")):
        labels: dict[str, Label] = {"condition": condition, "seed": seed}
        prime = builder.stage("prime", f"b{seed}", labels, inputs=[problems.key])
        ppo = builder.stage("ppo", f"c{seed}", labels, inputs=[problems.key, prime.key])
        cells.append(Cell(labels=labels, stages={"problems": problems.key, "prime": prime.key, "ppo": ppo.key}))
        if seed == 1:
            builder.done(prime)
            builder.attempt(ppo, stdout="".join(f"step {n} reward 0.{n}\n" for n in range(40)))
            ppo.report(40, 100, "steps", values={"reward": 0.31})
        else:
            log = "".join(f"line {n}\n" for n in range(300)) + TRACEBACK
            builder.failed(prime, stderr=log, reason="RuntimeError: out of memory [b]")
    builder.experiment("older", cells[:1], MOMENT - 1000)
    builder.experiment("mini", cells)
    return builder
