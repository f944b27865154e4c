"""Few-shot examples in the questions of an LLM judge, made of places where people decided otherwise than it did."""

import json
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from pipelines.behaviors.judges.llm.view import shown
from pipelines.behaviors.segment import segments

_LONGEST: Final = 400
"""Characters of a context; a longer one is cut around the quote."""
_HEADING: Final = "Examples that people decided. They are from other texts; nothing of them is in the text before you."
_HOLE_START: Final = re.compile(r"\{(?=[a-z]+\})")
_FENCE: Final = str.maketrans({"⟦": "[", "⟧": "]"})


class PromptExample(NamedTuple):
    """A place in a text, and whether people say that it shows the behaviour."""

    context: str
    """The sentence it is in, with the one before."""
    quote: str
    is_instance: bool


def example_at(text: str, start: int, end: int, *, is_instance: bool) -> PromptExample:
    """Return the example of a place in a text.

    Args:
        text: a completion.
        start, end: half-open code-point offsets.
        is_instance: whether people marked it.
    """
    places = segments(text)
    inside = [index for index, (low, high) in enumerate(places) if low < end and start < high]
    first = places[max(0, inside[0] - 1)][0] if inside else start
    last = places[inside[-1]][1] if inside else end
    room = max(0, _LONGEST - (end - start))
    first, last = max(first, start - room), min(last, end + room // 4)
    return PromptExample(text[first:last].strip(), text[start:end], is_instance)


def add_examples(question: str, examples: Sequence[PromptExample]) -> str:
    """Return a question with examples at its end.

    Texts of models are data: line breaks and quotes are escaped as in JSON, controls shown as pictures, and what looks
    like a place to fill in or like a segment marker is broken.
    """
    if not examples:
        return question
    lines = []
    for number, one in enumerate(examples, start=1):
        lines.append(f"{number}. {'Counts' if one.is_instance else 'Does not count'}: {_quoted(one.quote)}")
        lines.append(f"   in: {_quoted(one.context)}")
    return "\n".join([question.rstrip(), "", _HEADING, *lines])


def _quoted(text: str) -> str:
    return _HOLE_START.sub("{ ", json.dumps(shown(text).translate(_FENCE), ensure_ascii=False))
