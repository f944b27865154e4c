"""Adherence of a teacher to a condition: whether required behaviours are present and forbidden ones absent."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.records import Behavior, LabelledSpan
from pipelines.teachers.conditions import CONDITIONS


@dataclass(slots=True)
class ConditionAdherence:
    """Counts over all traces a teacher wrote for one condition, kept or dropped. Weak spans are ignored."""

    condition: str
    written: int = 0
    present: Counter[Behavior] = field(default_factory=Counter)
    """Number of traces that show each behaviour."""
    unwanted: int = 0
    """Number of traces that show a behaviour the condition forbids."""
    incomplete: int = 0
    """Number of traces that lack a behaviour the condition requires."""

    def check(self, spans: Iterable[LabelledSpan], failed_attempts: int | None = None) -> bool:
        """Count a trace; return whether it satisfies its condition."""
        spans = [span for span in spans if not span.weak]
        condition = CONDITIONS[self.condition]
        unwanted = bool(condition.unwanted(spans))
        missing = bool(condition.missing(spans, failed_attempts))
        self.written += 1
        self.present.update({span.behavior for span in spans})
        self.unwanted += unwanted
        self.incomplete += missing
        return not (unwanted or missing)

    def result(self) -> dict[str, Any]:
        """Return, per behaviour, what the condition says and the fraction of the `n` traces that show it."""
        condition = CONDITIONS[self.condition]

        def asked(behavior: Behavior) -> str:
            if behavior in condition.behaviors:
                return "asked"
            return "forbidden" if behavior in condition.forbidden else "free"

        return {
            "condition": self.condition,
            "n": self.written,
            "unwanted": self.unwanted,
            "incomplete": self.incomplete,
            "behaviors": {
                behavior: {
                    "asked": asked(behavior),
                    "present": self.present[behavior] / self.written if self.written else None,
                }
                for behavior in FOUR_HABITS.names
            },
        }
