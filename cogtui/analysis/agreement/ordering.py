"""Whether two judges rank conditions or checkpoints in the same order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cogtui.analysis.agreement.measures import JudgementSource, TraceFindings
from pipelines.behaviors.metrics.reliability import kendall_tau
from pipelines.behaviors.sets.registered import behaviors_in_use
from pipelines.records import Behavior


@dataclass(frozen=True, slots=True)
class GroupMeans:
    """Mean counts of one group of traces by each judge, over the traces that both judged."""

    group: str
    n: int
    reference: float
    judge: float


@dataclass(frozen=True, slots=True)
class GroupOrdering:
    """How two judges rank the groups by one behaviour."""

    tau: float | None
    """Kendall's tau-b: 1 for the same order, -1 for the reverse; None with fewer than two groups or no differences."""
    groups: tuple[GroupMeans, ...]


def _judged_in_both(reference: JudgementSource, judge: JudgementSource) -> set[Behavior]:
    found: set[Behavior] = set()
    for source in (reference, judge):
        found.update(name for trace in source.traces.values() for name in trace.findings)
    return found


def compare_orderings(
    reference: JudgementSource,
    judge: JudgementSource,
    group_of: Callable[[TraceFindings], str] = lambda trace: trace.group,
) -> Mapping[Behavior, GroupOrdering]:
    """Compare how two judges rank the groups by mean count, for each behaviour.

    Args:
        reference: the first judge.
        judge: the second one.
        group_of: what is ordered: condition and step by default; traces with an empty group are passed over.
    """
    found: dict[Behavior, GroupOrdering] = {}
    for behavior in behaviors_in_use(_judged_in_both(reference, judge)):
        sums: dict[str, list[float]] = {}
        for name, trace in reference.traces.items():
            other = judge.traces.get(name)
            first = trace.findings.get(behavior)
            second = other.findings.get(behavior) if other else None
            group = group_of(trace)
            if not group or first is None or second is None or first.count is None or second.count is None:
                continue
            total = sums.setdefault(group, [0, 0, 0])
            total[0] += 1
            total[1] += first.count
            total[2] += second.count
        groups = tuple(GroupMeans(group, int(n), a / n, b / n) for group, (n, a, b) in sorted(sums.items()))
        tau = kendall_tau([group.reference for group in groups], [group.judge for group in groups])
        found[behavior] = GroupOrdering(tau, groups)
    return found
