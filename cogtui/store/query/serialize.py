"""Rollouts as values for JSON, for `cogtui rollouts --json`, `trace --json` and exports."""

from collections.abc import Mapping
from typing import Any

from cogtui.store.values.types import BehaviorJudgement, RolloutDetail
from pipelines.behaviors.sets.registered import BEHAVIORS, SET_OF


def rollout_dict(detail: RolloutDetail) -> dict[str, Any]:
    """Return a rollout with all fields of its record, its stage, and the counts and spans of the judge its row shows.

    The counts are beside the other fields, by behaviour, and again under `counts`; None means not judged.
    `text[start:end]` of a span, in code points of `completion`, is its `quote` where its alignment is `exact`.
    """
    row = detail.row
    before = version_1_fields(row.problem)
    counts: dict[str, int | None] = dict(zip(BEHAVIORS, row.counts, strict=True))
    return {
        "id": row.id,
        "stage": row.stage,
        "kind": row.kind,
        "condition": row.condition,
        "seed": row.seed,
        "step": row.step,
        "split": row.split,
        "problem_id": row.problem_id,
        "sample": row.sample,
        "task": row.task,
        "problem": dict(row.problem),
        **before,
        **{name: value for name, value in row.values.items() if name not in before},
        "prompt": detail.prompt,
        "completion": detail.completion,
        "reward": row.reward,
        "correct": row.correct,
        "answer": detail.answer,
        "finish_reason": row.finish_reason,
        "n_tokens": row.n_tokens,
        "meta": detail.meta,
        "judge": row.judge,
        "judged": row.judged,
        **counts,
        "counts": counts,
        "unaligned": row.unaligned,
        "spans": [span for one in shown_judgements(detail) for span in span_dicts(one)],
        "note": detail.note,
        "tags": list(detail.tags),
    }


def version_1_fields(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that stood in the place of `problem` before; they go with the next version."""
    return {"numbers": problem.get("numbers", []), "target": problem.get("target")}


def shown_judgements(detail: RolloutDetail) -> list[BehaviorJudgement]:
    """Return the judgements whose counts the row shows: for each behaviour set those of one judge run."""
    shown: dict[str, str] = {}
    for one in detail.judgements:  # the run of the row first, then the preferred ones
        shown.setdefault(SET_OF[one.behavior].name, one.judge_run)
    return [one for one in detail.judgements if one.judge_run == shown[SET_OF[one.behavior].name]]


def span_dicts(judgement: BehaviorJudgement) -> list[dict[str, Any]]:
    """Return the spans of a judgement, each with its behaviour and judge run."""
    return [
        {"behavior": judgement.behavior, "judge_run": judgement.judge_run, **span.model_dump(mode="json")}
        for span in judgement.spans
    ]


def detail_dict(detail: RolloutDetail) -> dict[str, Any]:
    """Return a rollout with the judgements of all judge runs, and its arithmetic and attempts apart from them."""
    return {
        **rollout_dict(detail),
        "judge_runs": [run.model_dump(mode="json") for run in detail.judge_runs],
        "judgements": [
            {
                "judge_run": one.judge_run,
                "behavior": one.behavior,
                "status": one.status,
                "count": one.count,
                "spans": [span.model_dump(mode="json") for span in one.spans],
                "raw": one.raw,
                "usage": one.usage,
                "stale": one.stale,
            }
            for one in detail.judgements
        ],
        "facts": [
            {"judge_run": one.judge_run, **fact.model_dump(mode="json")}
            for one in detail.judgements
            for fact in one.facts
        ],
        "attempts": [
            {"judge_run": one.judge_run, **attempt.model_dump(mode="json"), "hit": attempt.hit}
            for one in detail.judgements
            for attempt in one.attempts
        ],
        "source": detail.source,
    }
