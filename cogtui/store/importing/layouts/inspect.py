"""Inspect: evaluation logs, `.eval` (a zip with a file per sample) and `.json` (one document)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cogtui.store.importing.conversations import Turn, read_turns
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.stated_fields import StatedFields, as_list, as_mapping, exchange_of, only
from cogtui.store.importing.values import kept_json, read_answer, read_label, read_number, read_whole

_LETTERS: Final = {"C": (1.0, True), "I": (0.0, False), "P": (0.5, None), "N": (0.0, None)}
"""Values of scorers: correct, incorrect, partly correct, no answer; as numbers they are what Inspect makes of them."""
_SAMPLE: Final = frozenset(("input", "epoch", "output"))
_ATTACHMENT: Final = "attachment://"
_DEEPEST: Final = 12


class InspectImporter:
    """Imports the samples of Inspect logs."""

    name = "inspect"
    label = "an Inspect log"
    default_split = "test"

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence for a log, or for a sample of one."""
        first = sample.rows[0]
        if "samples" in first and "eval" in first:
            return 0.97
        return 0.95 if set(first) >= _SAMPLE and ("messages" in first or "scores" in first) else 0.0

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return an empty mapping: the fields are fixed."""
        return ImportColumns()

    def parts(self, document: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        """Return the samples of a log, each with the description of the evaluation."""
        if "samples" not in document or "eval" not in document:
            yield "", {"sample": document, "eval": None}
            return
        samples = as_list(document["samples"])
        for number, sample in enumerate(samples, 1):
            whole = {"sample": sample, "eval": document["eval"]} if isinstance(sample, dict) else sample
            yield "" if len(samples) == 1 else f"samples[{number}]", whole

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return the rollout of a sample; one for each choice, if the model gave several.

        Raises:
            BadRowError: the sample has no answer.
        """
        sample, evaluation = as_mapping(row.get("sample")), as_mapping(row.get("eval"))
        output = as_mapping(sample.get("output"))
        choices = [turns for each in as_list(output.get("choices")) if (turns := _turns_of_choice(each, sample))]
        turns, asked = _conversation(sample, choices)
        if not turns:
            raise BadRowError(f"the sample has no messages{_error(sample)}")
        several = [turns] if len(choices) <= 1 else [[*turns[:asked], *choice] for choice in choices]
        problem_id, epoch = read_label(sample.get("id")), read_whole(sample.get("epoch"))
        for number, conversation in enumerate(several):
            fields = StatedFields()
            exchange = exchange_of(conversation, asked)
            if not exchange.completion.strip():
                raise BadRowError(f"no message answers{_error(sample)}")
            fields.computed += exchange.computed
            reward, correct, answer = _score(sample, fields) if number == 0 else (None, None, None)
            yield ImportedRollout(
                completion=exchange.completion,
                prompt=exchange.prompt,
                question=exchange.question,
                parts=exchange.parts,
                sample=epoch - 1 if epoch is not None and len(several) == 1 else None,
                problem_id=None if problem_id is None else str(problem_id),
                ground_truth=kept_json(only(sample.get("target"))),
                reward=reward,
                correct=correct,
                answer=answer,
                finish_reason="error" if sample.get("error") else _stop_reason(output, number),
                n_tokens=_tokens(sample, output) if len(several) == 1 else None,
                source_id=read_label(sample.get("uuid")),
                columns=_columns(sample, evaluation, output),
                empty=fields.empty,
                computed=fields.computed,
            )


def _conversation(sample: Mapping[str, Any], choices: list[list[Turn]]) -> tuple[list[Turn], int]:
    """All turns of a sample, and how many of them are its input."""
    messages = _resolved(sample.get("messages"), sample)
    given = sample.get("input")
    turns = read_turns(messages)
    if turns is not None:
        return turns, len(given) if isinstance(given, list) and len(given) < len(turns) else 0
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    asked = read_turns(_resolved(given, sample)) or []
    answer = choices[0] if choices else read_turns({"content": as_mapping(sample.get("output")).get("completion")})
    return ([*asked, *answer], len(asked)) if answer else ([], 0)


def _turns_of_choice(choice: Any, sample: Mapping[str, Any]) -> list[Turn] | None:
    return read_turns(_resolved(as_mapping(choice).get("message"), sample))


def _resolved(value: Any, sample: Mapping[str, Any], depth: int = _DEEPEST) -> Any:
    """The value with long texts put in from the attachments of the sample."""
    if isinstance(value, str) and value.startswith(_ATTACHMENT):
        return as_mapping(sample.get("attachments")).get(value.removeprefix(_ATTACHMENT), value)
    if depth and isinstance(value, list):
        return [_resolved(each, sample, depth - 1) for each in value]
    if depth and isinstance(value, Mapping):
        return {name: _resolved(each, sample, depth - 1) for name, each in value.items()}
    return value


def _score(sample: Mapping[str, Any], fields: StatedFields) -> tuple[float | None, bool | None, str | None]:
    """Reward, verdict and answer of the first scorer."""
    scores = sample.get("scores")
    first = next(iter(scores.values()), None) if isinstance(scores, Mapping) and scores else sample.get("score")
    if first is None:
        return None, None, None
    score = first if isinstance(first, Mapping) else {"value": first}
    answer = fields.read("answer", score, "answer", read_answer)
    value = score.get("value")
    if isinstance(value, str) and value in _LETTERS:
        reward, correct = _LETTERS[value]
        fields.computed.append("reward")
        return reward, correct, answer
    if isinstance(value, bool):
        fields.computed.append("reward")
        return float(value), value, answer
    return fields.read("reward", score, "value", read_number), None, answer


def _stop_reason(output: Mapping[str, Any], number: int) -> str | None:
    choices = as_list(output.get("choices"))
    reason = as_mapping(choices[number]).get("stop_reason") if number < len(choices) else None
    return reason if isinstance(reason, str) else None


def _tokens(sample: Mapping[str, Any], output: Mapping[str, Any]) -> int | None:
    """Tokens that the model wrote in the whole sample, if one model did."""
    usage = sample.get("model_usage")
    counted = as_mapping(next(iter(usage.values()))) if isinstance(usage, Mapping) and len(usage) == 1 else None
    count = read_whole((as_mapping(output.get("usage")) if counted is None else counted).get("output_tokens"))
    return count if count is not None and count >= 0 else None


def _error(sample: Mapping[str, Any]) -> str:
    error = sample.get("error")
    message = error.get("message") if isinstance(error, Mapping) else error
    return f"; it ended with the error {' '.join(message.split())[:200]!r}" if isinstance(message, str) else ""


def _columns(sample: Mapping[str, Any], evaluation: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        "task": evaluation.get("task"),
        "model": evaluation.get("model", output.get("model")),
        **{name: sample.get(name) for name in ("scores", "metadata", "choices", "limit", "error")},
    }
    return {name: kept for name, value in values.items() if value and (kept := kept_json(value)) is not None}


IMPORTER: Final = InspectImporter()
