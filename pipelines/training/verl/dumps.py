"""Rollouts of this project from the JSONL files into which verl dumps what it sampled.

A line of verl holds prompt, completion, ground truth (here the id of the problem), score and a `uid`, no more. Reward,
answer and correctness are computed again by the task; tokens are counted by encoding the text again.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipelines.errors import StageFailed
from pipelines.records import FinishReason, Rollout, rollout_id
from pipelines.tasks.protocol import JsonProblem, Task
from pipelines.training.core.engine_configs import SamplingConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_UID: Final = re.compile(r".*_(?P<sample>\d+)_\d+")
"""`GROUP_SAMPLE_OUTPUT`, where GROUP is random."""
_PADDING: Final = "pad"
"""Begins the `uid` of rows that only fill a batch up."""
_LARGEST_DIFFERENCE: Final = 1e-6


class DumpedLine(NamedTuple):
    """What one line of a dump says."""

    completion: str
    problem_id: str
    score: float
    uid: str


def read_dump(path: Path) -> list[DumpedLine]:
    """Read a dump of verl, without the rows that fill a batch up.

    Raises:
        ValueError: a line is not complete or lacks a field: verl may still be writing it.
    """
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields: Any = json.loads(line)
        if not isinstance(fields, dict):
            raise ValueError("a line of the dump is not a JSON object")
        try:
            one = DumpedLine(str(fields["output"]), str(fields["gts"]), float(fields["score"]), str(fields["uid"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"a line of the dump lacks a field: {error}") from error
        if not one.uid.startswith(_PADDING):
            found.append(one)
    return found


class DumpConverter:
    """Turns the dumped lines of a stage into its rollouts.

    Args:
        key: content key of the stage.
        task: scores completions.
        tokenizer: of the model.
        problems: all problems of the stage, by id.
    """

    def __init__(
        self, key: str, task: Task, tokenizer: "PreTrainedTokenizerBase", problems: Mapping[str, JsonProblem]
    ) -> None:
        self._key = key
        self._task = task
        self._tokenizer = tokenizer
        self._problems = problems

    def rollouts(self, path: Path, split: str, step: int, sampling: SamplingConfig) -> list[Rollout]:
        """Return the rollouts of a complete dump, each id once.

        Args:
            path: the dump.
            split: `train` or `test`.
            step: number of updates before these rollouts were sampled.
            sampling: how they were sampled.

        Raises:
            ValueError: the dump is not complete.
            StageFailed: a problem is not of this stage, or verl trained on another score than the task's.
        """
        found: dict[str, Rollout] = {}
        for sample, line in _numbered(read_dump(path)):
            problem = self._problems.get(line.problem_id)
            if problem is None:
                raise StageFailed(f"{path} names the problem {line.problem_id!r}, which is not of this stage")
            rollout = self._rollout(line, problem, split, step, sample, sampling)
            if abs((rollout.reward or 0.0) - line.score) > _LARGEST_DIFFERENCE:
                raise StageFailed(
                    f"verl gave the score {line.score} to a completion of problem {line.problem_id} at step {step}, "
                    f"and the task gives {rollout.reward}",
                    detail=f"In {path}.",
                    remedy="Install the same version of cogtui for verl's interpreter, or none.",
                )
            found.setdefault(rollout.id, rollout)  # a problem that comes twice in a step has its rollouts once
        return list(found.values())

    def _rollout(
        self, line: DumpedLine, problem: JsonProblem, split: str, step: int, sample: int, sampling: SamplingConfig
    ) -> Rollout:
        score = self._task.score(line.completion, problem)
        tokens = len(self._tokenizer(line.completion, add_special_tokens=False)["input_ids"])
        cut: FinishReason = "length" if tokens >= sampling.max_new_tokens else "stop"
        return Rollout(
            id=rollout_id(self._key, split, step, line.problem_id, sample),
            step=step,
            split=split,
            problem_id=line.problem_id,
            sample=sample,
            task=self._task.name,
            problem=dict(problem),
            prompt=self._task.prompt(problem),
            completion=line.completion,
            reward=score.reward,
            correct=score.correct,
            answer=score.answer,
            finish_reason=cut,
            n_tokens=tokens + (cut == "stop"),
            meta={"reason": score.reason, "engine": "verl", "sampling": sampling.model_dump(mode="json")},
        )


def _numbered(lines: list[DumpedLine]) -> Iterator[tuple[int, DumpedLine]]:
    """Yield lines with their sample numbers: verl's own, or else their place among those of the problem."""
    seen: dict[str, int] = {}
    for line in lines:
        place = seen.get(line.problem_id, 0)
        seen[line.problem_id] = place + 1
        match = _UID.fullmatch(line.uid)
        yield (int(match["sample"]) if match else place), line
