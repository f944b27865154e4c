"""What a file is, in words, and the `--map` that would read it, for files whose rollouts cannot be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cogtui.store.importing.columns import FIELDS, choose_columns, column_names, value_at
from cogtui.store.importing.completions import as_text, read_completions
from cogtui.store.importing.conversations import read_turns
from cogtui.store.importing.documents import ROWS_FIELD, row_lists
from pipelines.errors import InvalidInput
from pipelines.row_files import Container

_TEXT_HINTS: Final = (
    "completion",
    "response",
    "output",
    "generat",
    "answer",
    "text",
    "content",
    "message",
    "solution",
    "sampled",
    "chosen",
)
_ASKED_HINTS: Final = ("prompt", "question", "query", "input", "instruction", "reject", "gold", "target", "expected")
_ROW_NAMES: Final[Mapping[Container, str]] = {
    "lines": "JSON lines", "list": "a JSON list", "document": "a JSON object", "parquet": "a parquet file",
    "arrow": "an Arrow file", "zip": "a zip archive",
}  # fmt: skip


def has_completion(rows: Sequence[Mapping[str, Any]], mapping: Mapping[str, str]) -> bool:
    """Return whether rows have a column that looks like a completion, or that `--map` names as one."""
    return "completion" in _guess(rows, mapping)


def has_prompt_and_completion(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether rows have columns that look like a prompt and a completion."""
    return {"prompt", "completion"} <= set(_guess(rows, {}))


def _guess(rows: Sequence[Mapping[str, Any]], mapping: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    try:
        return choose_columns(FIELDS, rows, mapping).fields
    except InvalidInput:
        return {}


def explain(
    error: InvalidInput, path: Path, rows: Sequence[Mapping[str, Any]], container: Container, rows_key: str
) -> InvalidInput:
    """Return an error of an importer with the path, what the file is, and the `--map` that would read it.

    Args:
        error: why the importer cannot read the rows.
        path: of the file.
        rows: its first rows, or the first ones under `rows_key`.
        container: how the rows are stored.
        rows_key: list inside the document that holds them; empty if it has none.
    """
    if "completion" not in error.summary:
        return InvalidInput(f"{path}: {error.summary}", detail=error.detail, remedy=error.remedy)
    lists = [] if rows_key or len(rows) != 1 else [one for one in row_lists(rows[0]) if read_turns(one.rows) is None]
    if not lists:
        what = f"{_ROW_NAMES[container]} with rows under {rows_key!r}" if rows_key else _ROW_NAMES[container]
        column = _likely_text(rows)
        example = f", for instance --map completion={column}" if column else ""
        detail = f"It is {what}. {error.detail}"
        return InvalidInput(f"{path}: {error.summary}", detail=detail, remedy=f"{error.remedy.rstrip('.')}{example}.")
    described = "; ".join(f"{_count(len(each.rows))} under {each.key!r}" for each in lists[:3])
    several = [each.key for each in lists if has_completion(each.rows[:50], {})]
    if len(several) > 1:
        return InvalidInput(
            f"{path} is a JSON object with {described}: more than one of them can be read",
            remedy=f"Name the list: --map {ROWS_FIELD}={several[0]}.",
        )
    column = _likely_text(lists[0].rows[:50]) or "COLUMN"
    inside = ", ".join(sorted(column_names(lists[0].rows[:50]))[:40])
    return InvalidInput(
        f"{path} is a JSON object with {described}, and no column of them looks like a completion",
        detail=f"Columns under {lists[0].key!r}: {inside}.",
        remedy=f"Name the list and the column: --map {ROWS_FIELD}={lists[0].key} --map completion={column}.",
    )


def _count(number: int) -> str:
    return "1 object" if number == 1 else f"{number:,} objects"


def _likely_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The column that is most likely the completion: named like one, else with the longest text; empty if none.

    A conversation, or a list of texts, can be one too; what was asked cannot, nor can a word.
    """
    best, score = "", (False, 0)
    for column in sorted(column_names(rows)):
        if any(hint in column.lower() for hint in _ASKED_HINTS):
            continue
        found = [read_completions(value) for row in rows if (value := value_at(row, column))]
        texts = [as_text(each).text for one in found if one is not None for each in one[0] if each is not None]
        named = any(hint in column.lower() for hint in _TEXT_HINTS)
        length = sum(map(len, texts)) // max(1, len(texts))
        is_word = not named and not any(" " in text for text in texts)
        if texts and not is_word and (named, length) > score:
            best, score = column, (named, length)
    return best
