"""Completions in a value of a row: one text, a conversation, or several of either with fields of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cogtui.store.importing.conversations import PlacedPart, Turn, read_turns, transcribe

_TEXT_NAMES: Final = ("completion", "full_model_response", "response", "text", "generated_text", "output", "generation",
                      "model_output", "content", "message", "messages")  # fmt: skip
"""Names of the text in an object that is a completion, the surest first."""

_OF_MESSAGE: Final = ("role", "from", "content", "value", "tool_calls", "function_call", "reasoning_content",
                      "reasoning", "thinking", "type")  # fmt: skip
"""Names in a chat message that its turn is read from."""


@dataclass(slots=True)
class CompletionValue:
    """A completion as a file states it."""

    text: str = ""
    turns: list[Turn] | None = None
    """Its messages, if it is not plain text; `text` is then empty."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The object it is in, beside other values of the same completion."""
    text_name: str = ""
    """Name of the text in that object."""


@dataclass(slots=True)
class CompletionText:
    """A completion as text."""

    text: str
    parts: Sequence[PlacedPart]
    is_stated: bool
    """Whether the text is in the file as such."""


def read_completions(value: Any) -> tuple[list[CompletionValue | None], bool] | None:
    """Return the completions in a value, and whether they come as a list, each beside the other.

    A list of strings, of objects with a text, or of conversations holds several completions; a list of messages is one.
    An entry of a list that is no completion is None.

    Returns:
        None if the value is no completion.
    """
    if isinstance(value, str):
        return [CompletionValue(value)], False
    if isinstance(value, Mapping) and isinstance(value.get("choices"), list):
        value = value["choices"]
    if not isinstance(value, list) or read_turns(value) is not None:
        one = _read_one(value)
        return None if one is None else ([one], False)
    if not value:
        return None
    if len(value) == 1 and isinstance(value[0], list) and value[0] and all(isinstance(each, str) for each in value[0]):
        value = value[0]  # lm-evaluation-harness nests the completions of a request twice
    several = [_read_one(each) for each in value]
    return (several, True) if any(each is not None for each in several) else None


def as_text(completion: CompletionValue, turns: Sequence[Turn] | None = None) -> CompletionText:
    """Return the text of a completion.

    Args:
        completion: the completion.
        turns: those of its turns that answer; by default all.
    """
    kept = completion.turns if turns is None else turns
    if kept is None:
        return CompletionText(completion.text, (), True)
    transcript = transcribe(kept)
    return CompletionText(transcript.text, () if transcript.is_stated else transcript.parts, transcript.is_stated)


def _read_one(value: Any) -> CompletionValue | None:
    if isinstance(value, str):
        return CompletionValue(value)
    turns = read_turns(value)
    if turns is not None:
        beside = value.items() if isinstance(value, Mapping) else ()
        return CompletionValue(turns=turns, fields={name: each for name, each in beside if name not in _OF_MESSAGE})
    if isinstance(value, list):  # a completion in a list of its own
        return _read_one(value[0]) if len(value) == 1 and isinstance(value[0], str) else None
    if not isinstance(value, Mapping):
        return None
    for name in _TEXT_NAMES:
        inner = value.get(name)
        if isinstance(inner, str):
            return CompletionValue(inner, fields=value, text_name=name)
        inner_turns = read_turns(inner)
        if inner_turns is not None:
            return CompletionValue(turns=inner_turns, fields=value, text_name=name)
    return None
