"""Precision, recall and F1 of matched spans, totalled over traces."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from pipelines.behaviors.metrics.matching import SpanMatching


@dataclass(frozen=True, slots=True)
class SpanTally:
    """Numbers of matched, extra and missed spans. A ratio that would divide by zero is None."""

    hits: int = 0
    extra: int = 0
    missed: int = 0
    ignored: int = 0
    """Predictions matched to weak or repeat gold; in neither precision nor recall."""

    @classmethod
    def of(cls, matched: SpanMatching) -> Self:
        """Count the spans of one matching."""
        return cls(len(matched.hits), len(matched.extra), len(matched.missed), len(matched.ignored))

    @classmethod
    def sum(cls, tallies: Iterable["SpanTally"]) -> Self:
        """Add the tallies of several traces (micro average)."""
        hits = extra = missed = ignored = 0
        for tally in tallies:
            hits += tally.hits
            extra += tally.extra
            missed += tally.missed
            ignored += tally.ignored
        return cls(hits, extra, missed, ignored)

    @property
    def precision(self) -> float | None:
        """Share of the predicted spans that match gold."""
        predicted = self.hits + self.extra
        return self.hits / predicted if predicted else None

    @property
    def recall(self) -> float | None:
        """Share of the gold spans that were found."""
        gold = self.hits + self.missed
        return self.hits / gold if gold else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None if there is neither gold nor prediction."""
        total = 2 * self.hits + self.extra + self.missed
        return 2 * self.hits / total if total else None


def macro_f1(tallies: Iterable[SpanTally]) -> float | None:
    """Return the mean F1 over the behaviours that have one; a behaviour that neither side has is left out."""
    scores = [score for tally in tallies if (score := tally.f1) is not None]
    return sum(scores) / len(scores) if scores else None
