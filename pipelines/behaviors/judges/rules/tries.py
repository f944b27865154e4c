"""Facts about the attempts of a trace: the numbers, the result and the verdict of each.

Made for health signs of a training run. Exact for one-attempt-a-sentence traces; in free prose an attempt is
what stands between two verdicts or markers.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence

from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.facts import wrong_equations
from pipelines.behaviors.judges.rules.state import SpanDraft
from pipelines.behaviors.judges.rules.tokens import Number
from pipelines.records import AttemptFact


def attempts_of(
    text: str, computations: Sequence[Computation], found: Sequence[SpanDraft], numbers: Sequence[int], target: int
) -> tuple[AttemptFact, ...]:
    """Return the attempts of a trace in order. Arithmetic from the target is planning and left out.

    Args:
        text: the completion.
        computations: of the completion, in order.
        found: the behaviours drawn in it, in order of start.
        numbers: the numbers given.
        target: the number to be reached.
    """
    planning = [(span.start, span.end) for span in found if span.behavior == "backward_chaining"]
    turns = [span for span in found if span.behavior in ("verification", "backtracking")]
    starts = [span.start for span in turns]
    groups: list[list[Computation]] = []
    plan = 0
    for computation in computations:
        while plan < len(planning) and planning[plan][1] <= computation.start:
            plan += 1  # spans of one behaviour do not overlap, so that one pass over both lists suffices
        if plan < len(planning) and planning[plan][0] <= computation.start:
            continue
        if not groups or _turns(text, groups[-1][-1], computation, starts):
            groups.append([])
        groups[-1].append(computation)
    if not groups:
        return ()
    ends = [group[0].start for group in groups[1:]] + [len(text)]
    return tuple(
        _fact(text, group, turns[bisect_right(starts, group[-1].start) : bisect_left(starts, end)], numbers, target)
        for group, end in zip(groups, ends, strict=True)
    )


def _turns(text: str, last: Computation, computation: Computation, starts: Sequence[int]) -> bool:
    """Return whether a computation starts another attempt. After a comma alone it continues the last one."""
    if text[last.end : computation.start].strip() == ",":
        return False
    return bisect_right(starts, last.start) < bisect_right(starts, computation.start)


def _fact(
    text: str, group: Sequence[Computation], after: Sequence[SpanDraft], numbers: Sequence[int], target: int
) -> AttemptFact:
    operands: Counter[Number] = Counter(value for computation in group for value in computation.keys)
    results = [computation.result_key for computation in group]
    available: Counter[Number] = Counter(numbers)
    available.update(value for value in results[:-1] if value is not None)
    said = next((span.says > 0 for span in after if span.behavior == "verification" and span.says), None)
    wrong = sum(bool(list(wrong_equations(text, computation))) for computation in group)
    return AttemptFact(
        start=group[0].start,
        end=group[-1].end,
        legal=operands <= available,
        complete=operands == available,
        equations=len(group),
        wrong=wrong,
        reached=results[-1] == target,
        said=said,
    )
