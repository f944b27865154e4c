"""reasoning-gym: results of its evaluation scripts, one JSON document per data set or for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.stated_fields import StatedFields, as_list, as_mapping
from cogtui.store.importing.values import kept_json, read_answer, read_number

_ROW: Final = frozenset(("question", "expected_answer"))
_RESPONSES: Final = frozenset(("completions", "full_model_response", "best_full_model_response"))


class ReasoningGymImporter:
    """Imports evaluations of reasoning-gym."""

    name = "reasoning-gym"
    label = "an evaluation of reasoning-gym"
    default_split = "test"

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence for a document with results, or for rows that are results."""
        first = sample.rows[0]
        if _is_result(first):
            return 0.95
        results = next((found for _, _, found in _results(first)), None)
        return 0.95 if isinstance(results, Mapping) and _is_result(results) else 0.0

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return an empty mapping: the fields are fixed."""
        return ImportColumns()

    def parts(self, document: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        """Return the results in a document, each with the name of its data set."""
        if _is_result(document):
            yield "", {"result": document}
            return
        for name, number, result in _results(document):
            place = f"{name}, results[{number}]" if name else f"results[{number}]"
            row = {"result": result, "dataset": name, "number": number, "model": document.get("model")}
            yield place, row if isinstance(result, dict) else result

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return a rollout for each completion of a question.

        Raises:
            BadRowError: there are none.
        """
        result = as_mapping(row.get("result"))
        completions = result.get("completions")
        if not isinstance(completions, list) or not completions:
            completions = [_lone_completion(result)]
        question, metadata = result.get("question"), as_mapping(result.get("metadata"))
        dataset = row.get("dataset") or metadata.get("source_dataset")
        index = metadata.get("source_index", row.get("number"))
        kept = {"dataset": dataset, "model": row.get("model"), "metadata": metadata or None}
        for sample, completion in enumerate(completions):
            fields = StatedFields()
            values = as_mapping(completion)
            text = values.get("full_model_response")
            yield ImportedRollout(
                completion=text if isinstance(text, str) else "",
                prompt=question if isinstance(question, str) else "",
                sample=sample,
                problem_id=f"{dataset}-{index}" if isinstance(dataset, str) and isinstance(index, int) else None,
                numbers=metadata.get("numbers") if dataset == "countdown" else None,
                target=metadata.get("target") if dataset == "countdown" else None,
                ground_truth=kept_json(result.get("expected_answer")),
                reward=fields.read("reward", values, "score", read_number),
                answer=fields.read("answer", values, "model_answer", read_answer),
                columns={name: kept_json(value) for name, value in kept.items() if value is not None},
                empty=fields.empty,
            )


def _is_result(row: Mapping[str, Any]) -> bool:
    return set(row) >= _ROW and bool(_RESPONSES & set(row))


def _results(document: Mapping[str, Any]) -> Iterable[tuple[str, int, Any]]:
    """Data set, number from 1 and result, of a document of one data set or of categories of them."""
    sets = [document]
    for category in as_list(document.get("categories")):
        sets += [each for each in as_list(as_mapping(category).get("datasets")) if isinstance(each, Mapping)]
    for one in sets:
        name = one.get("name")
        for number, result in enumerate(as_list(one.get("results")), 1):
            yield name if isinstance(name, str) else "", number, result


def _lone_completion(result: Mapping[str, Any]) -> dict[str, Any]:
    """The completion of a result without a list of them, or the best one if only that was kept."""
    names = ("full_model_response", "model_answer", "score")
    found = {name: result[name] for name in names if name in result}
    found = found or {name: result[f"best_{name}"] for name in names if f"best_{name}" in result}
    if not found:
        raise BadRowError("no completions in this result")
    return found


IMPORTER: Final = ReasoningGymImporter()
