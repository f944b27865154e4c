"""The problems of a stage as the parquet files that verl's data loader reads."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.errors import MissingRequirement
from pipelines.tasks.loading import LoadedProblems
from pipelines.tasks.protocol import JsonProblem, Task
from pipelines.training.core.configs import PPOConfig
from pipelines.training.rl.step_runner import problems_of_step

TRAIN_FILE = "train.parquet"
TEST_FILE = "test.parquet"


def write_problem_tables(folder: Path, loaded: LoadedProblems, config: PPOConfig) -> None:
    """Write the training problems of all steps in their order, and the test problems of an evaluation.

    verl reads the training file once, without shuffling, so its batches are the steps of this project's own trainer.

    Raises:
        MissingRequirement: pyarrow is not installed.
    """
    steps = (problem for step in range(config.steps) for problem in problems_of_step(loaded.train, step, config))
    _write(folder / TRAIN_FILE, _rows(loaded.task, steps, "train"))
    _write(folder / TEST_FILE, _rows(loaded.task, loaded.test[: config.evaluation.problems], "test"))


def _rows(task: Task, problems: Iterable[JsonProblem], split: str) -> list[dict[str, Any]]:
    """Return verl's rows. The id of the problem is the ground truth, since dumps contain nothing else of a row."""
    return [
        {
            "data_source": task.name,
            "prompt": [{"role": "user", "content": task.prompt(problem)}],
            "reward_model": {"style": "rule", "ground_truth": str(problem["id"])},
            # As text: the problems of a task need not have the same fields, the rows of a table must.
            "extra_info": {"index": index, "split": split, "problem": json.dumps(dict(problem))},
        }
        for index, problem in enumerate(problems)
    ]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingRequirement(
            "engine verl needs pyarrow to write the problems", remedy="Install the extra: pip install 'cogtui[export]'"
        ) from error
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
