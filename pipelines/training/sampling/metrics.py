"""The metrics of rollouts: means of their scores, and what the rules judge finds in them, judged once and stored."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pipelines.behaviors.judge import JudgedTask, JudgeTask
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.verdict_files import VerdictWriter
from pipelines.records import AttemptFact, Rollout
from pipelines.tasks.registry import rules_context

if TYPE_CHECKING:
    from pathlib import Path


def rules_verdict_writer(stage: "Path") -> VerdictWriter:
    """Return the writer of the rules judge's verdicts in a stage folder; a judge stage downstream reuses them."""
    from pipelines.behaviors.judges.rules.judge import RulesJudge

    return VerdictWriter(stage, RulesJudge().run.id)


def rollout_metrics(
    rollouts: Sequence[Rollout], *, behaviors: bool, verdicts: VerdictWriter | None = None
) -> dict[str, float]:
    """Return the mean metrics of rollouts; empty for no rollouts.

    Args:
        rollouts: scored rollouts.
        behaviors: whether to include counts of behaviours by the rules judge.
        verdicts: where to store what the rules judge found; None stores nothing.

    Returns:
        `reward`, `accuracy`, `format_rate` (fraction with an answer), `truncation_rate`, `length` (tokens),
        `distinct_answers` (per problem); with `behaviors`, mean counts by behaviour name and what
        `attempt_metrics` gives.
    """
    if not rollouts:
        return {}
    answers: dict[str, set[str]] = {}
    for rollout in rollouts:
        found = answers.setdefault(rollout.problem_id, set())
        if rollout.answer is not None:
            found.add("".join(rollout.answer.split()))
    values = {
        "reward": _mean(rollout.reward or 0.0 for rollout in rollouts),
        "accuracy": _mean(bool(rollout.correct) for rollout in rollouts),
        "format_rate": _mean(rollout.answer is not None for rollout in rollouts),
        "truncation_rate": _mean(rollout.finish_reason == "length" for rollout in rollouts),
        "length": _mean(rollout.n_tokens for rollout in rollouts),
        "distinct_answers": _mean(len(found) for found in answers.values()),
    }
    if behaviors:
        values |= _behavior_counts(rollouts, verdicts)
    return values


def _behavior_counts(rollouts: Sequence[Rollout], verdicts: VerdictWriter | None) -> dict[str, float]:
    """Return mean counts by the rules judge. If it fails, warn and return nothing: its bug must not end a training."""
    from pipelines.behaviors.judges.rules.judge import judge_problem

    counts = []
    attempts: list[list[AttemptFact]] = []
    judged: list[JudgedTask] = []
    for rollout in rollouts:
        try:
            result = judge_problem(rollout.completion, rollout.task, rollout.problem)
            # Attempts are checked against numbers and target; other tasks have behaviours only.
            found = list(result.attempts) if rules_context(rollout.task, rollout.problem) else None
            if verdicts is not None:
                task = JudgeTask(rollout.id, rollout.task, rollout.problem, rollout.completion)
                judged.append(JudgedTask(task, result.verdicts(), result.facts, result.attempts))
        except Exception as error:
            sys.stderr.write(
                f"warning: behaviours of step {rollout.step} not counted, rollout {rollout.id}: {error!r}\n"
            )
            return {}
        counts.append(result.counts)
        # The token limit may have truncated the last attempt, which then counts as none.
        if found is not None:
            cut_off = rollout.finish_reason == "length" and found and found[-1].said is None
            attempts.append(found[:-1] if cut_off else found)
    if verdicts is not None:
        verdicts.append(judged)
    values = {behavior: _mean(each[behavior] for each in counts) for behavior in FOUR_HABITS.names}
    return values | attempt_metrics(attempts) if attempts else values


def attempt_metrics(rollouts: Sequence[Sequence[AttemptFact]]) -> dict[str, float]:
    """How the attempts of some rollouts went; a share of nothing is left out.

    Returns:
        `attempts` (per rollout), and shares: `attempt_legality` (no number that was not at hand),
        `attempt_completeness` (legal, and every given number used), `attempt_hit_rate` (solves the problem),
        `equation_accuracy`, and verdict honesty: `yes_on_hit` and `yes_on_miss`, how often a verdict says that the
        target is reached where the result as written is the target, and where it is not.
    """
    every = [attempt for attempts in rollouts for attempt in attempts]
    judged = [attempt for attempt in every if attempt.said is not None]
    equations = sum(attempt.equations for attempt in every)
    shares: dict[str, list[bool]] = {
        "attempt_legality": [attempt.legal for attempt in every],
        "attempt_completeness": [attempt.complete for attempt in every],
        "attempt_hit_rate": [attempt.hit for attempt in every],
        "yes_on_hit": [bool(attempt.said) for attempt in judged if attempt.reached],
        "yes_on_miss": [bool(attempt.said) for attempt in judged if not attempt.reached],
    }
    values = {"attempts": len(every) / max(1, len(rollouts))}
    values |= {name: _mean(found) for name, found in shares.items() if found}
    if equations:
        values["equation_accuracy"] = 1 - sum(attempt.wrong for attempt in every) / equations
    return values


def _mean(values: Iterable[float]) -> float:
    found = [float(value) for value in values]
    return sum(found) / len(found)
