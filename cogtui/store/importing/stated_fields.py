"""Reading the fields of layouts that are not columns: what is stated, what is there and empty, what is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from cogtui.store.importing.conversations import (
    PlacedPart,
    Turn,
    TurnPart,
    last_question,
    transcribe,
    without_leading_questions,
)

T = TypeVar("T")

VERDICT_METRICS: Final = ("exact_match", "acc", "accuracy", "em", "is_correct", "correct", "pass@1", "math_verify",
                          "prompt_level_strict_acc", "quasi_exact_match", "final_number_exact_match", "math_equiv",
                          "math_equiv_chain_of_thought", "chain_of_thought_correctness", "code_eval_acc")  # fmt: skip
"""Metrics of which 1 means a right answer and 0 a wrong one."""


@dataclass(slots=True)
class StatedFields:
    """Collects which fields a file leaves empty and which are computed, for one rollout."""

    empty: list[str] = field(default_factory=list)
    computed: list[str] = field(default_factory=list)

    def read(self, name: str, values: Mapping[str, Any], key: str, parse: Callable[[Any], T | None]) -> T | None:
        """Return a value as its type. None if it is missing, or, remembered as empty, null or unreadable.

        Args:
            name: of the field of a rollout.
            values: an object of the file.
            key: of the value in it.
            parse: returns None for a value that cannot be read.
        """
        if key not in values:
            return None
        parsed = parse(values[key])
        if parsed is None and name not in self.empty:
            self.empty.append(name)
        return parsed


class Exchange(NamedTuple):
    """What was asked and what was answered."""

    prompt: str
    question: str
    """The last question of the prompt."""
    completion: str
    parts: Sequence[PlacedPart]
    computed: list[str]
    """`prompt` and `completion`, where they are joined from several pieces."""


def exchange_of(turns: Sequence[Turn], asked: int | None = None) -> Exchange:
    """Return the prompt and the completion of a conversation with one or several answers.

    Args:
        turns: all turns.
        asked: number of turns at the beginning that are the prompt; by default those before the first answer.
    """
    answers = without_leading_questions(turns[asked or 0 :])
    prompt_turns = turns[: len(turns) - len(answers)]
    prompt, completion = transcribe(prompt_turns), transcribe(answers)
    joined = (("prompt", prompt, prompt_turns), ("completion", completion, answers))
    return Exchange(
        prompt.text,
        last_question(prompt_turns),
        completion.text,
        () if completion.is_stated else completion.parts,
        [name for name, transcript, found in joined if found and not transcript.is_stated],
    )


def answer_turn(text: str, thought: Any = None) -> Turn:
    """Return the turn of an answer, with the thought before it, if there is one."""
    thoughts = (TurnPart("thought", thought),) if isinstance(thought, str) and thought.strip() else ()
    return Turn("assistant", (*thoughts, TurnPart("text", text)))


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return an object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """Return a list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def only(values: Any) -> Any:
    """Return the one value of a list with one value; anything else as it is."""
    return values[0] if isinstance(values, list) and len(values) == 1 else values
