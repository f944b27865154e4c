"""lm-evaluation-harness: `samples_TASK_DATE.jsonl` (`--log_samples`), a row per document and filter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cogtui.store.importing.conversations import read_turns, transcribe
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.stated_fields import VERDICT_METRICS, StatedFields, as_list
from cogtui.store.importing.values import (
    decode_json_text,
    kept_json,
    other_columns,
    read_answer,
    read_label,
    read_number,
    read_verdict,
)

_KNOWN: Final = frozenset(("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
                           "doc_hash", "prompt_hash", "target_hash", "task_name"))  # fmt: skip
_PAIR: Final = 2


class LmEvalImporter:
    """Imports samples of lm-evaluation-harness."""

    name = "lm-eval"
    label = "samples of lm-evaluation-harness"
    default_split = "test"

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence if the first row has a document, its requests and their responses."""
        names = set(sample.rows[0])
        return 0.95 if {"doc_id", "arguments"} <= names and names & {"resps", "filtered_resps"} else 0.0

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return an empty mapping: the fields are fixed."""
        return ImportColumns()

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return a rollout for each response to each request of a document.

        Raises:
            BadRowError: the responses are log-likelihoods of choices.
        """
        requests = [each if isinstance(each, list) else [each] for each in as_list(row.get("resps"))]
        responses = [(number, response) for number, request in enumerate(requests) for response in request]
        if not responses:
            raise BadRowError("no responses in resps")
        if not any(isinstance(response, str) for _, response in responses):
            pairs = all(isinstance(each, list | tuple) and len(each) == _PAIR for _, each in responses)
            what = "log-likelihoods of choices" if pairs else "of another type"
            raise BadRowError(f"no text in resps: the responses are {what}")
        prompts = _prompts(row.get("arguments"))
        for place, (request, response) in enumerate(responses):
            fields = StatedFields()
            alone = len(responses) == 1
            metric, reward, correct = _score(row, fields, None if alone else (place, len(responses)))
            prompt, is_stated = prompts[request] if request < len(prompts) else ("", True)
            if not is_stated:
                fields.computed.append("prompt")
            used = {"doc_id", "arguments", "resps", "target", *((metric,) if metric else ())}
            kept = other_columns(row, used)
            yield ImportedRollout(
                completion=response if isinstance(response, str) else "",
                prompt=prompt,
                sample=place,
                problem_id=None if (name := read_label(row.get("doc_id"))) is None else str(name),
                ground_truth=kept_json(row.get("target")),
                reward=reward,
                correct=correct,
                answer=_prediction(row, fields, place, len(responses)),
                condition=_filter(row.get("filter")),
                columns={**kept, "reward_from": metric} if metric and alone else kept,
                empty=fields.empty,
                computed=fields.computed,
            )


def _filter(name: Any) -> str | None:
    """The filter, which tells apart the rows of one response; `none` if there is no other."""
    return name if isinstance(name, str) and name not in ("", "none") else None


def _prompts(arguments: Any) -> list[tuple[str, bool]]:
    """The prompt of each request, and whether it is in the file as such."""
    if isinstance(arguments, Mapping):
        arguments = [list(each.values()) if isinstance(each, Mapping) else each for each in arguments.values()]
    found = []
    for request in as_list(arguments):
        first = request[0] if isinstance(request, list) and request else request
        turns = read_turns(decode_json_text(first))  # of a chat model: messages, often as text
        if turns is not None:
            found.append((transcribe(turns).text, False))
        else:
            found.append((first if isinstance(first, str) else "", True))
    return found


def _score(
    row: Mapping[str, Any], fields: StatedFields, place: tuple[int, int] | None
) -> tuple[str | None, float | None, bool | None]:
    """The metric that is the reward, its value and the verdict in it.

    Args:
        row: the row.
        fields: remembers what is empty.
        place: of the response among several; a metric of all of them belongs to none.
    """
    listed = row.get("metrics")
    names = [n for n in listed if isinstance(n, str) and n in row] if isinstance(listed, list) else []
    names = names or [name for name, value in row.items() if name not in _KNOWN and _may_be_metric(value)]
    metric = next((name for name in VERDICT_METRICS if name in names), names[0] if names else None)
    if metric is None:
        return None, None, None
    values: Mapping[str, Any] = row
    if place is not None:
        number, count = place
        value = row[metric]
        if not isinstance(value, list) or len(value) != count:
            return metric, None, None
        values = {metric: value[number]}
    reward = fields.read("reward", values, metric, read_number)
    return metric, reward, read_verdict(values[metric]) if metric in VERDICT_METRICS else None


def _may_be_metric(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (
        isinstance(value, list) and bool(value) and all(isinstance(each, bool | int | float) for each in value)
    )


def _prediction(row: Mapping[str, Any], fields: StatedFields, place: int, count: int) -> str | None:
    """What the filter extracted from a response: one value, or one for each response."""
    filtered = row.get("filtered_resps")
    if isinstance(filtered, list) and len(filtered) == 1 and isinstance(filtered[0], list):
        filtered = filtered[0]
    if not isinstance(filtered, list) or len(filtered) != count:
        return None
    return fields.read("answer", {"answer": filtered[place]}, "answer", read_answer)


IMPORTER: Final = LmEvalImporter()
