"""Sets of worked examples for fine-tuning: Alpaca's instructions, and questions with reasoning and answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from cogtui.store.importing.column_importer import ColumnImporter
from cogtui.store.importing.columns import FIELDS
from cogtui.store.importing.protocol import FileSample, ImportColumns, ImportedRollout

_QUESTIONS: Final = ("question", "Question", "problem", "prompt", "query", "instruction")
_THOUGHTS: Final = ("reasoning_content", "reasoning", "thinking", "thinking_trajectory", "deepseek_thinking_trajectory",
                    "gemini_thinking_trajectory", "deepseek_reasoning", "Complex_CoT", "cot", "rationale",
                    "chain_of_thought")  # fmt: skip
_ANSWERS: Final = ("response", "Response", "output", "completion", "deepseek_attempt", "gemini_attempt",
                   "deepseek_solution", "solution", "answer")  # fmt: skip


class AlpacaImporter(ColumnImporter):
    """Imports instructions with an optional input and an output."""

    name = "alpaca"
    label = "instructions and outputs (Alpaca)"
    default_split = "import"
    layout: ClassVar = {**FIELDS, "completion": ("output", "response"), "prompt": ("instruction",)}
    required = frozenset(("instruction",))
    any_of = frozenset(("output", "response"))

    def matches(self, sample: FileSample) -> float:
        """Return a higher confidence than verl's, whose dumps have an input and an output but no instruction."""
        return 0.95 if super().matches(sample) else 0.0

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return the rollouts of a row; the prompt is the instruction and, if it is not empty, the input."""
        more = row.get("input")
        for rollout in super().rollouts(row, columns):
            is_ours = columns.fields.get("prompt") == ("instruction",)
            if not is_ours or not isinstance(more, str) or not more.strip():
                yield rollout
                continue
            yield replace(
                rollout,
                prompt=f"{rollout.prompt}\n\n{more}",
                computed=[*rollout.computed, "prompt"],
                columns={name: value for name, value in rollout.columns.items() if name != "input"},
            )


class ExamplesImporter(ColumnImporter):
    """Imports questions with a worked answer, whose reasoning may be in a column of its own.

    The answer of such a set is what a model is trained to say, so it is the completion.
    """

    name = "sft"
    label = "questions with worked answers"
    default_split = "import"
    layout: ClassVar = {**FIELDS, "completion": _ANSWERS, "prompt": _QUESTIONS, "thought": _THOUGHTS}

    def matches(self, sample: FileSample) -> float:
        """Return how surely the rows are worked examples: reasoning beside an answer, or nothing but an answer."""
        row = sample.rows[0]
        if not _first_text(row, _QUESTIONS):
            return 0.0
        answer = _first_text(row, _ANSWERS)
        if answer and _first_text(row, _THOUGHTS):
            return 0.6
        others = set(FIELDS["completion"]) & set(row)
        return 0.5 if answer in ("answer", "solution") and not others else 0.0


def _first_text(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((name for name in names if isinstance(value := row.get(name), str) and value.strip()), None)


ALPACA: Final = AlpacaImporter()
SFT: Final = ExamplesImporter()
