"""Problem files: our own JSONL, and the shapes in which Countdown problems have been published.

Any of JSONL, a JSON list and parquet is read (recognised by content, not by name). A row has numbers and target

- as fields `numbers` or `nums`, and `target`;
- inside `reward_model.ground_truth` (data prepared for verl);
- or inside its prompt (`prompt`, `query`, `question`, `problem`, `input`, `text`), a string or chat messages.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from pipelines.errors import InvalidInput, NotFound
from pipelines.files import canonical_json, write_atomic
from pipelines.row_files import RawRow, is_parquet, read_lines, read_list, read_parquet
from pipelines.tasks.countdown.problem import Problem, check_numbers, make_problem, problem_id

_NUMBERS_FIELDS: Final = ("numbers", "nums")
_PROMPT_FIELDS: Final = ("prompt", "query", "question", "problem", "input", "text")
_COLUMNS: Final = ("id", *_NUMBERS_FIELDS, "target", "reward_model", "ground_truth", *_PROMPT_FIELDS)

_BRACKETED: Final = re.compile(r"\[\s*([0-9]+(?:(?:\s*,\s*|\s+)[0-9]+)+)\s*\]")
_ENUMERATED: Final = re.compile(
    r"\bnumbers?\s*(?:are)?\s*:?\s*([0-9]+(?:(?:\s*,\s*and\s+|\s*,\s*|\s+and\s+|\s+)[0-9]+)+)"
)
_TARGETED: Final = re.compile(
    r"\b(?=[eCctTgvrmo])(?:equals?(?:\s+to)?|[Cc]alculates?|[Tt]arget(?:\s+(?:number|value))?(?:\s+(?:is|of))?|goal(?:\s+is)?"
    r"|value\s+is|reach(?:es)?|makes?|gets?|obtains?)\s*:?\s*(-?[0-9]+)\b(?!\s*[-+*/)])"
)
_DIGITS: Final = re.compile(r"[0-9]+")


def write_problems(path: Path, problems: Iterable[Problem]) -> None:
    """Write problems as JSONL, whole or not at all."""
    write_atomic(path, "".join(canonical_json(problem.model_dump(mode="json")) + "\n" for problem in problems))


def read_problems(path: Path) -> list[Problem]:
    """Return all problems of a file, in its order, repetitions included.

    Raises:
        NotFound: there is no such file.
        InvalidInput: the file cannot be read as problems, or a row states none; names the row and what is wrong in it.
        MissingRequirement: it is parquet, and pyarrow is not installed.
    """
    return list(iterate_problems(path))


def iterate_problems(path: Path) -> Iterator[Problem]:
    """Yield the problems of a file one at a time; see `read_problems`."""
    for place, row in _rows(path):
        try:
            yield problem_of(row)
        except ValueError as error:
            raise InvalidInput(
                f"{path}, {place}: {_first_message(error)}",
                remedy="A row needs `numbers` (or `nums`) and `target`, or a prompt that names both.",
            ) from error


def _first_message(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        rows = read_parquet(path, _problem_columns(path)) if is_parquet(path) else _json_rows(path)
    except FileNotFoundError as error:
        raise NotFound(f"there is no problem file {path}") from error
    except OSError as error:
        raise InvalidInput(f"cannot read the problem file {path}: {error.strerror}") from error
    for row in rows:
        if row.problem:
            raise InvalidInput(
                f"{path}, {row.place}: {row.problem}", remedy="Restore the file, or leave that line out."
            )
        yield row.place, row.value


def _json_rows(path: Path) -> Iterator[RawRow]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is neither parquet nor UTF-8 text (byte {error.start})") from error
    return read_list(path) if text.lstrip().startswith("[") else read_lines(path)


def _problem_columns(path: Path) -> Callable[[Sequence[str]], Sequence[str]]:
    def choose(names: Sequence[str]) -> Sequence[str]:
        columns = [name for name in names if name in _COLUMNS]
        if not columns:
            raise InvalidInput(
                f"{path} has no column that could hold a problem",
                detail=f"Its columns: {', '.join(names)}.",
                remedy="It needs `numbers` (or `nums`) and `target`, or a prompt that names both.",
            )
        return columns

    return choose


def problem_of(row: Any) -> Problem:
    """Return the problem a row holds, in any of the shapes above.

    Raises:
        ValueError: it holds none; says what it lacks.
    """
    if not isinstance(row, Mapping):
        raise ValueError("not an object")
    problem = make_problem(*_numbers_and_target(row))
    own_id = row.get("id")
    return problem.model_copy(update={"id": own_id}) if isinstance(own_id, str) and own_id else problem


def problem_json_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the problem a row holds as JSON, with the id that follows from it; raises what `problem_of` does.

    It makes no model: an import does this for every row.
    """
    numbers, target = _numbers_and_target(row)
    check_numbers(numbers)
    return {"id": problem_id(numbers, target), "numbers": numbers, "target": target}


def _numbers_and_target(row: Mapping[Any, Any]) -> tuple[list[int], int]:
    stated = _stated(row) or _stated(_ground_truth(row)) or _in_prompt(row)
    if stated is None:
        fields = ", ".join(map(str, row)) or "none"
        raise ValueError(f"neither numbers and target nor a prompt with them (fields: {fields})")
    return stated


def _stated(row: Mapping[Any, Any]) -> tuple[list[int], int] | None:
    field = next((name for name in _NUMBERS_FIELDS if row.get(name) is not None), None)
    if field is None:
        return None
    if row.get("target") is None:
        raise ValueError(f"`{field}` without `target`")
    return _whole_numbers(field, row[field]), _whole("target", row["target"])


def _ground_truth(row: Mapping[Any, Any]) -> Mapping[Any, Any]:
    model = row.get("reward_model")
    truth = model.get("ground_truth") if isinstance(model, Mapping) else row.get("ground_truth")
    if isinstance(truth, str):
        try:
            truth = json.loads(truth)
        except (ValueError, RecursionError):
            return {}
    return truth if isinstance(truth, Mapping) else {}


def _whole_numbers(field: str, value: Any) -> list[int]:
    if isinstance(value, str):
        value = _DIGITS.findall(value) if re.fullmatch(r"[0-9,\s\[\]]*", value) else None
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"`{field}` is not a list of whole numbers")
    return [_whole(field, each) for each in value]


def _whole(field: str, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"`{field}` has {value!r} where a whole number belongs")


def _in_prompt(row: Mapping[Any, Any]) -> tuple[list[int], int] | None:
    field = next((name for name in _PROMPT_FIELDS if row.get(name)), None)
    if field is None:
        return None
    prompt = _prompt_text(row[field])
    lists = set(_BRACKETED.findall(prompt)) if "[" in prompt else set()
    if not lists and "number" in prompt:
        lists = set(_ENUMERATED.findall(prompt))
    _check_one(field, "list of numbers", lists)
    targets = set(_TARGETED.findall(prompt))
    _check_one(field, "target", targets)
    return [int(each) for each in _DIGITS.findall(lists.pop())], int(targets.pop())


def _check_one(field: str, what: str, found: set[str]) -> None:
    if len(found) != 1:
        shown = f"several: {', '.join(sorted(found)[:4])}" if found else "none"
        raise ValueError(f"`{field}` does not name exactly one {what} ({shown})")


def _prompt_text(value: Any) -> str:
    """Return the text of a prompt: a string, or the contents of what the user says in a list of chat messages."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list | tuple):
        raise ValueError("the prompt is neither text nor a list of messages")
    messages = [each for each in value if isinstance(each, Mapping)]
    return "\n".join(
        each["content"]
        for each in messages
        if isinstance(each.get("content"), str) and each.get("role", "user") == "user"
    )
