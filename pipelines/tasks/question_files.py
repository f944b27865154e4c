"""Questions with answers from files of rows (JSON lines, a JSON list, parquet), as training and test problems."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from pipelines.errors import InvalidInput
from pipelines.row_files import read_rows
from pipelines.stages import InputFile
from pipelines.tasks.protocol import JsonProblem, TaskConfig

QUESTION_FIELDS: Final = ("question", "problem", "query", "input", "prompt")


class QuestionFileConfig(TaskConfig):
    """Settings of a task whose problems come from a file."""

    file: InputFile = Field(description="File of questions and answers: JSON lines, a JSON list, or parquet.")
    test_file: InputFile | None = Field(
        default=None, description="File of the test problems; without it they are drawn from `file`."
    )
    question_field: str | None = Field(
        default=None, description=f"Field of the question; without it the first of {', '.join(QUESTION_FIELDS)}."
    )
    answer_field: str | None = Field(default=None, description="Field of the right answer; without it a usual one.")


def choose_problems(
    config: QuestionFileConfig, make: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> tuple[list[JsonProblem], list[JsonProblem]]:
    """Return training and test problems of a config in random order, no question twice.

    Args:
        config: names the files and how many problems.
        make: turns a row into a problem with `question` and without `id`; raises ValueError with what is wrong.

    Raises:
        InvalidInput: a file or row cannot be read, or there are too few problems.
    """
    generator = random.Random(config.seed)
    seen: set[str] = set()
    first = _shuffled(config.file, make, seen, generator, "train")
    if config.test_file is None:
        train, test = first[config.test : config.test + config.train], first[: config.test]
    else:
        train = first[: config.train]
        seen = {problem["question"] for problem in train}
        test = _shuffled(config.test_file, make, seen, generator, "test")[: config.test]
    for problems, wanted, name in ((train, config.train, "train"), (test, config.test, "test")):
        if len(problems) < wanted:
            raise InvalidInput(
                f"there are {len(problems)} problems for {name}, not {wanted}: {config.file.path}"
                + (f", {config.test_file.path}" if config.test_file else ""),
                detail="Questions that occur twice, or in both files, count once.",
                remedy=f"Lower {name} or give a larger file.",
            )
    return list(train), list(test)


def _shuffled(
    file: InputFile,
    make: Callable[[Mapping[str, Any]], dict[str, Any]],
    seen: set[str],
    generator: random.Random,
    name: str,
) -> list[dict[str, Any]]:
    problems = []
    for number, problem in enumerate(_problems(file.unchanged(), make), 1):
        if problem["question"] not in seen:
            seen.add(problem["question"])
            problems.append({"id": f"{name}-{number}", **problem})
    generator.shuffle(problems)
    return problems


def _problems(path: Path, make: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in read_rows(path):
        if row.problem:
            raise InvalidInput(f"{path}, {row.place}: {row.problem}")
        try:
            yield make(row.value)
        except ValueError as error:
            raise InvalidInput(f"{path}, {row.place}: {error}") from error


def text_field(row: Mapping[str, Any], name: str | None, usual: Sequence[str], meaning: str) -> str:
    """Return a text or number of a row as text.

    Args:
        row: the row.
        name: the field, or None for the first of the usual ones that the row has.
        usual: names of fields to try.
        meaning: what the field is, for the error.

    Raises:
        ValueError: the row has no such field, or it is neither text nor a number.
    """
    found = name if name is not None else next((each for each in usual if row.get(each) is not None), None)
    if found is None or row.get(found) is None:
        raise ValueError(f"no {meaning} in {found or ', '.join(usual)}; the row has {', '.join(map(str, row))}")
    value = row[found]
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise ValueError(f"the {meaning} in {found} is {value!r:.60}, neither text nor a number")
    return str(value).strip()


def check_prompt(template: str) -> str:
    """Return the template of a prompt itself, once it is known to have `{question}` and no other placeholder.

    Raises:
        ValueError: says what is missing or unknown.
    """
    try:
        shown = template.format(question="QUESTION")
    except (LookupError, ValueError) as error:
        raise ValueError(f"only {{question}} may stand in braces; write {{{{ for a brace ({error})") from error
    if "QUESTION" not in shown:
        raise ValueError("{question} is missing")
    return template
