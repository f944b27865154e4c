"""Outputs of benchmark harnesses: predictions of OpenCompass, details of LightEval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cogtui.store.importing.conversations import Turn, TurnPart, transcribe
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.stated_fields import VERDICT_METRICS, StatedFields, as_list, as_mapping, only
from cogtui.store.importing.values import kept_json, read_label, read_number, read_verdict

_OPENCOMPASS_ROLES: Final = {"HUMAN": "user", "BOT": "assistant", "SYSTEM": "system"}


class OpenCompassImporter:
    """Imports predictions of OpenCompass: one object of numbered rows."""

    name = "opencompass"
    label = "predictions of OpenCompass"
    default_split = "test"

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence if the first row has numbered objects with a prediction."""
        first = as_mapping(sample.rows[0].get("0"))
        return 0.95 if "prediction" in first and {"origin_prompt", "gold"} & set(first) else 0.0

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return an empty mapping: the fields are fixed."""
        return ImportColumns()

    def parts(self, document: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        """Return the numbered rows."""
        for number, row in document.items():
            yield f"row {number}", {**row, "number": number} if isinstance(row, dict) else row

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return a rollout for each prediction of a row.

        Raises:
            BadRowError: a prediction is no text.
        """
        prompt, joined = _opencompass_prompt(row.get("origin_prompt"))
        prediction = row.get("prediction")
        for text in prediction if isinstance(prediction, list) else [prediction]:
            if not isinstance(text, str):
                raise BadRowError("the prediction is no text")
            yield ImportedRollout(
                completion=text,
                prompt=prompt,
                problem_id=str(row.get("number")),
                ground_truth=kept_json(only(row.get("gold"))),
                computed=["prompt"] if joined else [],
            )


def _opencompass_prompt(value: Any) -> tuple[str, bool]:
    """The prompt as text, and whether it is joined from several turns."""
    if isinstance(value, str):
        return value, False
    said = [
        Turn(_OPENCOMPASS_ROLES.get(str(each.get("role")), "user"), (TurnPart("text", str(each.get("prompt", ""))),))
        for each in map(as_mapping, as_list(value))
    ]
    transcript = transcribe(said)
    return transcript.text, bool(said) and not transcript.is_stated


class LightEvalImporter:
    """Imports details of LightEval: `doc`, `model_response`, `metric`."""

    name = "lighteval"
    label = "details of LightEval"
    default_split = "test"

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence if a row has a document with a query and the response of a model."""
        first = sample.rows[0]
        return (
            0.95 if "query" in as_mapping(first.get("doc")) and "text" in as_mapping(first.get("model_response")) else 0
        )

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return an empty mapping: the fields are fixed."""
        return ImportColumns()

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return a rollout for each text of the response. A metric of several texts belongs to none of them.

        Raises:
            BadRowError: there is no text.
        """
        doc, response, metrics = (as_mapping(row.get(name)) for name in ("doc", "model_response", "metric"))
        texts = [text for text in as_list(response.get("text")) if isinstance(text, str)]
        if not texts:
            raise BadRowError("no text in model_response.text")
        metric = next(
            (name for name in (*VERDICT_METRICS, "extractive_match") if name in metrics), next(iter(metrics), "")
        )
        counts = as_list(response.get("output_tokens"))
        name = read_label(doc.get("id"))
        for number, text in enumerate(texts):
            fields = StatedFields()
            reward = fields.read("reward", metrics, metric, read_number) if len(texts) == 1 and metric else None
            tokens = counts[number] if len(counts) == len(texts) else None
            query = doc.get("query")
            yield ImportedRollout(
                completion=text,
                prompt=query if isinstance(query, str) else "",
                problem_id=None if name is None else str(name),
                ground_truth=_gold(doc),
                reward=reward,
                correct=read_verdict(reward) if metric in (*VERDICT_METRICS, "extractive_match") else None,
                n_tokens=len(tokens) if isinstance(tokens, list) else None,
                columns={"metric": kept_json(metrics), "reward_from": metric, "task": kept_json(doc.get("task_name"))},
                empty=fields.empty,
            )


def _gold(doc: Mapping[str, Any]) -> Any:
    choices, index = as_list(doc.get("choices")), only(doc.get("gold_index"))
    is_place = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(choices)
    return kept_json(choices[index]) if is_place else None


OPENCOMPASS: Final = OpenCompassImporter()
LIGHTEVAL: Final = LightEvalImporter()
