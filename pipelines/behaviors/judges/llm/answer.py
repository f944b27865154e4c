"""Parses the answers of LLM judges: lenient in form, strict in content. An unparsable answer is never a zero."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "instances": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "segment": {"type": "integer", "description": "number of the segment the quote begins in"},
                    "quote": {"type": "string", "description": "copied from the text character by character"},
                    "why": {"type": "string", "description": "a few words"},
                },
                "required": ["segment", "quote", "why"],
                "additionalProperties": False,
            },
        },
        "count": {"type": "integer", "description": "how many instances there are"},
    },
    "required": ["instances", "count"],
    "additionalProperties": False,
}
"""JSON schema of an answer in the mode `spans`, within what both services' structured output supports."""

_MOST: Final = 999_999
"""Largest plausible count; larger ones are parse errors."""
_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\n(.*?)```", re.DOTALL)
_NUMBER = re.compile(r"(?<![0-9A-Za-z])[sS]?([0-9]{1,9})(?![0-9A-Za-z])")
_COUNT = re.compile(r"<\s*count\s*>\s*\[?\s*([0-9]+)\s*\]?\s*<\s*/\s*count\s*>", re.IGNORECASE)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")


class UnreadableAnswer(ValueError):
    """The answer is not in the requested form; the message says why."""


@dataclass(frozen=True, slots=True)
class QuotedInstance:
    """One instance as the judge quoted it."""

    segment: int | None
    """Number of the segment, counted from 1; None if the answer names no number."""
    quote: str
    why: str


@dataclass(frozen=True, slots=True)
class JudgeAnswer:
    """A judge's answer about one behaviour."""

    instances: tuple[QuotedInstance, ...]
    count: int
    """The declared count, which may differ from the number of instances."""


def parse_answer(text: str) -> JudgeAnswer:
    """Parse `{instances: [{segment, quote, why}], count}`, also inside fences or prose and with trailing commas.

    Raises:
        UnreadableAnswer: the text has another form; the message says which part is wrong.
    """
    problem = "it holds no JSON object"
    for candidate in _candidates(text):
        try:
            value = _loads(candidate)
        except ValueError as error:
            problem = f"it is not JSON: {error}"
            continue
        except RecursionError:
            problem = "it is nested too deeply"
            continue
        if isinstance(value, dict) and ("instances" in value or "count" in value):
            return JudgeAnswer(_instances(value.get("instances")), _count(value.get("count")))
        problem = "its JSON has neither instances nor count"
    raise UnreadableAnswer(problem)


def parse_count(text: str) -> int:
    """Parse the number in the last `<count> n </count>` of an answer; spaces and brackets are ignored.

    Raises:
        UnreadableAnswer: there is none, or the number is not plausible.
    """
    found = _COUNT.findall(text)
    if not found:
        raise UnreadableAnswer("it holds no <count> n </count>")
    return _checked(int(found[-1]) if len(found[-1]) < 10 else _MOST + 1)


def _candidates(text: str) -> Iterator[str]:
    """Yield the parts of an answer that may be the JSON, the most likely first."""
    stripped = text.strip().removeprefix("\ufeff")
    if stripped.startswith("{"):
        yield stripped
    yield from (match[1] for match in _FENCE.finditer(stripped))
    start, end = stripped.find("{"), stripped.rfind("}")
    if 0 <= start < end:
        yield stripped[start : end + 1]


def _loads(text: str) -> Any:
    try:
        return json.loads(text, strict=False)  # strict=False accepts raw line breaks inside strings
    except ValueError:
        # Strings are set aside first, because a quote may contain a comma before a bracket.
        strings: list[str] = []

        def aside(match: re.Match[str]) -> str:
            strings.append(match[0])
            return f'"{len(strings) - 1}"'

        bare = _TRAILING_COMMA.sub("", _STRING.sub(aside, text))
        return json.loads(re.sub(r'"(\d+)"', lambda match: strings[int(match[1])], bare), strict=False)


def _instances(value: Any) -> tuple[QuotedInstance, ...]:
    if not isinstance(value, list):
        raise UnreadableAnswer("instances is not a list")
    return tuple(_instance(item, number) for number, item in enumerate(value, start=1))


def _instance(value: Any, number: int) -> QuotedInstance:
    if isinstance(value, str):
        value = {"quote": value}
    if not isinstance(value, dict):
        raise UnreadableAnswer(f"instance {number} is not an object")
    quote, why = value.get("quote"), value.get("why")
    if not isinstance(quote, str):
        quote = ""
    segment = _segment(value.get("segment"))
    if not quote and segment is None:
        raise UnreadableAnswer(f"instance {number} has neither quote nor segment")
    return QuotedInstance(segment, quote, why if isinstance(why, str) else "")


def _segment(value: Any) -> int | None:
    """Return a segment number, also from "17", "s17", "⟦ab12 17⟧" or the first of several."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        found = _NUMBER.findall(value)
        value = int(found[0]) if found else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _count(value: Any) -> int:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise UnreadableAnswer("it declares no count")
    return _checked(value)


def _checked(count: int) -> int:
    if not 0 <= count <= _MOST:
        raise UnreadableAnswer("its count is not a plausible number")
    return count
