"""The steps of `cogtui judge`: select, estimate, confirm, start, follow, print results."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from cogtui.cli.console.output import ExitCode, emit_error, emit_json, emit_wrapped, narrate
from cogtui.cli.judge.choice import RolloutSelection, continued_stage, judge_of_tasks, new_stage, select_rollouts
from cogtui.cli.run.display import make_display
from jobs.planning.types import StageInstance
from jobs.workspace import Workspace
from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.judges.llm.config import model_of
from pipelines.behaviors.judges.stage import JudgeConfig, all_tasks
from pipelines.behaviors.sets.registered import behavior_names
from pipelines.errors import Interrupted, InvalidInput, NotFound, StageFailed
from pipelines.run import validated_config
from pipelines.stages import Inputs, stage_kind
from pipelines.text_safety import one_line
from pipelines.wording import count_of, not_done

if TYPE_CHECKING:
    from pipelines.behaviors.judges.llm.judge import JudgeCostEstimate

_LOOKED_AT: Final = 5_000
"""Traces in the sample of an estimate; of more, every n-th is taken and the result multiplied."""


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """The arguments of `cogtui judge`."""

    filter_text: str
    fields: Mapping[str, Any]
    """Fields of `JudgeConfig`."""
    prompts: tuple[str, ...] = ()
    workspace: Path | None = None
    dry_run: bool = False
    yes: bool = False
    as_json: bool = False


def judge_rollouts(request: JudgeRequest) -> None:
    """Judge the rollouts of a filter.

    Raises:
        CogtuiError: by the exit codes of docs/cli.md. typer.Exit after Ctrl-C or a "no".
    """
    workspace = Workspace.locate(request.workspace)
    fields = {name: value for name, value in request.fields.items() if value is not None}
    fields |= {"prompts": dict(_named_file(text) for text in request.prompts)}
    if "judge" not in fields:
        fields["judge"] = judge_of_tasks(workspace, request.filter_text)
    config = validated_config(stage_kind("judge"), fields, Path.cwd())
    assert isinstance(config, JudgeConfig)
    if not request.dry_run:
        require_service(config)
    chosen = select_rollouts(workspace, request.filter_text, config)
    if not chosen.rollouts:
        raise NotFound("no rollout to judge", detail="\n".join(chosen.warnings), remedy="Try cogtui rollouts FILTER.")
    estimate, every = _estimate(workspace, chosen, config)
    if not request.as_json:
        for line in _plan_lines(chosen, config, estimate, every):
            narrate(line)
    if request.dry_run:
        if request.as_json:
            emit_json(_data(chosen, config, estimate, every), chosen.warnings)
        return
    _confirm(request, estimate)
    stages = _judge_left(request, workspace, chosen, fields)
    results = [workspace.folder(stage.key).result() or {} for stage in stages]
    if request.as_json:
        done = [{"key": stage.key, "result": result} for stage, result in zip(stages, results, strict=True)]
        emit_json({**_data(chosen, config, estimate, every), "stages": done}, chosen.warnings)
        return
    for stage, result in zip(stages, results, strict=True):
        for line in _result_lines(stage, result):
            emit_wrapped(line, "  ")


def judge_selection(
    request: JudgeRequest,
    workspace: Workspace,
    chosen: RolloutSelection,
    fields: Mapping[str, Any],
    config: JudgeConfig,
) -> None:
    """Judge what is left of a selection, after showing the cost and asking as `cogtui judge` does.

    Raises:
        CogtuiError: by the exit codes of docs/cli.md. typer.Exit after Ctrl-C or a "no".
    """
    require_service(config)
    estimate, every = _estimate(workspace, chosen, config)
    if not request.as_json:
        for line in _plan_lines(chosen, config, estimate, every):
            narrate(line)
    _confirm(request, estimate)
    _judge_left(request, workspace, chosen, fields)


def _judge_left(
    request: JudgeRequest, workspace: Workspace, chosen: RolloutSelection, fields: Mapping[str, Any]
) -> list[StageInstance]:
    stages = [continued_stage(workspace, key, fields) for key in chosen.unfinished]
    if chosen.left:
        stages.append(new_stage(workspace, chosen, fields))
    _run(request, workspace, stages)
    return stages


def _named_file(text: str) -> tuple[str, str]:
    name, sign, path = text.partition("=")
    if not sign or not name or not path:
        raise InvalidInput(f"--prompt {text!r} is not NAME=FILE", remedy="E.g. --prompt verification=mine.md")
    return name, str(Path(path).absolute())


def require_service(config: JudgeConfig) -> None:
    """Check API key and SDK before a stage is started that needs them."""
    spec = model_of(config)
    if spec is not None:
        from pipelines.llm.clients.connect import require_sdk
        from pipelines.llm.clients.protocol import api_key

        require_sdk(spec)
        api_key(spec)


def _estimate(
    workspace: Workspace, chosen: RolloutSelection, config: JudgeConfig
) -> tuple["JudgeCostEstimate | None", int]:
    """Return the estimate for rollouts not judged yet (None for rules), and the sampling interval."""
    if model_of(config) is None:
        return None, 1
    from pipelines.behaviors.judges.llm.judge import LLMJudge

    every = max(1, -(-chosen.remaining // _LOOKED_AT))
    return LLMJudge(config).estimate(_left_tasks(workspace, chosen, config, every)).times(every), every


def _left_tasks(workspace: Workspace, chosen: RolloutSelection, config: JudgeConfig, every: int) -> Iterator[JudgeTask]:
    wanted = {uid for left in chosen.left.values() for uid in left}
    inputs = Inputs(workspace.folder(key) for key in chosen.left)
    number = 0
    for task in all_tasks(config, inputs):
        if task.rollout_id in wanted:
            if number % every == 0:
                yield task
            number += 1


def _plan_lines(
    chosen: RolloutSelection, config: JudgeConfig, estimate: "JudgeCostEstimate | None", every: int
) -> list[str]:
    waiting = sum(map(len, chosen.unfinished.values()))
    lines = [
        f"{config.judge} ({chosen.run}): {count_of(chosen.rollouts, 'rollout')}, "
        f"{chosen.judged:,} of them judged by this judge run already"
    ]
    if chosen.judged_otherwise:
        lines.append(f"{chosen.judged_otherwise:,} judged by another version of the judge, or with other parameters")
    if waiting:
        lines.append(f"{waiting:,} in {count_of(len(chosen.unfinished), 'unfinished judge stage')}, to be continued")
    lines.append(f"{chosen.remaining:,} to judge")
    if estimate is not None and chosen.remaining:
        about = "" if every == 1 else f" (from every {every}th rollout)"
        lines.append(
            f"{count_of(estimate.requests, 'request')}, about {estimate.input_tokens:,} tokens in and "
            f"{estimate.output_tokens:,} out{about}"
        )
        if estimate.empty:
            lines.append(f"{count_of(estimate.empty, 'empty completion')}: nothing is asked about them")
        if estimate.cost_usd is None or estimate.most_usd is None:
            lines.append(f"cost unknown: no price of {config.judge} in the table; give one with --prices")
        else:
            lines.append(f"about ${estimate.cost_usd:.4f}, at most ${estimate.most_usd:.4f}")
    return lines + [f"warning: {warning}" for warning in chosen.warnings]


def _confirm(request: JudgeRequest, estimate: "JudgeCostEstimate | None") -> None:
    """Ask for confirmation on a terminal before money, or an unknown sum, is spent."""
    free = estimate is None or estimate.requests == 0 or estimate.most_usd == 0
    if free or request.yes or request.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    if not typer.confirm("Go on?", default=False, err=True):
        raise typer.Exit(ExitCode.DONE)


def _run(request: JudgeRequest, workspace: Workspace, stages: Sequence[StageInstance]) -> None:
    from cogtui.cli.run.follow import follow
    from jobs.submit.start import start_stages

    if not stages:
        return
    # retry: a stage that failed before, e.g. at a spending cap, continues
    start_stages(workspace, stages, retry=True)
    try:
        states = follow(workspace, stages, make_display("none" if request.as_json else None), cluster="local")
    except KeyboardInterrupt:
        again = Interrupted(
            "interrupted; judging continues",
            remedy="Run the same command again to watch it; cancel it with cogtui cancel.",
        )
        emit_error(again, as_json=request.as_json)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    failed = [stage for stage in stages if workspace.folder(stage.key).result() is None]
    if failed:
        lines = [
            f"{stage.key}: {states[stage.key].state}: {one_line(states[stage.key].reason, 160)}" for stage in failed
        ]
        raise StageFailed(
            not_done(len(failed), len(stages), "judge stage"),
            detail="\n".join(lines),
            remedy="Run the same command again; answers so far are kept and not paid again.",
        )


def _result_lines(stage: StageInstance, result: Mapping[str, Any]) -> list[str]:
    """Return mean counts with their n, and the number of rollouts not judged by status."""
    total = result.get("rollouts")
    lines = [f"{stage.key}: {'an unknown number of rollouts' if total is None else count_of(total, 'rollout')}"]
    for behavior in behavior_names([result]):
        found = (result.get("behaviors") or {}).get(behavior) or {}
        mean = found.get("mean")
        shown = "–" if mean is None else f"{mean:.3f}"
        lines.append(f"  {behavior:<18} mean {shown}  (judged {found.get('n')} of {total})")
    failed = {name: n for name, n in (result.get("statuses") or {}).items() if name != "ok"}
    if failed:
        lines.append(f"  not judged: {', '.join(f'{n} {name}' for name, n in sorted(failed.items()))}")
    spent = result.get("spent")
    if spent:
        cost = spent.get("cost_usd")
        lines.append(f"  spent: {'an unknown sum' if cost is None else f'${cost:.4f}'}, {spent['answers']} answers")
    return lines


def _data(
    chosen: RolloutSelection, config: JudgeConfig, estimate: "JudgeCostEstimate | None", every: int
) -> dict[str, Any]:
    return {
        "judge": config.judge,
        "rollouts": chosen.rollouts,
        "judge_run": chosen.run,
        "judged_before": chosen.judged,
        "judged_by_other_runs": chosen.judged_otherwise,
        "continued": {key: len(ids) for key, ids in chosen.unfinished.items()},
        "to_judge": chosen.remaining,
        "estimate": None if estimate is None else {**asdict(estimate), "from_every": every},
    }
