"""Answers of OpenAI's interfaces: batch files of OpenAI, vLLM and Anthropic, logs, and rows of NeMo-Gym."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cogtui.store.importing.column_importer import rollouts_from_columns
from cogtui.store.importing.columns import FIELDS, choose_columns
from cogtui.store.importing.completions import read_completions
from cogtui.store.importing.conversations import read_turns
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.values import kept_json, read_label, read_whole

_ANSWERS: Final = ("response", "result", "completion", "output")
_REQUESTS: Final = ("request", "params", "responses_create_params", "kwargs", "body")
_PROBLEM_IDS: Final = ("problem_id", "task_id", "question_id", "task_idx", "_ng_task_index", "custom_id")
_LAYOUT: Final = {
    **FIELDS,
    "completion": ("completion",),
    "prompt": ("prompt", "messages", "question", "input", "query", "problem"),
    "thought": (),
    "problem_id": _PROBLEM_IDS,
}


class OpenAIImporter:
    """Imports rows with an answer of the chat, completions or Responses interface, and the request if it is there.

    Each choice of an answer is a rollout. What stands beside an answer, such as a reward, is read by its column names.
    """

    name = "openai"
    label = "answers of an OpenAI interface"
    default_split = "import"

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence if a row of the sample has choices, or output items, of such an answer."""
        is_batch = any("custom_id" in row and "response" in row for row in sample.rows)
        return 0.92 if is_batch or any(_find_answer(row) is not None for row in sample.rows) else 0.0

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return an empty mapping: the fields of the interface are fixed."""
        return ImportColumns()

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return a rollout for each choice of the answer.

        Raises:
            BadRowError: the request failed, or the answer has no text.
        """
        found = _find_answer(row)
        if found is None:
            raise BadRowError(_failure(row))
        place, body = found
        used = {place, *_REQUESTS, "error", *(("object", "usage", "model", "created") if body is row else ())}
        flat: dict[str, Any] = {name: value for name, value in row.items() if name not in used}
        choices = body.get("choices")
        flat["completion"] = choices if isinstance(choices, list) else _output_items(body)
        if read_completions(flat["completion"]) is None:
            raise BadRowError("the answer has no text")
        prompt = _find_prompt(row)
        if prompt is not None:
            flat["prompt"] = prompt
        rollouts = rollouts_from_columns(flat, choose_columns(_LAYOUT, [flat], {}))
        custom_id = read_label(row.get("custom_id"))
        for rollout in rollouts:
            if len(rollouts) == 1:
                rollout.n_tokens = rollout.n_tokens if rollout.n_tokens is not None else _generated_tokens(body)
            if rollout.finish_reason is None and not isinstance(choices, list):
                rollout.finish_reason = _responses_reason(body)
            if custom_id is not None or rollout.source_id is None:
                rollout.source_id = custom_id if custom_id is not None else read_label(body.get("id"))
            model = kept_json(body.get("model"))
            rollout.columns = {**rollout.columns, **({} if model is None else {"model": model})}
        return rollouts


def _find_answer(row: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The column of the answer, and the answer itself, which batch files put into `body` or `message`."""
    for name in _ANSWERS:
        outer = row.get(name)
        if isinstance(outer, Mapping):
            for inner in (outer.get("body"), outer.get("message"), outer):
                if isinstance(inner, Mapping) and _is_answer(inner):
                    return name, inner
    if _is_answer(row) and ("choices" in row or row.get("object") == "response"):
        return "choices" if "choices" in row else "output", row
    return None


def _is_answer(body: Mapping[str, Any]) -> bool:
    choices = [each for each in _as_list(body.get("choices")) if isinstance(each, Mapping)]
    items = [each for each in _as_list(body.get("output")) if isinstance(each, Mapping)]
    return (
        any("message" in each or isinstance(each.get("text"), str) for each in choices)
        or any(isinstance(each.get("type"), str) for each in items)
        or (body.get("type") == "message" and isinstance(body.get("content"), list))
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _output_items(body: Mapping[str, Any]) -> list[Any]:
    """The items of a Responses output, or Anthropic's message as the only one."""
    output = body.get("output")
    return output if isinstance(output, list) else [{"role": "assistant", "content": body.get("content")}]


def _generated_tokens(body: Mapping[str, Any]) -> int | None:
    usage = body.get("usage")
    if not isinstance(usage, Mapping):
        return None
    count = next((read_whole(usage[name]) for name in ("completion_tokens", "output_tokens") if name in usage), None)
    return count if count is not None and count >= 0 else None


def _responses_reason(body: Mapping[str, Any]) -> str | None:
    details = body.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    found = reason or body.get("stop_reason") or body.get("status")
    return found if isinstance(found, str) else None


def _find_prompt(row: Mapping[str, Any]) -> Any:
    """What was asked, from a request beside the answer: messages, or text."""
    for request in _requests(row):
        system = next((request[name] for name in ("instructions", "system") if isinstance(request.get(name), str)), "")
        for name in ("messages", "input", "prompt"):
            asked = request.get(name)
            if isinstance(asked, str) and asked:
                if not system:
                    return asked
                asked = [{"role": "user", "content": asked}]
            if read_turns(asked) is not None:
                messages = asked if isinstance(asked, list) else [asked]
                return [{"role": "system", "content": system}, *messages] if system else messages
    return None


def _requests(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in _REQUESTS:
        place = row.get(name)
        inner = place.get("body", place) if isinstance(place, Mapping) else None
        if isinstance(inner, Mapping):
            yield inner


def _failure(row: Mapping[str, Any]) -> str:
    """Why a batch row has no answer."""
    holders: list[Mapping[str, Any]] = [row]
    for name in _ANSWERS:
        outer = row.get(name)
        if isinstance(outer, Mapping):
            holders += [outer, *(inner for inner in (outer.get("body"),) if isinstance(inner, Mapping))]
    for holder in holders:
        error = holder.get("error")
        if isinstance(error, Mapping):
            error = error.get("message", error.get("type", error.get("code")))
        if isinstance(error, str) and error:
            return f"the request failed: {error[:200]}"
    return "the row has no answer"


IMPORTER: Final = OpenAIImporter()
