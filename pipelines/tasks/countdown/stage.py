"""Makes the problems of a Countdown config, generated or from files, for the `problems` stage."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple, Self

from pydantic import Field, model_validator

from pipelines.errors import InvalidInput
from pipelines.folder import StageFolder
from pipelines.stages import InputFile, Inputs, StageConfig
from pipelines.tasks.countdown.generator import ProblemSpace, draw, too_few
from pipelines.tasks.countdown.problem import Problem
from pipelines.tasks.countdown.reading import iterate_problems
from pipelines.tasks.countdown.reward import PUBLISHED, RewardRules
from pipelines.tasks.countdown.solver import solve
from pipelines.tasks.countdown.task import (
    CountdownTask,
    TemplateName,
    check_template,
    problem_json,
    shipped_template,
)
from pipelines.tasks.loading import write_problem_files
from pipelines.tasks.registry import COUNTDOWN


class CountdownConfig(ProblemSpace, StageConfig):
    """Config of Countdown problems: their numbers and arithmetic, the prompt, and the reward."""

    seed: int = Field(default=0, description="Seed of the draw: the same config and seed give the same problems.")
    train: int = Field(default=1000, ge=0, description="How many training problems.")
    test: int = Field(
        default=100, ge=0, description="How many test problems; they are drawn first, so more training leaves them be."
    )
    reward: RewardRules = Field(default=PUBLISHED, description="What a completion earns.")
    template: TemplateName = Field(
        default="base",
        description="Prompt that comes with cogtui: `base` (any model), `chat` (ChatML), `mini` (tiny vocabularies).",
    )
    template_file: InputFile | None = Field(
        default=None, description="Your own prompt, a text file with {numbers} and {target} in it, used as it stands."
    )
    exclude: tuple[InputFile, ...] = Field(
        default=(), description="Files of problems (JSONL or parquet) that may be in neither set."
    )
    train_file: InputFile | None = Field(
        default=None,
        description="File of problems to take instead of drawing them: test problems first, then training problems.",
    )
    test_file: InputFile | None = Field(
        default=None, description="File of problems to take the test problems from; none of them is trained on."
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.train + self.test == 0:
            raise ValueError("train and test are both 0: there would be no problem at all")
        if self.template_file is not None:
            try:
                check_template(_template_text(self.template_file.path))
            except ValueError as error:
                raise ValueError(f"template_file {self.template_file.path}: {error}") from error
        return self

    def countdown_task(self) -> CountdownTask:
        """Return the task with the arithmetic, reward and prompt of this config."""
        if self.template_file is None:
            text = shipped_template(self.template)
        else:
            text = _template_text(self.template_file.unchanged())
        return CountdownTask(arithmetic=self.arithmetic, reward=self.reward, template=text)

    def choose(self) -> tuple[list[Problem], list[Problem]]:
        """Return the training and test problems of this config; see `choose_problems`."""
        chosen = choose_problems(self)
        return chosen.train, chosen.test


def run(config: CountdownConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Write the problems and the task. Another run writes identical files.

    Raises:
        InvalidInput: there are too few problems, or a file cannot be used.
        MissingRequirement: a file is parquet and pyarrow is not installed.
    """
    task = config.countdown_task()
    chosen = choose_problems(config, partial(folder.report, unit="problems"))
    both = [*chosen.train, *chosen.test]
    write_problem_files(
        folder, COUNTDOWN, task.settings(config), map(problem_json, chosen.train), map(problem_json, chosen.test)
    )
    prompts = [len(task.prompt(problem)) for problem in both]
    sizes = Counter(len(problem.numbers) for problem in both)
    result: dict[str, object] = {
        "train": len(chosen.train),
        "test": len(chosen.test),
        "sizes": {str(size): sizes[size] for size in sorted(sizes)},
        "prompt_characters": {"shortest": min(prompts), "longest": max(prompts)},
    }
    if config.train_file or config.test_file:
        result["left_out"] = {why: chosen.left_out[why] for why in _LEFT_OUT}
    folder.write_result(result)


_LEFT_OUT: Final = ("repeated", "excluded", "in_test", "unsolvable")
"""Reason why a problem of a file is left out, as counted in the result."""


class ChosenProblems(NamedTuple):
    """The problems of a config."""

    train: list[Problem]
    test: list[Problem]
    left_out: Counter[str]
    """Reason → number of problems of files that were left out."""


def choose_problems(
    config: CountdownConfig, report: Callable[[float, float], None] = lambda done, total: None
) -> ChosenProblems:
    """Draw the problems of a config, or take them from its files.

    Args:
        report: is called with the number of problems found and of those asked for.

    Raises:
        InvalidInput: there are too few, two share an id, or a file cannot be used.
    """
    chooser = _Chooser(config)

    def take(source: _Source, count: int, before: int = 0) -> list[Problem]:
        taken: list[Problem] = []
        for problem in islice(source.problems, count):
            taken.append(problem)
            report(before + len(taken), config.test + config.train)
        if len(taken) < count:
            raise source.shortage(len(taken), count)
        return taken

    if config.test_file is None:
        both = take(chooser.source(config.train_file), config.test + config.train)
        test, train = both[: config.test], both[config.test :]
    else:
        test = take(chooser.source(config.test_file), config.test)
        chooser.hold_out(test)
        train = take(chooser.source(config.train_file), config.train, len(test))
    _check_ids(test, train)
    return ChosenProblems(train, test, chooser.left_out)


class _Source(NamedTuple):
    """A source of problems, taken in order."""

    problems: Iterator[Problem]
    shortage: Callable[[int, int], InvalidInput]
    """Returns the error for (problems found, problems wanted)."""


class _Chooser:
    """Generates problems, or reads the usable ones of a file and counts the others."""

    def __init__(self, config: CountdownConfig) -> None:
        self.left_out: Counter[str] = Counter()
        self._config = config
        self._excluded = [problem for file in config.exclude for problem in iterate_problems(file.unchanged())]
        self._test: list[Problem] = []

    def hold_out(self, test: Iterable[Problem]) -> None:
        """Exclude test problems from all further sources."""
        self._test.extend(test)

    def source(self, file: InputFile | None) -> _Source:
        """Return a source of new, solvable problems: a file in its order, or the draw where there is none."""
        if file is None:
            problems = draw(self._config, seed=self._config.seed, exclude=chain(self._excluded, self._test))
            return _Source(problems, partial(too_few, self._config))
        path = file.unchanged()
        return _Source(self._usable(path), partial(self._file_too_short, path))

    def _usable(self, path: Path) -> Iterator[Problem]:
        excluded = {problem.key for problem in self._excluded}
        test = {problem.key for problem in self._test}
        used = set()
        for problem in iterate_problems(path):
            if problem.key in excluded:
                self.left_out["excluded"] += 1
            elif problem.key in test:
                self.left_out["in_test"] += 1
            elif problem.key in used:
                self.left_out["repeated"] += 1
            elif solve(problem.numbers, problem.target, self._config.arithmetic) is None:
                self.left_out["unsolvable"] += 1
            else:
                used.add(problem.key)
                yield problem

    def _file_too_short(self, path: Path, found: int, asked: int) -> InvalidInput:
        counts = ", ".join(f"{self.left_out[why]:,} {why.replace('_', ' ')}" for why in _LEFT_OUT)
        return InvalidInput(
            f"{path} has only {found:,} usable problems, {asked:,} asked for",
            detail=f"Left out: {counts}.",
            remedy="Ask for fewer, or give a larger file.",
        )


def _check_ids(test: list[Problem], train: list[Problem]) -> None:
    """Check that ids are unique, since rollouts refer to problems by id."""
    seen: dict[str, Problem] = {}
    for problem in chain(test, train):
        other = seen.setdefault(problem.id, problem)
        if other is not problem:
            raise InvalidInput(
                f"two problems have the id {problem.id!r}: {other.target} from {list(other.numbers)}, "
                f"and {problem.target} from {list(problem.numbers)}",
                remedy="Make the ids in the problem files unique, or leave them out.",
            )


def _template_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
