"""Rules that assign classified documents to the rich and the minimised set."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.corpus.classify.chunks import DocumentCounts
from pipelines.records import Behavior
from pipelines.stages import ConfigModel

SetName = Literal["owm_rich", "owm_minimised"]
SETS: Final[tuple[SetName, ...]] = ("owm_rich", "owm_minimised")

NonNegativeInt = Annotated[int, Field(ge=0)]


class SelectionRule(ConfigModel):
    """Bounds on the counts of a document; all of them must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    least: dict[Behavior, NonNegativeInt] = Field(default_factory=dict)
    """Smallest count per behaviour."""
    most: dict[Behavior, NonNegativeInt] = Field(default_factory=dict)
    """Largest count per behaviour."""
    least_present: Annotated[int, Field(ge=0, le=4)] = 0
    """Smallest number of behaviours with a count above zero."""
    least_total: NonNegativeInt = 0
    """Smallest sum of the counts."""
    most_total: NonNegativeInt | None = None
    """Largest sum of the counts; none for no limit."""

    def matches(self, counts: Mapping[str, int]) -> bool:
        """Return whether a document with these counts belongs to the set."""
        total = sum(counts.values())
        return (
            all(counts[behavior] >= least for behavior, least in self.least.items())
            and all(counts[behavior] <= most for behavior, most in self.most.items())
            and sum(count > 0 for count in counts.values()) >= self.least_present
            and total >= self.least_total
            and (self.most_total is None or total <= self.most_total)
        )


def complete_counts(verdict: DocumentCounts | None) -> dict[str, int] | None:
    """Return the counts of a document; None unless all are known."""
    if verdict is None:
        return None
    counts = {str(behavior): verdict.counts.get(behavior) for behavior in FOUR_HABITS.names}
    known = {behavior: count for behavior, count in counts.items() if count is not None}
    return known if len(known) == len(FOUR_HABITS.names) else None


def missing_fact(meta: Mapping[str, Any], require: tuple[str, ...]) -> str | None:
    """Return the first required fact that a document lacks, as `no_FACT`; None if it has all."""
    for name in require:
        if meta.get(name) is not True:
            return f"no_{name}"
    return None


def length_bin(words: int) -> int:
    """Return the length bin of a document; each bin spans a factor of √2 in words."""
    return max(0, (words * words).bit_length())
