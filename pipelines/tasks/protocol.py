"""The protocol of tasks: problems as JSON, prompts, and scores of completions (docs/tasks.md)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from pydantic import ConfigDict, Field

from pipelines.stages import ConfigModel

REASONING_GYM: Final = "reasoning_gym:"
"""Beginning of the names of reasoning-gym's tasks, of which there is one for each generator."""

JsonProblem = Mapping[str, Any]
"""One problem: a JSON object with a string `id` that no other problem of its stage has."""


class Score(NamedTuple):
    """The score of one completion."""

    reward: float
    correct: bool
    answer: str | None
    """The final answer as written, stripped; None where the completion has none."""
    reason: str = ""
    """The reason as one word, e.g. `wrong_value`; the task's `reasons` has the sentence."""
    value: Any = None
    """The value of the answer, for display; None if it has none."""


class Description(NamedTuple):
    """A problem in words, for display."""

    short: str
    """One line of some 20 characters, for a list."""
    full: str
    """The whole problem, on as many lines as it takes."""


class RulesContext(NamedTuple):
    """The facts of a problem that the rules judge needs to follow its arithmetic."""

    numbers: tuple[int, ...]
    """The numbers that are given."""
    target: int
    """The number to reach."""


class TaskConfig(ConfigModel):
    """Settings of a task's problems, from the recipe. A task with settings of its own declares a subclass.

    Fields may be of type `pipelines.stages.InputFile`, whose content, not its path, is part of the content key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    train: int = Field(default=1000, ge=0, description="How many training problems.")
    test: int = Field(default=100, ge=0, description="How many test problems.")
    seed: int = Field(default=0, description="Seed of every random choice: equal configs give equal problems.")


class Task(Protocol):
    """A kind of problem that models are trained and sampled on.

    Besides these members a task may have

    - `config_model`: its subclass of `TaskConfig`, default `TaskConfig`;
    - `settings(config) -> dict`, what `prompt` and `score` depend on besides the problem, as JSON, which the `problems`
      stage stores, and `with_settings(dict) -> Task`, with which later stages make the task again;
    - `solve(problem) -> str | None`: one solution, for a reader;
    - `pretraining_text(problem, rng) -> str`: a solved problem as a completion, for the `base` stage to pretrain a
      small model on; its words and those of the prompts become the vocabulary;
    - `rules_context(problem) -> RulesContext | None`: for the rules judge, which works from language alone without it;
    - `recognise(row) -> problem | None`: finds its problem in a row of another program's file, which has the prompt and
      what else the file tells;
    - `reasons`: a mapping of each `Score.reason` to a sentence.
    """

    @property
    def name(self) -> str:
        """Its name in recipes, records and its entry point."""
        ...

    def problems(self, config: Any) -> tuple[Sequence[JsonProblem], Sequence[JsonProblem]]:
        """Load or generate the problems of a config.

        Args:
            config: an instance of `config_model`.

        Returns:
            Training problems and test problems, disjoint.
        """
        ...

    def prompt(self, problem: JsonProblem) -> str:
        """Return the text that poses a problem to a model; a completion continues it without a separator."""
        ...

    def score(self, completion: str, problem: JsonProblem) -> Score:
        """Score a completion, which excludes the prompt. Completions are hostile text: never evaluate them."""
        ...

    def describe(self, problem: JsonProblem) -> Description:
        """Describe a problem to a reader."""
        ...


REQUIRED_MEMBERS: Final = ("name", "problems", "prompt", "score", "describe")
