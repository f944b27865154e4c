"""The task as later stages see it: prompt, arithmetic and reward from one place, so that they cannot disagree."""

import difflib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipelines.errors import InvalidInput
from pipelines.files import read_json
from pipelines.folder import StageFolder
from pipelines.tasks.countdown.problems import Problem, read_problems
from pipelines.tasks.countdown.reward import PUBLISHED, RewardRules, Score, score_completion
from pipelines.tasks.countdown.rules import ANY, Arithmetic

TRAIN_FILE: Final = "train.jsonl"
TEST_FILE: Final = "test.jsonl"
TASK_FILE: Final = "task.json"

TemplateName = Literal["base", "chat", "mini"]
TEMPLATES: Final[tuple[TemplateName, ...]] = get_args(TemplateName)

_PLACEHOLDERS: Final = ("numbers", "spaced_numbers", "target", "operations", "count")
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_]+)\}")


def check_template(text: str) -> str:
    """The template itself, once it is known to name the numbers and the target and nothing unknown.

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
    """The text of a template that comes with this package."""
    return (files("pipelines.countdown") / "templates" / f"{name}.txt").read_text(encoding="utf-8")


class Task(BaseModel):
    """How problems are put to a model and how its completions are scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arithmetic: Arithmetic = Field(default=ANY, description="Arithmetic the problems were made for.")
    reward: RewardRules = Field(default=PUBLISHED, description="What completions earn.")
    template: Annotated[str, AfterValidator(check_template)] = Field(
        default_factory=lambda: shipped_template("base"), description="Text of the prompt, with placeholders."
    )

    def prompt(self, problem: Problem) -> str:
        """The prompt of a problem; a completion continues it without any separator."""
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

    def score(self, completion: str, problem: Problem) -> Score:
        """The exact reward of a completion, which excludes the prompt."""
        return score_completion(completion, problem.numbers, problem.target, self.reward)


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """A finished `problems` stage, read back."""

    task: Task
    train: list[Problem]
    test: list[Problem]


def load_task(folder: StageFolder) -> LoadedTask:
    """Reads the artifacts of a finished `problems` stage.

    Raises:
        NotFound: one of them is missing.
        InvalidInput: one of them cannot be read.
    """
    path = folder.artifact(TASK_FILE)
    try:
        task = Task.model_validate(read_json(path))
    except ValueError as error:
        raise InvalidInput(f"{path} holds no task", detail=str(error)) from error
    return LoadedTask(task, read_problems(folder.artifact(TRAIN_FILE)), read_problems(folder.artifact(TEST_FILE)))
