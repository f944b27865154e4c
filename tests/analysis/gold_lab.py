"""An experiment on disk whose completions are texts, with annotations by people who read better than the rules do."""

import json
from collections.abc import Mapping, Sequence

from cogtui.store.user_data.annotations import HumanAnnotation, append_annotations, new_annotation
from jobs.planning.cell import Cell
from jobs.workspace import Workspace
from pipelines.behaviors.judges.rules.judge import judge_completion
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import LabelledSpan
from tests.analysis.lab import write_ppo

NUMBERS, TARGET = [3, 5, 7], 22
SEEN = "3 + 5 = 8 (not 22)\n"
"""A verdict that the rules judge finds."""
UNSEEN = "8 + 7 makes fifteen, hmm, that misses the mark.\n"
"""A verdict that it does not find."""
assert judge_completion(SEEN, NUMBERS, TARGET).counts["verification"] == 1
assert judge_completion(UNSEEN, NUMBERS, TARGET).counts["verification"] == 0


def completion(seen: int, unseen: int, place: int) -> str:
    """A text with verdicts of both kinds, unlike every other."""
    return f"Completion {place}.\n" + SEEN * seen + UNSEEN * unseen


def write_texts(
    workspace: Workspace, labels: Mapping[str, str | int], texts: Mapping[int, Sequence[tuple[int, int]]]
) -> Cell:
    """A ppo stage of ten steps with completions of so many seen and unseen verdicts at each step; one a problem."""
    key = "ppo-" + "-".join(map(str, labels.values()))
    write_ppo(
        workspace,
        key,
        10,
        {
            step: {"accuracy": 0.5, "n": len(made), **dict.fromkeys(BEHAVIORS, 0.0)}
            | {"verification": sum(seen for seen, _ in made) / len(made)}
            for step, made in texts.items()
        },
        labels=labels,
    )
    lines = [
        {
            "v": 2, "id": rollout_of(key, step, place), "step": step, "split": "test", "problem_id": f"p{place}",
            "sample": 0, "task": "countdown", "problem": {"id": f"p{place}", "numbers": NUMBERS, "target": TARGET},
            "prompt": "?", "completion": completion(*counts, place), "reward": 1.0, "correct": True, "answer": "1",
            "finish_reason": "stop", "n_tokens": 9, "meta": {},
        }
        for step, made in texts.items()
        for place, counts in enumerate(made)
    ]  # fmt: skip
    (workspace.stages / key / "rollouts-eval-001.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    return Cell(labels=dict(labels), stages={"ppo": key})


def rollout_of(key: str, step: int, place: int) -> str:
    """Id of a completion."""
    return f"{key}.{step}.{place}"


def annotation_of(
    rollout: str, text: str, annotator: str = "ann@desk", *, missed: int = 0, done: bool = True
) -> HumanAnnotation:
    """What a careful person says: every verdict, of both kinds, but for the first ones where some are missed."""
    spans = []
    for verdict in ("not 22", "misses the mark"):
        start = text.find(verdict)
        while start >= 0:
            spans.append(LabelledSpan(behavior="verification", start=start, end=start + len(verdict), quote=verdict))
            start = text.find(verdict, start + 1)
    kept = sorted(spans, key=lambda span: span.start or 0)[missed:]
    return new_annotation(rollout, text, annotator, spans=tuple(kept), done=done)


def annotate(
    workspace: Workspace, key: str, step: int, made: Sequence[tuple[int, int]], places: Sequence[int], **fields: object
) -> None:
    """A person labels some completions of a stage at a step."""
    append_annotations(
        workspace,
        [
            annotation_of(rollout_of(key, step, place), completion(*made[place], place), **fields)  # type: ignore[arg-type]
            for place in places
        ],
    )
