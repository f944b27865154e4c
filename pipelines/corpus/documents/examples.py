"""Examples to pretrain on, as in `owm_*.jsonl`: a text, or a question with thoughts and answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from pipelines.errors import InvalidInput
from pipelines.records import Record
from pipelines.streams import complete_lines, parse_line


class PretrainingExample(Record):
    """One text to pretrain on, `prompt + completion`."""

    id: str
    document: str
    """Name of its document."""
    prompt: str
    """The question of a rewritten document; empty for an unchanged one."""
    completion: str
    tokens: int = 0
    """Tokens of prompt and completion under the tokenizer of the budget, with the end-of-sequence token."""
    behaviors: dict[str, int] = Field(default_factory=dict)
    """Counts in the completion: by the rules, or for an unchanged document by its judge."""
    domain: str | None = None
    meta: dict[str, Any] = Field(default_factory=dict)


def encode_example(example: PretrainingExample) -> str:
    """Encode an example as a line, in ASCII, so that no character of a text can break the line."""
    return json.dumps(example.model_dump(mode="json"), separators=(",", ":"), allow_nan=False)


def read_examples(path: Path) -> Iterator[PretrainingExample]:
    """Iterate over the examples of a set, in order.

    Raises:
        InvalidInput: a line is not an example; names it.
    """
    for number, line in enumerate(complete_lines(path), start=1):
        try:
            yield PretrainingExample.model_validate(parse_line(line.data))
        except ValueError as error:
            raise InvalidInput(f"{path}: line {number} is not an example", detail=str(error)) from error
