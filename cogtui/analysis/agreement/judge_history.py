"""Judge runs of one judge: its repetitions of the same questions, and its versions over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cogtui.analysis.agreement.measures import Agreement, JudgementSource, measure_agreement
from cogtui.analysis.agreement.sources import (
    REPEAT,
    TextToJudge,
    WorkspaceJudgeRun,
    find_run,
    judge_stages,
    read_judge_run,
    run_source,
    texts_of,
)
from jobs.workspace import Workspace
from pipelines.errors import NotFound
from pipelines.records import JudgeRun


def repetitions(workspace: Workspace, name: str) -> list[JudgementSource]:
    """Return what a model said each time it was asked the same.

    Args:
        workspace: holds the judge stages.
        name: as `find_run` takes it, of any repetition.

    Raises:
        NotFound: no such judge run, or it was asked once.
    """
    found = find_run(workspace, name)
    runs = {run.id: run for _, run in judge_stages(workspace) if _asked(run) == _asked(found.run)}
    if len(runs) < 2:
        raise NotFound(
            f"{found.run.judge} was asked once ({found.run.id})",
            remedy="Ask the same again: cogtui judge … --repeat 1, then --repeat 2.",
        )
    ordered = sorted(runs.values(), key=_repeat)
    read = [read_judge_run(workspace, run) for run in ordered]
    texts = {text.id: text for one in read for text in texts_of(one)}
    return [_named(run_source(one, texts.values()), f"repeat {_repeat(one.run)}") for one in read]


def _asked(run: JudgeRun) -> tuple[object, ...]:
    """Return all that a judge run depends on but the number of the repetition."""
    params = {name: value for name, value in run.params.items() if name != REPEAT}
    return run.judge, run.model, run.prompt_sha256, tuple(sorted(params.items())), run.segmenter, run.aligner


def _repeat(run: JudgeRun) -> int:
    return int(run.params.get(REPEAT, 0))


def _named(source: JudgementSource, name: str) -> JudgementSource:
    return JudgementSource(name, source.traces, source.run, source.probabilities)


@dataclass(frozen=True, slots=True)
class JudgeVersion:
    """A judge with one set of prompts and parameters, compared with a reference."""

    run: JudgeRun
    since: float
    """When the first stage of it was made, in seconds since the epoch."""
    agreement: Agreement


def judge_versions(
    workspace: Workspace, judge: str, reference: JudgementSource, texts: Sequence[TextToJudge], *, seed: int = 0
) -> list[JudgeVersion]:
    """Compare every version of a judge with a reference, in the order in which they were first used.

    Args:
        workspace: holds the judge stages.
        judge: name of the judge, e.g. `openai:gpt-4o-mini`.
        reference: gold, a person, or another judge.
        texts: those of the reference.
        seed: of the intervals.

    Raises:
        NotFound: no judge run of this judge.
    """
    since: dict[str, float] = {}
    runs: dict[str, JudgeRun] = {}
    for folder, run in judge_stages(workspace):
        if run.judge == judge:
            runs[run.id] = run
            since[run.id] = min(since.get(run.id, float("inf")), folder.info().created)
    if not runs:
        known = ", ".join(sorted({run.judge for _, run in judge_stages(workspace)})) or "none yet"
        raise NotFound(f"no judge run of {judge} in {workspace.path}", remedy=f"Judges of this workspace: {known}.")
    versions = []
    for run_id in sorted(runs, key=lambda one: (since[one], one)):
        found: WorkspaceJudgeRun = read_judge_run(workspace, runs[run_id])
        versions.append(
            JudgeVersion(runs[run_id], since[run_id], measure_agreement(reference, run_source(found, texts), seed=seed))
        )
    return versions
