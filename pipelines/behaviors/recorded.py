"""Reads the judgements that a stage has written, for stages that continue and for their summaries."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def first_judgements(records: Iterable[Mapping[str, Any]], judge_run: str) -> Iterator[Mapping[str, Any]]:
    """Yield the judgements of a judge run; of several for one text and behaviour, which a resume can write, the first.

    Args:
        records: of a stream `judgements`.
        judge_run: id of the run; judgements of other runs are left out.
    """
    seen: set[tuple[str, str]] = set()
    for record in records:
        identity = (str(record["rollout_id"]), str(record["behavior"]))
        if record.get("judge_run") == judge_run and identity not in seen:
            seen.add(identity)
            yield record
