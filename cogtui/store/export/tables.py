"""Writing rollouts as JSON lines, CSV or parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from cogtui.store.columns import COMPUTED_COLUMNS
from cogtui.store.export.cells import safe_cell
from cogtui.store.query.serialize import rollout_dict
from cogtui.store.values.types import RolloutDetail
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import MissingRequirement

_ROWS_AT_ONCE: Final = 2000
_NESTED: Final = ("problem", "numbers", "meta", "spans", "tags")


def write_jsonl(details: Iterable[RolloutDetail], stream: IO[str]) -> int:
    """Write one JSON object per line, as in `cogtui rollouts --json`; return how many."""
    count = 0
    for detail in details:
        stream.write(json.dumps(rollout_dict(detail), allow_nan=False) + "\n")
        count += 1
    return count


def write_csv(details: Iterable[RolloutDetail], stream: IO[str], *, raw: bool = False) -> int:
    """Write one row per rollout, with problem, spans, meta and tags as JSON; return the number of rows.

    A missing value is an empty cell; a count of zero is 0.

    Args:
        details: the rollouts.
        stream: opened with `newline=""`.
        raw: leave texts as they are that a spreadsheet would run as formulas, and control characters.
    """
    cell = _encodable if raw else safe_cell
    writer: csv.DictWriter[str] | None = None
    count = 0
    for detail in details:
        row = _flat(rollout_dict(detail))
        if writer is None:
            writer = csv.DictWriter(stream, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: cell(value) for name, value in row.items()})
        count += 1
    return count


def write_parquet(details: Iterable[RolloutDetail], path: Path) -> int:
    """Write parquet with typed columns, tags and spans nested, problem and meta as JSON; return the number of rows.

    Raises:
        MissingRequirement: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingRequirement(
            "writing parquet needs pyarrow, not installed for this Python",
            remedy="Install the extra: pip install 'cogtui[export]'",
        ) from error
    schema = _schema(pa)
    rows = iter(details)
    count = 0
    with parquet.ParquetWriter(path, schema) as writer:
        while batch := [_typed(rollout_dict(detail)) for detail in islice(rows, _ROWS_AT_ONCE)]:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def _schema(pa: Any) -> Any:
    text, whole, real, truth = pa.string(), pa.int64(), pa.float64(), pa.bool_()
    span = pa.struct(
        {
            "behavior": text, "judge_run": text, "start": whole, "end": whole, "quote": text, "alignment": text,
            "score": real, "ambiguous": truth, "why": text, "weak": truth, "repeat": truth,
        }
    )  # fmt: skip
    computed = {"whole": whole, "code": whole, "real": real, "truth": truth}
    columns = {
        "id": text, "stage": text, "kind": text, "condition": text, "seed": whole, "step": whole, "split": text,
        "problem_id": text, "sample": whole, "task": text, "problem": text,
        "numbers": pa.list_(whole), "target": whole,
        **{column.name: computed[column.type] for column in COMPUTED_COLUMNS}, "prompt": text,
        "completion": text, "reward": real, "correct": truth, "answer": text, "finish_reason": text,
        "n_tokens": whole, "meta": text, "judge": text, "judged": text, **dict.fromkeys(BEHAVIORS, whole),
        "unaligned": whole, "spans": pa.list_(span), "note": text, "tags": pa.list_(text),
    }  # fmt: skip
    return pa.schema(list(columns.items()))


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    del row["counts"]  # the same counts as in the columns of the four behaviours
    return {name: json.dumps(value) if name in _NESTED else value for name, value in row.items()}


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    del row["counts"]
    row["meta"], row["problem"] = json.dumps(row["meta"]), json.dumps(row["problem"])
    # Only Countdown's fields of before have these types; another task's are in `problem`.
    row["numbers"] = [number for number in _items(row["numbers"]) if _is_whole(number)]
    row["target"] = row["target"] if _is_whole(row["target"]) else None
    row["spans"] = [{name: _encodable(value) for name, value in span.items()} for span in row["spans"]]
    return {name: _encodable(value) for name, value in row.items()}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63


def _encodable(value: Any) -> Any:
    """Replace lone surrogates, which UTF-8 cannot encode, each by one replacement character."""
    if not isinstance(value, str):
        return value
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value) if _lone(value) else value


def _lone(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
