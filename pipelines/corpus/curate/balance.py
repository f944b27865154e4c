"""Statistics of a curated set, and the imbalance of two sets in domains and lengths."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.corpus.classify.stats import mean_with_interval
from pipelines.corpus.documents.examples import PretrainingExample


@dataclass(slots=True)
class SetStatistics:
    """Running totals of one set, in constant memory."""

    examples: int = 0
    tokens: int = 0
    matched: int = 0
    """Examples whose document has a counterpart in the other set."""
    rewritten: int = 0
    log_tokens: float = 0.0
    log_squares: float = 0.0
    domains: Counter[str] = field(default_factory=Counter)
    """Tokens by domain."""
    lengths: Counter[int] = field(default_factory=Counter)
    """Tokens by the bit length of the number of tokens of their example."""
    behaviors: Counter[str] = field(default_factory=Counter)
    squares: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    """Examples by source."""
    licences: Counter[str] = field(default_factory=Counter)

    def add(self, example: PretrainingExample, *, matched: bool) -> None:
        """Add an example to the totals."""
        self.examples += 1
        self.tokens += example.tokens
        self.matched += matched
        self.rewritten += bool(example.prompt)
        size = math.log(max(1, example.tokens))
        self.log_tokens += size
        self.log_squares += size * size
        self.domains[example.domain or "unknown"] += example.tokens
        self.lengths[example.tokens.bit_length()] += example.tokens
        self.sources[str(example.meta.get("source") or "unknown")] += 1
        self.licences[str(example.meta.get("licence") or "unknown")] += 1
        for name, count in example.behaviors.items():
            self.behaviors[name] += count
            self.squares[name] += count * count

    def result(self) -> dict[str, Any]:
        """Return the figures of the set for `result.json`."""
        n = self.examples
        return {
            "examples": n,
            "rewritten": self.rewritten,
            "matched": self.matched / n if n else None,
            "mean_tokens": self.tokens / n if n else None,
            "behaviors": {
                name: {
                    "n": n,
                    "count": self.behaviors[name],
                    **mean_with_interval(self.behaviors[name], self.squares[name], n),
                }
                for name in FOUR_HABITS.names
            },
            "domains": {name: tokens / self.tokens for name, tokens in self.domains.most_common()},
        }

    def log_length(self) -> tuple[float, float]:
        """Return mean and variance of the natural logarithm of the lengths."""
        average = self.log_tokens / max(1, self.examples)
        return average, max(0.0, self.log_squares / max(1, self.examples) - average * average)


def measure_imbalance(one: SetStatistics, other: SetStatistics) -> dict[str, float | None]:
    """Measure how much two sets differ.

    Returns:
        `domains` and `lengths`: total variation distance of the shares of tokens, 0 alike to 1 nothing in common.
        `log_length`: standardised difference of the mean log lengths, in standard deviations; below 0.1 counts as
        balanced.
    """
    (a, var_a), (b, var_b) = one.log_length(), other.log_length()
    spread = math.sqrt((var_a + var_b) / 2)
    return {
        "domains": _distance(one.domains, other.domains),
        "lengths": _distance(one.lengths, other.lengths),
        "log_length": (a - b) / spread if spread else None,
    }


def _distance(one: "Counter[Any]", other: "Counter[Any]") -> float | None:
    a, b = one.total(), other.total()
    if not a or not b:
        return None
    return sum(abs(one[key] / a - other[key] / b) for key in {*one, *other}) / 2
