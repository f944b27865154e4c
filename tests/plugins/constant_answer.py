"""A stage kind of an outside package, in one file: it answers every test problem with the same text."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from pipelines.folder import StageFolder
from pipelines.records import Metric, Rollout, rollout_id
from pipelines.stages import Inputs, StageConfig, StageKind, StageTable, Upstream
from pipelines.tasks.loading import load_problems


class ConstantAnswerConfig(StageConfig):
    """Config of the `constant_answer` stage."""

    text: str = Field(description="The completion of every problem.")
    split: str = Field(default="test", description="Which problems.")


def run(config: ConstantAnswerConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Write one rollout a problem, the accuracy, and the result."""
    rollouts = []
    loaded = load_problems(inputs.one("problems"))
    for problem in loaded.test:
        score = loaded.task.score(config.text, problem)
        rollouts.append(
            Rollout(
                id=rollout_id(folder.key, config.split, 0, problem["id"], 0),
                step=0,
                split=config.split,
                problem_id=problem["id"],
                sample=0,
                task=loaded.task.name,
                problem=dict(problem),
                prompt=loaded.task.prompt(problem),
                completion=config.text,
                reward=score.reward,
                correct=score.correct,
                answer=score.answer,
                finish_reason="stop",
                n_tokens=len(config.text.split()),
            )
        )
    with folder.stream("rollouts", config.split) as stream:
        stream.append(rollouts)
    accuracy = sum(rollout.correct is True for rollout in rollouts) / len(rollouts)
    with folder.stream("metrics", config.split) as metrics:
        metrics.append([Metric(step=0, values={"accuracy": accuracy, "n": len(rollouts)})])
    folder.write_result({"n": len(rollouts), "accuracy": accuracy})


def result_table(results: Sequence[Mapping[str, Any]]) -> StageTable:
    """Return how many problems were answered."""
    return StageTable(("constant answers",), [(f"{result['n']} given",) for result in results])


def detail_table(result: Mapping[str, Any]) -> StageTable:
    """Return the accuracy."""
    return StageTable(("constant accuracy",), [(f"{result['accuracy']:.2f}",)])


KIND = StageKind(
    name="constant_answer",
    summary="answers every test problem with the same text",
    config=ConstantAnswerConfig,
    run=run,
    upstream=(Upstream(("problems",)),),
    writes=("rollouts",),
    evaluates="once",
    result_table=result_table,
    detail_table=detail_table,
)
