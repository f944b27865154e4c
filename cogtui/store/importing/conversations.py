"""Chat messages as text: turns of any program's messages, and a transcript with the exact place of each part."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

PartKind = Literal["text", "thought", "call", "result"]

_ROLES: Final = {
    "human": "user", "prompter": "user",
    "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant", "ai": "assistant",
    "bing": "assistant", "function_call": "assistant",
    "function": "tool", "observation": "tool", "ipython": "tool", "function_response": "tool", "tool_response": "tool",
    "developer": "system",
}  # fmt: skip
"""Names of roles in files → the names used here: system, user, assistant, tool."""
_ASKING: Final = ("system", "user")
_REASONING: Final = ("reasoning_content", "reasoning", "thinking", "thought")
_TEXT: Final = ("text", "value", "content", "refusal")
_ITEMS: Final = ("message", "reasoning", "function_call", "function_call_output", "custom_tool_call",
                 "custom_tool_call_output")  # fmt: skip
"""Types of the items of an OpenAI Responses output."""


class TurnPart(NamedTuple):
    """A piece of a turn."""

    kind: PartKind
    text: str


class Turn(NamedTuple):
    """One message: who speaks, and the pieces in their order. Without a role it is empty text."""

    role: str
    parts: tuple[TurnPart, ...]
    is_joined: bool = False
    """Whether a text in it is joined from several content parts."""


class PlacedPart(NamedTuple):
    """Where a piece of a turn is in a transcript."""

    role: str
    kind: PartKind
    start: int
    """Half-open code-point offsets into the transcript."""
    end: int


class Transcript(NamedTuple):
    """Turns as one text."""

    text: str
    parts: tuple[PlacedPart, ...]
    is_stated: bool
    """Whether the text is in the file as such: one turn that consists of one text."""


def read_turns(value: Any) -> list[Turn] | None:
    """Return the turns of a message, of a list of messages, or of the items of an OpenAI Responses output.

    Args:
        value: messages with `role` and `content`, or `from` and `value` (ShareGPT); contents are text or lists of
            parts. A list of strings is not a conversation.

    Returns:
        None if it is no message, or one of the messages has no readable content.
    """
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list) or not value:
        return None
    turns: list[Turn] = []
    for message in value:
        turn = _read_message(message, alone=len(value) == 1)
        if turn is None:
            return None
        joins = turns and message.get("type") in _ITEMS and turns[-1].role == turn.role == "assistant"
        if joins:  # reasoning, text and calls of one response are items of their own
            turns[-1] = Turn(turn.role, turns[-1].parts + turn.parts, turns[-1].is_joined or turn.is_joined)
        else:
            turns.append(turn)
    return turns


def split_turns(turns: Sequence[Turn]) -> tuple[list[Turn], list[Turn]]:
    """Return the turns that ask, and those that answer: all that follow the last question which has an answer.

    The second list is empty if nobody answers. Questions after the last answer are left out.
    """
    end = next((i for i in range(len(turns), 0, -1) if turns[i - 1].role not in _ASKING), 0)
    start = next((i for i in range(end, 0, -1) if turns[i - 1].role in _ASKING), 0)
    return list(turns[:start]), list(turns[start:end])


def without_leading_questions(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns from the first that does not ask: a completion may repeat the conversation it belongs to."""
    return list(turns[next((i for i, turn in enumerate(turns) if turn.role not in _ASKING), len(turns)) :])


def last_question(turns: Iterable[Turn]) -> str:
    """Return the text of the user's last turn; empty without one."""
    asked = [turn for turn in turns if turn.role == "user"]
    return "".join(part.text for part in asked[-1].parts if part.kind == "text") if asked else ""


def transcribe(turns: Sequence[Turn]) -> Transcript:
    """Join turns to one text.

    One turn without tool calls is its own text, thoughts in `<think>` tags before it. Several turns stand under their
    roles: `[assistant]`, `[tool]`; a call is `[call NAME] ARGUMENTS`.
    """
    pieces: list[str] = []
    parts: list[PlacedPart] = []
    length = 0

    def add(text: str) -> int:
        nonlocal length
        pieces.append(text)
        length += len(text)
        return length

    under_roles = len(turns) > 1
    for number, turn in enumerate(turns):
        if number:
            add("\n\n")
        if under_roles and turn.role:
            add(f"[{turn.role}]\n")
        last: TurnPart | None = None
        for part in turn.parts:
            if last is not None and (last.kind, part.kind) != ("text", "text"):
                add("\n\n" if "thought" in (last.kind, part.kind) else "\n")
            last = part
            if part.kind == "thought":
                add("<think>\n")
            start = length
            parts.append(PlacedPart(turn.role, part.kind, start, add(part.text)))
            if part.kind == "thought":
                add("\n</think>")
    alone = turns[0] if len(turns) == 1 and not turns[0].is_joined else None
    stated = alone is not None and [part.kind for part in alone.parts] in (["text"], ["result"])
    return Transcript("".join(pieces), tuple(parts), stated)


def has_text(turns: Iterable[Turn]) -> bool:
    """Return whether anything is said in the turns."""
    return any(part.text.strip() for turn in turns for part in turn.parts)


def _read_message(message: Any, *, alone: bool) -> Turn | None:
    if not isinstance(message, Mapping):
        return None
    kind = message.get("type")
    if kind in _ITEMS and kind != "message":
        return _read_item(message, str(kind))
    named = message.get("role", message.get("from"))
    if named is None:
        if not alone or not ("content" in message or "value" in message):
            return None
        named = ""
    if not isinstance(named, str):
        return None
    role = _ROLES.get(named.lower(), named.lower())
    text_kind: PartKind = "result" if role == "tool" else "text"
    content = message["content"] if "content" in message else message.get("value", message.get("text"))
    said = _read_content(content, "call" if named == "function_call" else text_kind)
    if said is None:
        return None
    thoughts = [TurnPart("thought", text) for name in _REASONING if isinstance(text := message.get(name), str) and text]
    is_joined = isinstance(content, list) and len(said) < len(content)
    return Turn(role, (*thoughts[:1], *said, *_read_calls(message)), is_joined)


def _read_content(content: Any, kind: PartKind) -> list[TurnPart] | None:
    """The parts of a message's content: text, a list of parts, or nothing beside a tool call."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [TurnPart(kind, f"[call] {content}" if kind == "call" else content)]
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, list):
        return None
    found: list[TurnPart] = []
    for part in content:
        if isinstance(part, str):
            found.append(TurnPart(kind, part))
        elif isinstance(part, Mapping):
            read = _read_part(part, kind)
            if read is None:
                return None
            found.append(read)
        else:
            return None
    return _merge_texts(found)


def _read_part(part: Mapping[str, Any], kind: PartKind) -> TurnPart | None:
    type_ = part.get("type")
    if type_ in ("thinking", "reasoning", "think"):
        text = next((part[name] for name in (*_REASONING, "text") if isinstance(part.get(name), str)), None)
        return TurnPart("thought", text if text is not None else _summary(part))
    if type_ in ("tool_use", "tool_call", "function_call"):
        return TurnPart("call", _call_text(part.get("name"), part.get("input", part.get("arguments"))))
    if type_ == "tool_result":
        inner = _read_content(part.get("content"), "result")
        return None if inner is None else TurnPart("result", "".join(each.text for each in inner))
    text = next((part[name] for name in _TEXT if isinstance(part.get(name), str)), None)
    if text is not None:
        return TurnPart(kind, text)
    if isinstance(type_, str) and type_ not in ("text", "output_text", "input_text"):
        return TurnPart(kind, f"[{type_}]")  # an image, a sound, a file: what it is, in its place
    return TurnPart(kind, "") if all(part.get(name) is None for name in _TEXT) else None


def _merge_texts(parts: Iterable[TurnPart]) -> list[TurnPart]:
    merged: list[TurnPart] = []
    for part in parts:
        if merged and merged[-1].kind == part.kind and part.kind in ("text", "result"):
            merged[-1] = TurnPart(part.kind, merged[-1].text + part.text)
        else:
            merged.append(part)
    return merged


def _read_item(item: Mapping[str, Any], kind: str) -> Turn | None:
    if kind == "reasoning":
        text = _summary(item)
        return Turn("assistant", (TurnPart("thought", text),) if text else ())
    if kind.endswith("_output"):
        result = _read_content(item.get("output"), "result")
        return None if result is None else Turn("tool", tuple(result))
    return Turn(
        "assistant", (TurnPart("call", _call_text(item.get("name"), item.get("arguments", item.get("input")))),)
    )


def _summary(item: Mapping[str, Any]) -> str:
    """The text of a reasoning item: its content, else its summary."""
    for name in ("content", "summary"):
        pieces = item.get(name)
        if isinstance(pieces, str) and pieces:
            return pieces
        if isinstance(pieces, list):
            texts = [
                piece["text"] for piece in pieces if isinstance(piece, Mapping) and isinstance(piece.get("text"), str)
            ]
            if texts:
                return "\n\n".join(texts)
    return ""


def _read_calls(message: Mapping[str, Any]) -> list[TurnPart]:
    calls = message.get("tool_calls")
    listed = list(calls) if isinstance(calls, list) else []
    if isinstance(message.get("function_call"), Mapping):
        listed.append(message["function_call"])
    found = []
    for call in listed:
        inner = call.get("function") if isinstance(call, Mapping) else None
        asked = inner if isinstance(inner, Mapping) else call
        if isinstance(asked, Mapping):
            name = asked.get("name", inner if isinstance(inner, str) else None)
            arguments = next((asked[key] for key in ("arguments", "args", "input", "parameters") if key in asked), None)
            found.append(TurnPart("call", _call_text(name, arguments)))
        elif call is not None:
            found.append(TurnPart("call", _call_text(None, call)))
    return found


def _call_text(name: Any, arguments: Any) -> str:
    if arguments is None:
        written = ""
    elif isinstance(arguments, str):
        written = arguments
    else:
        try:
            written = json.dumps(arguments, ensure_ascii=False, default=str)
        except (ValueError, RecursionError):
            written = str(type(arguments).__name__)
    return f"[call {name}] {written}".rstrip() if isinstance(name, str) and name else f"[call] {written}".rstrip()
