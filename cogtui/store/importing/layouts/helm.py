"""HELM: `scenario_state.json` (requests and their results) and `display_predictions.json` (predictions and scores)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from cogtui.store.importing.conversations import read_turns, transcribe
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.siblings import SiblingFiles
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

_STATS: Final = "per_instance_stats.json"
_REQUESTS: Final = "display_requests.json"
_INSTANCES: Final = "instances.json"
_SCORES: Final = (
    *VERDICT_METRICS, "f1_score", "f1_set_match", "rouge_l", "rouge_2", "rouge_1", "bleu_4", "bleu_1", "bleu", "comet",
    "NDCG@10", "RR@10", "wildbench_score_rescaled", "wildbench_score", "safety_score", "air_score",
)  # fmt: skip
"""Metrics that say how good a completion is; the first that a run has is its reward. Others count tokens, or time."""


class HelmImporter:
    """Imports the requests of a HELM run, with the scores in the files beside them."""

    sibling_names = (_STATS, _REQUESTS, _INSTANCES)
    name = "helm"
    label = "a run of HELM"
    default_split = "test"

    def __init__(self, siblings: SiblingFiles | None = None) -> None:
        self._siblings = siblings
        self._run: _Run | None = None

    def beside(self, siblings: SiblingFiles) -> HelmImporter:
        """Return the importer for a file of a run."""
        return HelmImporter(siblings)

    def _read_run(self) -> _Run:
        if self._run is None:
            self._run = _Run() if self._siblings is None else _read_siblings(self._siblings)
        return self._run

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
            yield _from_prediction(row, self._read_run())
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
        # The scores of an instance are those of its one completion; references scored one by one have no own ones.
        is_only = len(completions) == 1 and state.get("reference_index") is None
        stats = self._read_run().stats.get(_key(instance.get("id"), state, instance), {}) if is_only else {}
        if stats:
            kept |= {"stats": stats, "reward_from": next((name for name in _SCORES if name in stats), None)}
        split, instance_id = instance.get("split"), read_label(instance.get("id"))
        for completion in completions:
            fields = StatedFields()
            reward, correct = _score(stats, fields)
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
                reward=reward,
                correct=correct,
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


class _Run(NamedTuple):
    """What the files of a run beside its completions say, by instance, trial and perturbation."""

    stats: Mapping[tuple[str, ...], Mapping[str, Any]] = {}
    requests: Mapping[tuple[str, ...], Mapping[str, Any]] = {}
    instances: Mapping[str, Mapping[str, Any]] = {}


def _read_siblings(siblings: SiblingFiles) -> _Run:
    stats = {
        _key(row.get("instance_id"), row, row): {
            str(as_mapping(stat.get("name")).get("name")): stat.get("mean")
            for stat in map(as_mapping, as_list(row.get("stats")))
            if as_mapping(stat.get("name")).get("name") in _SCORES and stat.get("count") != 0
        }
        for row in siblings.rows(_STATS)
    }
    requests = {
        _key(row.get("instance_id"), row, row): as_mapping(row.get("request")) for row in siblings.rows(_REQUESTS)
    }
    return _Run(stats, requests, {str(row.get("id")): row for row in siblings.rows(_INSTANCES)})


def _key(instance_id: Any, trial: Mapping[str, Any], perturbed: Mapping[str, Any]) -> tuple[str, ...]:
    perturbation = perturbed.get("perturbation")
    named = json.dumps(perturbation, sort_keys=True, default=str) if perturbation else ""
    return str(instance_id), str(trial.get("train_trial_index") or 0), named


def _score(stats: Mapping[str, Any], fields: StatedFields) -> tuple[float | None, bool | None]:
    metric = next((name for name in _SCORES if name in stats), None)
    if metric is None:
        return None, None
    return (
        fields.read("reward", stats, metric, read_number),
        read_verdict(stats[metric]) if metric in VERDICT_METRICS else None,
    )


def _from_prediction(row: Mapping[str, Any], run: _Run) -> ImportedRollout:
    fields = StatedFields()
    stats = as_mapping(row.get("stats"))
    reward, correct = _score(stats, fields)
    text, instance_id = row.get("predicted_text"), read_label(row.get("instance_id"))
    instance = as_mapping(run.instances.get(str(instance_id)))
    kept = {name: row.get(name) for name in ("stats", "train_trial_index", "perturbation")}
    kept["reward_from"] = next((name for name in _SCORES if name in stats), None)
    split = instance.get("split")
    return ImportedRollout(
        completion=text if isinstance(text, str) else "",
        prompt=_prompt(run.requests.get(_key(instance_id, row, row), {}), instance, fields),
        split=split if isinstance(split, str) and split else None,
        problem_id=None if instance_id is None else str(instance_id),
        ground_truth=_right_answers(instance),
        reward=reward,
        correct=correct,
        answer=fields.read("answer", row, "mapped_output", read_answer),
        columns={name: kept_json(value) for name, value in kept.items() if value is not None},
        empty=fields.empty,
        computed=fields.computed,
    )


IMPORTER: Final = HelmImporter()
