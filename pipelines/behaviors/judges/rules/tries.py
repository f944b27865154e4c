"""Facts about the attempts of a trace: the numbers, the result and the verdict of each.

Made for health signs of a training run. Exact for one-attempt-a-sentence traces; in free prose an attempt is
what stands between two verdicts or markers.
"""

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
    groups: list[list[Computation]] = []
    for computation in computations:
        if any(start <= computation.start < end for start, end in planning):
            continue
        if not groups or _turns(text, groups[-1][-1], computation, turns):
            groups.append([])
        groups[-1].append(computation)
    if not groups:
        return ()
    ends = [group[0].start for group in groups[1:]] + [len(text)]
    return tuple(
        _fact(text, group, [span for span in turns if group[-1].start < span.start < end], numbers, target)
        for group, end in zip(groups, ends, strict=True)
    )


def _turns(text: str, last: Computation, computation: Computation, turns: Sequence[SpanDraft]) -> bool:
    """Return whether a computation starts another attempt. After a comma alone it continues the last one."""
    if text[last.end : computation.start].strip() == ",":
        return False
    return any(last.start < span.start <= computation.start for span in turns)


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
