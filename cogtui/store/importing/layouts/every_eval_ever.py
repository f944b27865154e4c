"""Every Eval Ever: instance-level results in its shared schema, JSON lines beside the JSON of the evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cogtui.store.importing.conversations import Turn, TurnPart, read_turns
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.stated_fields import (
    Exchange,
    StatedFields,
    answer_turn,
    as_list,
    as_mapping,
    exchange_of,
    only,
)
from cogtui.store.importing.values import other_columns, read_answer, read_label, read_number, read_verdict, read_whole

_USED: Final = frozenset(("input", "output", "messages", "interactions", "sample_id", "evaluation"))


class EveryEvalEverImporter:
    """Imports instance-level results of Every Eval Ever."""

    name = "every-eval-ever"
    label = "instance-level results of Every Eval Ever"
    default_split = "test"

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence if the first row links a sample to an evaluation."""
        names = set(sample.rows[0])
        identified = {"evaluation_id", "sample_id", "evaluation"} <= names
        return 0.95 if identified and names & {"output", "messages", "interactions"} else 0.0

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return an empty mapping: the fields are fixed."""
        return ImportColumns()

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return a rollout for each output of a sample, or the one of its messages.

        Raises:
            BadRowError: there are none.
        """
        exchanges = list(_exchanges(row))
        if not exchanges:
            error = row.get("error")
            why = f": {' '.join(error.split())[:200]}" if isinstance(error, str) else ""
            raise BadRowError(f"neither output nor messages{why}")
        evaluation, alone = as_mapping(row.get("evaluation")), len(exchanges) == 1
        sample_id = read_label(row.get("sample_id"))
        for number, exchange in enumerate(exchanges):
            fields = StatedFields(computed=exchange.computed)
            own = evaluation if alone else {}  # one score of several outputs belongs to none of them
            tokens = read_whole(as_mapping(row.get("token_usage")).get("output_tokens")) if alone else None
            yield ImportedRollout(
                completion=exchange.completion,
                prompt=exchange.prompt,
                question=exchange.question,
                parts=exchange.parts,
                sample=None if alone else number,
                problem_id=None if sample_id is None else str(sample_id),
                ground_truth=only(as_mapping(row.get("input")).get("reference")),
                reward=fields.read("reward", own, "score", read_number),
                correct=fields.read("correct", own, "is_correct", read_verdict),
                answer=_final_answer(row) if alone else None,
                n_tokens=tokens if tokens is not None and tokens >= 0 else None,
                columns=other_columns(row, _USED if alone else _USED - {"evaluation"}),
                empty=fields.empty,
                computed=fields.computed,
            )


def _exchanges(row: Mapping[str, Any]) -> Iterable[Exchange]:
    given = as_mapping(row.get("input"))
    prompt = next((text for text in (given.get("formatted"), given.get("raw")) if text and isinstance(text, str)), "")
    asked = [Turn("user", (TurnPart("text", prompt),))] if prompt else []
    messages = as_list(row.get("messages")) or as_list(row.get("interactions"))
    turns = read_turns([_with_reasoning(each) for each in messages])
    if turns:
        exchange = exchange_of(turns)
        if exchange.completion:
            yield exchange if exchange.prompt else exchange._replace(prompt=prompt)
        return
    output = as_mapping(row.get("output"))
    raw, traces = output.get("raw"), output.get("reasoning_trace")
    answers = raw if isinstance(raw, list) else [] if raw is None else [raw]
    thoughts = traces if isinstance(traces, list) else [traces]
    for number, text in enumerate(answers):
        thought = thoughts[number] if len(thoughts) == len(answers) else None
        is_text = isinstance(text, str) and bool(text.strip())
        yield exchange_of([*asked, answer_turn(text if is_text else "", thought if is_text else None)])


def _with_reasoning(message: Any) -> Any:
    return {**message, "reasoning_content": message.get("reasoning_trace")} if isinstance(message, dict) else message


def _final_answer(row: Mapping[str, Any]) -> str | None:
    """What was extracted as the final answer, if that is said of one value."""
    found = [as_mapping(each) for each in as_list(row.get("answer_attribution"))]
    final = [each.get("extracted_value") for each in found if each.get("is_terminal") is True]
    return read_answer(final[0]) if len(final) == 1 else None


IMPORTER: Final = EveryEvalEverImporter()
