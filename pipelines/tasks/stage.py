"""The `problems` stage: the training and test problems of a task, and the task as later stages use it."""

import json
from typing import Any, Self, cast

from pydantic import Field, ValidationError, ValidationInfo, model_serializer, model_validator

from pipelines.errors import CogtuiError, InvalidInput, StageFailed
from pipelines.folder import StageFolder
from pipelines.stages import Inputs
from pipelines.tasks.countdown.stage import CountdownConfig
from pipelines.tasks.countdown.stage import run as run_countdown
from pipelines.tasks.loading import write_problem_files
from pipelines.tasks.protocol import JsonProblem, Task, TaskConfig
from pipelines.tasks.registry import COUNTDOWN, TASKS

_OF_EVERY_TASK = ("task", "task_config", "train", "test", "seed")


class ProblemsConfig(CountdownConfig):
    """Config of the `problems` stage: the task, its settings, and the numbers of problems.

    Countdown's settings stand beside `task`; those of any other task are in `task_config`.
    """

    task: str = Field(default=COUNTDOWN, description="Which task: `countdown`, or one that an installed package adds.")
    task_config: dict[str, Any] = Field(
        default_factory=dict, description="Settings of a task other than `countdown`, as that task documents them."
    )

    @model_validator(mode="after")
    def _settings_are_the_tasks_own(self, info: ValidationInfo) -> Self:
        if self.task == COUNTDOWN:
            if self.task_config:
                raise ValueError("task_config is for other tasks: settings of countdown stand beside `task`")
            return self
        for name, field in type(self).model_fields.items():
            if name not in _OF_EVERY_TASK and getattr(self, name) != field.get_default(call_default_factory=True):
                raise ValueError(f"{name} is a setting of countdown; those of {self.task} go into task_config")
        config = self._validated(info.context)
        own = {name: value for name, value in config if name not in _OF_EVERY_TASK}
        object.__setattr__(self, "task_config", own)  # defaults filled in, paths relative to the recipe resolved
        return self

    def _validated(self, context: Any = None) -> TaskConfig:
        try:
            model = getattr(TASKS.get(self.task), "config_model", TaskConfig)
            raw = {**self.task_config, "train": self.train, "test": self.test, "seed": self.seed}
            return cast("TaskConfig", model.model_validate(raw, context=context))
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
            raise ValueError(f"task_config of {self.task}: {'; '.join(lines)}") from error
        except CogtuiError as error:
            raise ValueError(" ".join(str(error).split())) from error

    def settings_of_task(self) -> TaskConfig:
        """Return the validated config of a task other than Countdown."""
        return self._validated()

    @model_serializer(mode="wrap")
    def _only_what_applies(self, handler: Any, info: Any) -> dict[str, Any]:
        # Keys of Countdown stages must stay those they had before there were other tasks: `task` is left out.
        if self.task == COUNTDOWN:
            return {name: value for name, value in handler(self).items() if name not in ("task", "task_config")}
        config = self._validated().model_dump(mode=info.mode, context=info.context)
        own = {name: value for name, value in config.items() if name not in _OF_EVERY_TASK}
        return {"task": self.task, "train": self.train, "test": self.test, "seed": self.seed, "task_config": own}


def run(config: ProblemsConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Write the problems and the task of a config. Another run writes identical files.

    Raises:
        InvalidInput: there are too few problems, or a file cannot be used.
        StageFailed: the task returned something that is not a list of problems with ids and prompts.
    """
    if config.task == COUNTDOWN:
        run_countdown(config, inputs, folder)
        return
    task = TASKS.get(config.task)
    own = config.settings_of_task()
    train, test = (list(problems) for problems in task.problems(own))
    settings = task.settings(own) if hasattr(task, "settings") else {}
    if hasattr(task, "with_settings"):
        task = task.with_settings(settings)
    _check(task, [*train, *test])
    write_problem_files(folder, config.task, settings, train, test)
    prompts = [len(task.prompt(problem)) for problem in [*train, *test]]
    folder.write_result(
        {
            "task": config.task,
            "train": len(train),
            "test": len(test),
            "prompt_characters": {"shortest": min(prompts), "longest": max(prompts)},
        }
    )


def _check(task: Task, problems: list[JsonProblem]) -> None:
    """Check that problems have ids of their own and prompts, and are JSON: rollouts carry them."""
    if not problems:
        raise InvalidInput(f"the task {task.name} has no problems", remedy="Raise train or test.")
    seen: set[str] = set()
    for problem in problems:
        name = problem.get("id") if hasattr(problem, "get") else None
        if not isinstance(name, str) or not name:
            raise StageFailed(f"a problem of the task {task.name} has no id: {problem!r:.200}", remedy=_FIX)
        if name in seen:
            raise StageFailed(f"two problems of the task {task.name} have the id {name!r}", remedy=_FIX)
        seen.add(name)
        try:
            same = json.loads(json.dumps(problem, allow_nan=False)) == problem
        except (TypeError, ValueError):
            same = False
        if not same:
            raise StageFailed(f"problem {name} of the task {task.name} is not JSON: {problem!r:.200}", remedy=_FIX)
        prompt = task.prompt(problem)
        if not prompt or type(prompt) is not str:
            raise StageFailed(f"the task {task.name} has no prompt for problem {name}", remedy=_FIX)


_FIX = "Fix the task, then run the recipe again with --retry."
