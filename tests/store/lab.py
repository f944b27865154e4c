"""Small workspaces with known rollouts and judgements, written through the real stream writers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.workspace import Workspace
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.folder import StageFolder, StageInfo
from pipelines.records import (
    ArithmeticFact,
    Behavior,
    Judgement,
    JudgeRun,
    JudgeStatus,
    Rollout,
    Span,
    countdown_fields,
    rollout_id,
    text_sha256,
)

RULES = JudgeRun(id="rules-aaaaaaaaaaaa", judge="rules")
OTHER = JudgeRun(id="openai-bbbbbbbbbbbb", judge="openai:gpt", model="gpt", prompt_sha256="ab" * 32)

PHRASES: dict[Behavior, str] = {
    "verification": "That gives {n}, which is not {target}.",
    "backtracking": "This does not work, so let me try a different pair.",
    "subgoal": "If I could make {n} first, the rest is easy.",
    "backward_chaining": "Working backwards from {target}, I need {n}.",
}


@dataclass
class Lab:
    """A workspace to write into."""

    workspace: Workspace

    def stage(
        self, kind: str, number: int, labels: dict[str, str | int] | None = None, inputs: Sequence[str] = ()
    ) -> StageFolder:
        """A stage folder, not done yet."""
        path = self.workspace.stages / f"{kind}-{number:012x}"
        path.mkdir(parents=True)
        info = StageInfo(
            kind=kind, key=path.name, config={}, inputs=tuple(inputs), labels={**(labels or {})}, name=kind, created=1.0
        )
        (path / "stage.json").write_text(info.model_dump_json())
        return StageFolder(path)

    def finish(self, folder: StageFolder) -> None:
        """Marks a stage as done."""
        folder.write_result({"ok": True})

    def judge_stage(self, number: int, run: JudgeRun = RULES) -> StageFolder:
        """A judge stage whose run is known."""
        folder = self.stage("judge", number)
        (folder.artifacts / "judge_run.json").write_text(run.model_dump_json())
        return folder


def make_rollouts(
    key: str, steps: Iterable[int], *, problems: int = 4, samples: int = 2, split: str = "train", seed: int = 0
) -> list[Rollout]:
    """Rollouts with a text that shows behaviours, and a reward that depends on their place."""
    made = []
    for step in steps:
        for problem in range(problems):
            for sample in range(samples):
                place = random.Random(f"{key}{step}{problem}{sample}{seed}")
                reward = place.choice([0.0, 0.1, 1.0])
                text = write_text(place)
                made.append(
                    Rollout(
                        id=rollout_id(key, split, step, f"{split}-{problem:05d}", sample),
                        step=step,
                        split=split,
                        problem_id=f"{split}-{problem:05d}",
                        sample=sample,
                        **countdown_fields((3, 7, 25 + problem), 46 + problem, f"{split}-{problem:05d}"),
                        prompt=f"Reach {46 + problem}.",
                        completion=text,
                        reward=reward,
                        correct=reward == 1.0,
                        answer="3 + 7" if reward else None,
                        finish_reason="stop" if reward else "length",
                        n_tokens=len(text) // 3,
                        meta={},
                    )
                )
    return made


def write_text(place: random.Random) -> str:
    """A completion of some sentences; each behaviour with its phrase."""
    sentences = ["Let me begin."]
    for _ in range(place.randint(1, 8)):
        chosen = place.choice([*BEHAVIORS, None])
        if chosen is None:
            sentences.append(f"I add {place.randint(1, 99)} and {place.randint(1, 99)}.")
        else:
            sentences.append(PHRASES[chosen].format(n=place.randint(1, 99), target=46))
    return " ".join(sentences)


def spans_of(text: str, behavior: Behavior) -> tuple[Span, ...]:
    """The spans of a behaviour in a text of `write_text`."""
    opening = PHRASES[behavior].partition("{")[0]
    spans = []
    at = text.find(opening)
    while at >= 0:
        end = text.find(".", at) + 1
        spans.append(Span(start=at, end=end, quote=text[at:end]))
        at = text.find(opening, end)
    return tuple(spans)


def judge(
    rollout: Rollout, run: JudgeRun = RULES, *, failed: dict[Behavior, JudgeStatus] | None = None
) -> list[Judgement]:
    """Four judgements of a rollout."""
    made = []
    for behavior in BEHAVIORS:
        status = (failed or {}).get(behavior, "ok")
        spans = spans_of(rollout.completion, behavior) if status == "ok" else ()
        made.append(
            Judgement(
                rollout_id=rollout.id,
                judge_run=run.id,
                behavior=behavior,
                status=status,
                count=len(spans) if status == "ok" else None,
                spans=spans,
                text_sha256=text_sha256(rollout.completion),
                facts=(a_fact(rollout.completion),) if behavior == BEHAVIORS[0] else (),
            )
        )
    return made


def a_fact(text: str) -> ArithmeticFact:
    """Something said of the first letters of a text."""
    return ArithmeticFact(kind="wrong_equation", start=0, end=3, quote=text[:3], why="1 is not 2")


def write_rollouts(folder: StageFolder, rollouts: Iterable[Rollout], name: str = "train") -> None:
    """Appends rollouts to a new file of a stream."""
    with folder.stream("rollouts", name) as stream:
        stream.append(rollouts)


def write_judgements(folder: StageFolder, judgements: Iterable[Judgement]) -> None:
    """Appends judgements to a new file of a stream."""
    with folder.stream("judgements", "judge") as stream:
        stream.append(judgements)


def append_raw(path: Path, data: bytes) -> None:
    """Appends bytes to a file, as another process might."""
    with path.open("ab") as stream:
        stream.write(data)


def dumped(rollout: Rollout) -> bytes:
    """A rollout as a line."""
    return json.dumps(rollout.model_dump(mode="json")).encode() + b"\n"
