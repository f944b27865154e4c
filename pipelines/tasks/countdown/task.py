"""Countdown as a task: prompt, arithmetic and reward in one place, so that no two stages use different ones."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any, ClassVar, Final, Literal, Protocol, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipelines.errors import InvalidInput
from pipelines.files import read_json
from pipelines.folder import StageFolder
from pipelines.tasks.countdown.describing import describe
from pipelines.tasks.countdown.problems import Problem, read_problems
from pipelines.tasks.countdown.reading import problem_json_of
from pipelines.tasks.countdown.reward import PUBLISHED, REASONS, RewardRules, score_completion
from pipelines.tasks.countdown.rules import ANY, Arithmetic
from pipelines.tasks.countdown.solver import solve
from pipelines.tasks.loading import TASK_FILE, TASK_NAME, TEST_FILE, TRAIN_FILE, task_name
from pipelines.tasks.protocol import Description, JsonProblem, RulesContext, Score
from pipelines.tasks.registry import COUNTDOWN

TemplateName = Literal["base", "chat", "mini"]
TEMPLATES: Final[tuple[TemplateName, ...]] = get_args(TemplateName)

_PLACEHOLDERS: Final = ("numbers", "spaced_numbers", "target", "operations", "count")
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_]+)\}")


def check_template(text: str) -> str:
    """Return the template itself, once it is known to name the numbers and the target and nothing unknown.

    Raises:
        ValueError: says what is missing, or which placeholder is unknown and which is nearest.
    """
    named = _PLACEHOLDER.findall(text)
    for name in named:
        if name not in _PLACEHOLDERS:
            near = difflib.get_close_matches(name, _PLACEHOLDERS, n=1)
            hint = f"did you mean {{{near[0]}}}?" if near else f"known: {', '.join(_PLACEHOLDERS)}"
            raise ValueError(f"the prompt template has an unknown placeholder {{{name}}}; {hint}")
    if "target" not in named or not {"numbers", "spaced_numbers"} & set(named):
        raise ValueError("the prompt template must contain {numbers} (or {spaced_numbers}) and {target}")
    return text


def shipped_template(name: TemplateName) -> str:
    """Return the text of a template that comes with this package."""
    return (files("pipelines.tasks.countdown") / "templates" / f"{name}.txt").read_text(encoding="utf-8")


class ChoosesProblems(Protocol):
    """The part of `CountdownConfig` that this module uses; a protocol, because `stage` imports this module."""

    def countdown_task(self) -> "CountdownTask":
        """Return the task of the config."""
        ...

    def choose(self) -> tuple[list[Problem], list[Problem]]:
        """Return training and test problems."""
        ...


class CountdownTask(BaseModel):
    """The Countdown task with its settings. Problems are `Problem` records or the JSON of one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = COUNTDOWN
    reasons: ClassVar[Mapping[str, str]] = REASONS

    arithmetic: Arithmetic = Field(default=ANY, description="Arithmetic the problems were made for.")
    reward: RewardRules = Field(default=PUBLISHED, description="What completions earn.")
    template: Annotated[str, AfterValidator(check_template)] = Field(
        default_factory=lambda: shipped_template("base"), description="Text of the prompt, with placeholders."
    )

    def problems(self, config: ChoosesProblems) -> tuple[list[JsonProblem], list[JsonProblem]]:
        """Draw or read the training and test problems of a config; see `Task.problems`."""
        train, test = config.choose()
        return [problem_json(problem) for problem in train], [problem_json(problem) for problem in test]

    def settings(self, config: ChoosesProblems) -> dict[str, Any]:
        """Return arithmetic, reward and template of a config as JSON."""
        return config.countdown_task().model_dump(mode="json")

    def with_settings(self, settings: Mapping[str, Any]) -> "CountdownTask":
        """Return the task with what `settings` returned."""
        return CountdownTask.model_validate(settings)

    def prompt(self, problem: Problem | JsonProblem) -> str:
        """Return the prompt of a problem; a completion continues it without any separator."""
        problem = as_problem(problem)
        values = {
            "numbers": f"[{', '.join(map(str, problem.numbers))}]",
            "spaced_numbers": " ".join(map(str, problem.numbers)),
            "target": str(problem.target),
            "operations": ", ".join(self.arithmetic.operations),
            "count": str(len(problem.numbers)),
        }
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.template)

    @property
    def opens_thought(self) -> bool:
        """Whether the prompt ends inside `<think>`, so that a completion must close it."""
        return self.template.rstrip().endswith("<think>")

    def score(self, completion: str, problem: Problem | JsonProblem) -> Score:
        """Return the exact reward of a completion, which excludes the prompt."""
        if isinstance(problem, Problem):
            return score_completion(completion, problem.numbers, problem.target, self.reward)
        return score_completion(completion, problem["numbers"], problem["target"], self.reward)

    def describe(self, problem: JsonProblem) -> Description:
        """Return the numbers and the target, in one line and as a sentence."""
        return describe(problem)

    def solve(self, problem: JsonProblem) -> str | None:
        """Return one expression that reaches the target, or None; the arithmetic is that of the task."""
        given = as_problem(problem)
        return solve(given.numbers, given.target, self.arithmetic)

    def recognise(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the problem that a row of another program's file states, or None.

        Args:
            row: any of `numbers` and `target`, `ground_truth`, and the `prompt`.
        """
        truth = row.get("ground_truth")
        is_object = isinstance(truth, Mapping) or (isinstance(truth, str) and truth.lstrip().startswith("{"))
        candidates = [{"ground_truth": truth}] if is_object else []
        if "prompt" in row:
            candidates.append({"prompt": row["prompt"]})
        if "numbers" in row and "target" in row:
            candidates.insert(0, {name: row[name] for name in ("numbers", "target")})
        for candidate in candidates:
            try:
                return problem_json_of(candidate)
            except ValueError:
                continue
        return None

    def rules_context(self, problem: JsonProblem) -> RulesContext:
        """Return numbers and target, which the rules judge needs to follow the arithmetic."""
        return RulesContext(tuple(problem["numbers"]), problem["target"])


COUNTDOWN_TASK: Final = CountdownTask()
"""The task as the registry has it, with default settings."""


def as_problem(problem: Problem | JsonProblem) -> Problem:
    """Return a problem as the record of this task.

    Raises:
        ValueError: the JSON is not a Countdown problem.
    """
    return problem if isinstance(problem, Problem) else Problem.model_validate(problem)


def problem_json(problem: Problem) -> dict[str, Any]:
    """Return a problem as the JSON that rollouts carry."""
    return problem.model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class LoadedCountdown:
    """A finished `problems` stage of the Countdown task, read back."""

    task: CountdownTask
    train: list[Problem]
    test: list[Problem]


def load_countdown(folder: StageFolder) -> LoadedCountdown:
    """Read the artifacts of a finished `problems` stage whose task is Countdown.

    Raises:
        NotFound: one of them is missing.
        InvalidInput: one of them cannot be read, or the problems belong to another task.
    """
    name = task_name(folder)
    if name != COUNTDOWN:
        raise InvalidInput(
            f"the problems of {folder.path.name} belong to the task {name}, and this stage works on Countdown only",
            remedy="Take a base model with `pretrained`, and priming data made elsewhere, for another task.",
        )
    path = folder.artifact(TASK_FILE)
    settings = {field: value for field, value in read_json(path).items() if field != TASK_NAME}
    try:
        task = CountdownTask.model_validate(settings)
    except ValueError as error:
        raise InvalidInput(f"{path} is not a valid task file", detail=str(error)) from error
    train, test = (read_problems(folder.artifact(file)) for file in (TRAIN_FILE, TEST_FILE))
    return LoadedCountdown(task, train, test)
