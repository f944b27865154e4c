"""Labelled traces: steps with behaviours, spread over the judge's own clauses by overlap."""

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.behaviors.judges.prose.clauses import clauses
from pipelines.behaviors.judges.prose.features import TextFeatures, text_features
from pipelines.behaviors.judges.prose.network import OUTPUTS
from pipelines.behaviors.judges.prose.tokens import ProseTokens
from pipelines.errors import InvalidInput

LOOPED: Final = 4
"""A sentence that comes this often, numbers aside, is a loop; from there on it weighs nothing."""
LONG_TRACE, LONG_WEIGHT = 300, 0.4
"""Labels thin out in traces of more steps than this, so these steps weigh less."""
_DIGITS: Final = re.compile(r"\d+")

Pairs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelledTrace:
    """A text cut into steps by its annotators.

    Attributes:
        id: `PROBLEM-SET_NUMBER_MODEL`.
        steps: places of the steps in order, without white space behind them.
        labels: (steps, 3) bool, columns as `OUTPUTS`.
    """

    id: str
    text: str
    steps: list[tuple[int, int]]
    labels: NDArray[np.bool_]

    @property
    def problem(self) -> str:
        """What the trace solves; traces of one problem never stand in training and test at once."""
        return "_".join(self.id.split("_")[:2])


def read_labelled(path: Path) -> list[LabelledTrace]:
    """Read labelled traces, JSONL or gzipped JSONL of `id`, `text`, `steps[{start, end, behaviors[]}]`.

    Raises:
        InvalidInput: a line is not such a record, or an offset lies outside its text.
    """
    found = []
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                found.append(_trace(record))
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidInput(f"{path} line {number} is no labelled trace", detail=str(error)) from error
    return found


def _trace(record: dict[str, Any]) -> LabelledTrace:
    text = record["text"]
    steps = []
    for step in record["steps"]:
        start, end = step["start"], step["end"]
        if not 0 <= start <= end <= len(text):
            raise ValueError(f"step {start}:{end} of a text of {len(text)} characters")
        steps.append((start, start + len(text[start:end].rstrip())))
    labels = [[name in step["behaviors"] for name in OUTPUTS] for step in record["steps"]]
    return LabelledTrace(record["id"], text, steps, np.array(labels, bool).reshape(-1, len(OUTPUTS)))


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def overlaps(spans: Sequence[tuple[int, ...]], steps: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield (span, step) wherever a span overlaps a step by half of the shorter of the two; both in order of start.

    Args:
        spans: tuples that begin with start and end.
        steps: start and end.
    """
    first = 0
    for at, (start, end, *_) in enumerate(spans):
        while first < len(steps) and steps[first][1] <= start:
            first += 1
        step = first
        while step < len(steps) and steps[step][0] < end:
            low, high = steps[step]
            if 0 < 2 * (min(high, end) - max(low, start)) >= min(high - low, end - start):
                yield at, step
            step += 1


@dataclass(frozen=True, slots=True)
class Example:
    """A trace as training sees it.

    Attributes:
        pairs: (p, 2) clause and step wherever they overlap, in order.
        weights: (steps,) how much each step's loss counts.
    """

    trace: LabelledTrace
    features: TextFeatures
    pairs: Pairs
    weights: NDArray[np.float32]


def examples(traces: Sequence[LabelledTrace]) -> list[Example]:
    """Make the examples of traces; one without text or steps makes none."""
    table = ProseTokens()
    found = []
    for trace in traces:
        places = clauses(trace.text)
        if places and trace.steps:
            pairs = np.array(list(overlaps(places, trace.steps)), np.int64).reshape(-1, 2)
            found.append(Example(trace, text_features(trace.text, places, table), pairs, _weights(trace)))
    return found


def _weights(trace: LabelledTrace) -> NDArray[np.float32]:
    seen: Counter[str] = Counter()
    usual = LONG_WEIGHT if len(trace.steps) > LONG_TRACE else 1.0
    weights = []
    for start, end in trace.steps:
        step = _DIGITS.sub("0", trace.text[start:end].strip())
        seen[step] += 1
        weights.append(0.0 if seen[step] >= LOOPED and len(step) > 12 else usual)
    return np.array(weights, np.float32)
