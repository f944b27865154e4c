"""The reward function that verl calls, in verl's own processes and interpreter: the task's exact reward.

verl loads this file by its path, so it must not be imported by the rest of the project.
"""

import importlib.machinery
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGE = "pipelines"


class PackageFinder(MetaPathFinder):
    """Finds this project's package where verl's interpreter lacks it, and nothing else beside it.

    The folder itself must not be on `sys.path`: it may hold another torch.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of the package; its modules are found by its own path."""
        if fullname != _PACKAGE:
            return None
        return importlib.machinery.PathFinder.find_spec(fullname, [str(Path(__file__).resolve().parents[3])])


if importlib.util.find_spec(_PACKAGE) is None:
    sys.meta_path.append(PackageFinder())


@cache
def _task(problems: str) -> Any:
    from pipelines.folder import StageFolder
    from pipelines.tasks.loading import load_problems

    return load_problems(StageFolder(Path(problems))).task


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any],
    *,
    problems: str,
    errors: str,
) -> dict[str, float]:
    """Return the reward of a completion, and whether it is correct.

    verl goes on when a reward function fails. An error is therefore written to a file, which ends the stage.

    Args:
        data_source: name of the task.
        solution_str: the completion, without special tokens.
        ground_truth: id of the problem.
        extra_info: of the row; `problem` is the problem as JSON text.
        problems: folder of the finished `problems` stage.
        errors: folder in which an error is reported.
    """
    try:
        score = _task(problems).score(solution_str, json.loads(extra_info["problem"]))
        return {"score": float(score.reward), "acc": float(bool(score.correct))}
    except Exception:
        report = Path(errors) / f"reward-error-{os.getpid()}.txt"
        report.write_text(f"problem {ground_truth} of {data_source}\n{traceback.format_exc()}", encoding="utf-8")
        raise
