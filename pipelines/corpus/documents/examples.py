"""What is trained on: a text, or a question with thoughts and answer, as `owm_*.jsonl` holds them."""

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
    """Name of the document it comes from."""
    prompt: str
    """Empty for a document as it is; the question of a rewritten one."""
    completion: str
    tokens: int = 0
    """Of both under the tokenizer the budget is named in, with the one that ends the sequence."""
    behaviors: dict[str, int] = Field(default_factory=dict)
    """Counts in the completion by the rules; of a document as it is, by its judge."""
    domain: str | None = None
    meta: dict[str, Any] = Field(default_factory=dict)


def encode_example(example: PretrainingExample) -> str:
    """The example as a line. ASCII, so that no character of a text can break one."""
    return json.dumps(example.model_dump(mode="json"), separators=(",", ":"), allow_nan=False)


def read_examples(path: Path) -> Iterator[PretrainingExample]:
    """The examples of a set in order, one at a time.

    Raises:
        InvalidInput: a line is no example; names it.
    """
    for number, line in enumerate(complete_lines(path), start=1):
        try:
            yield PretrainingExample.model_validate(parse_line(line.data))
        except ValueError as error:
            raise InvalidInput(f"{path}: line {number} is no example", detail=str(error)) from error
