"""HELM: `scenario_state.json` (requests and their results) and `display_predictions.json` (predictions and scores)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cogtui.store.importing.conversations import read_turns, transcribe
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.stated_fields import (
    VERDICT_METRICS,
    StatedFields,
    answer_turn,
    as_list,
    as_mapping,
    exchange_of,
    only,
)
from cogtui.store.importing.values import kept_json, read_answer, read_label, read_number, read_verdict


class HelmImporter:
    """Imports the requests of a HELM run."""

    name = "helm"
    label = "a run of HELM"
    default_split = "test"

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence for the state of a scenario, or for predictions with their instances."""
        first = sample.rows[0]
        if "request_states" in first:
            return 0.95
        return 0.95 if {"instance_id", "predicted_text"} <= set(first) else 0.0

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return an empty mapping: the fields are fixed."""
        return ImportColumns()

    def parts(self, document: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        """Return the requests of a scenario, each with the model that answered."""
        if "request_states" not in document:
            yield "", document
            return
        model = as_mapping(document.get("adapter_spec")).get("model")
        for number, state in enumerate(as_list(document["request_states"]), 1):
            yield f"request_states[{number}]", {"state": state, "model": model} if isinstance(state, dict) else state

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return a rollout for each completion of a request, or the one of a prediction.

        Raises:
            BadRowError: the request failed.
        """
        if "state" not in row:
            yield _from_prediction(row)
            return
        state = as_mapping(row["state"])
        instance, request, result = (as_mapping(state.get(name)) for name in ("instance", "request", "result"))
        completions = as_list(result.get("completions"))
        if not completions:
            error = result.get("error")
            why = f": {' '.join(error.split())[:200]}" if isinstance(error, str) else ""
            raise BadRowError(f"no completions in the result{why}")
        kept = {
            "model": request.get("model", row.get("model")),
            "reference_index": state.get("reference_index"),
            "output_mapping": state.get("output_mapping"),
            "train_trial_index": state.get("train_trial_index"),
            "perturbation": instance.get("perturbation"),
        }
        split, instance_id = instance.get("split"), read_label(instance.get("id"))
        for completion in completions:
            fields = StatedFields()
            values = as_mapping(completion)
            prompt = _prompt(request, instance, fields)
            text = values.get("text")
            answer = exchange_of(
                [answer_turn(text if isinstance(text, str) else "", as_mapping(values.get("thinking")).get("text"))]
            )
            fields.computed += answer.computed
            reason = values.get("finish_reason")
            reason = as_mapping(reason).get("reason") if isinstance(reason, Mapping) else reason
            yield ImportedRollout(
                completion=answer.completion if isinstance(text, str) and text.strip() else "",
                parts=answer.parts,
                prompt=prompt,
                split=split if isinstance(split, str) and split else None,
                problem_id=None if instance_id is None else str(instance_id),
                ground_truth=_right_answers(instance),
                finish_reason=reason if isinstance(reason, str) else None,
                columns={name: kept_json(value) for name, value in kept.items() if value is not None},
                empty=fields.empty,
                computed=fields.computed,
            )


def _prompt(request: Mapping[str, Any], instance: Mapping[str, Any], fields: StatedFields) -> str:
    """What the model was asked: messages or a prompt, else the input of the instance."""
    turns = read_turns(request.get("messages"))
    if turns:
        transcript = transcribe(turns)
        if not transcript.is_stated:
            fields.computed.append("prompt")
        return transcript.text
    prompt = request.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        prompt = as_mapping(instance.get("input")).get("text")
    return prompt if isinstance(prompt, str) else ""


def _right_answers(instance: Mapping[str, Any]) -> Any:
    references = [as_mapping(each) for each in as_list(instance.get("references"))]
    right = [
        as_mapping(each.get("output")).get("text") for each in references if "correct" in as_list(each.get("tags"))
    ]
    return kept_json(only(right)) if right else None


def _from_prediction(row: Mapping[str, Any]) -> ImportedRollout:
    fields = StatedFields()
    stats = as_mapping(row.get("stats"))
    metric = next((name for name in VERDICT_METRICS if name in stats), next(iter(stats), None))
    text, instance_id = row.get("predicted_text"), read_label(row.get("instance_id"))
    kept = {name: row.get(name) for name in ("stats", "train_trial_index", "perturbation")}
    kept["reward_from"] = metric
    return ImportedRollout(
        completion=text if isinstance(text, str) else "",
        problem_id=None if instance_id is None else str(instance_id),
        reward=None if metric is None else fields.read("reward", stats, metric, read_number),
        correct=read_verdict(stats[metric]) if metric in VERDICT_METRICS else None,
        answer=fields.read("answer", row, "mapped_output", read_answer),
        columns={name: kept_json(value) for name, value in kept.items() if value is not None},
        empty=fields.empty,
    )


IMPORTER: Final = HelmImporter()
