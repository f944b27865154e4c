"""The conditions of the experiments: which behaviours their priming traces must show and must not show.

Names and meaning follow Gandhi et al. 2025, "Cognitive Behaviors that Enable Self-Improving Reasoners".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.records import Behavior, LabelledSpan

ConditionName = Literal[
    "none",
    "all_strategies",
    "only_backtracking",
    "backtracking_verification",
    "backtracking_subgoal",
    "backtracking_backward",
    "negative_control",
    "empty_cot",
    "dots",
    "no_positive_all_strategies",
    "human_cot",
    "self_distilled",
]

Origin = Literal["unprimed", "written", "derived", "imported", "sampled"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition."""

    name: ConditionName
    origin: Origin
    """`unprimed`: no traces. `written`: by a teacher. `derived`: from traces of another condition.
    `imported`: from a file. `sampled`: arranged from a model's own samples."""
    behaviors: frozenset[Behavior] = frozenset()
    """Behaviours that every trace must show; backtracking only if an attempt failed."""
    free: bool = False
    """Whether other behaviours may appear too; otherwise they are forbidden."""

    @property
    def forbidden(self) -> frozenset[Behavior]:
        """Behaviours that no trace may show."""
        return frozenset() if self.free else frozenset(FOUR_HABITS.names) - self.behaviors

    @property
    def linear(self) -> bool:
        """Whether traces state a known solution without a search."""
        return self.origin == "written" and not self.behaviors

    def unwanted(self, spans: Iterable[LabelledSpan], *, weak: bool = True) -> set[Behavior]:
        """Return the forbidden behaviours among these spans.

        Args:
            spans: of a trace.
            weak: whether weak spans count: yes for spans of the teacher itself, no for those a judge found.
        """
        return {span.behavior for span in spans if weak or not span.weak} & self.forbidden

    def missing(self, spans: Iterable[LabelledSpan], failed_attempts: int | None = None) -> set[Behavior]:
        """Return the required behaviours that these spans lack.

        Backtracking is not required if no attempt failed; it is if `failed_attempts` is None.
        """
        missing = set(self.behaviors) - {span.behavior for span in spans if not span.weak}
        return missing - {"backtracking"} if failed_attempts == 0 else missing


def _written(name: ConditionName, *behaviors: Behavior) -> Condition:
    return Condition(name, "written", frozenset(behaviors))


CONDITIONS: Final[dict[str, Condition]] = {
    condition.name: condition
    for condition in (
        Condition("none", "unprimed"),
        _written("all_strategies", *FOUR_HABITS.names),
        _written("only_backtracking", "backtracking"),
        _written("backtracking_verification", "backtracking", "verification"),
        _written("backtracking_subgoal", "backtracking", "subgoal"),
        _written("backtracking_backward", "backtracking", "backward_chaining"),
        _written("negative_control"),
        Condition("empty_cot", "derived"),
        Condition("dots", "derived"),
        Condition("no_positive_all_strategies", "derived", frozenset(FOUR_HABITS.names)),
        Condition("human_cot", "imported", free=True),
        Condition("self_distilled", "sampled", frozenset({"backtracking", "verification"}), free=True),
    )
}
"""All conditions by name, in the order of the design."""
